//! One-time links, sessions and signing out.

use model::edge::RevokedBy;
use token::{Claims, Kind};

use super::*;
use crate::auth::testing::{SESSION, access, claims, cookies, signer, ticket};
use crate::auth::{Authentication, COOKIE as SESSION_COOKIE};

const LOGIN: &str = "/.tenantd/login";

fn form(ticket: &str) -> String {
    format!("ticket={ticket}")
}

fn changed(change: impl FnOnce(&mut Claims)) -> String {
    let mut claims = claims("acme");
    change(&mut claims);
    signer().issue(&claims, Kind::Login).unwrap()
}

#[tokio::test]
async fn a_link_signs_a_browser_in() {
    let edge = Edge::new(Vec::new());
    let mut browser = Browser::new(&edge, "acme");
    let page = browser.get(&format!("{LOGIN}?ticket={}", ticket("acme"))).await;
    assert_eq!(page.status(), StatusCode::OK);
    assert!(text(&page).contains("As <b>alice</b>, who is operator here"), "{}", text(&page));
    assert!(text(&page).contains(&ticket("acme")) && browser.cookies.is_empty());
    let entered = browser.post(LOGIN, &form(&ticket("acme"))).await;
    assert_eq!((entered.status(), location(&entered)), (StatusCode::SEE_OTHER, "/"));
    let cookie = entered.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.ends_with("; Path=/; Max-Age=43200; Secure; HttpOnly; SameSite=Strict"), "{cookie}");
    let (status, who) = browser.whoami().await;
    assert_eq!(status, StatusCode::OK);
    let expected = serde_json::json!({"tenant": "acme", "subject": "alice", "role": "operator", "source": "cookie",
        "issuer": "https://agents.example", "issued": NOW, "expires": NOW + SESSION});
    assert_eq!(who, expected);
    // Who is signed in has nothing to choose.
    assert_eq!(location(&browser.get(LOGIN).await), "/");
}

#[tokio::test]
async fn looking_at_a_link_uses_nothing_up_and_using_it_does() {
    let edge = Edge::new(Vec::new());
    let address = format!("{LOGIN}?ticket={}", ticket("acme"));
    for _ in 0..3 {
        assert_eq!(Browser::new(&edge, "acme").get(&address).await.status(), StatusCode::OK);
    }
    assert_eq!(
        Browser::new(&edge, "acme").post(LOGIN, &form(&ticket("acme"))).await.status(),
        StatusCode::SEE_OTHER
    );
    let mut thief = Browser::new(&edge, "acme");
    let again = thief.post(LOGIN, &form(&ticket("acme"))).await;
    assert_eq!(again.status(), StatusCode::FORBIDDEN);
    assert!(text(&again).contains("was used before") && thief.cookies.is_empty());
    let edge = edge.restarted();
    let later = Browser::new(&edge, "acme").post(LOGIN, &form(&ticket("acme"))).await;
    assert_eq!(later.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_wrong_ticket_signs_nobody_in() {
    let edge = Edge::new(Vec::new());
    for (what, ticket) in [
        ("another tenant's", ticket("beta")),
        ("an access token", access("acme")),
        (
            "an expired one",
            changed(|claims| (claims.iat, claims.nbf, claims.exp) = (NOW - 300, NOW - 300, NOW)),
        ),
        ("one of later", changed(|claims| (claims.iat, claims.exp) = (NOW + 31, NOW + 60))),
        ("one of another issuer", changed(|claims| claims.iss = "https://other.example".to_owned())),
        ("none", String::new()),
        ("nonsense", "a.b.c".to_owned()),
    ] {
        let mut browser = Browser::new(&edge, "acme");
        let page = browser.get(&format!("{LOGIN}?ticket={ticket}")).await;
        assert_eq!(page.status(), StatusCode::FORBIDDEN, "{what}");
        assert_eq!(browser.post(LOGIN, &form(&ticket)).await.status(), StatusCode::FORBIDDEN, "{what}");
        assert!(browser.cookies.is_empty(), "{what}");
    }
    assert_eq!(Browser::new(&edge, "acme").post(LOGIN, "").await.status(), StatusCode::BAD_REQUEST);
    let twice = format!("{0}&{0}", form(&ticket("acme")));
    assert_eq!(Browser::new(&edge, "acme").post(LOGIN, &twice).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_revoked_ticket_signs_nobody_in() {
    for (by, value) in [
        (RevokedBy::Jti, "0123456789abcdef0123456789abcdef"),
        (RevokedBy::Subject, "alice"),
        (RevokedBy::Tenant, "acme"),
    ] {
        let edge = Edge::new(Vec::new());
        edge.revoke(by, value, NOW);
        let refused = Browser::new(&edge, "acme").post(LOGIN, &form(&ticket("acme"))).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{by:?}");
    }
}

#[tokio::test]
async fn a_session_dies_with_the_ticket_that_it_came_from() {
    let edge = Edge::new(Vec::new());
    let mut browser = Browser::new(&edge, "acme");
    browser.post(LOGIN, &form(&ticket("acme"))).await;
    assert_eq!(browser.whoami().await.0, StatusCode::OK);
    edge.revoke(RevokedBy::Jti, "0123456789abcdef0123456789abcdef", NOW);
    assert_eq!(browser.whoami().await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn another_site_can_neither_sign_in_nor_out() {
    let edge = Edge::new(Vec::new());
    let foreign: [&[(&str, &str)]; 8] = [
        &[("origin", "https://evil.example")],
        &[("origin", "https://beta.agents.example"), ("sec-fetch-site", "same-site")],
        &[("origin", "https://acme.agents.example"), ("sec-fetch-site", "cross-site")],
        &[("origin", "http://acme.agents.example")],
        &[("origin", "https://acme.agents.example.evil.example")],
        &[("origin", "null")],
        &[("origin", "null"), ("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "cross-site")],
    ];
    let mut browser = Browser::new(&edge, "acme");
    for headers in foreign {
        let refused = browser.send(Method::POST, LOGIN, &form(&ticket("acme")), headers).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{headers:?}");
        assert!(browser.cookies.is_empty());
    }
    // None of that used the ticket up.
    let own = [("origin", "https://acme.agents.example"), ("sec-fetch-site", "same-origin")];
    let entered = browser.send(Method::POST, LOGIN, &form(&ticket("acme")), &own).await;
    assert_eq!(entered.status(), StatusCode::SEE_OTHER);
    for headers in foreign {
        let refused = browser.send(Method::POST, "/.tenantd/logout", "", headers).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{headers:?}");
    }
    assert_eq!(browser.whoami().await.0, StatusCode::OK);
}

#[tokio::test]
async fn an_older_browser_says_only_its_origin_and_curl_nothing() {
    for headers in [&[("origin", "https://acme.agents.example")][..], &[]] {
        let edge = Edge::new(Vec::new());
        let entered =
            Browser::new(&edge, "acme").send(Method::POST, LOGIN, &form(&ticket("acme")), headers).await;
        assert_eq!(entered.status(), StatusCode::SEE_OTHER, "{headers:?}");
    }
}

#[tokio::test]
async fn signing_out_ends_the_session_itself() {
    let edge = Edge::new(Vec::new());
    let mut browser = Browser::new(&edge, "acme");
    browser.post(LOGIN, &form(&ticket("acme"))).await;
    let copied = cookies(&format!("{SESSION_COOKIE}={}", browser.cookies[SESSION_COOKIE]));
    let identity = edge.known("acme", &copied, NOW);
    assert!(
        text(&browser.get("/.tenantd/logout").await).contains("<button type=\"submit\">Sign out</button>")
    );
    assert!(edge.auth.is_alive(&identity, NOW));
    let left = browser.post("/.tenantd/logout", "").await;
    assert_eq!((left.status(), location(&left)), (StatusCode::SEE_OTHER, LOGIN));
    assert!(browser.cookies.is_empty());
    assert!(!edge.auth.is_alive(&identity, NOW));
    assert_eq!(edge.ask("acme", &copied, NOW), Authentication::Refused("signed out"));
    let edge = edge.restarted();
    assert_eq!(edge.ask("acme", &copied, NOW), Authentication::Refused("signed out"));
    // Without a session there is nothing to end.
    assert_eq!(
        Browser::new(&edge, "acme").post("/.tenantd/logout", "").await.status(),
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn a_stolen_cookie_opens_nothing_at_another_tenant() {
    let edge = Edge::new(Vec::new());
    let mut browser = Browser::new(&edge, "acme");
    browser.post(LOGIN, &form(&ticket("acme"))).await;
    let mut thief = Browser::new(&edge, "beta");
    thief.cookies = browser.cookies.clone();
    assert_eq!(thief.whoami().await.0, StatusCode::UNAUTHORIZED);
    // Nor can it be signed out of from there.
    thief.post("/.tenantd/logout", "").await;
    assert_eq!(browser.whoami().await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_disk_that_takes_nothing_signs_nobody_in() {
    let edge = Edge::new(Vec::new());
    std::fs::remove_dir(edge.directory.path().join("used")).unwrap();
    let mut browser = Browser::new(&edge, "acme");
    let broken = browser.post(LOGIN, &form(&ticket("acme"))).await;
    assert_eq!(broken.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(browser.cookies.is_empty() && !text(&broken).contains("used/"));
}
