//! What strangers send to the edge: heads and chunked bodies, the credential in a head, tokens.

use http::HeaderMap;
use model::edge::{KEYS_FORMAT, Keys, SigningKey};
use tenant_edge::{host, strict};
use token::{Expected, Kind, OwnKeys};

#[path = "../../../src/edge/src/auth/credential.rs"]
#[allow(dead_code, missing_docs, reason = "it is the edge's")]
mod credential;

const LIMIT: usize = 32 << 10;

/// A request's head. What is taken is plain: lines end in CR LF only, names are tokens, there is one Host, and one way to find the body's end. Fewer
/// bytes of it decide nothing else.
pub fn head(bytes: &[u8]) {
    let Ok(Some(head)) = strict::check(bytes, LIMIT) else { return };
    let taken = &bytes[..head.length];
    assert!(taken.ends_with(b"\r\n\r\n"));
    let text = taken.strip_suffix(b"\r\n\r\n").unwrap();
    assert!(!text.contains(&0));
    let lines: Vec<&[u8]> = split(text);
    let mut hosts = 0;
    let (mut lengths, mut codings) = (0, 0);
    for line in &lines {
        assert!(!line.contains(&b'\n') && !line.contains(&b'\r'), "a line inside a line");
    }
    for line in &lines[1..] {
        let colon = line.iter().position(|byte| *byte == b':').unwrap();
        let name = line[..colon].to_ascii_lowercase();
        assert!(!name.is_empty() && name.iter().all(|byte| byte.is_ascii_graphic()), "{name:?}");
        hosts += usize::from(name == b"host");
        lengths += usize::from(name == b"content-length");
        codings += usize::from(name == b"transfer-encoding");
    }
    assert!(hosts == 1 && lengths + codings <= 1, "{hosts} {lengths} {codings}");
    assert_eq!(matches!(head.framing, strict::Framing::Chunked), codings == 1);
    for end in [1, head.length / 2, head.length - 1] {
        assert_eq!(strict::check(&bytes[..end], LIMIT), Ok(None), "refused before it was whole");
    }
    assert_eq!(strict::check(taken, LIMIT), Ok(Some(head)));
}

/// A name in Host, and what it stands for.
pub fn authority(bytes: &[u8]) {
    let Some(name) = std::str::from_utf8(bytes).ok().and_then(host::name) else { return };
    if let host::Place::Tenant(tenant) = host::place(&name, "agents.test") {
        assert_eq!(name, format!("{tenant}.agents.test"));
    }
}

fn split(text: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    lines.push(rest);
    lines
}

/// `Authorization` and cookies, a header line each: a credential is never found in what is not wholly one, and a cookie never counts beside an
/// `Authorization`.
pub fn credentials(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(8) {
        let (name, value) = match line.split_first() {
            Some((b'a', value)) => (http::header::AUTHORIZATION, value),
            Some((_, value)) => (http::header::COOKIE, value),
            None => continue,
        };
        let Ok(value) = http::HeaderValue::from_bytes(value) else { continue };
        headers.append(name, value);
    }
    let found = credential::of(&headers);
    let authorized = headers.contains_key(http::header::AUTHORIZATION);
    match found {
        credential::Credential::Session(value) => {
            assert!(!authorized);
            assert!(!value.contains(';'), "{value:?}");
            assert!(value.is_empty() || contains(bytes, value.as_bytes()));
        }
        credential::Credential::Token(..) => assert!(authorized),
        credential::Credential::Absent => assert!(!authorized),
        credential::Credential::Bad(_) => {}
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// A token. Nobody has the private half of this key, so none verifies.
pub fn tokens(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // The public key of RFC 8037, appendix A.2.
    let key = SigningKey { kid: "k".into(), x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".into(), retired: None };
    let keys = Keys { format: KEYS_FORMAT, issuer: "https://agents.test".into(), keys: vec![key] };
    let keys = OwnKeys::new(&keys).unwrap();
    for kind in [Kind::Access, Kind::Login] {
        assert!(token::verify(text, &keys, Expected { audience: "https://alpha.agents.test", kind, now: 1_800_000_000 }).is_err());
    }
    // No panic; it decides nothing.
    drop(token::unverified_issuer(text));
}
