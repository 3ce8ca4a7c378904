//! Values in the form that their place needs.

use std::fmt::Write as _;

/// For a header: as it is, if it can stand there.
pub(super) fn header(value: &[u8]) -> Result<Vec<u8>, &'static str> {
    if value.iter().any(|byte| *byte < 0x20 || *byte == 0x7f) {
        return Err(
            "its value holds a control character (a line break at its end?) and cannot stand in a header",
        );
    }
    Ok(value.to_vec())
}

/// For a path or a query: everything but unreserved characters is percent-encoded (RFC 3986).
pub(super) fn percent(value: &[u8]) -> Vec<u8> {
    percent_with(value, false, false)
}

/// As [`percent`], with the digits and the set of plain characters that others use.
pub(super) fn percent_with(value: &[u8], lower: bool, only_alphanumeric: bool) -> Vec<u8> {
    let mut out = String::with_capacity(value.len().saturating_mul(3));
    for &byte in value {
        let plain =
            byte.is_ascii_alphanumeric() || (!only_alphanumeric && matches!(byte, b'-' | b'.' | b'_' | b'~'));
        if plain {
            out.push(char::from(byte));
        } else {
            let written = if lower { write!(out, "%{byte:02x}") } else { write!(out, "%{byte:02X}") };
            written.unwrap_or_default();
        }
    }
    out.into_bytes()
}

/// For a posted form.
pub(super) fn form(value: &[u8]) -> Vec<u8> {
    let mut out = String::with_capacity(value.len().saturating_mul(3));
    out.extend(form_urlencoded::byte_serialize(value));
    out.into_bytes()
}

/// For the inside of a JSON string.
pub(super) fn json(value: &[u8]) -> Result<Vec<u8>, &'static str> {
    let text = std::str::from_utf8(value).map_err(|_| "its value is not UTF-8 and cannot stand in JSON")?;
    let quoted = serde_json::to_string(text).map_err(|_| "its value cannot stand in JSON")?;
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    Ok(inner.unwrap_or_default().as_bytes().to_vec())
}

/// The inside of a JSON string with some characters by their number, too.
pub(super) fn escaped(json: &str, is: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(json.len());
    for letter in json.chars() {
        if is(letter) {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").unwrap_or_default();
            }
        } else {
            out.push(letter);
        }
    }
    out
}

/// For plain text in UTF-8.
pub(super) fn text(value: &[u8]) -> Result<Vec<u8>, &'static str> {
    match std::str::from_utf8(value) {
        Ok(text) => Ok(text.as_bytes().to_vec()),
        Err(_) => Err("its value is not UTF-8 and cannot stand in a text"),
    }
}
