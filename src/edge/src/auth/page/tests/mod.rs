//! The pages as a browser sees them.

mod links;
mod oidc;
mod pages;

use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, HeaderName, HeaderValue, LOCATION};
use http::{Method, Request, Response, StatusCode};

use super::*;
use crate::auth::testing::{Edge, NOW, tenant};

/// A browser at the origin of one tenant: it keeps the edge's cookies, and says where its requests come from.
struct Browser<'a> {
    edge: &'a Edge,
    at: &'static str,
    cookies: std::collections::BTreeMap<String, String>,
    now: i64,
}

impl<'a> Browser<'a> {
    fn new(edge: &'a Edge, at: &'static str) -> Self {
        Self { edge, at, cookies: std::collections::BTreeMap::new(), now: NOW }
    }

    async fn get(&mut self, path: &str) -> Response<Bytes> {
        self.send(Method::GET, path, "", &[("sec-fetch-site", "same-origin")]).await
    }

    /// A click on a button of a page of ours, which has no referrer.
    async fn post(&mut self, path: &str, form: &str) -> Response<Bytes> {
        self.send(Method::POST, path, form, &[("origin", "null"), ("sec-fetch-site", "same-origin")]).await
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        form: &str,
        headers: &[(&str, &str)],
    ) -> Response<Bytes> {
        let mut request = Request::new(Bytes::from(form.to_owned()));
        *request.method_mut() = method.clone();
        *request.uri_mut() = path.parse().unwrap();
        let map = request.headers_mut();
        map.insert("host", format!("{}.agents.example", self.at).parse().unwrap());
        map.insert(ACCEPT, HeaderValue::from_static("text/html,*/*;q=0.8"));
        if method == Method::POST {
            map.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        }
        if !self.cookies.is_empty() {
            let all: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            map.insert(COOKIE, all.join("; ").parse().unwrap());
        }
        for (name, value) in headers {
            map.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let response = self.edge.auth.page_at(&tenant(self.at), request, self.now).await;
        for cookie in response.headers().get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            assert!(
                cookie.contains("; Path=/;") && cookie.contains("; Secure; HttpOnly; SameSite="),
                "{cookie}"
            );
            let (pair, _) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        response
    }

    /// Status and JSON of whoami.
    async fn whoami(&mut self) -> (StatusCode, serde_json::Value) {
        let response =
            self.send(Method::GET, "/.tenantd/whoami", "", &[("accept", "application/json")]).await;
        (response.status(), serde_json::from_slice(response.body()).unwrap())
    }
}

fn text(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).unwrap()
}

fn location(response: &Response<Bytes>) -> &str {
    response.headers()[LOCATION].to_str().unwrap()
}
