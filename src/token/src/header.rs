//! The JOSE header (RFC 7515, 4), of which only `alg`, `typ` and `kid` are ever followed.

use serde_json::{Map, Value};

use crate::{Refusal, json};

/// Fields that name a key, or a place to fetch one, or change how the rest is read. A token that has one is refused: the
/// key is known by `kid` from our own set or not at all.
const NEVER_FOLLOWED: [&str; 10] = ["crit", "jku", "x5u", "jwk", "x5c", "b64", "enc", "zip", "epk", "p2c"];
/// Bytes of a `kid`, at most.
const MAX_KID: usize = 256;

/// Signature algorithms that are accepted: asymmetric ones (RFC 7518, 3.1; RFC 8037, 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Algorithm {
    EdDsa,
    Es256,
    Es384,
    Rs256,
    Ps256,
}

impl Algorithm {
    /// By its name in `alg`, in exactly that case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "EdDSA" => Some(Self::EdDsa),
            "ES256" => Some(Self::Es256),
            "ES384" => Some(Self::Es384),
            "RS256" => Some(Self::Rs256),
            "PS256" => Some(Self::Ps256),
            _ => None,
        }
    }
}

/// What is followed of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) typ: Option<String>,
    pub(crate) kid: Option<String>,
    /// Whether it had fields besides these three.
    pub(crate) others: bool,
}

impl Header {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let fields = json::object(bytes).ok_or(Refusal::Header)?;
        if NEVER_FOLLOWED.iter().any(|name| fields.contains_key(*name)) {
            return Err(Refusal::HeaderField);
        }
        let algorithm = text(&fields, "alg")?.ok_or(Refusal::Header)?;
        let algorithm = Algorithm::named(&algorithm).ok_or(Refusal::Algorithm)?;
        let typ = text(&fields, "typ")?;
        let kid = text(&fields, "kid")?;
        if kid.as_ref().is_some_and(|kid| kid.is_empty() || kid.len() > MAX_KID) {
            return Err(Refusal::Header);
        }
        let known = 1 + usize::from(typ.is_some()) + usize::from(kid.is_some());
        Ok(Self { algorithm, typ, kid, others: fields.len() > known })
    }
}

fn text(fields: &Map<String, Value>, name: &str) -> Result<Option<String>, Refusal> {
    match fields.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Refusal::Header),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_may_not_bring_its_own_key() {
        for field in NEVER_FOLLOWED {
            let header = format!(r#"{{"alg":"EdDSA","kid":"k","{field}":"https://evil.example"}}"#);
            assert_eq!(Header::parse(header.as_bytes()), Err(Refusal::HeaderField), "{field}");
        }
    }

    #[test]
    fn algorithms_without_a_public_key_have_no_name_here() {
        for name in [
            "none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "eddsa", "RS1", "ES256K", "RS256 ",
        ] {
            let header = format!(r#"{{"alg":"{name}","kid":"k"}}"#);
            assert_eq!(Header::parse(header.as_bytes()), Err(Refusal::Algorithm), "{name:?}");
        }
    }

    #[test]
    fn fields_have_their_type_and_come_once() {
        for header in [
            r#"{"kid":"k"}"#,
            r#"{"alg":["EdDSA"],"kid":"k"}"#,
            r#"{"alg":null,"kid":"k"}"#,
            r#"{"alg":"EdDSA","alg":"EdDSA"}"#,
            r#"{"alg":"EdDSA","kid":7}"#,
            r#"{"alg":"EdDSA","kid":""}"#,
            r#"{"alg":"EdDSA","typ":null}"#,
            r#"["EdDSA","at+jwt","k"]"#,
            r#"{"alg":"EdDSA"} {}"#,
            "",
        ] {
            assert_eq!(Header::parse(header.as_bytes()), Err(Refusal::Header), "{header}");
        }
        let long = format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, "k".repeat(MAX_KID + 1));
        assert_eq!(Header::parse(long.as_bytes()), Err(Refusal::Header));
    }

    #[test]
    fn fields_that_mean_nothing_to_us_are_told_apart() {
        let plain = Header::parse(br#"{"alg":"ES256","typ":"JWT","kid":"k"}"#).unwrap();
        assert!(!plain.others);
        assert!(Header::parse(br#"{"alg":"ES256","x5t":"abc"}"#).unwrap().others);
    }
}
