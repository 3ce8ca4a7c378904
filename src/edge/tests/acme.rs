//! Certificates by name, as connections see them: from disk, and with an authority that is away.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a panic is a failed test"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use support::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Nobody listens there.
const AWAY: &str = "https://127.0.0.1:1/directory";

/// Another authority comes into force, or none.
fn settings(host: &Host, acme: Option<Value>) {
    let path = host.paths.edge().join("edge.json");
    let mut edge: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let fields = edge.as_object_mut().unwrap();
    match acme {
        Some(acme) => fields.insert("acme".to_owned(), acme),
        None => fields.remove("acme"),
    };
    put(&path, &edge.to_string());
}

fn away() -> Option<Value> {
    Some(json!({"directory": AWAY, "contact": "admin@example.org"}))
}

/// A certificate for this name, held for [`AWAY`], and a client that trusts nothing else.
fn held(host: &Host, name: &str) -> Arc<rustls::ClientConfig> {
    let digest = ring::digest::digest(&ring::digest::SHA256, AWAY.as_bytes());
    let short: String = digest.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let directory = host.root.path().join("state/acme").join(short);
    std::fs::create_dir_all(&directory).unwrap();
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2100, 1, 1);
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    put(&directory.join(format!("{name}.pem")), &(key.serialize_pem() + &made.pem()));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.der().clone()).unwrap();
    let builder =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

async fn trusted(host: &Host, name: &str, by: &Arc<rustls::ClientConfig>) -> bool {
    let stream = TcpStream::connect(host.https).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    soon(TlsConnector::from(Arc::clone(by)).connect(name, stream)).await.is_ok()
}

/// The status line of a request at port 80.
async fn plain(host: &Host, name: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(host.http).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {name}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    answer.lines().next().unwrap_or_default().chars().skip(9).take(3).collect()
}

async fn eventually(what: impl AsyncFn() -> bool) {
    soon(async {
        while !what().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_a_certificate_of_its_own_gets_it_and_all_others_the_one_that_was_given() {
    let host = Host::start().await;
    let (acme, beta) = (format!("acme.{DOMAIN}"), format!("beta.{DOMAIN}"));
    let own = held(&host, &acme);
    assert!(trusted(&host, &acme, &host.trust).await && !trusted(&host, &acme, &own).await);
    settings(&host, away());
    eventually(async || trusted(&host, &acme, &own).await).await;
    assert!(!trusted(&host, &acme, &host.trust).await);
    assert!(trusted(&host, &beta, &host.trust).await);
    assert_eq!(host.edge.acme.summary().certificates, 1);
    // Without an authority again.
    settings(&host, None);
    eventually(async || trusted(&host, &acme, &host.trust).await).await;
    assert_eq!(host.edge.acme.orders.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_known_names_are_ordered_and_an_authority_that_is_away_stops_nobody() {
    let host = Host::start().await;
    settings(&host, away());
    eventually(async || plain(&host, DOMAIN, "/.well-known/acme-challenge/x").await == "404").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    for name in ["nosuch", "a.b", "x--y"] {
        assert!(plain(&host, &format!("{name}.{DOMAIN}"), "/").await != "200");
        let stream = TcpStream::connect(host.https).await.unwrap();
        let name = ServerName::try_from(format!("{name}.{DOMAIN}")).unwrap();
        // Whether the client likes the certificate is not what matters here.
        soon(TlsConnector::from(Arc::clone(&host.trust)).connect(name, stream)).await.ok();
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(host.edge.acme.orders.get(), 0);
    host.route("acme", gateway().await.0);
    let acme = format!("acme.{DOMAIN}");
    for _ in 0..5 {
        assert!(trusted(&host, &acme, &host.trust).await);
    }
    eventually(async || host.edge.acme.failures.get() == 1).await;
    assert!(trusted(&host, &acme, &host.trust).await);
    assert_eq!(host.edge.acme.orders.get(), 1, "it is not asked again at once");
    let text = tenant_edge::metrics::text(&host.edge);
    assert!(text.contains("tenantd_edge_acme_failures_total 1\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_a_token_that_is_being_ordered_is_answered_below_the_path_of_challenges() {
    let host = Host::start().await;
    let acme = format!("acme.{DOMAIN}");
    let at = "/.well-known/acme-challenge";
    assert_eq!(plain(&host, &acme, &format!("{at}/x")).await, "308");
    settings(&host, away());
    eventually(async || plain(&host, &acme, &format!("{at}/x")).await == "404").await;
    for path in ["/", "/../../../../etc/passwd", "/%2e%2e%2fetc%2fpasswd", "/x/y", "/x?y", "//"] {
        assert_eq!(plain(&host, &acme, &format!("{at}{path}")).await, "404", "{path}");
    }
    assert_eq!(plain(&host, "elsewhere.example", &format!("{at}/x")).await, "421");
    for path in ["/", at, "/.well-known/acme-challenges/x", "/x/.well-known/acme-challenge/x"] {
        assert_eq!(plain(&host, &acme, path).await, "308", "{path}");
    }
}
