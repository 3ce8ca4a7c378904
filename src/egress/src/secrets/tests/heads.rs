use super::*;

fn fill(place: Place<'_>, target: &str, headers: &[(&str, &str)]) -> Result<Parts, Misplaced> {
    let mut parts = request(target, headers);
    let before = format!("{parts:?}");
    match table().fill(place, &mut parts) {
        Ok(_) => Ok(parts),
        Err(error) => {
            assert_eq!(format!("{parts:?}"), before, "nothing is changed by half");
            for value in [TOKEN, KEY, "line\nbreak"] {
                assert!(!error.to_string().contains(value));
            }
            Err(error)
        }
    }
}

fn header(value: &str) -> String {
    let parts = fill(EXAMPLE, "/v1/x", &[("authorization", value)]).unwrap();
    parts.headers["authorization"].to_str().unwrap().to_owned()
}

#[test]
fn a_placeholder_becomes_its_value_where_it_is_bound() {
    assert_eq!(header("Bearer tenantd:secret:api-key"), format!("Bearer {KEY}"));
    assert_eq!(header("Bearer openshell:resolve:env:API_KEY"), format!("Bearer {KEY}"));
    assert_eq!(header("tenantd:secret:api-key,tenantd:secret:api-key"), format!("{KEY},{KEY}"));
    for coded in ["user:tenantd:secret:api-key", "tenantd:secret:api-key:", "u:openshell:resolve:env:API_KEY"]
    {
        let filled = header(&format!("basic {}", STANDARD.encode(coded).trim_end_matches('=')));
        let decoded = STANDARD.decode(filled.strip_prefix("Basic ").unwrap()).unwrap();
        let wanted =
            coded.replace("tenantd:secret:api-key", KEY).replace("openshell:resolve:env:API_KEY", KEY);
        assert_eq!(String::from_utf8(decoded).unwrap(), wanted);
    }
    let parts = fill(TELEGRAM, "/bottenantd:secret:telegram-token/sendMessage?x=1", &[]).unwrap();
    assert_eq!(parts.uri.to_string(), "/bot123456%3AAA-very%2Fsecret%2Bvalue/sendMessage?x=1");
    assert_eq!(parts.headers["accept-encoding"], "identity");
    let parts = fill(TELEGRAM, "/file/bottenantd%3Asecret%3atelegram%2Dtoken/photo", &[]).unwrap();
    assert_eq!(parts.uri.path(), "/file/bot123456%3AAA-very%2Fsecret%2Bvalue/photo");
    let parts = fill(EXAMPLE, "/v1/x?a=%41+b&key=tenantd%3asecret%3Aapi-key&c=", &[]).unwrap();
    assert_eq!(parts.uri.query(), Some(format!("a=%41+b&key={KEY}&c=").as_str()));
}

#[test]
fn what_holds_no_placeholder_is_as_it_was() {
    let headers = [
        ("x", "tenantd:secret:"),
        ("y", "TENANTD:SECRET:api-key"),
        ("accept-encoding", "gzip"),
        ("authorization", "Basic ???"),
    ];
    let parts = fill(EXAMPLE, "/v1/%7Ex?a=%2B+", &headers).unwrap();
    assert_eq!(format!("{parts:?}"), format!("{:?}", request("/v1/%7Ex?a=%2B+", &headers)));
    let split = [("x", "tenantd:sec"), ("x", "ret:api-key")];
    assert!(
        fill(EXAMPLE, "/v1", &split).unwrap().headers.get_all("x").iter().eq(["tenantd:sec", "ret:api-key"])
    );
}

#[test]
fn of_repeated_headers_each_has_its_own_value() {
    let headers = [
        ("x", "1"),
        ("y", "tenantd:secret:api-key"),
        ("x", "tenantd:secret:api-key"),
        ("z", "2"),
        ("x", "3"),
        ("y", "4"),
    ];
    let parts = fill(EXAMPLE, "/v1", &headers).unwrap();
    assert!(parts.headers.get_all("x").iter().eq(["1", KEY, "3"]));
    assert!(parts.headers.get_all("y").iter().eq([KEY, "4"]));
    assert!(parts.headers.get_all("z").iter().eq(["2"]));
}

#[test]
fn a_value_that_was_put_in_is_not_printed() {
    let parts = fill(EXAMPLE, "/v1", &[("authorization", "Bearer tenantd:secret:api-key")]).unwrap();
    assert!(!format!("{parts:?}").contains(KEY));
    assert!(!format!("{:?} {:?}", table(), table().scanner()).contains("0123456789"));
}

type Case<'a> = (Place<'a>, &'a str, &'a [(&'a str, &'a str)], Why);

#[test]
fn a_placeholder_anywhere_else_is_refused_by_name() {
    const BEARER: (&str, &str) = ("authorization", "Bearer tenantd:secret:api-key");
    let elsewhere = Place { host: "evil.example", ..EXAMPLE };
    let deeper = Place { host: "x.api.example.com", ..EXAMPLE };
    let port = Place { port: 8443, ..EXAMPLE };
    let plain = Place { tls: false, ..EXAMPLE };
    let same = Place { host: "API.example.com.", ..EXAMPLE };
    assert!(fill(same, "/v1", &[BEARER, ("host", "Api.example.com:443")]).is_ok());
    let steering =
        fill(EXAMPLE, "https://api.example.com/v1", &[BEARER, ("x-original-url", "/evil")]).unwrap();
    assert!(!steering.headers.contains_key("x-original-url"));
    let path = "/bottenantd:secret:telegram-token";
    let cases: &[Case<'_>] = &[
        (elsewhere, "/v1", &[BEARER], Why::Elsewhere),
        (deeper, "/v1", &[BEARER], Why::Elsewhere),
        (port, "/v1", &[BEARER], Why::Elsewhere),
        (plain, "/v1", &[BEARER], Why::Plain),
        (EXAMPLE, "/v10", &[BEARER], Why::WrongPath),
        (EXAMPLE, "/", &[BEARER], Why::WrongPath),
        (EXAMPLE, "/V1", &[BEARER], Why::WrongPath),
        (EXAMPLE, "/v1/../evil", &[BEARER], Why::Ambiguous),
        (EXAMPLE, "/v1/%2e%2e/evil", &[BEARER], Why::Ambiguous),
        (EXAMPLE, "/v1/..%2fevil", &[BEARER], Why::Ambiguous),
        (EXAMPLE, "/v1//x", &[BEARER], Why::Ambiguous),
        (EXAMPLE, "/v1/%252e", &[BEARER], Why::Ambiguous),
        (EXAMPLE, "/v1/tenantd:secret:api-key", &[], Why::WrongPlace),
        (EXAMPLE, "/v1?tenantd:secret:api-key=1", &[], Why::Never),
        (EXAMPLE, "/v1", &[("host", "tenantd:secret:api-key")], Why::Never),
        (EXAMPLE, "/v1", &[BEARER, ("host", "evil.example")], Why::Fronted),
        (EXAMPLE, "/v1", &[BEARER, ("host", "api.example.com:8443")], Why::Fronted),
        (EXAMPLE, "/v1", &[BEARER, ("host", "api.example.com"), ("host", "evil.example")], Why::Fronted),
        (EXAMPLE, "http://evil.example/v1", &[BEARER], Why::Fronted),
        (EXAMPLE, "/v1", &[("transfer-encoding", "tenantd:secret:api-key")], Why::Never),
        (EXAMPLE, "/v1", &[("x", "tenantd:secret:nobody")], Why::Unknown),
        (EXAMPLE, "/v1", &[("x", "tenantd:secret:api-keyx")], Why::Unknown),
        (EXAMPLE, "/v1", &[("x", "tenantd:secret:API_KEY")], Why::Unknown),
        (EXAMPLE, "/v1", &[("x", "openshell:resolve:env:A_B")], Why::Unknown),
        (EXAMPLE, "/v1", &[("x", "tenantd:secret:gateways-own")], Why::Unknown),
        (EXAMPLE, "/v1", &[("x", "tenantd:secret:egress-authority")], Why::Unknown),
        (EXAMPLE, "/v1", &[("x", "tenantd:secret:telegram-token")], Why::Elsewhere),
        (TELEGRAM, "/bot", &[("x", "tenantd:secret:telegram-token")], Why::WrongPlace),
        (TELEGRAM, "/xtenantd:secret:telegram-token", &[], Why::WrongPath),
        (TELEGRAM, "/botxtenantd:secret:telegram-token", &[], Why::WrongPath),
        (TELEGRAM, "/x/bottenantd:secret:telegram-token", &[], Why::WrongPath),
        (TELEGRAM, &format!("{path}/../x"), &[], Why::Ambiguous),
    ];
    for (place, target, headers, why) in cases {
        let error = fill(*place, target, headers).unwrap_err();
        assert_eq!(error.why, *why, "{target} {headers:?}: {error}");
        assert!(!error.secret.is_empty());
    }
}

#[test]
fn a_value_that_cannot_stand_in_a_header_and_too_many_of_them_are_refused() {
    let error = fill(EXAMPLE, "/v1", &[("x", "tenantd:secret:broken")]).unwrap_err();
    assert!(matches!(error.why, Why::Unwritable(_)), "{error}");
    assert!(
        fill(EXAMPLE, "/v1?x=tenantd:secret:broken", &[])
            .unwrap()
            .uri
            .query()
            .unwrap()
            .contains("line%0Abreak")
    );
    let many = "tenantd:secret:api-key ".repeat(33);
    assert_eq!(fill(EXAMPLE, "/v1", &[("x", &many)]).unwrap_err().why, Why::TooMany);
}

#[test]
fn a_binding_that_cannot_hold_binds_nothing_and_is_told() {
    let secrets =
        secrets(&[("api-key", Form::Proxy, KEY), ("egress-authority", Form::Proxy, "PEM-of-the-key")]);
    let uses = [
        bound("nobody", "api.example.com", "/", &[SecretPlace::Header]),
        bound("egress-authority", "api.example.com", "/", &[SecretPlace::Header]),
        bound("api-key", "*.example.com", "/", &[SecretPlace::Header]),
        bound("api-key", "api.example.com", "/a/../b", &[SecretPlace::Header]),
        bound("api-key", "api.example.com", "relative", &[SecretPlace::Header]),
    ];
    let (table, unusable) = SecretTable::new(Arc::clone(&secrets), &uses);
    assert_eq!(unusable.len(), uses.len(), "{unusable:?}");
    assert!(table.fill(EXAMPLE, &mut request("/", &[("x", "tenantd:secret:api-key")])).is_err());
    assert_eq!(secrets.authority(), Some(b"PEM-of-the-key".as_slice()));
    assert!(secrets.names().eq(["api-key"]));
}

fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("tenantd:secret:api-key".to_owned()),
        Just("tenantd:secret:telegram-token".to_owned()),
        Just("openshell:resolve:env:TELEGRAM_TOKEN".to_owned()),
        Just("tenantd%3Asecret%3Aapi%2Dkey".to_owned()),
        Just("tenantd:".to_owned()),
        Just("secret:".to_owned()),
        "[a-z/.%0-9=&:-]{0,6}",
    ]
}

proptest! {
    #[test]
    fn no_sequence_of_requests_shows_a_value_where_it_is_not_bound(
        tries in prop::collection::vec((
            prop::sample::select(vec!["api.telegram.org", "api.example.com", "evil.example", "api.example.com.evil.example"]),
            prop::sample::select(vec![443_u16, 80, 8443]),
            any::<bool>(),
            prop::sample::select(vec!["/v1", "/bot", "/file/bot", "/v1x", "/"]),
            prop::collection::vec(fragment(), 0..3),
            prop::collection::vec(fragment(), 0..3),
            prop::collection::vec(fragment(), 0..3),
            any::<bool>(),
        ), 1..5),
    ) {
        let table = table();
        for (host, port, tls, base, path, query, value, basic) in tries {
            let target = format!("{base}{}?{}", path.concat(), query.concat());
            let value = value.concat();
            let value = if basic { format!("Basic {}", STANDARD.encode(&value)) } else { value };
            let Ok(request) = Request::get(&target).header("authorization", &value).body(()) else { continue };
            let mut parts = request.into_parts().0;
            let filled = table.fill(Place { host, port, tls }, &mut parts).is_ok();
            let header = parts.headers["authorization"].as_bytes();
            let decoded = header.strip_prefix(b"Basic ").and_then(|coded| STANDARD.decode(coded).ok());
            let decoded = String::from_utf8_lossy(decoded.as_deref().unwrap_or(header)).into_owned();
            let uri = form_urlencoded::parse(format!("x={}", parts.uri).as_bytes()).next().unwrap().1.into_owned();
            let path = parts.uri.path().to_owned();
            if decoded.contains(KEY) || uri.contains(KEY) {
                prop_assert!(filled && tls && port == 443 && host == "api.example.com");
                prop_assert!(path == "/v1" || path.starts_with("/v1/"));
                prop_assert!(!path.contains(KEY));
            }
            let escaped = "123456%3AAA-very%2Fsecret%2Bvalue";
            prop_assert!(!decoded.contains(TOKEN) && !parts.uri.query().unwrap_or("").contains(escaped));
            if path.contains(escaped) {
                prop_assert!(filled && tls && port == 443 && host == "api.telegram.org");
                prop_assert!(path.starts_with("/bot") || path.starts_with("/file/bot"));
            }
        }
    }

    #[test]
    fn any_value_comes_out_of_a_query_as_it_went_in(value in "[ -~\\n\u{e9}]{1,40}") {
        let secrets = secrets(&[("s", Form::Proxy, &value)]);
        let (table, _) = SecretTable::new(secrets, &[bound("s", "api.example.com", "/", &[SecretPlace::Query])]);
        let mut parts = request("/?a=1&s=tenantd:secret:s&b=2", &[]);
        prop_assert!(!table.fill(EXAMPLE, &mut parts).unwrap().is_empty());
        let pairs: Vec<_> = form_urlencoded::parse(parts.uri.query().unwrap().as_bytes()).into_owned().collect();
        prop_assert_eq!(pairs, [("a".to_owned(), "1".to_owned()), ("s".to_owned(), value), ("b".to_owned(), "2".to_owned())]);
    }

    #[test]
    fn nothing_panics_on_anything(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "(tenantd:secret:|openshell:resolve:env:|%3A|%|[a-z]|:){0,30}") {
        fuzz_placeholder(&bytes);
        fuzz_placeholder(text.as_bytes());
    }
}
