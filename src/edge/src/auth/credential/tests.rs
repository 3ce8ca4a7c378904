use proptest::prelude::*;

use super::*;
use crate::auth::testing::{authorization, cookies};

fn basic(pair: &str) -> HeaderMap {
    authorization(&format!("Basic {}", STANDARD.encode(pair)))
}

#[test]
fn nothing_is_nothing() {
    assert_eq!(of(&HeaderMap::new()), Credential::Absent);
    assert_eq!(of(&cookies("a=b; tenantd=x; __host-tenantd=y; __Host-tenantd2=z")), Credential::Absent);
}

#[test]
fn a_token_is_a_bearer_token_or_a_password() {
    let bearer = |token: &str| Credential::Token(Source::Bearer, token.to_owned());
    assert_eq!(of(&authorization("Bearer a.b.c")), bearer("a.b.c"));
    assert_eq!(of(&authorization("bEARER  a.b.c ")), bearer("a.b.c"));
    let password = |token: &str| Credential::Token(Source::Basic, token.to_owned());
    assert_eq!(of(&basic("x:a.b.c")), password("a.b.c"));
    assert_eq!(of(&basic(":a.b.c")), password("a.b.c"));
    assert_eq!(of(&basic("x:a:b")), password("a:b"));
}

#[test]
fn a_bad_authorization_is_bad_whatever_else_there_is() {
    for value in
        ["", "Bearer", "Basic", "Basic !!!", "Basic YQ", "Basic YQ==", "Digest x", "Negotiate x", "a.b.c"]
    {
        let mut headers = authorization(value);
        headers.extend(cookies("__Host-tenantd=good"));
        assert!(matches!(of(&headers), Credential::Bad(_)), "{value:?}");
    }
    let mut two = authorization("Bearer a");
    two.append(AUTHORIZATION, "Bearer a".parse().unwrap());
    assert_eq!(of(&two), Credential::Bad("several Authorization headers"));
    let mut odd = HeaderMap::new();
    odd.insert(AUTHORIZATION, http::HeaderValue::from_bytes(b"Bearer \xff").unwrap());
    assert_eq!(of(&odd), Credential::Bad("Authorization is not ASCII"));
}

#[test]
fn authorization_wins_over_the_cookie() {
    let mut headers = authorization("Bearer a");
    headers.extend(cookies("__Host-tenantd=b"));
    assert_eq!(of(&headers), Credential::Token(Source::Bearer, "a".to_owned()));
}

#[test]
fn the_session_cookie_is_found_among_others() {
    let session = |value: &str| Credential::Session(value.to_owned());
    assert_eq!(of(&cookies("__Host-tenantd=abc")), session("abc"));
    assert_eq!(of(&cookies("a=b;__Host-tenantd=abc; c=d")), session("abc"));
    assert_eq!(of(&cookies("__Host-tenantd=a=b")), session("a=b"));
    assert_eq!(of(&cookies("__Host-tenantd=")), session(""));
    let mut split = cookies("a=b");
    split.append(COOKIE_HEADER, "__Host-tenantd=abc".parse().unwrap());
    assert_eq!(of(&split), session("abc"));
    let mut odd = HeaderMap::new();
    odd.insert(COOKIE_HEADER, http::HeaderValue::from_bytes(b"n=\xe9; __Host-tenantd=abc").unwrap());
    assert_eq!(of(&odd), session("abc"));
}

#[test]
fn several_session_cookies_are_refused() {
    let bad = Credential::Bad("several cookies of the same name");
    assert_eq!(of(&cookies("__Host-tenantd=a; __Host-tenantd=a")), bad);
    assert_eq!(of(&cookies("__Host-tenantd=a; x=y; __Host-tenantd =b")), bad);
    let mut split = cookies("__Host-tenantd=a");
    split.append(COOKIE_HEADER, "__Host-tenantd=b".parse().unwrap());
    assert_eq!(of(&split), bad);
}

proptest! {
    #[test]
    fn no_header_breaks_it(name in any::<bool>(), value in prop::collection::vec(any::<u8>(), 0..100)) {
        if let Ok(value) = http::HeaderValue::from_bytes(&value) {
            let name = if name { AUTHORIZATION } else { COOKIE_HEADER };
            let known = matches!(of(&HeaderMap::from_iter([(name.clone(), value)])), Credential::Absent);
            // An Authorization header is never as if it were not there.
            prop_assert!(name == COOKIE_HEADER || !known);
        }
    }
}
