//! Who asks: PID 1, for which unit, by the address it connects from (systemd.exec(5), `LoadCredential=`).

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixStream;

use model::{TenantId, delivery};
use rustix::net::sockopt::socket_peercred;

use crate::error::Error;

/// A program of a tenant that is being started, by its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `tenant@NAME.service`: the gateway.
    Gateway,
    /// `tenant-egress@NAME.service`: the egress proxy.
    Egress,
    /// The edge, on behalf of somebody who may use that tenant's gateway.
    Edge,
}

/// Whose secrets are asked for, and for which program: one that is being started, or the edge ([`crate::proof`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The tenant.
    pub tenant: TenantId,
    /// The program.
    pub program: Program,
}

/// Who is being started.
pub fn of(connection: &UnixStream) -> Result<Asker, Error> {
    let peer = socket_peercred(connection).map_err(|errno| Error::Kernel("ask who asks", errno.into()))?;
    if !peer.uid.is_root() {
        return Err(Error::Refused(format!("uid {} is not root", peer.uid.as_raw())));
    }
    let address = connection.peer_addr().map_err(|error| Error::Kernel("ask who asks", error))?;
    let name = address.as_abstract_name().unwrap_or_default();
    named(name).ok_or_else(|| {
        let shown = String::from_utf8_lossy(name).chars().take(200).collect::<String>();
        Error::Refused(format!(
            "\"{}\" is no gateway and no egress proxy that asks for its secrets",
            shown.escape_debug()
        ))
    })
}

/// `RANDOM/unit/tenant@NAME.service/secrets`, or `tenant-egress@`.
fn named(address: &[u8]) -> Option<Asker> {
    let mut parts = std::str::from_utf8(address).ok()?.split('/');
    let (_random, kind, unit, credential) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || kind != "unit" || credential != delivery::CREDENTIAL {
        return None;
    }
    let (template, instance) = unit.strip_suffix(".service")?.split_once('@')?;
    let program = match template {
        "tenant" => Program::Gateway,
        "tenant-egress" => Program::Egress,
        _ => return None,
    };
    let tenant = TenantId::from_system_name(instance).ok()?;
    Some(Asker { tenant, program })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_and_an_egress_proxy_are_known_by_their_units_names() {
        let asker = named(b"8d98fc30b1418616/unit/tenant@acme_corp.service/secrets").unwrap();
        assert_eq!((asker.tenant.as_str(), asker.program), ("acme-corp", Program::Gateway));
        let asker = named(b"8d98fc30b1418616/unit/tenant-egress@acme_corp.service/secrets").unwrap();
        assert_eq!((asker.tenant.as_str(), asker.program), ("acme-corp", Program::Egress));
    }

    #[test]
    fn everybody_else_is_refused() {
        for address in [
            &b""[..],
            b"x",
            b"x/unit/tenant@acme.service",
            b"x/unit/tenant@acme.service/other",
            b"x/unit/tenant@acme.service/secrets/more",
            b"x/user/tenant@acme.service/secrets",
            b"x/unit/tenant-exec-1-acme.service/secrets",
            b"x/unit/sshd.service/secrets",
            b"x/unit/other@acme.service/secrets",
            b"x/unit/tenant-egress@acme.socket/secrets",
            b"x/unit/tenant-egress@acme.service/other",
            b"x/unit/tenant-egress@acme@x.service/secrets",
            b"x/unit/tenant-egress.service/secrets",
            b"x/unit/tenant-health@acme.service/secrets",
            b"x/unit/tenant@../secrets",
            b"x/unit/tenant@ACME.service/secrets",
            b"x/unit/tenant@.service/secrets",
            b"\xff/unit/tenant@acme.service/secrets",
        ] {
            assert!(named(address).is_none(), "{}", String::from_utf8_lossy(address));
        }
    }
}
