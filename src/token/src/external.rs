//! Tokens of external issuers: ID tokens of a login (OpenID Connect Core, 3.1.3.7) and access tokens for a configured
//! audience (RFC 9068 where the issuer follows it). Their claims are the issuer's; rules of the administrator map them.

use serde_json::{Map, Value};

use crate::jws::Unverified;
use crate::own::check_times;
use crate::{KeySet, Refusal, Verified};

/// Claims of an external token. Times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalClaims {
    /// `sub`; not empty.
    pub subject: String,
    /// `jti`, if there is one.
    pub jti: Option<String>,
    /// `iat`.
    pub issued: i64,
    /// `exp`.
    pub expires: i64,
    /// All claims, those above included.
    pub all: Map<String, Value>,
}

/// What an ID token has to say.
#[derive(Clone, Copy, Debug)]
pub struct IdToken<'a> {
    /// The issuer's identifier, exactly.
    pub issuer: &'a str,
    /// Our identifier there.
    pub client_id: &'a str,
    /// The nonce of the login that it answers.
    pub nonce: &'a str,
    /// The time, Unix seconds.
    pub now: i64,
}

/// What an access token has to say.
#[derive(Clone, Copy, Debug)]
pub struct AccessToken<'a> {
    /// The issuer's identifier, exactly.
    pub issuer: &'a str,
    /// The audience that stands for us.
    pub audience: &'a str,
    /// Our identifier there, for which ID tokens are.
    pub client_id: &'a str,
    /// The time, Unix seconds.
    pub now: i64,
}

impl IdToken<'_> {
    /// The claims of `token`, if it is the answer to our login.
    ///
    /// # Errors
    ///
    /// The first reason not to believe it.
    pub fn verify(&self, token: &str, keys: &KeySet) -> Result<Verified<ExternalClaims>, Refusal> {
        let unverified = Unverified::parse(token)?;
        // An access token or a logout token has its own type; an ID token has "JWT" or none.
        if !matches!(unverified.header().typ.as_deref(), None | Some("JWT" | "jwt")) {
            return Err(Refusal::Kind);
        }
        let claims = claims(&keys.payload(&unverified)?, self.issuer, self.client_id, self.now)?;
        let authorized = claims.all.get("azp");
        let several =
            claims.all.get("aud").and_then(Value::as_array).is_some_and(|audiences| audiences.len() > 1);
        match authorized {
            None if several => return Err(Refusal::Audience),
            Some(party) if party != self.client_id => return Err(Refusal::Audience),
            None | Some(_) => {}
        }
        // Neither is an ID token (OpenID Connect Back-Channel Logout, 2.4).
        if claims.all.contains_key("events") {
            return Err(Refusal::Kind);
        }
        let nonce = claims.all.get("nonce").and_then(Value::as_str);
        if nonce.is_some_and(|nonce| nonce == self.nonce) && !self.nonce.is_empty() {
            Ok(Verified::new(claims, unverified.header().kid.as_deref()))
        } else {
            Err(Refusal::Nonce)
        }
    }
}

impl AccessToken<'_> {
    /// The claims of `token`, if it is an access token for us.
    ///
    /// # Errors
    ///
    /// The first reason not to believe it.
    pub fn verify(&self, token: &str, keys: &KeySet) -> Result<Verified<ExternalClaims>, Refusal> {
        let unverified = Unverified::parse(token)?;
        let typ = unverified.header().typ.as_deref().map(str::to_ascii_lowercase);
        if !matches!(typ.as_deref(), None | Some("jwt" | "at+jwt" | "application/at+jwt")) {
            return Err(Refusal::Kind);
        }
        let claims = claims(&keys.payload(&unverified)?, self.issuer, self.audience, self.now)?;
        // A nonce for our own client is of an ID token, events of a logout token: neither grants access. (Some issuers copy
        // the nonce of a login into access tokens too; those are for another audience.)
        let of_login = claims.all.contains_key("nonce") && is_for(&claims.all, self.client_id);
        if of_login || claims.all.contains_key("events") {
            return Err(Refusal::Kind);
        }
        Ok(Verified::new(claims, unverified.header().kid.as_deref()))
    }
}

/// The issuer that `token` names, which nobody has verified: only to choose by whose keys to verify it.
#[must_use]
pub fn unverified_issuer(token: &str) -> Option<String> {
    let claims = crate::json::object(&Unverified::parse(token).ok()?.unverified_payload()?)?;
    claims.get("iss").and_then(Value::as_str).map(str::to_owned)
}

fn claims(payload: &[u8], issuer: &str, audience: &str, now: i64) -> Result<ExternalClaims, Refusal> {
    let all = crate::json::object(payload).ok_or(Refusal::Claims)?;
    if text(&all, "iss")? != Some(issuer) {
        return Err(Refusal::Issuer);
    }
    if !is_for(&all, audience) {
        return Err(Refusal::Audience);
    }
    let subject = text(&all, "sub")?.ok_or(Refusal::Claims)?.to_owned();
    crate::check_subject(&subject)?;
    let issued = seconds(&all, "iat")?.ok_or(Refusal::Claims)?;
    let expires = seconds(&all, "exp")?.ok_or(Refusal::Claims)?;
    check_times(issued, seconds(&all, "nbf")?, expires, now)?;
    let jti = text(&all, "jti")?.map(str::to_owned);
    Ok(ExternalClaims { subject, jti, issued, expires, all })
}

fn is_for(claims: &Map<String, Value>, audience: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(several)) => several.iter().any(|one| one == audience),
        Some(_) | None => false,
    }
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Refusal> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::Claims),
    }
}

/// A NumericDate (RFC 7519, 2), whose fraction is cut off.
fn seconds(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, Refusal> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let Value::Number(number) = value else { return Err(Refusal::Claims) };
    let text = number.to_string();
    let whole = text.split_once('.').map_or(text.as_str(), |(whole, _)| whole);
    // Larger ones are written with an exponent, which is no number here, and mean no date anyone will see.
    if text.contains(['e', 'E']) {
        return Err(Refusal::Claims);
    }
    whole.parse().map(Some).map_err(|_| Refusal::Claims)
}

#[cfg(test)]
mod tests;
