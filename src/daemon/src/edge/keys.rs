//! Keys that sign tokens: private halves sealed by the host's own key, public ones published before anything is signed.

use host::{files, open_credential, seal_credential};
use model::edge::{KEYS_FORMAT, Keys, SigningKey as PublicKey};
use model::{Exit, Owner};
use token::SigningKey;
use zeroize::Zeroizing;

use super::files::Files;
use super::{Inner, now};
use crate::failure::Failure;
use crate::service::Service;

/// Name under which the host's key seals a signing key.
const CREDENTIAL: &str = "tenantd-signing";
/// More than a key has, so that one that is too long shows.
const ROOM: usize = 256;
/// Bytes of a sealed one, at most.
const SEALED_BYTES: usize = 16 * 1024;

impl Service {
    /// The key that signs, from memory or from its file.
    pub(super) fn signer<'a>(&self, inner: &'a mut Inner) -> Result<&'a SigningKey, Failure> {
        let keys = Files::of(&self.paths).keys()?;
        let none = || {
            Failure::new(
                Exit::Config,
                "there is no key to sign tokens with: run \"tenantctl edge rotate-key\"",
            )
        };
        let current = keys.keys.first().filter(|key| key.retired.is_none()).ok_or_else(none)?;
        if inner.signer.as_ref().is_none_or(|held| held.kid() != current.kid) {
            inner.signer = Some(self.open_signing_key(current)?);
        }
        inner.signer.as_ref().ok_or_else(none)
    }

    /// Publishes the keys under `issuer`; makes the first one, or another in the place of one that nobody can use any more.
    pub(super) fn publish_keys(&self, inner: &mut Inner, issuer: &str) -> Result<(), Failure> {
        let files = Files::of(&self.paths);
        let mut keys = files.keys()?;
        if keys.keys.first().is_none_or(|key| key.retired.is_some()) {
            return self.make_signing_key(inner, issuer, keys.keys);
        }
        if keys.issuer != issuer {
            keys.issuer = issuer.to_owned();
            files.write_keys(&keys)?;
        }
        Ok(())
    }

    /// Signs with a new key from now on. What older ones signed lives until it expires, or with `at_once` is void.
    pub fn rotate_signing_key(&self, at_once: bool) -> Result<api::EdgeStatus, Failure> {
        {
            let mut inner = self.edge.hold();
            let settings = Files::of(&self.paths).edge()?.ok_or_else(super::settings::disabled)?;
            let old = if at_once { Vec::new() } else { Files::of(&self.paths).keys()?.keys };
            self.make_signing_key(&mut inner, &token::issuer(&settings.domain), old)?;
        }
        self.edge_status()
    }

    /// A new key that signs; `old` ones verify until the longest token that they signed has expired. The order is that of the
    /// module's promise: sealed, seen to open again, published, used.
    fn make_signing_key(&self, inner: &mut Inner, issuer: &str, old: Vec<PublicKey>) -> Result<(), Failure> {
        let (document, kid, x) = SigningKey::generate()?;
        let made = PublicKey { kid, x, retired: None };
        let sealed = seal_credential(&self.systemd, CREDENTIAL, &document)?;
        let path = self.paths.signing().join(format!("{}.cred", made.kid));
        files::write_atomic(&path, Owner::ROOT, 0o600, &sealed)?;
        let signer = self.open_signing_key(&made)?;
        let now = now()?;
        let old = retire(old, now);
        let kid = made.kid.clone();
        let keys = std::iter::once(made).chain(old).collect();
        Files::of(&self.paths).write_keys(&Keys { format: KEYS_FORMAT, issuer: issuer.to_owned(), keys })?;
        inner.signer = Some(signer);
        tracing::info!(kid, "tokens are signed by a new key");
        self.forget_signing_keys(&kid)
    }

    /// Removes every private key but one; the others sign nothing any more.
    fn forget_signing_keys(&self, but: &str) -> Result<(), Failure> {
        let keep = format!("{but}.cred");
        for name in files::list(&self.paths.signing())?.into_iter().filter(|name| *name != keep) {
            files::remove(&self.paths.signing().join(name))?;
        }
        Ok(())
    }

    fn open_signing_key(&self, public: &PublicKey) -> Result<SigningKey, Failure> {
        let path = self.paths.signing().join(format!("{}.cred", public.kid));
        let lost = |cause: &dyn std::fmt::Display| {
            let text = format!(
                "cannot sign tokens: {}: {cause}; make a new key with \"tenantctl edge rotate-key\"",
                path.display()
            );
            Failure::new(Exit::Config, text)
        };
        let sealed = files::read_bounded(&path, SEALED_BYTES)?.ok_or_else(|| lost(&"it is not there"))?;
        let mut plain = Zeroizing::new([0; ROOM]);
        let length = match open_credential(&self.systemd, CREDENTIAL, &sealed, &mut plain[..]) {
            Ok(length) => length,
            // systemd-creds ran and refused. Everything else (no bus, no time) says nothing about the key.
            Err(error) if error.exit == Exit::OsFile => return Err(lost(&error)),
            Err(error) => return Err(error.into()),
        };
        let key = SigningKey::from_pkcs8(&public.kid, plain.get(..length).unwrap_or_default());
        let key = key.map_err(|error| lost(&error))?;
        if key.x() == public.x { Ok(key) } else { Err(lost(&"it is another key than keys.json says")) }
    }
}

/// Old keys as they are once they sign no more: each until what it signed last has expired.
fn retire(keys: Vec<PublicKey>, now: i64) -> Vec<PublicKey> {
    let retired = keys.into_iter().map(|key| {
        let end = key.retired.unwrap_or(now + token::MAX_SECONDS);
        PublicKey { retired: Some(end), ..key }
    });
    retired.filter(|key| key.retired > Some(now)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kid: &str, retired: Option<i64>) -> PublicKey {
        PublicKey { kid: kid.to_owned(), x: String::new(), retired }
    }

    #[test]
    fn an_old_key_verifies_until_the_last_token_it_may_have_signed_has_expired() {
        let keys = retire(vec![key("a", None), key("b", Some(1_500)), key("c", Some(1_000))], 1_000);
        assert_eq!(keys, [key("a", Some(1_000 + 86_400)), key("b", Some(1_500))]);
    }
}
