use http::header::{AUTHORIZATION, TRANSFER_ENCODING};

use super::*;

fn said() -> Said<'static> {
    Said {
        host: "acme.example.org",
        port: 8443,
        client: "::ffff:192.0.2.7".parse().unwrap(),
        request_id: "0001",
        subject: "alice",
        identity: ("x-forwarded-user", "viewer"),
        scopes: Some(("x-openclaw-scopes", "operator.read".to_owned())),
        origin: "https://acme.tenant.invalid",
        proof: Some(HeaderName::from_static("x-tenantd-abc")),
    }
}

fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static(value));
    }
    headers
}

#[test]
fn a_client_cannot_have_the_edges_own_headers_dropped_by_naming_them_in_connection() {
    let given = map(&[
        ("connection", "x-forwarded-user, x-tenantd-abc, host, close"),
        ("x-tenantd-abc", "0"),
        ("x-forwarded-user", "owner"),
    ]);
    let headers = toward_gateway(given, &said(), false);
    assert_eq!(headers["x-forwarded-user"], "viewer");
    assert_eq!(headers["x-tenantd-abc"], "1");
    assert_eq!(headers["host"], "acme.example.org");
    assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
    assert_eq!(headers.get_all("x-forwarded-user").iter().count(), 1);
    assert!(!headers.contains_key("connection"));
}

#[test]
fn an_identity_header_by_another_name_is_dropped_too() {
    let given = map(&[
        ("x-user", "owner"),
        ("x-user", "root"),
        ("authorization", "Bearer x"),
        ("transfer-encoding", "chunked"),
    ]);
    let headers = toward_gateway(given, &Said { identity: ("X-User", "viewer"), ..said() }, false);
    assert_eq!(headers.get_all("x-user").iter().collect::<Vec<_>>(), ["viewer"]);
    assert!(!headers.contains_key(AUTHORIZATION) && !headers.contains_key(TRANSFER_ENCODING));
}

#[test]
fn cookies_of_the_platform_go_and_others_stay_in_one_line() {
    let of = |cookies: &[(&'static str, &'static str)]| {
        let headers = toward_gateway(map(cookies), &said(), false);
        headers.get(COOKIE).map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(of(&[("cookie", "__Host-tenantd=x")]), None);
    assert_eq!(
        of(&[("cookie", "a=1;__HOST-TENANTD=x; __Host-tenantd-oidc=y;b=2")]).as_deref(),
        Some("a=1; b=2")
    );
    assert_eq!(of(&[("cookie", "a=1"), ("cookie", "__Host-tenantd = x; c=3")]).as_deref(), Some("a=1; c=3"));
    assert_eq!(of(&[("cookie", "__Host-tenantd")]), None);
}

#[test]
fn a_websocket_is_asked_for_by_two_headers_and_http_1_1() {
    let asks = |pairs: &[(&'static str, &'static str)]| asks_for_websocket(&map(pairs), Version::HTTP_11);
    assert!(asks(&[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")]));
    assert!(!asks(&[("upgrade", "websocket")]));
    assert!(!asks(&[("connection", "upgrade"), ("upgrade", "h2c")]));
    assert!(!asks(&[("connection", "upgrade"), ("upgrade", "websocket"), ("upgrade", "h2c")]));
    assert!(!asks_for_websocket(
        &map(&[("connection", "upgrade"), ("upgrade", "websocket")]),
        Version::HTTP_10
    ));
}

#[test]
fn an_answer_keeps_its_length_only_where_there_is_no_body_to_tell_it() {
    let mut headers =
        map(&[("content-length", "5"), ("connection", "close"), ("keep-alive", "timeout=5"), ("etag", "x")]);
    toward_client(&mut headers, true);
    assert_eq!(headers["content-length"], "5");
    toward_client(&mut headers, false);
    assert_eq!(headers.keys().collect::<Vec<_>>(), ["etag"]);
}

#[test]
fn a_cookie_that_a_gateway_sets_is_for_its_own_host_only() {
    let mut headers = map(&[
        ("set-cookie", "a=1; Path=/; DOMAIN=example.org; Secure"),
        ("set-cookie", "b=domain=x; domain =.example.org"),
        ("set-cookie", " __host-Tenantd =x"),
        ("set-cookie", "domain=1; HttpOnly"),
    ]);
    toward_client(&mut headers, false);
    let set: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
    assert_eq!(set, ["a=1; Path=/; Secure", "b=domain=x", "domain=1; HttpOnly"]);
}
