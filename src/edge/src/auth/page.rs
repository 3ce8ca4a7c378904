//! Everything below `/.tenantd/` of a tenant's origin: signing in and out, and who one is.
//!
//! Nothing here is ever relayed. No page needs a script, none loads anything from elsewhere, none may be framed or cached.

mod callback;
mod context;
mod form;
mod html;
mod login;
mod logout;
mod oidc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use model::TenantId;

use super::{Authentication, Authenticator};
use context::Context;

/// Name of the cookie that holds a login at an external issuer while it is under way.
pub const LOGIN_COOKIE: &str = "__Host-tenantd-oidc";

/// The request's number in the journal, put into its extensions, for error pages to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub String);

impl Authenticator {
    /// Answers a request for anything below `/.tenantd/` at the origin of `tenant`. Its body is already whole, and bounded.
    pub async fn page(&self, tenant: &TenantId, request: Request<Bytes>) -> Response<Bytes> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        self.page_at(tenant, request, i64::try_from(now.as_secs()).unwrap_or(i64::MAX)).await
    }

    pub(super) async fn page_at(
        &self,
        tenant: &TenantId,
        request: Request<Bytes>,
        now: i64,
    ) -> Response<Bytes> {
        let Some(files) = self.live.now() else {
            return context::unavailable(&request);
        };
        let context = Context { auth: self, files: &files, tenant, request: &request, now };
        // HEAD gets what GET does, but where a GET has effects.
        let only_get = *request.method() == Method::GET;
        let get = only_get || *request.method() == Method::HEAD;
        let post = *request.method() == Method::POST;
        match request.uri().path().strip_prefix("/.tenantd/") {
            Some("login") if get => login::show(&context),
            Some("login") if post => login::enter(&context).await,
            Some("logout") if get => logout::show(&context),
            Some("logout") if post => logout::leave(&context).await,
            Some("oidc") if only_get => oidc::start(&context).await,
            Some("callback") if only_get => callback::finish(&context).await,
            Some("whoami") if get => whoami(&context),
            Some("login" | "logout") => context.method_not_allowed("GET, HEAD, POST"),
            Some("oidc" | "callback") => context.method_not_allowed("GET"),
            Some("whoami") => context.method_not_allowed("GET, HEAD"),
            Some(_) | None => context.error(StatusCode::NOT_FOUND, "there is nothing at this address"),
        }
    }
}

fn whoami(context: &Context<'_>) -> Response<Bytes> {
    match context.authenticate() {
        Authentication::Known(identity) => context.json(
            StatusCode::OK,
            &serde_json::json!({
                "tenant": identity.tenant,
                "subject": identity.subject,
                "role": identity.role,
                "source": identity.source.name(),
                "issuer": identity.issuer.iss(),
                "issued": identity.issued,
                "expires": identity.expires,
            }),
        ),
        Authentication::Absent => context.error(StatusCode::UNAUTHORIZED, "nobody is signed in"),
        Authentication::Refused(reason) => {
            tracing::info!(tenant = %context.tenant, "whoami refused: {reason}");
            context.error(StatusCode::UNAUTHORIZED, "the credential is not valid")
        }
    }
}

#[cfg(test)]
mod tests;
