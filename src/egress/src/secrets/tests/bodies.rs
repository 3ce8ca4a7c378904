use super::*;

const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

struct Sent {
    result: Result<Vec<u8>, String>,
    length: Option<String>,
    heard: Vec<Misplaced>,
}

async fn send(place: Place<'_>, target: &str, headers: &[(&str, &str)], body: Body, rewrite: bool) -> Sent {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&heard);
    let mut parts = request(target, headers);
    let made = table()
        .body(place, &mut parts, body, rewrite, move |misplaced| listener.lock().unwrap().push(misplaced))
        .await;
    let result = match made {
        Ok((body, _)) => match body.collect().await {
            Ok(body) => Ok(body.to_bytes().to_vec()),
            Err(error) => Err(error.to_string()),
        },
        Err(error) => Err(error.to_string()),
    };
    let length = parts.headers.get("content-length").map(|value| value.to_str().unwrap().to_owned());
    let heard = heard.lock().unwrap().clone();
    Sent { result, length, heard }
}

#[tokio::test]
async fn a_body_is_filled_where_the_endpoint_opted_in() {
    let body = || chunked(vec![b"{\"key\":\"tenantd:sec".to_vec(), b"ret:api-key\"}".to_vec()]);
    let sent = send(EXAMPLE, "/v1", &[JSON, ("content-length", "32")], body(), true).await;
    let wanted = format!("{{\"key\":\"{KEY}\"}}");
    assert_eq!(sent.result.unwrap(), wanted.as_bytes());
    assert_eq!(sent.length, Some(wanted.len().to_string()));
    let sent = send(EXAMPLE, "/v1", &[FORM], full("a=1&k=x+tenantd%3Asecret%3Aapi-key"), true).await;
    assert_eq!(sent.result.unwrap(), format!("a=1&k=x+{KEY}").as_bytes());
    for (place, target) in
        [(Place { host: "evil.example", ..EXAMPLE }, "/v1"), (EXAMPLE, "/v2"), (TELEGRAM, "/bot")]
    {
        let sent = send(place, target, &[JSON], body(), true).await;
        assert!(sent.result.unwrap_err().contains("api-key"));
    }
    let sent = send(EXAMPLE, "/v1", &[FORM], full("tenantd:secret:api-key=1"), true).await;
    assert!(sent.result.unwrap_err().contains("name of a parameter"));
}

#[tokio::test]
async fn values_are_escaped_for_their_body() {
    let value = "quote\" back\\slash &=\n";
    let secrets = secrets(&[("s", Form::Proxy, value)]);
    let places = [SecretPlace::Body, SecretPlace::Websocket];
    let (table, _) = SecretTable::new(secrets, &[bound("s", "api.example.com", "/", &places)]);
    for (kind, text) in [
        (JSON, "{\"s\":\"tenantd:secret:s\"}"),
        (FORM, "s=tenantd:secret:s"),
        (("content-type", "text/plain"), "tenantd:secret:s"),
    ] {
        let mut parts = request("/", &[kind]);
        let (body, filled) = table.body(EXAMPLE, &mut parts, full(text), true, |_| ()).await.unwrap();
        assert_eq!(filled.secrets, ["s"]);
        let body = body.collect().await.unwrap().to_bytes();
        let found = match kind {
            JSON => {
                serde_json::from_slice::<serde_json::Value>(&body).unwrap()["s"].as_str().unwrap().to_owned()
            }
            FORM => form_urlencoded::parse(&body).next().unwrap().1.into_owned(),
            _ => String::from_utf8(body.to_vec()).unwrap(),
        };
        assert_eq!(found, value);
    }
    let message =
        table.message(EXAMPLE, &request("/", &[]), "{\"s\":\"tenantd:secret:s\"}", true).unwrap().unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&message).unwrap()["s"], value);
}

#[tokio::test]
async fn a_message_of_a_websocket_is_filled_where_it_may_be() {
    let text = "{\"token\":\"tenantd:secret:api-key\"}";
    let table = table();
    assert_eq!(
        table.message(EXAMPLE, &request("/v1", &[]), text, true).unwrap().unwrap(),
        text.replace("tenantd:secret:api-key", KEY)
    );
    assert_eq!(table.message(EXAMPLE, &request("/v1", &[]), "hello", false), Ok(None));
    assert_eq!(table.message(EXAMPLE, &request("/v1", &[]), text, false).unwrap_err().why, Why::NotRewritten);
    assert_eq!(table.message(EXAMPLE, &request("/v2", &[]), text, true).unwrap_err().why, Why::WrongPath);
    assert_eq!(
        table.message(Place { tls: false, ..EXAMPLE }, &request("/v1", &[]), text, true).unwrap_err().why,
        Why::Plain
    );
    let fronted = request("/v1", &[("host", "evil.example")]);
    assert_eq!(table.message(EXAMPLE, &fronted, text, true).unwrap_err().why, Why::Fronted);
    let long = format!("{text}{}", " ".repeat(1 << 20));
    assert_eq!(table.message(EXAMPLE, &request("/v1", &[]), &long, true).unwrap_err().why, Why::BodyForm);
}

#[tokio::test]
async fn a_body_that_is_not_rewritten_is_ended_at_a_placeholder_however_it_is_cut() {
    let texts = [
        "x tenantd:secret:api-key",
        "a=tenantd%3Asecret%3aapi",
        "a=tenantd%3asecret%3aapi",
        "openshell:resolve:env:API_KEY",
    ];
    for text in texts {
        for size in 1..=text.len() {
            let chunks = text.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
            let sent = send(EXAMPLE, "/v1", &[JSON], chunked(chunks), false).await;
            assert!(sent.result.is_err(), "{text} in pieces of {size}");
            assert_eq!(sent.heard.len(), 1);
            assert_eq!(sent.heard[0].why, Why::NotRewritten);
        }
    }
    let innocent = "tenantd:secret: openshell:resolve:env: tenantd:secret";
    let sent = send(EXAMPLE, "/v1", &[JSON], full(innocent), false).await;
    assert_eq!(sent.result.unwrap(), innocent.as_bytes());
}

#[tokio::test]
async fn a_body_that_is_too_large_or_compressed_is_refused_only_with_a_placeholder() {
    let large = vec![b' '; (1 << 20) + 1];
    let sent = send(EXAMPLE, "/v1", &[JSON], chunked(vec![large.clone(), b"end".to_vec()]), true).await;
    assert_eq!(sent.result.unwrap().len(), large.len() + 3);
    for chunks in [
        vec![b"tenantd:secret:api-key".to_vec(), large.clone()],
        vec![large, b"tenantd:secret:api-key".to_vec()],
    ] {
        let sent = send(EXAMPLE, "/v1", &[JSON], chunked(chunks), true).await;
        assert!(sent.result.is_err());
        assert_eq!(sent.heard[0].why, Why::BodyForm);
    }
    let coded = [JSON, ("content-encoding", "gzip")];
    let sent = send(EXAMPLE, "/v1", &coded, full("tenantd:secret:api-key"), true).await;
    assert_eq!(sent.heard[0].why, Why::BodyForm);
    assert!(send(EXAMPLE, "/v1", &coded, full("\x1f\u{8b}"), true).await.result.is_ok());
}
