//! Access tokens of external issuers as credentials.

use std::sync::Arc;

use model::TenantId;
use model::edge::{Issuer, REVOCATION_KEPT_SEC};
use ring::digest::{SHA256, digest};
use token::{AccessToken, ExternalClaims, Refusal};

use super::provider::{Provider, Providers};
use super::{Authentication, Identity, IssuedBy, Source, random, rules};
use crate::live::Files;

/// What is known without waiting.
#[derive(Debug)]
pub(super) enum Answer {
    Done(Authentication),
    /// It depends on keys that were not fetched yet.
    Unfetched(Arc<Provider>),
}

impl Answer {
    pub(super) fn refused(reason: &'static str) -> Self {
        Self::Done(Authentication::Refused(reason))
    }
}

/// Who `token` is at `tenant`.
pub(super) fn identity(
    files: &Files,
    providers: &Providers,
    tenant: &TenantId,
    source: Source,
    token: &str,
    now: i64,
) -> Result<Identity, Answer> {
    let named = token::unverified_issuer(token);
    let issuer = files.edge.issuers.iter().find(|issuer| Some(&issuer.issuer) == named.as_ref());
    let issuer = issuer.ok_or_else(|| Answer::refused(Refusal::Issuer.reason()))?;
    let audience = issuer.audience.as_deref();
    let audience = audience.ok_or_else(|| Answer::refused("issuer's tokens are taken for logins only"))?;
    let provider = providers.of(issuer);
    let Some(keys) = provider.keys() else { return Err(Answer::Unfetched(provider)) };
    let expected = AccessToken { issuer: &issuer.issuer, audience, client_id: &issuer.client_id, now };
    match expected.verify(token, &keys) {
        Ok(verified) => {
            let claims = verified.into_claims();
            if claims.expires.saturating_sub(now) > REVOCATION_KEPT_SEC {
                return Err(Answer::refused("token lives longer than a revocation is kept"));
            }
            let jti = claims.jti.clone().unwrap_or_else(|| fallback_jti(token));
            let rule = rules::first(issuer, tenant, &claims.all);
            let rule =
                rule.ok_or_else(|| Answer::refused("no rule gives this user a role at this tenant"))?;
            Ok(Identity {
                tenant: tenant.clone(),
                role: rule.role,
                subject: subject(issuer, &claims),
                jti,
                from: None,
                issued: claims.issued,
                expires: claims.expires,
                source,
                issuer: IssuedBy::external(issuer, rule),
            })
        }
        Err(Refusal::UnknownKey) => Err(Answer::Unfetched(provider)),
        Err(refusal) => Err(Answer::refused(refusal.reason())),
    }
}

/// Whoever an issuer names is somebody else than whom tenantd or another issuer calls by the same name.
pub(super) fn subject(issuer: &Issuer, claims: &ExternalClaims) -> String {
    format!("{}:{}", issuer.name, claims.subject)
}

/// A token without a name of its own is named by its hash, so that it can be revoked.
fn fallback_jti(token: &str) -> String {
    random::hex(digest(&SHA256, token.as_bytes()).as_ref().get(..16).unwrap_or_default())
}
