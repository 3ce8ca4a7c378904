//! `[egress]` of a spec, edited with its comments kept, and checked as tenantd will check it.

use model::egress::SecretUse;
use model::{Exit, SpecFile, TenantId};
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, Value};

use crate::change::put;
use crate::failure::Failure;

/// Edits `[egress]`, which is made where there is none.
pub(crate) fn edit(
    tenant: &TenantId,
    before: &str,
    work: impl FnOnce(&mut Table) -> Result<(), Failure>,
) -> Result<String, Failure> {
    let mut document = parse(tenant, before)?;
    let item = document.entry("egress").or_insert_with(|| Item::Table(Table::new()));
    work(item.as_table_mut().ok_or_else(|| by_hand(tenant, "egress"))?)?;
    written(tenant, &document)
}

/// Takes all of it out.
pub(crate) fn remove(tenant: &TenantId, before: &str) -> Result<String, Failure> {
    let mut document = parse(tenant, before)?;
    document.remove("egress");
    written(tenant, &document)
}

/// Profile, default and own document, each where it is said; a document of nothing goes.
pub(crate) fn set(
    tenant: &TenantId,
    before: &str,
    profile: Option<&str>,
    default: Option<&str>,
    document: Option<Option<&str>>,
) -> Result<String, Failure> {
    edit(tenant, before, |egress| {
        for (key, value) in [("profile", profile), ("default", default), ("policy", document.flatten())] {
            if let Some(value) = value {
                put(egress, key, Value::from(value));
            }
        }
        if document == Some(None) {
            egress.remove("policy");
        }
        Ok(())
    })
}

/// Adds a preset; one that is there stays once.
pub(crate) fn add_preset(tenant: &TenantId, before: &str, preset: &str) -> Result<String, Failure> {
    edit(tenant, before, |egress| {
        let item = egress.entry("presets").or_insert_with(|| Item::Value(Value::Array(Array::new())));
        let presets = item.as_array_mut().ok_or_else(|| by_hand(tenant, "egress.presets"))?;
        if !presets.iter().any(|known| known.as_str() == Some(preset)) {
            presets.push(preset);
        }
        Ok(())
    })
}

/// Takes a preset away.
pub(crate) fn remove_preset(tenant: &TenantId, before: &str, preset: &str) -> Result<String, Failure> {
    edit(tenant, before, |egress| {
        let none = || Failure::new(Exit::NoInput, format!("tenant {tenant} has no preset {preset:?}"));
        let presets = egress.get_mut("presets").and_then(Item::as_array_mut).ok_or_else(none)?;
        let known = presets.len();
        presets.retain(|value| value.as_str() != Some(preset));
        if presets.len() == known { Err(none()) } else { Ok(()) }
    })
}

/// Lets a secret go somewhere; what it had for the same place is replaced.
pub(crate) fn bind(tenant: &TenantId, before: &str, one: &SecretUse) -> Result<String, Failure> {
    edit(tenant, before, |egress| {
        let secrets = tables(tenant, egress, "secret")?;
        secrets
            .retain(|table| !same_place(table, &one.name, &(one.host.clone(), one.port, one.path.clone())));
        let mut table = Table::new();
        put(&mut table, "name", Value::from(one.name.as_str()));
        put(&mut table, "host", Value::from(one.host.as_str()));
        if one.port != 443 {
            put(&mut table, "port", Value::from(i64::from(one.port)));
        }
        if one.path != "/" {
            put(&mut table, "path", Value::from(one.path.as_str()));
        }
        let places = one.places.iter().map(|place| format!("{place:?}").to_lowercase());
        put(&mut table, "in", Value::Array(places.collect::<Array>()));
        secrets.push(table);
        Ok(())
    })
}

/// Lets it go nowhere, or no longer there.
pub(crate) fn unbind(
    tenant: &TenantId,
    before: &str,
    name: &str,
    to: Option<&(String, u16, String)>,
) -> Result<String, Failure> {
    edit(tenant, before, |egress| {
        let secrets = tables(tenant, egress, "secret")?;
        let known = secrets.len();
        secrets.retain(|table| match to {
            Some(to) => !same_place(table, name, to),
            None => table.get("name").and_then(Item::as_str) != Some(name),
        });
        if secrets.len() == known {
            let text = format!(
                "secret {name:?} of tenant {tenant} goes nowhere there: see \"tenantctl egress list {tenant}\""
            );
            return Err(Failure::new(Exit::NoInput, text));
        }
        Ok(())
    })
}

fn same_place(table: &Table, name: &str, (host, port, path): &(String, u16, String)) -> bool {
    let text = |key: &str| table.get(key).and_then(Item::as_str);
    let its_port = table.get("port").map_or(Some(443), Item::as_integer);
    text("name") == Some(name)
        && text("host").is_some_and(|own| own.eq_ignore_ascii_case(host))
        && its_port == Some(i64::from(*port))
        && table.get("path").map_or(Some("/"), Item::as_str) == Some(path)
}

/// `[[egress.NAME]]`.
pub(crate) fn tables<'t>(
    tenant: &TenantId,
    egress: &'t mut Table,
    name: &str,
) -> Result<&'t mut ArrayOfTables, Failure> {
    let item = egress.entry(name).or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    item.as_array_of_tables_mut().ok_or_else(|| by_hand(tenant, &format!("egress.{name}")))
}

fn parse(tenant: &TenantId, text: &str) -> Result<DocumentMut, Failure> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        let text = format!("{tenant}.toml: {error}: repair the file by hand, then \"tenantctl apply -f\" it");
        Failure::new(Exit::Data, text)
    })
}

fn written(tenant: &TenantId, document: &DocumentMut) -> Result<String, Failure> {
    let (file, after) = (format!("{tenant}.toml"), document.to_string());
    SpecFile::parse(&file, &after)?.validate(&file)?;
    Ok(after)
}

fn by_hand(tenant: &TenantId, what: &str) -> Failure {
    let text = format!(
        "{tenant}.toml: {what} is written in a form that is not edited here: change it by hand, then \"tenantctl apply -f\" the file"
    );
    Failure::new(Exit::Data, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::egress::SecretPlace;

    const SPEC: &str = "# Acme\nid = \"acme\"\nruntime = \"openclaw\" # ours\n";

    fn acme() -> TenantId {
        TenantId::parse("acme").unwrap()
    }

    #[test]
    fn presets_come_and_go_and_comments_stay() {
        let one = add_preset(&acme(), SPEC, "npm").unwrap();
        assert_eq!(one, format!("{SPEC}\n[egress]\npresets = [\"npm\"]\n"));
        let commented = one.replace("[egress]", "# asked for by Jo\n[egress]");
        let two = add_preset(&acme(), &commented, "github").unwrap();
        assert_eq!(two, commented.replace("\"npm\"]", "\"npm\", \"github\"]"));
        assert_eq!(add_preset(&acme(), &two, "npm").unwrap(), two);
        assert_eq!(remove_preset(&acme(), &two, "github").unwrap(), commented);
        assert!(remove_preset(&acme(), &commented, "github").is_err());
        assert_eq!(remove(&acme(), &one).unwrap(), SPEC);
    }

    #[test]
    fn a_document_of_its_own_reads_back_as_it_was_given() {
        let text = "version: 1\nnetwork_policies: {} # \"quoted\" \\ '''\n";
        let after = set(&acme(), SPEC, Some("solo"), Some("ask"), Some(Some(text))).unwrap();
        let egress = SpecFile::parse("x", &after).unwrap().egress.unwrap();
        assert_eq!((egress.policy.as_deref(), egress.profile.as_deref()), (Some(text), Some("solo")));
        let cleared = set(&acme(), &after, None, None, Some(None)).unwrap();
        assert_eq!(SpecFile::parse("x", &cleared).unwrap().egress.unwrap().policy, None);
    }

    #[test]
    fn a_secret_is_bound_once_for_a_place_and_unbound() {
        let one = |path: &str, places: &[SecretPlace]| SecretUse {
            name: "token".into(),
            host: "a.example.org".into(),
            port: 8443,
            path: path.into(),
            places: places.to_vec(),
        };
        let first = bind(&acme(), SPEC, &one("/x", &[SecretPlace::Header])).unwrap();
        let again = bind(&acme(), &first, &one("/x", &[SecretPlace::Header, SecretPlace::Body])).unwrap();
        let both = bind(&acme(), &again, &one("/y", &[SecretPlace::Query])).unwrap();
        let of = |text: &str| SpecFile::parse("x", text).unwrap().egress.unwrap().secrets;
        assert_eq!(of(&first), [one("/x", &[SecretPlace::Header])]);
        assert_eq!(
            of(&both),
            [one("/x", &[SecretPlace::Header, SecretPlace::Body]), one("/y", &[SecretPlace::Query])]
        );
        let place = ("a.example.org".to_owned(), 8443, "/x".to_owned());
        assert_eq!(of(&unbind(&acme(), &both, "token", Some(&place)).unwrap()).len(), 1);
        assert!(of(&unbind(&acme(), &both, "token", None).unwrap()).is_empty());
        assert!(unbind(&acme(), &both, "other", None).is_err());
    }
}
