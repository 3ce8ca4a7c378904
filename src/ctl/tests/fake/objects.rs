//! The other interfaces of the fake, on the same object.

use std::io::Read;

use api::Error;
use zbus::zvariant::OwnedFd;

use super::Fake;

/// The same fake's vault, on the same object.
pub struct FakeVault(pub Fake);

fn received(from: OwnedFd) -> String {
    let mut text = String::new();
    std::fs::File::from(std::os::fd::OwnedFd::from(from)).read_to_string(&mut text).unwrap();
    text
}

#[zbus::interface(name = "org.tenantd.Vault1")]
impl FakeVault {
    fn list_secrets(&mut self, id: &str) -> Result<String, Error> {
        self.0.take("secrets", format!("secrets {id}"))
    }
    fn set_secret(&mut self, id: &str, name: &str, kind: &str, value: OwnedFd) -> Result<String, Error> {
        self.0.take("set", format!("set {id} {name} {kind:?} {:?}", received(value)))
    }
    fn remove_secret(&mut self, id: &str, name: &str) -> Result<(), Error> {
        self.0.take("remove", format!("remove {id} {name}")).map(drop)
    }
    fn get_vault(&mut self) -> Result<String, Error> {
        self.0.take("vault", "vault".into())
    }
    fn rotate_kek(&mut self, _give_up_backups: bool) -> Result<String, Error> {
        self.0.take("rotate-kek", "rotate-kek".into())
    }
    fn rotate_dek(&mut self, id: &str) -> Result<(), Error> {
        self.0.take("rotate-dek", format!("rotate-dek {id}")).map(drop)
    }
    fn export_recovery(&mut self, passphrase: OwnedFd) -> Result<Vec<u8>, Error> {
        self.0.take("export", format!("export {:?}", received(passphrase))).map(String::into_bytes)
    }
    fn import_recovery(&mut self, copy: OwnedFd, passphrase: OwnedFd) -> Result<String, Error> {
        let call = format!("import {:?} {:?}", received(copy), received(passphrase));
        self.0.take("import", call)
    }
}

/// The same fake's edge, on the same object.
pub struct FakeEdge(pub Fake);

#[zbus::interface(name = "org.tenantd.Edge1")]
impl FakeEdge {
    fn enable_edge(&mut self, settings: &str) -> Result<String, Error> {
        self.0.take("enable-edge", format!("enable-edge\n{settings}"))
    }
    fn disable_edge(&mut self) -> Result<String, Error> {
        self.0.take("disable-edge", "disable-edge".into())
    }
    fn reload_edge(&mut self) -> Result<String, Error> {
        self.0.take("reload-edge", "reload-edge".into())
    }
    fn get_edge(&mut self) -> Result<String, Error> {
        self.0.take("edge", "edge".into())
    }
    fn set_certificate(&mut self, certificate: OwnedFd, key: OwnedFd) -> Result<(), Error> {
        let first = |fd: OwnedFd| received(fd).lines().next().unwrap_or_default().to_owned();
        self.0.take("certificate", format!("certificate {:?} {:?}", first(certificate), first(key))).map(drop)
    }
    fn issue_token(&mut self, id: &str, role: &str, subject: &str, ttl_sec: u32) -> Result<String, Error> {
        self.0.take("issue", format!("issue {id} {role} {subject:?} {ttl_sec}"))
    }
    fn issue_login(&mut self, id: &str, role: &str, subject: &str) -> Result<String, Error> {
        self.0.take("login", format!("login {id} {role} {subject:?}"))
    }
    fn revoke_tokens(&mut self, by: &str, value: &str) -> Result<String, Error> {
        self.0.take("revoke", format!("revoke {by} {value}"))
    }
    fn rotate_signing_key(&mut self, now: bool) -> Result<String, Error> {
        self.0.take("rotate-key", format!("rotate-key now={now}"))
    }
}

/// The same fake's egress, on the same object.
pub struct FakeEgress(pub Fake);

#[zbus::interface(name = "org.tenantd.Egress1")]
impl FakeEgress {
    fn list_requests(&mut self, id: &str) -> Result<String, Error> {
        self.0.take("requests", format!("requests {id:?}"))
    }
    fn answer_request(
        &mut self,
        number: u64,
        digest: &str,
        verdict: &str,
        scope: &str,
        reason: &str,
    ) -> Result<String, Error> {
        self.0.take("answer", format!("answer {number} {digest} {verdict} {scope:?} {reason:?}"))
    }
    fn list_approvals(&mut self, id: &str) -> Result<String, Error> {
        self.0.take("approvals", format!("approvals {id}"))
    }
    fn revoke_approval(&mut self, id: &str, number: u64) -> Result<(), Error> {
        self.0.take("revoke-approval", format!("revoke-approval {id} {number}")).map(drop)
    }
    fn get_egress(&mut self, id: &str) -> Result<String, Error> {
        self.0.take("egress", format!("egress {id}"))
    }
    fn explain_egress(&mut self, id: &str, question: &str) -> Result<String, Error> {
        self.0.take("explain-egress", format!("explain-egress {id} {question}"))
    }
    fn learn(&mut self, id: &str, seconds: u32) -> Result<String, Error> {
        self.0.take("learn", format!("learn {id} {seconds}"))
    }
    fn get_learned(&mut self, id: &str) -> Result<String, Error> {
        self.0.take("learned", format!("learned {id}"))
    }
    fn usage(&mut self, id: &str) -> Result<String, Error> {
        self.0.take("usage", format!("usage {id:?}"))
    }
    fn check_change(&mut self, id: &str, spec: &str) -> Result<String, Error> {
        self.0.take("check-change", format!("check-change {id}\n{spec}"))
    }
}

/// The same fake's backups, on the same object.
pub struct FakeBackup(pub Fake);

#[zbus::interface(name = "org.tenantd.Backup1")]
impl FakeBackup {
    fn check_restore(&mut self, archive: OwnedFd, id: &str, replace: bool) -> Result<String, Error> {
        let call = format!("check-restore {id:?} replace={replace} {:?}", received(archive));
        self.0.take("check-restore", call)
    }
    fn restore_shown(
        &mut self,
        archive: OwnedFd,
        id: &str,
        replace: bool,
        start: bool,
        digest: &str,
    ) -> Result<String, Error> {
        let read = received(archive);
        let call = format!("restore {digest} {id:?} replace={replace} start={start} {read:?}");
        self.0.take("restore", call)
    }
}
