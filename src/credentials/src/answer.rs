//! The answer: those secrets of a tenant that are for who asks.

use model::delivery::{self, Form};
use vault::{Kind, Secret};
use vault_store::VaultStore;
use zeroize::Zeroizing;

use crate::asker::{Asker, Program};
use crate::error::Error;
use crate::kek::Keyring;

/// What systemd passes on at most, for all credentials of a unit together.
const MOST: usize = 1 << 20;

/// The secrets of the tenant that the asker gets. The key is needed only if there are any.
pub fn answer(store: &VaultStore, keyring: &mut Keyring, asker: &Asker) -> Result<Zeroizing<Vec<u8>>, Error> {
    let tenant = &asker.tenant;
    let mut secrets: Vec<(String, Form, Secret)> = Vec::new();
    if let Some(vault) = store.find(tenant)? {
        for entry in vault.listing().secrets() {
            let Some((form, kind)) = is_for(asker.program, entry.kind) else { continue };
            let secret = vault.listing().open(keyring.keks(store)?, &entry.name, entry.version, kind)?;
            secrets.push((entry.name.to_string(), form, secret));
        }
    }
    let all: usize = secrets.iter().map(|(name, _, secret)| delivery::length(name, secret.expose())).sum();
    if all > MOST - 64 {
        return Err(Error::TooMuch(tenant.clone()));
    }
    // As large as it will be, so that it does not move and leave copies behind.
    let mut out = Zeroizing::new(Vec::with_capacity(all + 64));
    delivery::begin(&mut out);
    for (name, form, secret) in &secrets {
        let delivered = delivery::Delivered { name, form: *form, value: secret.expose() };
        delivery::add(&mut out, delivered).map_err(|_| Error::TooMuch(tenant.clone()))?;
    }
    Ok(out)
}

/// As what a program gets a secret whose record says that it is of this kind, and the kind it must turn out to be; nothing if it is
/// not for that program.
fn is_for(program: Program, kind: Option<Kind>) -> Option<(Form, Kind)> {
    match (program, kind) {
        (Program::Gateway, Some(Kind::File)) => Some((Form::File, Kind::File)),
        (Program::Gateway, Some(Kind::Variable)) => Some((Form::Variable, Kind::Variable)),
        (Program::Gateway, Some(Kind::Gateway)) => Some((Form::Gateway, Kind::Gateway)),
        (Program::Egress, Some(Kind::Proxy)) => Some((Form::Proxy, Kind::Proxy)),
        // By which the gateway knows the edge, and nothing else that the tenant has.
        (Program::Edge, Some(Kind::Gateway)) => Some((Form::Gateway, Kind::Gateway)),
        // What cannot be read may have been theirs: opening it says what is wrong.
        (Program::Gateway, None) => Some((Form::File, Kind::File)),
        (Program::Egress, None) => Some((Form::Proxy, Kind::Proxy)),
        (Program::Gateway, Some(Kind::Proxy))
        | (Program::Egress, Some(Kind::File | Kind::Variable | Kind::Gateway))
        | (Program::Edge, Some(Kind::File | Kind::Variable | Kind::Proxy) | None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_kind_of_secret_is_for_both_programs_and_each_is_for_one() {
        for kind in Kind::ALL {
            let gateway = is_for(Program::Gateway, Some(kind));
            let egress = is_for(Program::Egress, Some(kind));
            assert_eq!(gateway.is_some(), kind != Kind::Proxy, "{kind:?}");
            assert!(gateway.is_some() != egress.is_some(), "{kind:?}");
            // Opened as what it says it is, so that a changed byte is found.
            assert_eq!(gateway.or(egress).unwrap().1, kind);
        }
    }

    #[test]
    fn the_edge_gets_the_gateways_own_secret_and_no_other() {
        for kind in Kind::ALL {
            let given = is_for(Program::Edge, Some(kind));
            assert_eq!(given.is_some(), kind == Kind::Gateway, "{kind:?}");
        }
        assert!(is_for(Program::Edge, None).is_none());
    }
}
