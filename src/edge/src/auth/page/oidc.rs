//! The start of a login at an external issuer: authorization code flow (OpenID Connect Core, 3.1) with PKCE (RFC 7636).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Response, StatusCode};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::context::{Context, set_cookie};
use super::login::broken;
use super::{LOGIN_COOKIE, form};
use crate::auth::random;
use crate::auth::sealed::Purpose;

/// Seconds within which one has to be back.
pub(super) const SECONDS: i64 = 600;

/// A login under way, sealed into a cookie of the browser that started it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Started {
    /// Name of the issuer.
    pub(super) issuer: String,
    pub(super) state: String,
    pub(super) nonce: String,
    pub(super) verifier: String,
    pub(super) exp: i64,
}

pub(super) async fn start(context: &Context<'_>) -> Response<Bytes> {
    let name = form::query(context.request, "issuer").unwrap_or_default();
    let Some(issuer) = context.files.edge.issuers.iter().find(|issuer| issuer.name == name) else {
        return context.error(StatusCode::NOT_FOUND, "there is no such way to sign in");
    };
    let discovery = match context.auth.providers.of(issuer).discovery().await {
        Ok(discovery) => discovery,
        Err(error) => {
            tracing::warn!(tenant = %context.tenant, "{error}");
            return context
                .error(StatusCode::BAD_GATEWAY, "the identity provider cannot be reached; try again later");
        }
    };
    let Some(started) = Started::now(name, context.now) else { return broken(context, "no random bytes") };
    let Some(sealed) = context.auth.state.sealer.seal(Purpose::Oidc, context.tenant.as_str(), &started)
    else {
        return broken(context, "cannot seal a login");
    };
    let query = form::encode(&[
        ("response_type", "code"),
        ("client_id", &issuer.client_id),
        ("redirect_uri", &redirect_uri(context)),
        ("scope", "openid profile email"),
        ("state", &started.state),
        ("nonce", &started.nonce),
        ("code_challenge", &challenge(&started.verifier)),
        ("code_challenge_method", "S256"),
    ]);
    let endpoint = &discovery.authorization_endpoint;
    let separator = if endpoint.contains('?') { '&' } else { '?' };
    let mut response = context.see_other(&format!("{endpoint}{separator}{query}"));
    // Lax: the browser comes back by a navigation from the issuer's site, on which a strict cookie stays at home.
    let cookie =
        format!("{LOGIN_COOKIE}={sealed}; Path=/; Max-Age={SECONDS}; Secure; HttpOnly; SameSite=Lax");
    set_cookie(&mut response, &cookie);
    response
}

/// Where the issuer sends the browser back to; registered there, once for each tenant.
pub(super) fn redirect_uri(context: &Context<'_>) -> String {
    format!("{}/.tenantd/callback", context.origin())
}

impl Started {
    fn now(issuer: String, now: i64) -> Option<Self> {
        let word = || random::bytes::<32>().map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        Some(Self {
            issuer,
            state: word()?,
            nonce: word()?,
            verifier: word()?,
            exp: now.checked_add(SECONDS)?,
        })
    }
}

fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}
