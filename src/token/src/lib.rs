//! Tokens: what tenantd issues, and what it and the edge believe.
//!
//! Pure over bytes: the time is a parameter, keys come from the caller, and nothing is fetched, whatever a header asks for.
//! A token's claims can be had only from a [`Verified`], which exists only after its signature, times, issuer and audience
//! were checked. The key decides which algorithm is right; `none` and HMAC are words of no key (RFC 8725, 3.1 and 3.2).
#![forbid(unsafe_code)]

mod base64url;
mod claims;
mod external;
mod header;
mod json;
mod jwks;
mod jws;
mod key;
mod own;
mod refusal;
mod revocation;
mod signing;
#[cfg(test)]
mod testing;

pub use claims::{
    Claims, ClaimsError, Kind, MAX_LOGIN_SECONDS, MAX_SECONDS, audience, check_subject, issuer, login_address,
};
pub use external::{AccessToken, ExternalClaims, IdToken, unverified_issuer};
pub use jwks::{JwksError, KeySet};
pub use key::{KeyError, PublicKey};
pub use own::{Expected, OwnKeys, Verified, verify};
pub use refusal::Refusal;
pub use revocation::{Bearer, Revoked};
pub use signing::{IssueError, SigningKey};

/// Bytes of a token, at most.
pub const MAX_TOKEN_BYTES: usize = 4096;
/// Seconds by which the issuer's clock may be ahead of ours; an expiry has no such grace.
pub const LEEWAY_SECONDS: i64 = 30;
