//! A request for a page, and the ways to answer it.

use bytes::Bytes;
use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION,
    ORIGIN, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, Request, Response, StatusCode};
use model::TenantId;
use serde_json::{Value, json};

use super::{RequestId, html};
use crate::auth::{Authentication, Authenticator};
use crate::live::Files;

pub(super) struct Context<'a> {
    pub(super) auth: &'a Authenticator,
    pub(super) files: &'a Files,
    pub(super) tenant: &'a TenantId,
    pub(super) request: &'a Request<Bytes>,
    pub(super) now: i64,
}

impl Context<'_> {
    pub(super) fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    pub(super) fn authenticate(&self) -> Authentication {
        self.auth.authenticate(self.tenant, self.request.headers(), self.now)
    }

    /// The tenant's origin as people see it.
    pub(super) fn origin(&self) -> String {
        let origin = token::audience(self.tenant, &self.files.edge.domain);
        match self.files.edge.public_port {
            443 => origin,
            port => format!("{origin}:{port}"),
        }
    }

    /// Whether a page of this very origin sent the request, as far as its browser says. What is no browser says nothing, and
    /// has no cookies that another page could use. `Origin: null` is what a browser says for a form of a page without
    /// referrer (Fetch, "append a request Origin header"); then it has to say `Sec-Fetch-Site: same-origin`.
    pub(super) fn is_same_origin(&self) -> bool {
        let site = single(self.headers(), "sec-fetch-site");
        let same_site = matches!(site, Ok(None | Some("same-origin" | "none")));
        let said = matches!(site, Ok(Some("same-origin")));
        match single(self.headers(), ORIGIN.as_str()) {
            Ok(None) => same_site,
            Ok(Some("null")) => said,
            Ok(Some(origin)) => same_site && self.is_own(origin),
            Err(()) => false,
        }
    }

    fn is_own(&self, origin: &str) -> bool {
        let host = self.request.uri().authority().map(|authority| authority.as_str().to_owned());
        let host = host.or_else(|| single(self.headers(), "host").ok().flatten().map(str::to_owned));
        let host = host.map(|host| format!("https://{}", host.strip_suffix(":443").unwrap_or(&host)));
        host.is_some_and(|host| host.eq_ignore_ascii_case(origin)) || origin == self.origin()
    }

    pub(super) fn page(&self, status: StatusCode, title: &str, body: &str) -> Response<Bytes> {
        answer(status, "text/html; charset=utf-8", html::document(title, body, None))
    }

    /// A page that goes on to `to` by itself. The navigation is the page's own, so cookies for the same site go with it.
    pub(super) fn onward(&self, title: &str, body: &str, to: &str) -> Response<Bytes> {
        answer(StatusCode::OK, "text/html; charset=utf-8", html::document(title, body, Some(to)))
    }

    pub(super) fn json(&self, status: StatusCode, value: &Value) -> Response<Bytes> {
        answer(status, "application/json", value.to_string())
    }

    pub(super) fn see_other(&self, to: &str) -> Response<Bytes> {
        let mut response = answer(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", String::new());
        set(&mut response, LOCATION, to);
        response
    }

    pub(super) fn error(&self, status: StatusCode, message: &str) -> Response<Bytes> {
        error(self.request, status, message)
    }

    pub(super) fn method_not_allowed(&self, allowed: &'static str) -> Response<Bytes> {
        let mut response = self.error(StatusCode::METHOD_NOT_ALLOWED, "this address takes other methods");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        response
    }
}

/// With nothing in force, nobody can be known.
pub(super) fn unavailable(request: &Request<Bytes>) -> Response<Bytes> {
    error(request, StatusCode::SERVICE_UNAVAILABLE, "the edge is not ready")
}

/// Adds a cookie.
pub(super) fn set_cookie(response: &mut Response<Bytes>, cookie: &str) {
    if let Ok(mut value) = HeaderValue::from_str(cookie) {
        value.set_sensitive(true);
        response.headers_mut().append(SET_COOKIE, value);
    }
}

/// The one value of a header; an error if there are several, or it is not ASCII.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ()> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().map(HeaderValue::to_str).transpose().map_err(|_| ())?;
    if values.next().is_some() { Err(()) } else { Ok(value) }
}

fn error(request: &Request<Bytes>, status: StatusCode, message: &str) -> Response<Bytes> {
    let id = request.extensions().get::<RequestId>().map_or("", |id| id.0.as_str());
    let for_people = single(request.headers(), ACCEPT.as_str());
    let mut response = if matches!(for_people, Ok(Some(accept)) if accept.contains("text/html")) {
        let title = status.canonical_reason().unwrap_or("Error");
        answer(status, "text/html; charset=utf-8", html::error(title, message, id))
    } else {
        let body = json!({"error": code(status), "message": message, "request_id": id});
        answer(status, "application/json", body.to_string())
    };
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

fn code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not_found",
        405 => "method_not_allowed",
        502 => "bad_gateway",
        503 => "unavailable",
        500 => "internal",
        _ => "bad_request",
    }
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(CROSS_ORIGIN_OPENER, HeaderValue::from_static("same-origin"));
    set(&mut response, CONTENT_SECURITY_POLICY, html::policy());
    response
}

/// So that whoever opened a sign-in page as a pop-up holds no window of it.
const CROSS_ORIGIN_OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

fn set(response: &mut Response<Bytes>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
