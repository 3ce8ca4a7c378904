//! What every page has, and what an odd request gets.

use base64::Engine as _;
use ring::digest::{SHA256, digest};
use token::Kind;

use super::*;
use crate::auth::Authenticator;
use crate::auth::testing::provider::Provider;
use crate::auth::testing::{claims, signer, ticket};
use crate::live::Live;

#[tokio::test]
async fn every_page_is_alone_and_is_kept_nowhere() {
    let edge = Edge::new(Vec::new());
    let mut browser = Browser::new(&edge, "acme");
    for path in [
        "/.tenantd/login",
        &format!("/.tenantd/login?ticket={}", ticket("acme")),
        "/.tenantd/login?ticket=x",
        "/.tenantd/logout",
        "/.tenantd/whoami",
        "/.tenantd/oidc?issuer=x",
        "/.tenantd/callback",
        "/.tenantd/nothing",
    ] {
        let page = browser.get(path).await;
        let header = |name: &str| page.headers()[name].to_str().unwrap();
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(header("x-frame-options"), "DENY", "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        let text = text(&page);
        for loaded in ["<script", "src=", "<link", "@import", "url(", "<img", "onload"] {
            assert!(!text.contains(loaded), "{path}: {loaded}");
        }
    }
}

#[tokio::test]
async fn the_policy_names_the_style_that_the_page_has() {
    let edge = Edge::new(Vec::new());
    let page = Browser::new(&edge, "acme").get("/.tenantd/login").await;
    let style = text(&page).split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    let hash = base64::engine::general_purpose::STANDARD.encode(digest(&SHA256, style.as_bytes()));
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains(&format!("'sha256-{hash}'")), "{policy}");
    assert!(style.contains("color-scheme:light dark"));
}

#[tokio::test]
async fn whoever_is_signed_out_is_told_how_to_get_in() {
    let fake = Provider::start().await;
    let edge = Edge::new(vec![fake.configured()]);
    let page = Browser::new(&edge, "acme").get("/.tenantd/login").await;
    assert_eq!(page.status(), StatusCode::OK);
    assert!(text(&page).contains("<a href=\"/.tenantd/oidc?issuer=corp\">Sign in with corp</a>"));
    assert!(text(&page).contains("<code>tenantctl login acme</code>"));
    // An issuer without a rule for a tenant lets nobody in there.
    assert!(!text(&Browser::new(&edge, "beta").get("/.tenantd/login").await).contains("oidc"));
}

#[tokio::test]
async fn a_browser_that_comes_from_elsewhere_is_asked_again_for_its_strict_cookie() {
    let edge = Edge::new(Vec::new());
    let mut browser = Browser::new(&edge, "acme");
    browser.post("/.tenantd/login", &format!("ticket={}", ticket("acme"))).await;
    let kept = std::mem::take(&mut browser.cookies);
    let cross = [("sec-fetch-site", "cross-site")];
    let first = browser.send(Method::GET, "/.tenantd/login", "", &cross).await;
    assert_eq!(first.status(), StatusCode::OK);
    let next = "<meta http-equiv=\"refresh\" content=\"0; url=/.tenantd/login?again=1\">";
    assert!(text(&first).contains(next), "{}", text(&first));
    // Once, whatever the browser says then.
    let without = browser.send(Method::GET, "/.tenantd/login?again=1", "", &cross).await;
    assert!(text(&without).contains("tenantctl login acme"));
    browser.cookies = kept;
    assert_eq!(location(&browser.get("/.tenantd/login?again=1").await), "/");
}

#[tokio::test]
async fn names_are_text_and_never_markup() {
    let edge = Edge::new(Vec::new());
    let mut odd = claims("acme");
    odd.sub = "\"><script>alert(1)</script>&'".to_owned();
    let ticket = signer().issue(&odd, Kind::Login).unwrap();
    let page = Browser::new(&edge, "acme").get(&format!("/.tenantd/login?ticket={ticket}")).await;
    let shown = "&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;&#39;";
    assert!(text(&page).contains(shown) && !text(&page).contains("<script"), "{}", text(&page));
}

#[tokio::test]
async fn an_error_is_html_for_people_and_json_for_the_rest_with_the_requests_number() {
    let edge = Edge::new(Vec::new());
    for (accept, html) in [("text/html,application/xml", true), ("application/json", false), ("*/*", false)] {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = "/.tenantd/whoami".parse().unwrap();
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static(accept));
        request.extensions_mut().insert(RequestId("r-<1>".to_owned()));
        let response = edge.auth.page(&tenant("acme"), request).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        if html {
            assert!(text(&response).contains("Request r-&lt;1&gt;"), "{}", text(&response));
            assert!(text(&response).contains("<p>Nobody is signed in.</p>"));
        } else {
            let value: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
            let expected = serde_json::json!({"error": "unauthorized", "message": "nobody is signed in", "request_id": "r-<1>"});
            assert_eq!(value, expected);
        }
    }
}

#[tokio::test]
async fn there_is_nothing_else_and_by_no_other_method() {
    let edge = Edge::new(Vec::new());
    let mut browser = Browser::new(&edge, "acme");
    for path in
        ["/.tenantd/", "/.tenantd/Login", "/.tenantd/login/", "/.tenantd/../login", "/.tenantd/%6cogin", "/x"]
    {
        assert_eq!(browser.get(path).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    for (method, path, allowed) in [
        (Method::PUT, "/.tenantd/login", "GET, HEAD, POST"),
        (Method::DELETE, "/.tenantd/logout", "GET, HEAD, POST"),
        (Method::POST, "/.tenantd/whoami", "GET, HEAD"),
        // Whose answer nobody looks at must not use up a code.
        (Method::HEAD, "/.tenantd/callback", "GET"),
        (Method::POST, "/.tenantd/callback", "GET"),
        (Method::HEAD, "/.tenantd/oidc", "GET"),
    ] {
        let response = browser.send(method, path, "", &[]).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(response.headers()["allow"], allowed, "{path}");
    }
}

#[tokio::test]
async fn a_form_is_a_form() {
    let edge = Edge::new(Vec::new());
    let mut browser = Browser::new(&edge, "acme");
    let body = format!("ticket={}", ticket("acme"));
    for content_type in ["text/plain", "multipart/form-data", "application/json"] {
        let headers = [("content-type", content_type), ("sec-fetch-site", "same-origin")];
        let refused = browser.send(Method::POST, "/.tenantd/login", &body, &headers).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{content_type}");
    }
    let headers = [("content-type", "application/x-www-form-urlencoded; charset=UTF-8")];
    let entered = browser.send(Method::POST, "/.tenantd/login", &body, &headers).await;
    assert_eq!(entered.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn without_files_there_is_no_page() {
    let directory = tempfile::tempdir().unwrap();
    let live = Live::start(directory.path().to_owned()).unwrap();
    let auth = Authenticator::new(live, directory.path()).unwrap();
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = "/.tenantd/login".parse().unwrap();
    let response = auth.page(&tenant("acme"), request).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "5");
}
