//! Whether a page of somebody else is behind a request.
//!
//! Tenants are at names of one site, so `SameSite` does not keep the page of one from sending the session cookie of another: `Origin`
//! and `Sec-Fetch-Site` do.

use http::header::ORIGIN;
use http::{Method, Request};

/// Compares what the browser says with the origin that it should have come from.
///
/// # Errors
///
/// Why it is refused.
pub fn check<B>(request: &Request<B>, own: &str, cookie: bool, websocket: bool) -> Result<(), &'static str> {
    let headers = request.headers();
    let mut origins = headers.get_all(ORIGIN).iter();
    let origin = origins.next();
    if origins.next().is_some()
        || origin.is_some_and(|origin| !origin.as_bytes().eq_ignore_ascii_case(own.as_bytes()))
    {
        return Err("the request comes from a page of another origin");
    }
    if !cookie {
        return Ok(());
    }
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if origin.is_none() && (websocket || !safe) {
        return Err("the request does not say from which page it comes");
    }
    let said = |name: &str| headers.get(name).map(http::HeaderValue::as_bytes);
    match said("sec-fetch-site") {
        None | Some(b"same-origin" | b"none") => Ok(()),
        // Following a link.
        Some(_)
            if said("sec-fetch-mode") == Some(b"navigate")
                && said("sec-fetch-dest") == Some(b"document")
                && *request.method() == Method::GET =>
        {
            Ok(())
        }
        Some(_) => Err("the request comes from a page of another origin"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &str, cookie: bool, websocket: bool, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap(), "https://acme.example.org", cookie, websocket).is_ok()
    }

    #[test]
    fn a_cookie_counts_only_from_ones_own_pages() {
        let (own, other) = (("origin", "https://acme.example.org"), ("origin", "https://beta.example.org"));
        assert!(of("POST", true, false, &[own]) && of("GET", true, true, &[own]));
        assert!(!of("POST", true, false, &[other]) && !of("GET", true, true, &[other]));
        assert!(!of("POST", true, false, &[]) && !of("GET", true, true, &[]));
        assert!(!of("POST", true, false, &[("origin", "null")]) && !of("POST", true, false, &[own, other]));
        assert!(of("GET", true, false, &[]));
        assert!(!of(
            "GET",
            true,
            false,
            &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")]
        ));
        assert!(!of(
            "GET",
            true,
            false,
            &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")]
        ));
        assert!(of(
            "GET",
            true,
            false,
            &[
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document")
            ]
        ));
        assert!(of("GET", true, false, &[("sec-fetch-site", "same-origin")]));
    }

    #[test]
    fn a_token_needs_no_origin_and_a_foreign_one_is_refused_all_the_same() {
        assert!(of("POST", false, false, &[]) && of("GET", false, true, &[]));
        assert!(!of("POST", false, false, &[("origin", "https://beta.example.org")]));
        assert!(!of("GET", false, true, &[("origin", "http://acme.example.org")]));
    }
}
