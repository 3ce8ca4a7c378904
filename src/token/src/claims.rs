//! Claims of tenantd's own tokens: all of them in every token, and no other.

use model::{Role, TenantId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Refusal;

/// Seconds that a token lives, at most.
pub const MAX_SECONDS: i64 = 24 * 3600;
/// Seconds that a login ticket lives, at most.
pub const MAX_LOGIN_SECONDS: i64 = 300;
/// Characters of a subject, at most.
const MAX_SUBJECT: usize = 256;

/// What a token is good for. It is in the signed header, so that one kind is never taken for the other (RFC 8725, 3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Access to one tenant, as often as wanted until it expires.
    Access,
    /// A ticket for one login of a browser.
    Login,
}

impl Kind {
    /// `typ` in the header.
    pub fn typ(self) -> &'static str {
        match self {
            Kind::Access => "at+jwt",
            Kind::Login => "tenantd-login+jwt",
        }
    }

    /// Seconds that a token of this kind lives, at most.
    pub fn max_seconds(self) -> i64 {
        match self {
            Kind::Access => MAX_SECONDS,
            Kind::Login => MAX_LOGIN_SECONDS,
        }
    }
}

/// Claims of a token of tenantd's. Times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// By whom: [`issuer`] of the edge's domain.
    pub iss: String,
    /// For which tenant: its [`audience`].
    pub aud: String,
    /// To whom; 1 to 256 characters, none of them a control character.
    pub sub: String,
    /// As what.
    pub role: Role,
    /// Its own name: 32 lower-case hexadecimal digits.
    pub jti: String,
    /// When it was issued.
    pub iat: i64,
    /// From when on it is valid.
    pub nbf: i64,
    /// Until when, exclusively.
    pub exp: i64,
}

/// Claims that no token may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ClaimsError {
    /// The subject is empty, too long or has control characters.
    #[error("a subject has 1 to {MAX_SUBJECT} characters, and no control characters")]
    Subject,
    /// The `jti` is not 32 hexadecimal digits.
    #[error("a jti is 32 lower-case hexadecimal digits")]
    Jti,
    /// It would expire before it is issued, or live too long.
    #[error("a token expires after it was issued, and within {limit} seconds")]
    Lifetime {
        /// For this kind of token.
        limit: i64,
    },
}

/// `iss` of the tokens of the edge at `domain`.
pub fn issuer(domain: &str) -> String {
    format!("https://{domain}")
}

/// `aud` of the tokens for `tenant`, behind the edge at `domain`. The port is no part of it.
pub fn audience(tenant: &TenantId, domain: &str) -> String {
    format!("https://{tenant}.{domain}")
}

/// Address of the page at which a browser turns `ticket` into a session. The port is left out if it is that of `https`.
pub fn login_address(tenant: &TenantId, domain: &str, port: u16, ticket: &str) -> String {
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    format!("{}{port}/.tenantd/login?ticket={ticket}", audience(tenant, domain))
}

/// Whether `subject` may be one.
///
/// # Errors
///
/// [`ClaimsError::Subject`].
pub fn check_subject(subject: &str) -> Result<(), ClaimsError> {
    let fits = !subject.is_empty() && subject.chars().count() <= MAX_SUBJECT;
    if fits && !subject.chars().any(char::is_control) { Ok(()) } else { Err(ClaimsError::Subject) }
}

impl Claims {
    /// Whether the claims make sense as those of a token of `kind`, whatever the time is.
    ///
    /// # Errors
    ///
    /// The first rule that they break.
    pub fn check(&self, kind: Kind) -> Result<(), ClaimsError> {
        check_subject(&self.sub)?;
        if !is_jti(&self.jti) {
            return Err(ClaimsError::Jti);
        }
        let limit = kind.max_seconds();
        let lifetime = self.exp.checked_sub(self.iat).unwrap_or(i64::MAX);
        if lifetime <= 0 || lifetime > limit || self.nbf >= self.exp {
            return Err(ClaimsError::Lifetime { limit });
        }
        Ok(())
    }
}

impl From<ClaimsError> for Refusal {
    fn from(error: ClaimsError) -> Self {
        match error {
            ClaimsError::Subject | ClaimsError::Jti => Refusal::Claims,
            ClaimsError::Lifetime { .. } => Refusal::TooLongLived,
        }
    }
}

fn is_jti(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests;
