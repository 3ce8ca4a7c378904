//! Placeholders in bytes that were decoded for their place.

use std::ops::Range;

/// Ours; a name follows.
pub(super) const OWN: &[u8] = b"tenantd:secret:";
/// OpenShell's; the name of a variable follows.
pub(super) const OPENSHELL: &[u8] = b"openshell:resolve:env:";

/// One that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placeholder {
    /// Where it stands.
    pub(super) at: Range<usize>,
    /// What it names.
    pub(super) named: Named,
}

/// What a placeholder names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// A secret.
    Secret(String),
    /// A variable that stands for a secret.
    Variable(String),
}

/// Whether a byte belongs to the name of a secret. The longest run counts, so that no name ends inside another one.
pub(super) fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn is_variable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Every placeholder, in order; one with an empty name is none.
pub(super) fn find(bytes: &[u8]) -> Vec<Placeholder> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let Some(placeholder) = begins(rest, at) else {
            at += 1;
            continue;
        };
        at = placeholder.at.end;
        found.push(placeholder);
    }
    found
}

fn begins(rest: &[u8], at: usize) -> Option<Placeholder> {
    let (prefix, member): (_, fn(u8) -> bool) = match rest.first()? {
        b't' if rest.starts_with(OWN) => (OWN, is_name),
        b'o' if rest.starts_with(OPENSHELL) => (OPENSHELL, is_variable),
        _ => return None,
    };
    let name: Vec<u8> = rest.iter().skip(prefix.len()).copied().take_while(|byte| member(*byte)).collect();
    let end = at + prefix.len() + name.len();
    let name = String::from_utf8(name).ok().filter(|name| !name.is_empty())?;
    let named = if prefix == OWN { Named::Secret(name) } else { Named::Variable(name) };
    Some(Placeholder { at: at..end, named })
}

/// For fuzzing: finds placeholders in anything, decoded and not, and checks what must hold of every one.
pub fn fuzz_placeholder(bytes: &[u8]) {
    let mut last = 0;
    for placeholder in find(bytes) {
        let found = bytes.get(placeholder.at.clone()).unwrap_or_default();
        assert!(placeholder.at.start >= last && (found.starts_with(OWN) || found.starts_with(OPENSHELL)));
        last = placeholder.at.end;
    }
    for plus in [false, true] {
        let pieces = super::pieces::Pieces::decode(bytes, plus);
        let whole = pieces.replace(bytes, &[], |_| Vec::new());
        assert!(whole == bytes, "nothing is changed where nothing was found");
        for placeholder in find(pieces.decoded()) {
            assert!(pieces.raw(&placeholder.at).is_some());
        }
    }
}
