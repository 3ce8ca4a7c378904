//! Answers of the route itself, in the shape that each API gives its errors.

use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderName, Response, StatusCode};
use model::egress::Api;
use serde_json::{Value, json};

use crate::body::{Body, full};

/// Why a request is not answered by a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// A word for programs.
    pub(super) code: &'static str,
    /// A sentence for people: object, cause, remedy.
    pub(super) message: String,
    /// Seconds after which it may go.
    pub(super) retry_after: Option<u64>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    pub(super) fn wrong(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    pub(super) fn response(&self, api: Api) -> Response<Body> {
        let mut response = json_response(self.status, &self.document(api));
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            if seconds > 60 {
                // Both vendors' clients try again by themselves unless they are told not to.
                let again = HeaderName::from_static("x-should-retry");
                response.headers_mut().insert(again, HeaderValue::from_static("false"));
            }
        }
        response
    }

    fn document(&self, api: Api) -> Value {
        let kind = match (api, self.status) {
            (_, StatusCode::BAD_REQUEST) => "invalid_request_error",
            (Api::Openai, StatusCode::TOO_MANY_REQUESTS) => "insufficient_quota",
            (Api::Anthropic, StatusCode::TOO_MANY_REQUESTS) => "rate_limit_error",
            (Api::Openai, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::PAYLOAD_TOO_LARGE) => {
                "invalid_request_error"
            }
            (Api::Anthropic, StatusCode::NOT_FOUND) => "not_found_error",
            (Api::Anthropic, StatusCode::FORBIDDEN) => "permission_error",
            (Api::Anthropic, StatusCode::PAYLOAD_TOO_LARGE) => "request_too_large",
            (Api::Openai, _) => "server_error",
            (Api::Anthropic, _) => "api_error",
        };
        match api {
            Api::Openai => {
                json!({ "error": { "message": self.message, "type": kind, "param": null, "code": self.code } })
            }
            Api::Anthropic => json!({ "type": "error", "error": { "type": kind, "message": self.message } }),
        }
    }

    /// As the last event of a stream. The empty lines end whatever event was cut.
    pub(super) fn event(&self, api: Api, responses: bool) -> String {
        let document = if responses {
            json!({ "type": "error", "code": self.code, "message": self.message, "param": null })
        } else {
            self.document(api)
        };
        let name = if responses || api == Api::Anthropic { "event: error\n" } else { "" };
        format!("\n\n{name}data: {document}\n\n")
    }
}

pub(super) fn json_response(status: StatusCode, document: &Value) -> Response<Body> {
    let mut response = Response::new(full(document.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
