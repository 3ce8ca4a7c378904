//! The pages' frame: one style, which their policy names by its hash, and nothing else.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

const STYLE: &str = ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:12vh auto;\
padding:0 1.5rem}h1{font-size:1.4rem}a,button{display:inline-block;font:inherit;color:inherit;background:none;\
border:1px solid;border-radius:.4rem;padding:.5rem 1rem;margin:.3rem .5rem .3rem 0;text-decoration:none;cursor:pointer}\
code{font-family:ui-monospace,monospace}small{opacity:.75}";

/// A whole page. `body` is HTML; `title` is text. It goes on to the address `onward` by itself, if there is one.
pub(super) fn document(title: &str, body: &str, onward: Option<&str>) -> String {
    let title = escape(title);
    let onward = onward.map_or(String::new(), |to| {
        format!("<meta http-equiv=\"refresh\" content=\"0; url={}\">", escape(to))
    });
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">{onward}\
         <title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>\n{body}\n</body></html>\n"
    )
}

/// A page that says what went wrong. All is text.
pub(super) fn error(title: &str, message: &str, request_id: &str) -> String {
    let id = match request_id {
        "" => String::new(),
        id => format!("<p><small>Request {}</small></p>", escape(id)),
    };
    let body =
        format!("<p>{}.</p>{id}<p><a href=\"/.tenantd/login\">Sign in</a></p>", escape(&sentence(message)));
    document(title, &body, None)
}

/// The Content-Security-Policy of every page.
pub(super) fn policy() -> &'static str {
    static POLICY: OnceLock<String> = OnceLock::new();
    POLICY.get_or_init(|| {
        let hash = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
        format!(
            "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        )
    })
}

/// `text` as it may stand in HTML, in attributes too.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    first + characters.as_str()
}
