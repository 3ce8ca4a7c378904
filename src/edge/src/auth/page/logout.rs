//! Signing out: the browser forgets its cookie, and the session is dead, should anybody have copied it.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};

use super::context::{Context, set_cookie};
use crate::auth::COOKIE;
use crate::auth::credential;
use crate::auth::session::Session;

/// GET.
pub(super) fn show(context: &Context<'_>) -> Response<Bytes> {
    let form = "<form method=\"post\" action=\"/.tenantd/logout\"><button type=\"submit\">Sign out</button>\
                <a href=\"/\">Stay</a></form>";
    context.page(StatusCode::OK, &format!("Sign out of {}?", context.tenant), form)
}

/// POST.
pub(super) async fn leave(context: &Context<'_>) -> Response<Bytes> {
    if !context.is_same_origin() {
        return context.error(StatusCode::FORBIDDEN, "this form was sent by another site");
    }
    // Whatever else the request brings, it is the cookie that is signed out of.
    let cookie = credential::cookie(context.headers(), COOKIE).ok().flatten();
    let sealer = &context.auth.state.sealer;
    if let Some(session) = cookie.and_then(|cookie| Session::open(sealer, context.tenant, &cookie)) {
        let (state, jti, exp, now) =
            (Arc::clone(&context.auth.state), session.jti.clone(), session.expires, context.now);
        let ended = tokio::task::spawn_blocking(move || state.end_session(&jti, exp, now)).await;
        if let Ok(Err(error)) = ended {
            tracing::error!(tenant = %context.tenant, "an ended session would come back at a restart: {error}");
        }
        tracing::info!(tenant = %context.tenant, subject = session.subject, session = session.jti, "signed out");
    }
    let mut response = context.see_other("/.tenantd/login");
    set_cookie(&mut response, &Session::unset_cookie());
    response
}
