//! For fuzzing: searches that go over a stream find what a search of the whole finds.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bytes::Bytes;

use super::body::Beginning;
use super::placeholder::{Named, find};
use super::scanner::{SHORTEST_SCANNED, Scanner};

/// Forms in which a server sends a secret back.
const FORMS: u8 = 10;

/// A secret and an answer that may hold it: four bytes (size of the pieces, form, length of the secret, where it stands), the secret, the
/// answer. It is found in every form and however the answer is cut; nothing of it passes; all else does.
pub fn fuzz_scanner(bytes: &[u8]) {
    let Some((&[size, form, length, place], rest)) = bytes.split_first_chunk::<4>() else { return };
    let length = SHORTEST_SCANNED + usize::from(length % 32);
    let Some((value, answer)) = rest.split_at_checked(length) else { return };
    let scanner = Scanner::of(value);
    let size = usize::from(size) + 1;
    searched(&scanner, answer, size);
    let (before, after) = answer.split_at(usize::from(place).min(answer.len()));
    let trimmed = value.trim_ascii();
    if trimmed.len() < SHORTEST_SCANNED {
        return;
    }
    for value in [value, trimmed] {
        let Some(echo) = echo(form, before, value, after) else { continue };
        assert!(!searched(&scanner, &echo, size), "an echo of form {form} passes");
    }
    let plain = [before, value, after].concat();
    let passed = pushed(&scanner, &plain, size).0;
    let at = plain.windows(value.len()).position(|window| window == value);
    assert!(at.is_some_and(|at| passed.len() <= at), "the beginning of a secret passes");
}

/// Whether all of it passes, which does not depend on the cuts.
fn searched(scanner: &Scanner, answer: &[u8], size: usize) -> bool {
    let (passed, whole) = pushed(scanner, answer, size);
    assert!(
        answer.starts_with(&passed) && whole == (passed.len() == answer.len()),
        "what passes is what came"
    );
    assert!(whole == pushed(scanner, answer, answer.len()).1 && whole == scanner.whole(answer).is_ok());
    whole
}

fn pushed(scanner: &Scanner, answer: &[u8], size: usize) -> (Vec<u8>, bool) {
    let (mut scanner, mut passed) = (scanner.again(), Vec::new());
    for piece in answer.chunks(size.max(1)) {
        let Ok(bytes) = scanner.push(Bytes::copy_from_slice(piece)) else {
            assert!(scanner.push(Bytes::from_static(b"more")).is_err() && scanner.finish().is_empty());
            return (passed, false);
        };
        passed.extend_from_slice(&bytes);
    }
    passed.extend_from_slice(&scanner.finish());
    (passed, true)
}

/// What a server makes of a value among other things.
fn echo(form: u8, before: &[u8], value: &[u8], after: &[u8]) -> Option<Vec<u8>> {
    let all = [before, value, after].concat();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || (form % FORMS == 7 && b"-._~".contains(&byte));
    Some(match form % FORMS {
        0 => all,
        1 | 2 | 8 | 9 => {
            let all = [&String::from_utf8_lossy(before), std::str::from_utf8(value).ok()?, ""].concat();
            let json = serde_json::to_string(&all).ok()?;
            let by_number = |letter: char| match form % FORMS {
                8 => !letter.is_ascii(),
                9 => "<>&\u{2028}\u{2029}".contains(letter),
                _ => false,
            };
            let slashes = if form % FORMS == 2 { json.replace('/', "\\/") } else { json };
            let mut text = String::new();
            for letter in slashes.chars() {
                match by_number(letter) {
                    false => text.push(letter),
                    true => text
                        .extend(letter.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}"))),
                }
            }
            text.into_bytes()
        }
        3 => STANDARD.encode(all).into_bytes(),
        4 => URL_SAFE.encode(all).into_bytes(),
        5 => {
            let mut pairs = form_urlencoded::Serializer::new(String::new());
            // Pairs are text.
            pairs.append_pair("a", std::str::from_utf8(value).ok()?);
            pairs.finish().into_bytes()
        }
        6 | 7 => all
            .iter()
            .flat_map(|byte| match (plain(*byte), form % FORMS) {
                (true, _) => vec![*byte],
                (false, 6) => format!("%{byte:02X}").into_bytes(),
                (false, _) => format!("%{byte:02x}").into_bytes(),
            })
            .collect(),
        _ => return None,
    })
}

/// The size of pieces, and a body: a placeholder is seen however the body is cut, and wherever one is found in the whole.
pub fn fuzz_watched(bytes: &[u8]) {
    let Some((&size, body)) = bytes.split_first() else { return };
    let seen = |size: usize| {
        let (mut beginning, mut before) = (Beginning::default(), 0);
        for piece in body.chunks(size.max(1)) {
            if let Some(at) = beginning.push(piece) {
                return Some(before + at);
            }
            before += piece.len();
        }
        None
    };
    let (one, other) = (seen(body.len()), seen(usize::from(size) + 1));
    assert!(one == other, "it depends on the cuts");
    if let Some(first) = find(body).first() {
        let (Named::Secret(name) | Named::Variable(name)) = &first.named;
        let begins = first.at.end.saturating_sub(name.len());
        assert!(one.is_some_and(|at| at <= begins), "a placeholder passes");
    }
}
