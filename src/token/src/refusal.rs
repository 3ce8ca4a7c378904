//! Why a token is not believed. For the journal: a client is told only that it is not.

use thiserror::Error;

/// A reason to refuse a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[must_use]
pub enum Refusal {
    /// It is longer than [`crate::MAX_TOKEN_BYTES`].
    #[error("the token is too long")]
    TooLong,
    /// It does not have exactly three parts of canonical base64url.
    #[error("the token is no compact JWS")]
    Malformed,
    /// Its header is no JSON object of the expected fields, or names one twice.
    #[error("the token's header is malformed")]
    Header,
    /// Its header brings a key, or asks for one to be fetched, or names an extension (`jwk`, `jku`, `x5u`, `x5c`, `crit`, …).
    #[error("the token's header has a field that is never followed")]
    HeaderField,
    /// Its algorithm is `none`, an HMAC, or one that we do not know.
    #[error("the token's algorithm is not accepted")]
    Algorithm,
    /// Its `typ` is another kind of token.
    #[error("the token is of another kind")]
    Kind,
    /// No key that is in force has its `kid`.
    #[error("the token's key is unknown or retired")]
    UnknownKey,
    /// The key that it names is for another algorithm.
    #[error("the token's algorithm is not that of its key")]
    OtherAlgorithm,
    /// Its signature is wrong.
    #[error("the token's signature is wrong")]
    Signature,
    /// Its claims are no JSON object of the expected fields, or name one twice.
    #[error("the token's claims are malformed")]
    Claims,
    /// It is from another issuer.
    #[error("the token is from another issuer")]
    Issuer,
    /// It is for another audience: another tenant, another client.
    #[error("the token is for another audience")]
    Audience,
    /// It was issued in the future, or is not valid yet.
    #[error("the token is not valid yet")]
    NotYet,
    /// It has expired.
    #[error("the token has expired")]
    Expired,
    /// It lives longer than any token may.
    #[error("the token lives too long")]
    TooLongLived,
    /// It answers another login than the one that was started.
    #[error("the token's nonce is of another login")]
    Nonce,
}

impl Refusal {
    /// The same sentence, for journal fields and counters.
    pub fn reason(self) -> &'static str {
        match self {
            Refusal::TooLong => "token too long",
            Refusal::Malformed => "token malformed",
            Refusal::Header => "token header malformed",
            Refusal::HeaderField => "token header field refused",
            Refusal::Algorithm => "token algorithm refused",
            Refusal::Kind => "token of another kind",
            Refusal::UnknownKey => "token key unknown",
            Refusal::OtherAlgorithm => "token algorithm is not its key's",
            Refusal::Signature => "token signature wrong",
            Refusal::Claims => "token claims malformed",
            Refusal::Issuer => "token of another issuer",
            Refusal::Audience => "token for another audience",
            Refusal::NotYet => "token not valid yet",
            Refusal::Expired => "token expired",
            Refusal::TooLongLived => "token lives too long",
            Refusal::Nonce => "token nonce wrong",
        }
    }
}
