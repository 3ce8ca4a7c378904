//! The text of `edge.toml`: as it lies there, with another domain or an authority put in and every comment kept.

use std::io::{ErrorKind, Read};
use std::path::Path;

use model::Exit;
use toml_edit::{DocumentMut, TableLike, Value, value};

use crate::cli::EnableArgs;
use crate::failure::Failure;
use crate::session::Session;

/// Bytes that are read of a file, at most.
const MOST_BYTES: u64 = 1 << 20;

/// The settings to put in force: those on disk, with what the arguments say.
pub(super) fn wanted(session: &Session, arguments: &EnableArgs) -> Result<String, Failure> {
    let path = session.paths.edge_settings();
    let found = match text_of(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(Failure::reading(&path, &error)),
    };
    let name = path.display().to_string();
    let text = match (found, arguments.domain.as_deref()) {
        (None, None) => {
            let text = format!("{name} is not there: give the edge a domain with --domain");
            return Err(Failure::new(Exit::Usage, text));
        }
        (Some(text), None) => text,
        (None, Some(domain)) => first(domain),
        (Some(text), Some(domain)) => {
            changed(&name, &text, |document| put(document.as_table_mut(), "domain", domain.into()))?
        }
    };
    let Some(contact) = arguments.acme_contact.as_deref() else { return Ok(text) };
    changed(&name, &text, |document| {
        let acme = document.entry("acme").or_insert_with(toml_edit::table);
        // What is there and no table is refused with its place afterwards.
        let Some(acme) = acme.as_table_like_mut() else { return };
        put(acme, "contact", contact.into());
        put(acme, "terms_agreed", arguments.acme_terms_agreed.into());
        if let Some(directory) = arguments.acme_directory.as_deref() {
            put(acme, "directory", directory.into());
        }
    })
}

/// What a host without settings begins with.
fn first(domain: &str) -> String {
    let mut document = DocumentMut::new();
    document.insert("domain", value(domain));
    format!(
        "# Settings of the edge, see edge.toml(5). \"tenantctl edge check\" reads them, \"tenantctl edge reload\" puts them in force.\n\n{document}"
    )
}

/// The text after a change, with all else as it was written.
fn changed(name: &str, text: &str, change: impl FnOnce(&mut DocumentMut)) -> Result<String, Failure> {
    let document: Result<DocumentMut, toml_edit::TomlError> = text.parse();
    let mut document = document.map_err(|error| Failure::new(Exit::Config, format!("{name}: {error}")))?;
    change(&mut document);
    Ok(document.to_string())
}

/// A value in the place of the one before, with the comment beside it.
fn put(table: &mut dyn TableLike, key: &str, new: Value) {
    match table.get_mut(key).and_then(|item| item.as_value_mut()) {
        Some(there) => {
            let decor = there.decor().clone();
            *there = new;
            *there.decor_mut() = decor;
        }
        None => {
            table.insert(key, value(new));
        }
    }
}

/// A file that the settings name, for `check`; one that only others may read is left to them.
pub(super) fn beside(path: &Path, unread: &mut Vec<String>) -> Result<String, String> {
    match text_of(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            unread.push(path.display().to_string());
            // Passes for either of the two that can stand there.
            Ok("-----BEGIN CERTIFICATE-----".to_owned())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Err("no such file".to_owned()),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

pub(super) fn text_of(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_domain_leaves_everything_else_as_it_was_written() {
        let text = "# ours\ndomain = \"a.example\" # for now\n\n[limits]\nconnections = 5 # few\n";
        let to = |text: &str, domain: &str| {
            changed("edge.toml", text, |document| put(document.as_table_mut(), "domain", domain.into()))
                .unwrap()
        };
        assert_eq!(to(text, "b.example"), text.replace("a.example", "b.example"));
        assert_eq!(to(text, "a.example"), text);
        assert_eq!(to("session_sec = 60\n", "a.example"), "session_sec = 60\ndomain = \"a.example\"\n");
        assert!(model::EdgeSettings::parse("x", &first("a.example")).is_ok());
    }
}
