//! Logins at an external issuer, which is a program of these tests.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::auth::COOKIE as SESSION_COOKIE;
use crate::auth::testing::SESSION;
use crate::auth::testing::provider::Provider;

const BACK: [(&str, &str); 1] = [("sec-fetch-site", "cross-site")];

/// Follows the link to the issuer, which remembers what a real one would; gives the fields of the request.
async fn leave(browser: &mut Browser<'_>, fake: &Provider) -> HashMap<String, String> {
    let away = browser.get("/.tenantd/oidc?issuer=corp").await;
    assert_eq!(away.status(), StatusCode::SEE_OTHER, "{}", text(&away));
    let (address, query) = location(&away).split_once('?').unwrap();
    assert_eq!(address, format!("{}/authorize", fake.issuer));
    let fields: HashMap<_, _> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    fake.with(|state| {
        state.nonce = fields["nonce"].clone();
        state.challenge = fields["code_challenge"].clone();
    });
    fields
}

async fn come_back(browser: &mut Browser<'_>, query: &str) -> Response<Bytes> {
    browser.send(Method::GET, &format!("/.tenantd/callback?{query}"), "", &BACK).await
}

/// A whole login; `change` makes the issuer differ.
async fn login(configured: model::edge::Issuer, fake: &Provider) -> (StatusCode, bool) {
    let edge = Edge::new(vec![configured]);
    let mut browser = Browser::new(&edge, "acme");
    let fields = leave(&mut browser, fake).await;
    let page = come_back(&mut browser, &format!("code=c0de&state={}", fields["state"])).await;
    assert!(!browser.cookies.contains_key(LOGIN_COOKIE));
    (page.status(), browser.cookies.contains_key(SESSION_COOKIE))
}

#[tokio::test]
async fn an_issuers_user_signs_in() {
    let fake = Provider::start().await;
    let edge = Edge::new(vec![fake.configured()]);
    let mut browser = Browser::new(&edge, "acme");
    let fields = leave(&mut browser, &fake).await;
    assert_eq!((fields["response_type"].as_str(), fields["client_id"].as_str()), ("code", "edge"));
    assert_eq!(fields["redirect_uri"], "https://acme.agents.example/.tenantd/callback");
    assert_eq!(
        (fields["scope"].as_str(), fields["code_challenge_method"].as_str()),
        ("openid profile email", "S256")
    );
    let page = come_back(&mut browser, &format!("code=c0de&state={}", fields["state"])).await;
    // A page of its own, from which the browser goes on with its strict cookie.
    assert_eq!(page.status(), StatusCode::OK, "{}", text(&page));
    assert!(text(&page).contains("<meta http-equiv=\"refresh\" content=\"0; url=/\">"));
    assert!(!browser.cookies.contains_key(LOGIN_COOKIE));
    let (status, who) = browser.whoami().await;
    assert_eq!(status, StatusCode::OK);
    let expected = json!({"tenant": "acme", "subject": "corp:u1", "role": "operator", "source": "cookie",
        "issuer": fake.issuer, "issued": NOW, "expires": NOW + SESSION});
    assert_eq!(who, expected);
    // Taken out of the configuration, it is over.
    edge.change(|files| files.edge.issuers.clear());
    assert_eq!(browser.whoami().await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_login_cookie_is_lax_short_and_for_one_tenant() {
    let fake = Provider::start().await;
    let edge = Edge::new(vec![fake.configured()]);
    let mut browser = Browser::new(&edge, "acme");
    let away = browser.get("/.tenantd/oidc?issuer=corp").await;
    let cookie = away.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.ends_with("; Path=/; Max-Age=600; Secure; HttpOnly; SameSite=Lax"), "{cookie}");
    let fields = leave(&mut browser, &fake).await;
    let mut other = Browser::new(&edge, "beta");
    other.cookies = browser.cookies.clone();
    let refused = come_back(&mut other, &format!("code=c0de&state={}", fields["state"])).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    browser.now = NOW + 600;
    let late = come_back(&mut browser, &format!("code=c0de&state={}", fields["state"])).await;
    assert_eq!(late.status(), StatusCode::FORBIDDEN);
    assert_eq!(fake.asked_for("/token"), 0);
}

#[tokio::test]
async fn an_answer_to_another_login_is_refused() {
    let fake = Provider::start().await;
    let edge = Edge::new(vec![fake.configured()]);
    let mut browser = Browser::new(&edge, "acme");
    // Nobody started one here: the attacker's code, put under a victim's browser.
    assert_eq!(come_back(&mut browser, "code=c0de&state=x").await.status(), StatusCode::FORBIDDEN);
    for query in ["code=c0de&state=x", "code=c0de", "code=c0de&state=", "", "state={}&state={}&code=c0de"] {
        let fields = leave(&mut browser, &fake).await;
        let refused = come_back(&mut browser, &query.replace("{}", &fields["state"])).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{query}");
        assert!(browser.cookies.is_empty(), "{query}");
        // And that login is over.
        let again = come_back(&mut browser, &format!("code=c0de&state={}", fields["state"])).await;
        assert_eq!(again.status(), StatusCode::FORBIDDEN, "{query}");
    }
    assert_eq!(fake.asked_for("/token"), 0);
}

#[tokio::test]
async fn an_issuers_error_is_told_to_nobody_but_the_journal() {
    let fake = Provider::start().await;
    let edge = Edge::new(vec![fake.configured()]);
    let mut browser = Browser::new(&edge, "acme");
    let fields = leave(&mut browser, &fake).await;
    let state = &fields["state"];
    let page =
        come_back(&mut browser, &format!("error=access_denied&error_description=%3Cb%3Ex&state={state}"))
            .await;
    assert_eq!(page.status(), StatusCode::FORBIDDEN);
    assert!(!text(&page).contains("access_denied") && !text(&page).contains("<b>"));
}

#[tokio::test]
async fn an_id_token_that_is_not_for_this_login_signs_nobody_in() {
    let fake = Provider::start().await;
    for claims in [
        json!({"nonce": "another"}),
        json!({"nonce": null}),
        json!({"aud": "another"}),
        json!({"aud": ["edge", "another"]}),
        json!({"iss": "https://other.example"}),
        json!({"exp": NOW}),
        json!({"iat": NOW + 60}),
        json!({"sub": null}),
        json!({"groups": ["staff"]}),
        json!({"groups": null, "email": "alice@corp.example"}),
        json!({"groups": null, "email": "alice@corp.example", "email_verified": false}),
    ] {
        fake.with(|state| state.claims = claims.clone());
        assert_eq!(login(fake.configured(), &fake).await, (StatusCode::FORBIDDEN, false), "{claims}");
    }
    fake.with(|state| {
        state.claims = json!({"groups": null, "email": "alice@corp.example", "email_verified": true})
    });
    assert_eq!(login(fake.configured(), &fake).await, (StatusCode::OK, true));
}

#[tokio::test]
async fn an_id_token_by_an_unknown_key_signs_nobody_in_and_by_a_new_one_does() {
    let fake = Provider::start().await;
    let mut edge = Edge::new(vec![fake.configured()]);
    edge.auth.providers = Arc::new(crate::auth::provider::Providers::new(std::time::Duration::ZERO));
    for known in [true, false] {
        let mut browser = Browser::new(&edge, "acme");
        let fields = leave(&mut browser, &fake).await;
        let before = fake.asked_for("/keys");
        fake.rotate(if known { "p2" } else { "p3" });
        if !known {
            let hidden = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "x",
                "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]});
            fake.with(|state| state.instead.insert("/keys", (StatusCode::OK, hidden.to_string())));
        }
        let page = come_back(&mut browser, &format!("code=c0de&state={}", fields["state"])).await;
        assert_eq!(page.status(), if known { StatusCode::OK } else { StatusCode::FORBIDDEN });
        assert_eq!(fake.asked_for("/keys"), before + 1);
    }
}

#[tokio::test]
async fn the_issuer_is_shown_our_secret_the_way_it_wants() {
    let fake = Provider::start().await;
    let form = |name: &str| fake.with(|state| state.form.get(name).cloned());
    let authorization = || fake.with(|state| state.authorization.clone());
    assert_eq!(login(fake.configured(), &fake).await, (StatusCode::OK, true));
    assert!(authorization().is_some() && form("client_secret").is_none());
    assert_eq!(form("grant_type").as_deref(), Some("authorization_code"));
    assert!(form("code_verifier").is_some_and(|verifier| verifier.len() == 43));
    fake.with(|state| {
        state.discovery = json!({"token_endpoint_auth_methods_supported": ["client_secret_post"]})
    });
    assert_eq!(login(fake.configured(), &fake).await, (StatusCode::OK, true));
    assert!(authorization().is_none() && form("client_secret").is_some());
    let public = model::edge::Issuer { client_secret: None, ..fake.configured() };
    assert_eq!(login(public, &fake).await, (StatusCode::OK, true));
    assert!(authorization().is_none() && form("client_secret").is_none());
    let wrong = model::edge::Issuer { client_secret: Some("wrong".to_owned()), ..fake.configured() };
    assert_eq!(login(wrong, &fake).await, (StatusCode::BAD_GATEWAY, false));
}

#[tokio::test]
async fn an_issuer_that_says_whose_answer_it_is_always_says_it() {
    let fake = Provider::start().await;
    fake.with(|state| state.discovery = json!({"authorization_response_iss_parameter_supported": true}));
    let edge = Edge::new(vec![fake.configured()]);
    let own: String = form_urlencoded::byte_serialize(fake.issuer.as_bytes()).collect();
    for (iss, status) in [
        (String::new(), StatusCode::FORBIDDEN),
        ("&iss=https%3A%2F%2Fother.example".to_owned(), StatusCode::FORBIDDEN),
        (format!("&iss={own}"), StatusCode::OK),
    ] {
        let mut browser = Browser::new(&edge, "acme");
        let fields = leave(&mut browser, &fake).await;
        let page = come_back(&mut browser, &format!("code=c0de&state={}{iss}", fields["state"])).await;
        assert_eq!(page.status(), status, "{iss}");
    }
}

#[tokio::test]
async fn an_issuer_that_cannot_be_reached_is_said_so_and_not_why() {
    let fake = Provider::start().await;
    fake.with(|state| state.instead.insert("/keys", (StatusCode::NOT_FOUND, String::new())));
    let edge = Edge::new(vec![fake.configured()]);
    let mut browser = Browser::new(&edge, "acme");
    let page = browser.get("/.tenantd/oidc?issuer=corp").await;
    assert_eq!(page.status(), StatusCode::BAD_GATEWAY);
    assert!(!text(&page).contains("127.0.0.1") && browser.cookies.is_empty());
    assert_eq!(browser.get("/.tenantd/oidc?issuer=other").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(browser.get("/.tenantd/oidc").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_token_endpoint_that_talks_nonsense_signs_nobody_in() {
    let fake = Provider::start().await;
    for (status, body) in [
        (StatusCode::OK, "x"),
        (StatusCode::OK, "{}"),
        (StatusCode::OK, r#"{"id_token":7}"#),
        (StatusCode::FOUND, "{}"),
        (StatusCode::INTERNAL_SERVER_ERROR, r#"{"id_token":"a.b.c"}"#),
    ] {
        fake.with(|state| state.instead.insert("/token", (status, body.to_owned())));
        assert_eq!(login(fake.configured(), &fake).await, (StatusCode::BAD_GATEWAY, false), "{body}");
    }
    fake.with(|state| state.instead.insert("/token", (StatusCode::OK, r#"{"id_token":"a.b.c"}"#.to_owned())));
    assert_eq!(login(fake.configured(), &fake).await, (StatusCode::FORBIDDEN, false));
}

#[tokio::test]
async fn another_port_is_part_of_where_one_comes_back_to() {
    let fake = Provider::start().await;
    let edge = Edge::new(vec![fake.configured()]);
    edge.change(|files| files.edge.public_port = 8443);
    let fields = leave(&mut Browser::new(&edge, "acme"), &fake).await;
    assert_eq!(fields["redirect_uri"], "https://acme.agents.example:8443/.tenantd/callback");
}
