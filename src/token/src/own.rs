//! Verifying tenantd's own tokens: its Ed25519 keys, its claims, one issuer, one audience, one kind.

use model::edge::{KEYS_FORMAT, Keys};

use crate::header::Algorithm;
use crate::jws::Unverified;
use crate::{Claims, KeyError, Kind, LEEWAY_SECONDS, PublicKey, Refusal};

/// Claims of a token that was verified. Nothing else can make one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Verified<C> {
    claims: C,
    kid: Option<String>,
}

impl<C> Verified<C> {
    /// Only after every check.
    pub(crate) fn new(claims: C, kid: Option<&str>) -> Self {
        Self { claims, kid: kid.map(str::to_owned) }
    }

    /// Name of the key that signed it.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The claims.
    pub fn claims(&self) -> &C {
        &self.claims
    }

    /// The claims, for keeps.
    #[must_use]
    pub fn into_claims(self) -> C {
        self.claims
    }
}

/// tenantd's public keys, ready for use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnKeys {
    issuer: String,
    keys: Vec<OwnKey>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct OwnKey {
    kid: String,
    key: PublicKey,
    retired: Option<i64>,
}

/// What a token has to say to be believed.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// For this audience.
    pub audience: &'a str,
    /// Of this kind.
    pub kind: Kind,
    /// At this time, Unix seconds.
    pub now: i64,
}

impl OwnKeys {
    /// From `keys.json`.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if the document is of another format or one of its keys is none.
    pub fn new(keys: &Keys) -> Result<Self, KeyError> {
        if keys.format != KEYS_FORMAT {
            return Err(KeyError::Unknown);
        }
        let own = |key: &model::edge::SigningKey| {
            Ok(OwnKey { kid: key.kid.clone(), key: PublicKey::ed25519(&key.x)?, retired: key.retired })
        };
        Ok(Self { issuer: keys.issuer.clone(), keys: keys.keys.iter().map(own).collect::<Result<_, _>>()? })
    }

    /// Whether the key of this name verifies anything at this time.
    #[must_use]
    pub fn has(&self, kid: &str, now: i64) -> bool {
        self.in_force(kid, now).is_some()
    }

    /// `iss` of the tokens that these keys verify.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    fn in_force(&self, kid: &str, now: i64) -> Option<&PublicKey> {
        let key = self.keys.iter().find(|key| key.kid == kid)?;
        key.retired.is_none_or(|retired| now < retired).then_some(&key.key)
    }
}

/// The claims of `token`, if it is one of tenantd's and everything about it is as expected.
///
/// # Errors
///
/// The first reason not to believe it.
pub fn verify(token: &str, keys: &OwnKeys, expected: Expected<'_>) -> Result<Verified<Claims>, Refusal> {
    let unverified = Unverified::parse(token)?;
    let header = unverified.header();
    if header.algorithm != Algorithm::EdDsa {
        return Err(Refusal::Algorithm);
    }
    if header.others {
        return Err(Refusal::HeaderField);
    }
    if header.typ.as_deref() != Some(expected.kind.typ()) {
        return Err(Refusal::Kind);
    }
    let kid = header.kid.as_deref().ok_or(Refusal::UnknownKey)?;
    let key = keys.in_force(kid, expected.now).ok_or(Refusal::UnknownKey)?;
    let claims = parse(&unverified.payload(key)?)?;
    if claims.iss != keys.issuer {
        return Err(Refusal::Issuer);
    }
    if claims.aud != expected.audience {
        return Err(Refusal::Audience);
    }
    claims.check(expected.kind)?;
    check_times(claims.iat, Some(claims.nbf), claims.exp, expected.now)?;
    Ok(Verified::new(claims, Some(kid)))
}

/// Whether `now` is between issue and expiry.
pub(crate) fn check_times(iat: i64, nbf: Option<i64>, exp: i64, now: i64) -> Result<(), Refusal> {
    let latest = now.saturating_add(LEEWAY_SECONDS);
    if iat > latest || nbf.is_some_and(|nbf| nbf > latest) {
        return Err(Refusal::NotYet);
    }
    if now >= exp { Err(Refusal::Expired) } else { Ok(()) }
}

/// Derived readers take an array for a struct; a token's claims are an object. They refuse duplicate names themselves.
fn parse(payload: &[u8]) -> Result<Claims, Refusal> {
    if payload.first() != Some(&b'{') {
        return Err(Refusal::Claims);
    }
    serde_json::from_slice(payload).map_err(|_| Refusal::Claims)
}

#[cfg(test)]
mod tests;
