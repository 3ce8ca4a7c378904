//! Secrets of a tenant: set, listed, removed. Nobody gets a value back.

use std::os::fd::OwnedFd;

use api::SecretSummary;
use model::egress::AUTHORITY_SECRET;
use model::{Exit, TenantId};
use vault::{Kind, Secret, SecretName};
use vault_store::TenantVault;

use super::gateway::refuse_own;
use crate::failure::Failure;
use crate::journal::lock;
use crate::service::Service;

/// What a secret is for, as people write it.
const KINDS: [(&str, Kind); 4] =
    [("proxy", Kind::Proxy), ("file", Kind::File), ("variable", Kind::Variable), ("gateway", Kind::Gateway)];

impl Service {
    /// Gives a secret a value. With `existing` it must be there, and stays of its kind.
    pub fn set_secret(
        &self,
        id: &TenantId,
        name: &str,
        kind: Option<&str>,
        value: OwnedFd,
    ) -> Result<SecretSummary, Failure> {
        self.existing(id)?;
        let name = secret_name(name)?;
        refuse_own(id, &name)?;
        let wanted = kind.map(parse_kind).transpose()?;
        // Before the vault is held: the caller may take its time.
        let mut bytes = host::read_secretly(value, "the value", Secret::MAX)?;
        let secret = Secret::new(std::mem::take(&mut *bytes))
            .map_err(|error| Failure::new(Exit::Data, format!("secret {name} of tenant {id}: {error}")))?;
        let _occupied = self.occupy(id)?;
        // Once more: it may have been deleted while the caller took its time.
        self.existing(id)?;
        let mut held = self.vault.hold();
        let store = held.store()?;
        let keks = held.keyring.keks_or_first(&store)?;
        let mut vault = store.find_or_make(id, keks)?;
        let found = vault.listing().secrets().find(|entry| entry.name == name);
        let kind = match (wanted, found.as_ref().and_then(|entry| entry.kind)) {
            (None, None) if found.is_some() => return Err(unreadable(id, &name)),
            (None, None) => return Err(no_secret(id, &name)),
            (None, Some(kind)) => kind,
            (Some(wanted), Some(kind)) if wanted != kind => return Err(other_kind(id, &name, kind)),
            (Some(wanted), _) => wanted,
        };
        let noted = lock(&self.database).secret_heads(id)?.get(name.as_str()).map_or(0, |head| head.version);
        if kind == Kind::Variable {
            check_variable(id, &name, &secret)?;
        }
        let version = vault.set(keks, (&name, noted), kind, &secret)?;
        lock(&self.database).note_secret(id, name.as_str(), version)?;
        tracing::info!(tenant = %id, secret = %name, version, "secret set");
        drop(held);
        if kind == Kind::Proxy {
            self.end_proxy(id)?;
        }
        let heads = lock(&self.database).secret_heads(id)?;
        let changed = heads.get(name.as_str()).map(|head| head.changed);
        Ok(SecretSummary { name: name.to_string(), kind: word(kind), version, changed, problem: None })
    }

    /// Names, kinds and versions. A secret that is not as it was noted is shown with what is wrong with it.
    pub fn secrets(&self, id: &TenantId) -> Result<Vec<SecretSummary>, Failure> {
        self.existing(id)?;
        // Held over both: what is in one of them and not yet in the other would look like tampering.
        let held = self.vault.hold();
        let entries = held.store()?.secrets(id)?;
        let mut heads = lock(&self.database).secret_heads(id)?;
        let mut list: Vec<SecretSummary> = Vec::new();
        for entry in entries {
            let head = heads.remove(entry.name.as_str());
            let older = head.filter(|head| head.version > entry.version);
            list.push(SecretSummary {
                problem: older
                    .map(|head| format!("an older version was put back: {} was written", head.version)),
                name: entry.name.to_string(),
                kind: match entry.kind {
                    Some(Kind::Proxy) if entry.name.as_str() == AUTHORITY_SECRET => "authority".to_owned(),
                    kind => kind.map_or_else(|| "unreadable".to_owned(), word),
                },
                version: entry.version,
                changed: head.map(|head| head.changed),
            });
        }
        let gone = heads.into_iter().map(|(name, head)| SecretSummary {
            problem: Some(if name == SecretName::GATEWAY || name == AUTHORITY_SECRET {
                format!("its file was taken away: run \"tenantctl repair {id}\"")
            } else {
                "its file was taken away: set it anew, or remove it".to_owned()
            }),
            name,
            kind: "missing".to_owned(),
            version: head.version,
            changed: Some(head.changed),
        });
        list.extend(gone);
        list.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(list)
    }

    /// Removes a secret.
    pub fn remove_secret(&self, id: &TenantId, name: &str) -> Result<(), Failure> {
        let name = secret_name(name)?;
        let _occupied = self.occupy(id)?;
        self.existing(id)?;
        let mut held = self.vault.hold();
        let store = held.store()?;
        let noted = lock(&self.database).secret_heads(id)?.contains_key(name.as_str());
        let vault = store.find_to_change(id)?;
        // One that bears tenantd's own name since before that was its own may go.
        if !vault.as_ref().is_some_and(|vault| is_somebodys(vault, &name)) {
            refuse_own(id, &name)?;
        }
        let was =
            vault.as_ref().and_then(|vault| vault.listing().secrets().find(|entry| entry.name == name)?.kind);
        match vault {
            Some(mut vault) if has(&vault, &name) => vault.remove(held.keyring.keks(&store)?, &name)?,
            _ if !noted => return Err(no_secret(id, &name)),
            _ => (),
        }
        lock(&self.database).forget_secret(id, name.as_str())?;
        tracing::info!(tenant = %id, secret = %name, "secret removed");
        drop(held);
        // One that runs would go on using it.
        if was == Some(Kind::Proxy) { self.end_proxy(id) } else { Ok(()) }
    }

    /// Refuses to make a tenant that would find the secrets of another one of its name.
    pub(crate) fn refuse_left_secrets(&self, id: &TenantId) -> Result<(), Failure> {
        if self.vault.hold().store()?.deks(id)?.is_none() {
            return Ok(());
        }
        let path = self.paths.vault().join(id.system_name());
        Err(Failure::new(
            Exit::CantCreate,
            format!(
                "tenant {id}: secrets of an earlier tenant of this name are in {}: remove that directory or choose another name",
                path.display()
            ),
        ))
    }

    /// Destroys the vault of a tenant: its keys first, so that what is left of it anywhere is noise.
    pub(crate) fn destroy_secrets(&self, id: &TenantId) -> Result<(), Failure> {
        Ok(self.vault.hold().store()?.destroy(id)?)
    }
}

fn has(vault: &TenantVault, name: &SecretName) -> bool {
    vault.listing().newest_version(name).is_some()
}

/// Whether a secret is there that is not tenantd's own. One may bear such a name since before tenantd took that.
fn is_somebodys(vault: &TenantVault, name: &SecretName) -> bool {
    let own = if name.as_str() == AUTHORITY_SECRET { Kind::Proxy } else { Kind::Gateway };
    is_of_another_kind(vault, name, own)
}

/// Whether a secret of this name is there, and of another kind.
pub(super) fn is_of_another_kind(vault: &TenantVault, name: &SecretName, own: Kind) -> bool {
    let found = vault.listing().secrets().find(|entry| entry.name == *name);
    found.and_then(|entry| entry.kind).is_some_and(|kind| kind != own)
}

fn secret_name(text: &str) -> Result<SecretName, Failure> {
    SecretName::parse(text).map_err(|error| Failure::new(Exit::Data, error.to_string()))
}

fn parse_kind(text: &str) -> Result<Kind, Failure> {
    let found = KINDS.iter().find(|(word, kind)| *word == text && *kind != Kind::Gateway);
    found.map(|(_, kind)| *kind).ok_or_else(|| {
        let text = format!("{text:?} is not what a secret can be for: say proxy, file or variable");
        Failure::new(Exit::Data, text)
    })
}

/// What `tenant-exec` would refuse when the gateway starts is refused now.
fn check_variable(id: &TenantId, name: &SecretName, secret: &Secret) -> Result<(), Failure> {
    let variable = model::variable_of_secret(name.as_str());
    let why = match std::str::from_utf8(secret.expose()) {
        Ok(value) => model::check_variable(&variable, value).err(),
        Err(_) => Some("its value is no text: use --for file"),
    };
    why.map_or(Ok(()), |why| {
        let text = format!("secret {name} of tenant {id} cannot be the variable {variable}: {why}");
        Err(Failure::new(Exit::Data, text))
    })
}

fn word(kind: Kind) -> String {
    KINDS.iter().find(|(_, other)| *other == kind).map_or_else(String::new, |(word, _)| (*word).to_owned())
}

fn no_secret(id: &TenantId, name: &SecretName) -> Failure {
    Failure::new(
        Exit::NoInput,
        format!(
            "tenant {id} has no secret {name}: see \"tenantctl secret list {id}\", or make it with \"tenantctl secret set\""
        ),
    )
}

fn unreadable(id: &TenantId, name: &SecretName) -> Failure {
    Failure::new(
        Exit::Data,
        format!(
            "the record of secret {name} of tenant {id} is damaged and does not say what it is for: give it a new value with \"tenantctl secret set {id} {name}\" and --for"
        ),
    )
}

fn other_kind(id: &TenantId, name: &SecretName, kind: Kind) -> Failure {
    let word = word(kind);
    Failure::new(
        Exit::CantCreate,
        format!(
            "secret {name} of tenant {id} is there already, for {word}: remove it first, or give it with \"tenantctl secret rotate\""
        ),
    )
}
