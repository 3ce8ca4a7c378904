//! The path scheme, for hosts that have a single name: programs reach a tenant at `https://<domain>/t/<id>/`.
//!
//! For browsers, tenants at one name are one origin: a page of one could act as its reader at all the others. So nothing that a browser
//! sends is taken here, no cookie counts, and none is set. Who is asked for is told by the path; who asks, by the token alone, as ever.

use http::header::{COOKIE, HOST, HeaderName, HeaderValue, ORIGIN, SET_COOKIE};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, Request, StatusCode};
use hyper::body::Incoming;
use model::TenantId;

use crate::answer::Failure;
use crate::relay::{RESERVED, Visit};

const PREFIX: &str = "/t/";
/// Every browser sends it with everything, and programs do not.
const SENT_BY_BROWSERS: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The tenant that a request to the domain itself names by its path, and the request as it would be at the tenant's own name. Nothing, if
/// this scheme is off or the path is none of it.
///
/// # Errors
///
/// If a browser asks, or there can be no such tenant.
pub fn tenant(visit: &mut Visit, request: &mut Request<Incoming>) -> Result<Option<TenantId>, Failure> {
    if !visit.file().paths || !request.uri().path().starts_with(PREFIX) {
        return Ok(None);
    }
    if visit.html || is_browser(request.headers()) {
        return Err(Failure::new(
            StatusCode::FORBIDDEN,
            "browsers are served at an agent's own name only, not below this path",
        ));
    }
    let nobody = Failure::new(StatusCode::NOT_FOUND, "there is no such agent");
    let (id, rest) = split(request.uri()).ok_or(nobody)?;
    if rest.path().starts_with(RESERVED) {
        return Err(Failure::new(
            StatusCode::NOT_FOUND,
            "the edge's own pages are at an agent's own name only",
        ));
    }
    visit.name = format!("{id}.{}", visit.file().domain);
    let name = HeaderValue::from_str(&visit.name).map_err(|_| nobody)?;
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.path_and_query = Some(rest);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| nobody)?;
    request.headers_mut().insert(HOST, name);
    request.headers_mut().remove(COOKIE);
    visit.by_path = true;
    Ok(Some(id))
}

/// The head of an answer, if it was asked for by a path: without cookies, which would be every tenant's.
pub fn toward_client(headers: &mut HeaderMap) {
    headers.remove(SET_COOKIE);
}

fn is_browser(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN) || headers.contains_key(SENT_BY_BROWSERS)
}

/// The tenant, and what comes after its name.
fn split(uri: &Uri) -> Option<(TenantId, PathAndQuery)> {
    let path = uri.path().strip_prefix(PREFIX)?;
    let (id, rest) = path.find('/').map_or((path, "/"), |at| path.split_at(at));
    let id = TenantId::parse(id).ok()?;
    let rest = match uri.query() {
        Some(query) => format!("{rest}?{query}"),
        None => rest.to_owned(),
    };
    Some((id, PathAndQuery::try_from(rest).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_of_a_path_is_a_tenant_and_the_rest_its_own_path() {
        let of = |uri: &str| {
            split(&uri.parse().unwrap()).map(|(id, rest)| (id.as_str().to_owned(), rest.to_string()))
        };
        for (uri, rest) in [
            ("/t/acme", "/"),
            ("/t/acme/", "/"),
            ("/t/acme?a=b", "/?a=b"),
            ("/t/acme/v1/x?a=/t/beta/", "/v1/x?a=/t/beta/"),
            ("/t/acme/../beta/", "/../beta/"),
            ("/t/acme//beta", "//beta"),
            ("https://agents.example.org/t/acme/x", "/x"),
        ] {
            assert_eq!(of(uri), Some(("acme".to_owned(), rest.to_owned())), "{uri}");
        }
        for uri in ["/t/", "/t//acme/", "/t/%61cme/", "/t/ACME/", "/t/acme;x/", "/t/a%2Fb", "/t/../acme/"] {
            assert_eq!(of(uri), None, "{uri}");
        }
    }
}
