//! Tenants by path, at a host that has one name.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

mod support;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use model::Role;
use serde_json::json;
use support::*;

async fn open() -> (Host, String) {
    let host = Host::with(Setup { paths: true, ..Setup::default() }).await;
    host.route("acme", gateway().await.0);
    host.route("beta", gateway().await.0);
    let token = host.token("acme", Role::Operator);
    (host, token)
}

async fn ask(host: &Host, path: &str, headers: &[(&str, &str)]) -> Answer {
    let stream = host.tls(DOMAIN, b"http/1.1").await;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::get(path).header("host", DOMAIN);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    whole(soon(sender.send_request(request.body(Full::new(Bytes::new())).unwrap())).await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_reaches_a_tenant_by_its_path_as_by_its_name() {
    let (host, token) = open().await;
    let bearer = format!("Bearer {token}");
    let answer = ask(&host, "/t/acme/a/b?c=d", &[("authorization", &bearer)]).await;
    assert_eq!((answer.status, &answer.json()["uri"]), (200, &json!("/a/b?c=d")));
    let sent: Vec<(String, String)> = serde_json::from_value(answer.json()["headers"].clone()).unwrap();
    for (name, value) in [("host", "acme"), ("x-forwarded-host", "acme")] {
        assert!(sent.contains(&(name.to_owned(), format!("{value}.{DOMAIN}"))), "{sent:?}");
    }
    // Cookies are everybody's there: none goes in, and none comes out.
    let answer = ask(&host, "/t/acme/cookies", &[("authorization", &bearer), ("cookie", "a=b")]).await;
    assert_eq!((answer.status, answer.header("set-cookie")), (200, ""));
    assert_eq!(host.get("acme", &token, "/cookies").await.header("set-cookie"), "theme=dark");
    let mut second = {
        let stream = host.tls(DOMAIN, b"h2").await;
        let executor = hyper_util::rt::TokioExecutor::new();
        let (sender, connection) =
            hyper::client::conn::http2::handshake(executor, TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    };
    let request = Request::get(format!("https://{DOMAIN}/t/acme/second")).header("authorization", &bearer);
    let answer = soon(second.send_request(request.body(Full::new(Bytes::new())).unwrap())).await.unwrap();
    assert_eq!(whole(answer).await.json()["uri"], json!("/second"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_gives_nobody_more_than_a_name_does() {
    let (host, token) = open().await;
    let bearer = format!("Bearer {token}");
    let session = format!("__Host-tenantd={token}");
    for (path, headers, status) in [
        ("/t/beta/x", vec![("authorization", bearer.as_str())], 401),
        ("/t/acme/x", vec![], 401),
        ("/t/acme/x", vec![("cookie", session.as_str())], 401),
        ("/t/gamma/x", vec![("authorization", bearer.as_str())], 401),
        ("/t/%61cme/x", vec![("authorization", bearer.as_str())], 404),
        ("/t//acme/x", vec![("authorization", bearer.as_str())], 404),
        ("/t/acme/.tenantd/login", vec![("authorization", bearer.as_str())], 404),
        // Whatever a browser sends.
        (
            "/t/acme/x",
            vec![("authorization", bearer.as_str()), ("accept", "text/html"), ("sec-fetch-mode", "navigate")],
            403,
        ),
        ("/t/acme/x", vec![("authorization", bearer.as_str()), ("sec-fetch-site", "same-origin")], 403),
        (
            "/t/acme/x",
            vec![("authorization", bearer.as_str()), ("origin", "https://agents.example.org")],
            403,
        ),
    ] {
        let answer = ask(&host, path, &headers).await;
        assert_eq!(answer.status, status, "{path} {headers:?}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_are_off_until_they_are_asked_for() {
    let host = Host::start().await;
    host.route("acme", gateway().await.0);
    let bearer = format!("Bearer {}", host.token("acme", Role::Operator));
    let answer = ask(&host, "/t/acme/a", &[("authorization", &bearer)]).await;
    assert_ne!(answer.header("x-connection"), "0", "{answer:?}");
    assert!(!answer.body.contains("\"uri\""), "{answer:?}");
}
