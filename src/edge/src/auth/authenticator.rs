//! The one question of the relay: who is this?

use std::path::Path;
use std::sync::Arc;

use http::HeaderMap;
use model::TenantId;
use token::{Bearer, Expected, Kind};

use super::cache::{Cache, Epoch, fingerprint};
use super::credential::{self, Credential};
use super::external::{self, Answer};
use super::provider::Providers;
use super::session::Session;
use super::state::State;
use super::{Authentication, Identity, IssuedBy, Source, StateError};
use crate::live::{Files, Live};

/// Nothing was compiled for the edge yet.
pub(super) const NO_FILES: &str = "the edge has no configuration in force";

/// Knows who comes.
#[derive(Debug)]
pub struct Authenticator {
    pub(super) live: Arc<Live>,
    pub(super) state: Arc<State>,
    pub(super) providers: Arc<Providers>,
    cache: Cache,
}

impl Authenticator {
    /// With the compiled files, and its own state in the directory `state`. Within a tokio runtime it keeps the keys of
    /// external issuers fresh by itself.
    ///
    /// # Errors
    ///
    /// [`StateError`] if that directory cannot be used.
    pub fn new(live: Arc<Live>, state: &Path) -> Result<Self, StateError> {
        let providers = Providers::start(Arc::clone(&live));
        Ok(Self { live, state: Arc::new(State::open(state)?), providers, cache: Cache::new() })
    }

    /// Who sent a request with these headers to `tenant`, at this time in Unix seconds. Does not wait: a token of an external
    /// issuer whose keys are not known yet is refused, and the keys are fetched for the next one.
    pub fn authenticate(&self, tenant: &TenantId, headers: &HeaderMap, now: i64) -> Authentication {
        let Some(files) = self.live.now() else { return Authentication::Refused(NO_FILES) };
        match self.find(&files, tenant, headers, now) {
            Answer::Done(authentication) => authentication,
            Answer::Unfetched(provider) => {
                provider.refresh_later();
                Authentication::Refused("token key of an external issuer unknown")
            }
        }
    }

    /// The same, but waits for the keys of an external issuer if need be: some seconds at most, and not for every request
    /// with an unknown key.
    pub async fn authenticate_or_fetch(
        &self,
        tenant: &TenantId,
        headers: &HeaderMap,
        now: i64,
    ) -> Authentication {
        let Some(files) = self.live.now() else { return Authentication::Refused(NO_FILES) };
        match self.find(&files, tenant, headers, now) {
            Answer::Done(authentication) => authentication,
            Answer::Unfetched(provider) => {
                provider.refresh_or_tell().await;
                self.authenticate(tenant, headers, now)
            }
        }
    }

    /// Whether what `identity` was known by is still good: not expired, not revoked, not signed out of, and vouched for by
    /// somebody who still is in the configuration.
    pub fn is_alive(&self, identity: &Identity, now: i64) -> bool {
        self.live.now().is_some_and(|files| self.why_dead(&files, identity, now).is_none())
    }

    fn find(&self, files: &Files, tenant: &TenantId, headers: &HeaderMap, now: i64) -> Answer {
        let found = match credential::of(headers) {
            Credential::Absent => return Answer::Done(Authentication::Absent),
            Credential::Bad(reason) => return Answer::refused(reason),
            Credential::Session(cookie) => match Session::open(&self.state.sealer, tenant, &cookie) {
                Some(identity) => Arc::new(identity),
                None => return Answer::refused("session cookie is not one of this tenant"),
            },
            Credential::Token(source, token) => match self.token(files, tenant, source, &token, now) {
                Ok(identity) => identity,
                Err(answer) => return answer,
            },
        };
        match self.why_dead(files, &found, now) {
            None => Answer::Done(Authentication::Known(found)),
            Some(reason) => Answer::refused(reason),
        }
    }

    fn token(
        &self,
        files: &Files,
        tenant: &TenantId,
        source: Source,
        token: &str,
        now: i64,
    ) -> Result<Arc<Identity>, Answer> {
        // Both are read before anything is verified by them: what changes meanwhile makes the entry too old, never too new.
        let epoch = Epoch { files: files.generation, external: self.providers.epoch() };
        let fingerprint = fingerprint(tenant.as_str(), source.name(), token);
        if let Some(identity) = self.cache.get(&fingerprint, epoch, now) {
            return Ok(identity);
        }
        let identity = match own(files, tenant, source, token, now) {
            Ok(identity) => identity,
            Err(refusal) => {
                let issuer = token::unverified_issuer(token);
                if issuer.is_none_or(|issuer| issuer == files.keys.issuer) {
                    return Err(Answer::refused(refusal.reason()));
                }
                external::identity(files, &self.providers, tenant, source, token, now)?
            }
        };
        let identity = Arc::new(identity);
        self.cache.put(fingerprint, epoch, Arc::clone(&identity));
        Ok(identity)
    }

    pub(super) fn why_dead(&self, files: &Files, identity: &Identity, now: i64) -> Option<&'static str> {
        if now >= identity.expires {
            return Some("expired");
        }
        let bearer = Bearer {
            jti: &identity.jti,
            from: identity.from.as_deref(),
            subject: &identity.subject,
            tenant: &identity.tenant,
            issued: identity.issued,
        };
        if files.revoked.has(&bearer) {
            return Some("revoked");
        }
        if identity.source == Source::Cookie {
            let lifetime = now.saturating_sub(identity.issued);
            if lifetime >= i64::from(files.edge.session_sec) {
                return Some("session older than sessions may be");
            }
            if self.state.is_ended(&identity.jti) {
                return Some("signed out");
            }
        }
        if vouched(files, identity, now) { None } else { Some("nobody vouches for it any more") }
    }
}

fn own(
    files: &Files,
    tenant: &TenantId,
    source: Source,
    token: &str,
    now: i64,
) -> Result<Identity, token::Refusal> {
    let audience = token::audience(tenant, &files.edge.domain);
    let expected = Expected { audience: &audience, kind: Kind::Access, now };
    let verified = token::verify(token, &files.own_keys, expected)?;
    let kid = verified.kid().map(str::to_owned);
    let claims = verified.into_claims();
    Ok(Identity {
        tenant: tenant.clone(),
        role: claims.role,
        subject: claims.sub,
        jti: claims.jti,
        from: None,
        issued: claims.iat,
        expires: claims.exp,
        source,
        issuer: IssuedBy::Tenantd { iss: claims.iss, kid },
    })
}

/// Whether whoever vouched is still believed: a key that was withdrawn, an issuer or a rule that was taken out of the
/// configuration takes everybody along.
fn vouched(files: &Files, identity: &Identity, now: i64) -> bool {
    match &identity.issuer {
        IssuedBy::Tenantd { iss, kid } => {
            *iss == files.keys.issuer && kid.as_ref().is_none_or(|kid| files.own_keys.has(kid, now))
        }
        IssuedBy::External { iss, claim, value } => {
            files.edge.issuers.iter().filter(|issuer| issuer.issuer == *iss).any(|issuer| {
                issuer.rules.iter().any(|rule| {
                    let same = rule.claim == *claim && rule.value == *value;
                    same && rule.tenant == identity.tenant && rule.role == identity.role
                })
            })
        }
    }
}

#[cfg(test)]
mod tests;
