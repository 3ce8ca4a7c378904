//! Who somebody is, to one tenant.

use std::sync::Arc;

use model::edge::{ClaimRule, Issuer};
use model::{Role, TenantId};
use serde::{Deserialize, Serialize};

use super::Source;

/// Somebody, as known by one credential. Times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// At which tenant; the credential is worth nothing at another.
    pub tenant: TenantId,
    /// As what.
    pub role: Role,
    /// Who: the `sub` of tenantd's tokens; for external issuers `<name>:<sub>`, so that nobody of theirs is one of ours.
    pub subject: String,
    /// The credential's own name.
    pub jti: String,
    /// The name of the ticket that a session came from.
    pub from: Option<String>,
    /// Since when.
    pub issued: i64,
    /// Until when, exclusively.
    pub expires: i64,
    /// How it was presented.
    pub source: Source,
    /// Who vouches.
    pub issuer: IssuedBy,
}

/// Who vouches for somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum IssuedBy {
    /// tenantd, by a token.
    Tenantd {
        /// Its issuer.
        iss: String,
        /// The key that signed the token; for a session, which may outlive that key, nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kid: Option<String>,
    },
    /// An external issuer, by the rule that gave the role.
    External {
        /// Its identifier.
        iss: String,
        /// The claim that fitted.
        claim: String,
        /// Its value.
        value: String,
    },
}

impl IssuedBy {
    /// The issuer's identifier.
    pub fn iss(&self) -> &str {
        match self {
            IssuedBy::Tenantd { iss, .. } | IssuedBy::External { iss, .. } => iss,
        }
    }

    pub(super) fn external(issuer: &Issuer, rule: &ClaimRule) -> Self {
        Self::External { iss: issuer.issuer.clone(), claim: rule.claim.clone(), value: rule.value.clone() }
    }
}

/// What is known of who sent a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Authentication {
    /// There was no credential.
    Absent,
    /// A good one.
    Known(Arc<Identity>),
    /// A bad one, and why: for the journal, not for the client.
    Refused(&'static str),
}
