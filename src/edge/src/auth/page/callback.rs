//! The end of a login at an external issuer: the code against an ID token, its claims against a role.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Response, StatusCode};
use model::edge::Issuer;
use serde::Deserialize;
use token::{ExternalClaims, IdToken, Refusal};

use super::context::{Context, set_cookie};
use super::login::{broken, new_session};
use super::oidc::{Started, redirect_uri};
use super::{LOGIN_COOKIE, form};
use crate::auth::provider::{Cause, Discovery, Provider};
use crate::auth::sealed::Purpose;
use crate::auth::{IssuedBy, credential, external, rules};

const OTHER: &str = "this is not the answer to a login that was started here; start again";
const FAILED: &str = "the identity provider did not confirm the login; start again";

pub(super) async fn finish(context: &Context<'_>) -> Response<Bytes> {
    let mut response = outcome(context).await;
    // Whatever came of it, this login is over.
    let forget = format!("{LOGIN_COOKIE}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax");
    set_cookie(&mut response, &forget);
    response
}

async fn outcome(context: &Context<'_>) -> Response<Bytes> {
    let refuse = |status, reason: &str, message| {
        tracing::info!(tenant = %context.tenant, "login refused: {reason}");
        context.error(status, message)
    };
    let Some(started) = started(context) else {
        return refuse(StatusCode::FORBIDDEN, "no login under way in this browser", OTHER);
    };
    if form::query(context.request, "state").as_ref() != Some(&started.state) {
        return refuse(StatusCode::FORBIDDEN, "state of another login", OTHER);
    }
    let Some(issuer) = context.files.edge.issuers.iter().find(|issuer| issuer.name == started.issuer) else {
        return refuse(StatusCode::FORBIDDEN, "issuer is no longer configured", OTHER);
    };
    let provider = context.auth.providers.of(issuer);
    let discovery = match provider.discovery().await {
        Ok(discovery) => discovery,
        Err(error) => return refuse(StatusCode::BAD_GATEWAY, &error.to_string(), FAILED),
    };
    if !is_of_issuer(context, issuer, &discovery) {
        return refuse(StatusCode::FORBIDDEN, "answer of another issuer", OTHER);
    }
    let Some(code) = form::query(context.request, "code") else {
        let error = form::query(context.request, "error").unwrap_or_default();
        return refuse(StatusCode::FORBIDDEN, &format!("the issuer answered {error:?}"), FAILED);
    };
    let id_token = match exchange(context, &provider, &discovery, &code, &started.verifier).await {
        Ok(id_token) => id_token,
        Err(reason) => return refuse(StatusCode::BAD_GATEWAY, &reason, FAILED),
    };
    match verify(context, &provider, &id_token, &started.nonce).await {
        Ok(claims) => enter(context, issuer, &claims),
        Err(refusal) => refuse(StatusCode::FORBIDDEN, refusal.reason(), FAILED),
    }
}

fn started(context: &Context<'_>) -> Option<Started> {
    let cookie = credential::cookie(context.headers(), LOGIN_COOKIE).ok()??;
    let started: Started = context.auth.state.sealer.open(Purpose::Oidc, context.tenant.as_str(), &cookie)?;
    (context.now < started.exp).then_some(started)
}

/// RFC 9207: an answer says whose it is, if its issuer ever does.
fn is_of_issuer(context: &Context<'_>, issuer: &Issuer, discovery: &Discovery) -> bool {
    match form::query(context.request, "iss") {
        Some(iss) => iss == issuer.issuer,
        None => !discovery.authorization_response_iss_parameter_supported,
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    id_token: Option<String>,
    error: Option<String>,
}

async fn exchange(
    context: &Context<'_>,
    provider: &Provider,
    discovery: &Discovery,
    code: &str,
    verifier: &str,
) -> Result<String, String> {
    let issuer = &provider.issuer;
    let redirect_uri = redirect_uri(context);
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &redirect_uri),
        ("code_verifier", verifier),
    ];
    let mut authorization = None;
    match &issuer.client_secret {
        None => fields.push(("client_id", &issuer.client_id)),
        Some(secret) if by_post(discovery) => {
            fields.push(("client_id", &issuer.client_id));
            fields.push(("client_secret", secret));
        }
        Some(secret) => authorization = Some(basic(&issuer.client_id, secret)),
    }
    let client = provider.client().await.map_err(|error| error.to_string())?;
    let answer =
        client.post_form(&discovery.token_endpoint, authorization.as_deref(), form::encode(&fields)).await;
    let (status, body) = answer.map_err(|source| {
        provider.error(Cause::Fetch { address: discovery.token_endpoint.clone(), source }).to_string()
    })?;
    let answer: Option<TokenAnswer> = serde_json::from_slice(&body).ok();
    match answer {
        Some(TokenAnswer { id_token: Some(id_token), .. }) if status == StatusCode::OK => Ok(id_token),
        Some(TokenAnswer { error: Some(error), .. }) => {
            Err(format!("external issuer {}: token endpoint answered {status}, {error:?}", issuer.name))
        }
        Some(_) | None => {
            Err(format!("external issuer {}: token endpoint answered {status}, no ID token", issuer.name))
        }
    }
}

/// `client_secret_basic` is what every issuer knows unless it says otherwise (Discovery, 3).
fn by_post(discovery: &Discovery) -> bool {
    discovery.token_endpoint_auth_methods_supported.as_ref().is_some_and(|methods| {
        let has = |name: &str| methods.iter().any(|method| method == name);
        has("client_secret_post") && !has("client_secret_basic")
    })
}

/// RFC 6749, 2.3.1: both parts form-encoded before they are joined.
fn basic(id: &str, secret: &str) -> String {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(id), encode(secret))))
}

async fn verify(
    context: &Context<'_>,
    provider: &Provider,
    id_token: &str,
    nonce: &str,
) -> Result<ExternalClaims, Refusal> {
    let issuer = &provider.issuer;
    let expected = IdToken { issuer: &issuer.issuer, client_id: &issuer.client_id, nonce, now: context.now };
    let with_known = || {
        let keys = provider.keys().ok_or(Refusal::UnknownKey)?;
        expected.verify(id_token, &keys).map(token::Verified::into_claims)
    };
    match with_known() {
        Err(Refusal::UnknownKey) => {
            provider.refresh_or_tell().await;
            with_known()
        }
        other => other,
    }
}

fn enter(context: &Context<'_>, issuer: &Issuer, claims: &ExternalClaims) -> Response<Bytes> {
    let subject = external::subject(issuer, claims);
    let Some(rule) = rules::first(issuer, context.tenant, &claims.all) else {
        tracing::info!(tenant = %context.tenant, subject, "login refused: no rule gives this user a role at this tenant");
        return context.error(StatusCode::FORBIDDEN, "you are known, but have no role at this tenant");
    };
    let by = IssuedBy::external(issuer, rule);
    let Some((cookie, jti)) = new_session(context, subject.clone(), rule.role, by, None) else {
        return broken(context, "cannot seal a session");
    };
    tracing::info!(tenant = %context.tenant, subject, role = %rule.role, session = jti, "signed in at {}", issuer.name);
    // Not a redirect: it would still be part of the navigation from the issuer's site, without the strict cookie.
    let mut response = context.onward("Signed in", "<p><a href=\"/\">Go on</a></p>", "/");
    set_cookie(&mut response, &cookie);
    response
}
