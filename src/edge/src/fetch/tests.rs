use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Answers every connection with `answer`, whatever it asks; gives its address.
async fn says(answer: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut request = [0; 4096];
                assert!(stream.read(&mut request).await.unwrap() > 0);
                // A client may hang up before the end.
                drop(stream.write_all(answer.as_bytes()).await);
            });
        }
    });
    (address, asked)
}

fn plain() -> Client {
    Client::new(None, true).unwrap()
}

#[test]
fn only_https_is_asked_and_http_on_a_loopback_address() {
    for address in ["https://id.example/x", "https://id.example:8443", "https://127.0.0.1/"] {
        assert!(checked(address, false).is_some(), "{address}");
    }
    for address in ["http://127.0.0.1:5556/dex", "http://[::1]/", "http://localhost:80/"] {
        assert!(checked(address, true).is_some(), "{address}");
        assert!(checked(address, false).is_none(), "{address}");
    }
    for address in [
        "http://id.example/",
        "http://127.0.0.1.example/",
        "http://127.0.0.1@id.example/",
        "http://localhost.example/",
        "http://169.254.169.254/",
        "http://10.0.0.1/",
        "https://user@id.example/",
        "https://id.example/#x",
        "https:///x",
        "file:///etc/passwd",
        "ftp://id.example/",
        "//id.example/",
        "/x",
        "",
    ] {
        assert!(checked(address, true).is_none(), "{address}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (target, asked) = says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    let answer = format!("HTTP/1.1 302 Found\r\nlocation: {target}/\r\ncontent-length: 0\r\n\r\n");
    let (address, _) = says(Box::leak(answer.into_boxed_str())).await;
    assert!(matches!(plain().get(&address).await, Err(FetchError::Status(StatusCode::FOUND))));
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_answer_is_bounded() {
    let body = "x".repeat(MAX_BODY + 1);
    for answer in [
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()),
        format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        ),
        format!("HTTP/1.1 200 OK\r\n\r\n{body}"),
    ] {
        let (address, _) = says(Box::leak(answer.into_boxed_str())).await;
        assert!(matches!(plain().get(&address).await, Err(FetchError::Body(_))));
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_none() {
    let (address, _) = says("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}").await;
    assert!(matches!(plain().get(&address).await, Err(FetchError::Body(_))));
    let (address, _) = says("SSH-2.0-OpenSSH\r\n").await;
    assert!(matches!(plain().get(&address).await, Err(FetchError::Http(_))));
    assert!(matches!(plain().get("http://127.0.0.1:1/").await, Err(FetchError::Io(_))));
}

#[tokio::test]
async fn whoever_does_not_answer_is_given_up() {
    // Its backlog takes the connection.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let started = std::time::Instant::now();
    assert!(matches!(plain().get(&address).await, Err(FetchError::Timeout(_))));
    assert!(started.elapsed() >= TIMEOUT);
}

/// A TLS server for `name`, with the PEM of its own certificate.
async fn secure(name: &str) -> (u16, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4096];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    (port, certificate.pem())
}

#[tokio::test]
async fn a_certificate_is_checked_against_the_issuers_own_authority() {
    let (port, pem) = secure("127.0.0.1").await;
    let address = format!("https://127.0.0.1:{port}/");
    assert_eq!(Client::new(Some(&pem), false).unwrap().get(&address).await.unwrap(), "{}");
    assert!(matches!(Client::new(None, false).unwrap().get(&address).await, Err(FetchError::Io(_))));
    // Known, but of another name.
    let (port, pem) = secure("id.example").await;
    let client = Client::new(Some(&pem), false).unwrap();
    assert!(matches!(client.get(&format!("https://127.0.0.1:{port}/")).await, Err(FetchError::Io(_))));
}

#[test]
fn an_authority_that_is_none_is_refused() {
    for pem in ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(matches!(Client::new(Some(pem), false), Err(FetchError::Authority)), "{pem}");
    }
}
