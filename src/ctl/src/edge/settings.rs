//! The text of `edge.toml`: as it lies there, with another domain put in and every comment kept.

use std::io::{ErrorKind, Read};
use std::path::Path;

use model::Exit;
use toml_edit::{DocumentMut, value};

use crate::failure::Failure;
use crate::session::Session;

/// Bytes that are read of a file, at most.
const MOST_BYTES: u64 = 1 << 20;

/// The settings to put in force: those on disk, with `domain` if one is given.
pub(super) fn wanted(session: &Session, domain: Option<&str>) -> Result<String, Failure> {
    let path = session.paths.edge_settings();
    let found = match text_of(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(Failure::reading(&path, &error)),
    };
    match (found, domain) {
        (None, None) => {
            let text = format!("{} is not there: give the edge a domain with --domain", path.display());
            Err(Failure::new(Exit::Usage, text))
        }
        (Some(text), None) => Ok(text),
        (None, Some(domain)) => Ok(first(domain)),
        (Some(text), Some(domain)) => with_domain(&path.display().to_string(), &text, domain),
    }
}

/// What a host without settings begins with.
fn first(domain: &str) -> String {
    let mut document = DocumentMut::new();
    document.insert("domain", value(domain));
    format!(
        "# Settings of the edge, see edge.toml(5). \"tenantctl edge check\" reads them, \"tenantctl edge reload\" puts them in force.\n\n{document}"
    )
}

fn with_domain(name: &str, text: &str, domain: &str) -> Result<String, Failure> {
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| Failure::new(Exit::Config, format!("{name}: {error}")))?;
    match document.get_mut("domain").and_then(|item| item.as_value_mut()) {
        Some(there) if there.as_str() == Some(domain) => return Ok(text.to_owned()),
        Some(there) => {
            let decor = there.decor().clone();
            *there = domain.into();
            *there.decor_mut() = decor;
        }
        None => {
            document.insert("domain", value(domain));
        }
    }
    Ok(document.to_string())
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
        let changed = with_domain("edge.toml", text, "b.example").unwrap();
        assert_eq!(changed, text.replace("a.example", "b.example"));
        assert_eq!(with_domain("edge.toml", text, "a.example").unwrap(), text);
        assert_eq!(
            with_domain("edge.toml", "session_sec = 60\n", "a.example").unwrap(),
            "session_sec = 60\ndomain = \"a.example\"\n"
        );
        assert!(model::EdgeSettings::parse("x", &first("a.example")).is_ok());
    }
}
