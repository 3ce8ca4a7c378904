//! What the edge itself answers: short, with the request's number; details are in the journal.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Method, Response, StatusCode};

use crate::body::Body;

/// A refusal, or a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The status.
    pub status: StatusCode,
    /// What the client reads.
    pub message: &'static str,
    /// What the journal says, if that is another thing.
    pub why: &'static str,
    /// When to try again.
    pub retry: Option<Duration>,
    /// Whether the connection ends with it.
    pub close: bool,
}

impl Failure {
    /// With this status and sentence.
    #[must_use]
    pub const fn new(status: StatusCode, message: &'static str) -> Self {
        Self { status, message, why: message, retry: None, close: false }
    }

    /// What the journal says.
    #[must_use]
    pub const fn because(mut self, why: &'static str) -> Self {
        self.why = why;
        self
    }

    /// When to try again.
    #[must_use]
    pub const fn again_in(mut self, wait: Duration) -> Self {
        self.retry = Some(wait);
        self
    }

    /// The word for it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.status.as_u16() {
            400 => "bad_request",
            401 => "unauthorized",
            403 => "forbidden",
            404 => "not_found",
            408 => "timeout",
            413 => "too_large",
            414 => "uri_too_long",
            421 => "misdirected",
            426 => "upgrade_required",
            429 => "too_many",
            431 => "headers_too_large",
            502 => "bad_gateway",
            503 if self.message == STOPPED => "stopped",
            503 => "unavailable",
            504 => "gateway_timeout",
            _ => "error",
        }
    }
}

/// The sentence for a tenant that its administrator stopped.
pub const STOPPED: &str = "the administrator of this tenant has stopped it";

/// Whether a browser is going to show the answer to somebody.
#[must_use]
pub fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    let accepts = headers.get(http::header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    *method == Method::GET && accepts.split(',').any(|kind| kind.trim_start().starts_with("text/html"))
}

/// A failure, for people or for programs.
#[must_use]
pub fn failure(failure: &Failure, id: &str, html: bool) -> Response<Body> {
    let body = if html {
        let title =
            format!("{} {}", failure.status.as_u16(), failure.status.canonical_reason().unwrap_or("Error"));
        page(&title, failure.message, id, None)
    } else {
        let json = serde_json::json!({"error": failure.code(), "message": failure.message, "request_id": id});
        json.to_string()
    };
    let mut response = ours(failure.status, body, html);
    let headers = response.headers_mut();
    if failure.status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(wait) = failure.retry {
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    if failure.close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The page that waits for a tenant to wake up.
#[must_use]
pub fn waiting(id: &str) -> Response<Body> {
    let body =
        page("Starting", "This agent was asleep and is waking up. The page opens by itself.", id, Some(2));
    let mut response = ours(StatusCode::SERVICE_UNAVAILABLE, body, true);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

/// The edge's own domain.
#[must_use]
pub fn domain(id: &str) -> Response<Body> {
    let text = "Agents are at their own names here. Ask your administrator for the address of yours.";
    ours(StatusCode::OK, page("tenantd", text, id, None), true)
}

/// Somewhere else.
#[must_use]
pub fn redirect(status: StatusCode, to: &str) -> Response<Body> {
    let mut response = ours(status, String::new(), false);
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(LOCATION, to);
    }
    response
}

/// To a certificate authority's challenge (RFC 8555, 8.3).
#[must_use]
pub fn challenge(text: String) -> Response<Body> {
    let mut response = ours(StatusCode::OK, text, false);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response
}

fn ours(status: StatusCode, body: String, html: bool) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from(body)));
    *response.status_mut() = status;
    let kind = if html { "text/html; charset=utf-8" } else { "application/json" };
    for (name, value) in [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (HeaderName::from_static("referrer-policy"), "no-referrer"),
        (
            HeaderName::from_static("content-security-policy"),
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
        ),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Every text in it is ours: nothing of a request is shown.
fn page(title: &str, text: &str, id: &str, refresh: Option<u32>) -> String {
    let refresh =
        refresh.map_or(String::new(), |wait| format!("<meta http-equiv=\"refresh\" content=\"{wait}\">"));
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">{refresh}\
         <title>{title}</title><style>body{{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:20vh auto;padding:0 1rem;color-scheme:light dark}}\
         small{{opacity:.6}}</style></head><body><h1>{title}</h1><p>{text}</p><p><small>{id}</small></p></body></html>\n"
    )
}
