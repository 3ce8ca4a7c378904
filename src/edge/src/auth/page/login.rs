//! Signing in with a one-time link, and the choice of external issuers.
//!
//! Opening the link shows a button and uses nothing up: programs that look at links in messages cannot sign anybody in, nor
//! spoil the link. The button posts the ticket from this very origin.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use token::{Bearer, Claims, Expected, Kind};

use super::context::{Context, set_cookie};
use super::form;
use super::html::escape;
use crate::auth::session::Session;
use crate::auth::state::Use;
use crate::auth::{Authentication, IssuedBy, random};

const SPENT: &str = "this link is not valid, has expired or was used before; ask for a new one";

/// GET.
pub(super) fn show(context: &Context<'_>) -> Response<Bytes> {
    if let Some(ticket) = form::query(context.request, "ticket") {
        return match check(context, &ticket) {
            Ok(claims) => confirm(context, &ticket, &claims),
            Err(reason) => refuse(context, reason),
        };
    }
    // A browser that comes from elsewhere leaves its strict cookie at home; asked again from here, it brings it.
    let from_elsewhere = context.headers().get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    if from_elsewhere && form::query(context.request, "again").is_none() {
        return context.onward(
            "One moment",
            "<p><a href=\"/.tenantd/login?again=1\">Go on</a></p>",
            "/.tenantd/login?again=1",
        );
    }
    match context.authenticate() {
        Authentication::Known(_) => context.see_other("/"),
        Authentication::Absent | Authentication::Refused(_) => choose(context),
    }
}

/// POST.
pub(super) async fn enter(context: &Context<'_>) -> Response<Bytes> {
    if !context.is_same_origin() {
        return context.error(StatusCode::FORBIDDEN, "this form was sent by another site");
    }
    let Some(ticket) = form::posted(context.request, "ticket") else {
        return context.error(StatusCode::BAD_REQUEST, "the form has no ticket");
    };
    let claims = match check(context, &ticket) {
        Ok(claims) => claims,
        Err(reason) => return refuse(context, reason),
    };
    let (state, jti, now) = (Arc::clone(&context.auth.state), claims.jti.clone(), context.now);
    let used = tokio::task::spawn_blocking(move || state.use_ticket(&jti, claims.exp, now)).await;
    match used {
        Ok(Ok(Use::First)) => {}
        Ok(Ok(Use::Again)) => return refuse(context, "ticket used before"),
        Ok(Err(error)) => return broken(context, &format!("cannot note a used ticket: {error}")),
        Err(error) => return broken(context, &format!("cannot note a used ticket: {error}")),
    }
    let by = IssuedBy::Tenantd { iss: claims.iss, kid: None };
    let Some((cookie, jti)) =
        new_session(context, claims.sub.clone(), claims.role, by, Some(claims.jti.clone()))
    else {
        return broken(context, "cannot seal a session");
    };
    tracing::info!(tenant = %context.tenant, subject = claims.sub, role = %claims.role, ticket = claims.jti, session = jti,
        "signed in by link");
    let mut response = context.see_other("/");
    set_cookie(&mut response, &cookie);
    response
}

/// The cookie of a new session, and its name.
pub(super) fn new_session(
    context: &Context<'_>,
    sub: String,
    role: model::Role,
    by: IssuedBy,
    from: Option<String>,
) -> Option<(String, String)> {
    let exp = context.now.checked_add(i64::from(context.files.edge.session_sec))?;
    let session = Session { sub, role, jti: random::jti()?, iat: context.now, exp, by, from };
    Some((session.set_cookie(&context.auth.state.sealer, context.tenant)?, session.jti))
}

/// The journal is told what broke; the client only that it is not its fault.
pub(super) fn broken(context: &Context<'_>, reason: &str) -> Response<Bytes> {
    tracing::error!(tenant = %context.tenant, "sign-in failed: {reason}");
    context.error(StatusCode::INTERNAL_SERVER_ERROR, "signing in failed here; try again")
}

fn check(context: &Context<'_>, ticket: &str) -> Result<Claims, &'static str> {
    let audience = token::audience(context.tenant, &context.files.edge.domain);
    let expected = Expected { audience: &audience, kind: Kind::Login, now: context.now };
    let verified =
        token::verify(ticket, &context.files.own_keys, expected).map_err(token::Refusal::reason)?;
    let claims = verified.into_claims();
    let bearer = Bearer {
        jti: &claims.jti,
        from: None,
        subject: &claims.sub,
        tenant: context.tenant,
        issued: claims.iat,
    };
    if context.files.revoked.has(&bearer) { Err("ticket revoked") } else { Ok(claims) }
}

fn refuse(context: &Context<'_>, reason: &str) -> Response<Bytes> {
    tracing::info!(tenant = %context.tenant, "login refused: {reason}");
    context.error(StatusCode::FORBIDDEN, SPENT)
}

fn confirm(context: &Context<'_>, ticket: &str, claims: &Claims) -> Response<Bytes> {
    let body = format!(
        "<p>As <b>{}</b>, who is {} here.</p>\n<form method=\"post\" action=\"/.tenantd/login\">\
         <input type=\"hidden\" name=\"ticket\" value=\"{}\"><button type=\"submit\">Sign in</button></form>\n\
         <p><small>The link works once.</small></p>",
        escape(&claims.sub),
        claims.role,
        escape(ticket),
    );
    context.page(StatusCode::OK, &format!("Sign in to {}", context.tenant), &body)
}

fn choose(context: &Context<'_>) -> Response<Bytes> {
    let offers: String = context
        .files
        .edge
        .issuers
        .iter()
        .filter(|issuer| issuer.rules.iter().any(|rule| rule.tenant == *context.tenant))
        .map(|issuer| {
            let query = escape(&form::encode(&[("issuer", &issuer.name)]));
            format!("<a href=\"/.tenantd/oidc?{query}\">Sign in with {}</a>\n", escape(&issuer.name))
        })
        .collect();
    let body = format!(
        "<p>{offers}</p>\n<p>{} the administrator of this host for a link: <code>tenantctl login {}</code></p>",
        if offers.is_empty() { "Ask" } else { "Or ask" },
        context.tenant,
    );
    context.page(StatusCode::OK, &format!("Sign in to {}", context.tenant), &body)
}
