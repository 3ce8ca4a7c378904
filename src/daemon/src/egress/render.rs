//! The document of approvals: for each that allows, an entry for that host, port, program and request, and nothing else. It depends on
//! `state.db` alone, so that whoever makes it makes the same.

use model::egress::{AskedExchange, AskedKind, Destination};
use policy::{Entry, PathSelector};
use serde::{Deserialize, Serialize};

use super::store::Row;

/// What an approval takes over from the entry that asked: without it, it would not be about the same requests, or lift limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shape {
    /// `path` of the endpoint.
    path: Option<String>,
    allowed_ips: Vec<String>,
    encoded_slash: bool,
    body: bool,
    websocket: bool,
    max_bytes: Option<u64>,
    max_rate: Option<u64>,
}

impl Shape {
    /// That of the entry which asked; the default where none did.
    pub(crate) fn of(entry: Option<&Entry>) -> Self {
        let Some(entry) = entry else { return Self::default() };
        let endpoint = &entry.endpoint;
        Self {
            path: endpoint.inspection.as_ref().and_then(|inspection| match &inspection.path {
                PathSelector::All => None,
                PathSelector::Below(path) => Some(format!("{path}/**")),
                PathSelector::Like(glob) => Some(glob.as_str().to_owned()),
            }),
            allowed_ips: endpoint.allowed_ips.iter().map(ToString::to_string).collect(),
            encoded_slash: endpoint.allow_encoded_slash,
            body: endpoint.request_body_credential_rewrite,
            websocket: endpoint.websocket_credential_rewrite,
            max_bytes: entry.terms.max_bytes,
            max_rate: entry.terms.max_rate,
        }
    }
}

/// The document; nothing where nothing is approved.
pub(crate) fn document(rows: &[Row]) -> Option<String> {
    let entries: String = rows.iter().filter(|row| row.allow).map(entry).collect();
    (!entries.is_empty()).then(|| format!("version: 1\nnetwork_policies:\n{entries}"))
}

fn entry(row: &Row) -> String {
    let Row { number, destination, shape, until, why, who, .. } = row;
    let mut terms = vec![format!("why: {}", quoted(&format!("uid {who}: {why}")))];
    terms.extend(until.map(|until| format!("expires: {}", quoted(&utc(until)))));
    terms.extend(shape.max_bytes.map(|bytes| format!("max_bytes: {bytes}")));
    terms.extend(shape.max_rate.map(|rate| format!("max_rate: {rate}")));
    let mut text = format!("  approval_{number}:\n    x-tenantd: {{ {} }}\n", terms.join(", "));
    if let Some(binary) = &destination.binary {
        text += &format!("    binaries: [{{ path: {} }}]\n", quoted(&literal(binary)));
    }
    text += "    endpoints:\n";
    text += &endpoint(destination, shape);
    text
}

fn endpoint(destination: &Destination, shape: &Shape) -> String {
    let host = destination.host.trim_start_matches('[').trim_end_matches(']');
    let mut text = format!("      - host: {}\n        port: {}\n", quoted(host), destination.port);
    if !shape.allowed_ips.is_empty() {
        let blocks: Vec<_> = shape.allowed_ips.iter().map(|block| quoted(block)).collect();
        text += &format!("        allowed_ips: [{}]\n", blocks.join(", "));
    }
    let Some(AskedExchange { kind, method, target }) = &destination.exchange else { return text };
    let (protocol, method) = match kind {
        AskedKind::Request => ("rest", method.as_str()),
        AskedKind::Upgrade => ("websocket", "GET"),
        AskedKind::Message => ("websocket", "WEBSOCKET_TEXT"),
    };
    text += &format!("        protocol: {protocol}\n        enforcement: enforce\n");
    text.extend(shape.path.as_ref().map(|path| format!("        path: {}\n", quoted(path))));
    for (field, set) in [
        ("allow_encoded_slash", shape.encoded_slash),
        ("request_body_credential_rewrite", shape.body && protocol == "rest"),
        ("websocket_credential_rewrite", shape.websocket && protocol == "websocket"),
    ] {
        if set {
            text += &format!("        {field}: true\n");
        }
    }
    text + &format!(
        "        rules:\n          - allow: {{ method: {method}, path: {} }}\n",
        quoted(&literal(target))
    )
}

/// A pattern that matches this text alone. Opening brackets, braces, backslashes and percent signs have none; the document is refused then.
fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '*' | '?' => pattern.extend(['[', c, ']']),
            // No class holds one; a pattern with a backslash is refused.
            '[' => pattern.push_str("\\["),
            c => pattern.push(c),
        }
    }
    pattern
}

/// A text in double quotes, as YAML has it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            _ => quoted += &format!("\\U{:08x}", u32::from(c)),
        }
    }
    quoted.push('"');
    quoted
}

/// A time as documents write it.
pub(crate) fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, in eras of 400 years: then a leap day is the last of its year.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest % 3600 / 60, rest % 60)
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
