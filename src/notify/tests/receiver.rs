//! Questions of a tenantd of our own, posted to receivers that are slow, refuse, redirect, lie, or are somebody else.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a step of a test that fails is a failed test"
)]

mod fake;

use std::time::Duration;

use fake::{Behaviour, Daemon, asked, certified, receiver};
use ring::hmac;
use rustls::RootCertStore;
use tenant_notify::{Patience, Poster, Sent, Shared, deliver, watch};

const SECRET: &[u8] = b"0123456789abcdef";
const QUICK: Patience =
    Patience { first: Duration::from_millis(1), longest: Duration::from_millis(2), attempts: 3 };

fn poster(url: &str, roots: RootCertStore) -> Poster {
    let address = model::Webhook { url: url.to_owned() }.address().unwrap();
    Poster::new(address, roots, SECRET, Duration::from_secs(2)).unwrap()
}

fn plain(url: &str) -> Poster {
    poster(url, RootCertStore::empty())
}

async fn sent(behaviour: Behaviour) -> (Sent, usize) {
    let mut fake = receiver(behaviour).await;
    let sent = plain(&fake.url).post("1-a.1", b"{}", 5).await;
    (sent, fake.taken().len())
}

#[tokio::test]
async fn a_post_is_signed_over_its_time_and_its_body() {
    let mut fake = receiver(Behaviour::Says("HTTP/1.1 204 No Content\r\n\r\n")).await;
    assert_eq!(plain(&fake.url).post("12-ab.3", br#"{"kind":"question"}"#, 1_764_240_000).await, Sent::Taken);
    let [request] = fake.taken().try_into().unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /hook?x=1 HTTP/1.1\r\n"), "{head}");
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).unwrap().1.to_owned()
    };
    assert_eq!(
        (header("x-tenantd-delivery").as_str(), header("content-type").as_str()),
        ("12-ab.3", "application/json")
    );
    let (time, signature) = (header("x-tenantd-timestamp"), header("x-tenantd-signature"));
    let hex = signature.strip_prefix("sha256=").unwrap();
    let tag: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    hmac::verify(&key, format!("{time}.{body}").as_bytes(), &tag).unwrap();
    assert!(
        hmac::verify(&key, format!("{time}1.{body}").as_bytes(), &tag).is_err(),
        "the time is signed, too"
    );
}

#[tokio::test]
async fn a_receiver_that_says_no_is_not_asked_again_and_a_redirect_is_not_followed() {
    let mut target = receiver(Behaviour::Says("HTTP/1.1 200 OK\r\n\r\n")).await;
    let redirect =
        format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", target.url);
    let (redirected, asked) = sent(Behaviour::Says(redirect.leak())).await;
    assert!(
        matches!(&redirected, Sent::Refused(why) if why.contains("redirects are not followed")),
        "{redirected:?}"
    );
    assert_eq!((asked, target.taken().len()), (1, 0));
    let (refused, _) = sent(Behaviour::Says("HTTP/1.1 403 \x1b[31mNo\r\n\r\n")).await;
    assert!(!matches!(refused, Sent::Taken), "{refused:?}");
    let (refused, _) = sent(Behaviour::Says("HTTP/1.1 403 Go away\r\n\r\n")).await;
    assert_eq!(refused, Sent::Refused("answered 403".into()));
}

#[tokio::test]
async fn one_that_is_slow_speaks_no_http_or_without_end_is_given_up() {
    let (slow, asked) = sent(Behaviour::Silent).await;
    assert_eq!((slow, asked), (Sent::Lost("no answer within 2 s".into()), 1));
    let (endless, _) = sent(Behaviour::EndlessHead).await;
    assert!(matches!(endless, Sent::Lost(_)), "{endless:?}");
    let (odd, _) = sent(Behaviour::Says("SSH-2.0-OpenSSH\r\n")).await;
    assert!(matches!(&odd, Sent::Lost(why) if why.starts_with("HTTP: ")), "{odd:?}");
    let (busy, _) = sent(Behaviour::Says("HTTP/1.1 503 Busy\r\n\r\n")).await;
    assert_eq!(busy, Sent::Lost("answered 503".into()));
    let nobody = plain("http://127.0.0.1:1/").post("1-a.1", b"{}", 5).await;
    assert!(
        matches!(&nobody, Sent::Lost(why) if why.starts_with("cannot connect to 127.0.0.1:1")),
        "{nobody:?}"
    );
    // A body that never ends is not read.
    let (taken, _) = sent(Behaviour::Says("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\nx")).await;
    assert_eq!(taken, Sent::Taken);
}

#[tokio::test]
async fn only_a_certificate_of_a_known_authority_for_its_name_is_believed() {
    let (mut fake, authority) = certified("127.0.0.1").await;
    let mut roots = RootCertStore::empty();
    roots.add(authority).unwrap();
    assert_eq!(poster(&fake.url, roots.clone()).post("1-a.1", b"{}", 5).await, Sent::Taken);
    assert_eq!(fake.taken().len(), 1);
    let unknown = plain(&fake.url).post("1-a.1", b"{}", 5).await;
    assert!(matches!(&unknown, Sent::Lost(why) if why.starts_with("TLS: ")), "{unknown:?}");
    assert_eq!(fake.taken().len(), 0, "nothing was said to it");
    let (mut other, authority) = certified("hooks.example.org").await;
    roots.add(authority).unwrap();
    let misnamed = poster(&other.url, roots).post("1-a.1", b"{}", 5).await;
    assert!(matches!(&misnamed, Sent::Lost(why) if why.starts_with("TLS: ")), "{misnamed:?}");
    assert_eq!(other.taken().len(), 0);
}

#[tokio::test]
async fn what_tenants_ask_is_posted_once_and_what_comes_after() {
    let daemon = Daemon::start(vec![asked(12, "acme")]).await;
    let mut fake = receiver(Behaviour::Says("HTTP/1.1 200 OK\r\n\r\n")).await;
    let (poster, shared) = (plain(&fake.url), Shared::default());
    let story = async {
        let first = fake.next().await;
        assert!(first.contains(r#""id":"12-3f9a2b1c4d5e","tenant":"acme","state":"waiting""#), "{first}");
        daemon.list(vec![asked(12, "acme"), asked(13, "beta")]).await;
        let second = fake.next().await;
        assert!(second.contains(r#""id":"13-3f9a2b1c4d5e","tenant":"beta""#), "{second}");
        daemon.list(vec![asked(13, "beta")]).await;
        daemon.list(vec![asked(13, "beta"), asked(14, "beta")]).await;
        let third = fake.next().await;
        assert!(third.contains(r#""id":"14-"#), "neither of the first two again: {third}");
    };
    tokio::select! {
        ended = watch(&daemon.client, &shared) => panic!("it ended: {ended:?}"),
        () = deliver(&poster, &shared, QUICK) => panic!("it ended"),
        () = story => {}
    }
}

#[tokio::test]
async fn a_receiver_that_fails_gets_the_same_delivery_again_and_then_the_next_question() {
    let shared = Shared::default();
    shared.update(vec![asked(1, "acme"), asked(2, "acme")]);
    let mut fake = receiver(Behaviour::FailsThenTakes(4)).await;
    let poster = plain(&fake.url);
    let story = async {
        let mut deliveries = Vec::new();
        for _ in 0..5 {
            let request = fake.next().await;
            let body: serde_json::Value =
                serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
            deliveries
                .push((body["delivery"].as_str().unwrap().to_owned(), body["left_out"].as_u64().unwrap()));
        }
        deliveries
    };
    let deliveries = tokio::select! {
        () = deliver(&poster, &shared, QUICK) => panic!("it ended"),
        deliveries = story => deliveries,
    };
    let (one, two) = ("1-3f9a2b1c4d5e.1".to_owned(), "2-3f9a2b1c4d5e.1".to_owned());
    let wanted = [(&one, 0), (&one, 0), (&one, 0), (&two, 1), (&two, 1)];
    assert_eq!(deliveries, wanted.map(|(delivery, left_out)| (delivery.clone(), left_out)));
}

#[tokio::test]
async fn a_flood_to_a_receiver_that_is_down_is_bounded_and_what_was_answered_is_never_posted() {
    let shared = Shared::default();
    for round in 0..50 {
        shared.update((0..1000).map(|number| asked(round * 1000 + number, "acme")).collect());
        assert!(shared.lock().len() <= 256);
    }
    shared.update(vec![asked(99_999, "beta")]);
    let mut fake = receiver(Behaviour::Says("HTTP/1.1 200 OK\r\n\r\n")).await;
    let poster = plain(&fake.url);
    let first = tokio::select! {
        () = deliver(&poster, &shared, QUICK) => panic!("it ended"),
        first = fake.next() => first,
    };
    // All of the flood was answered.
    assert!(!first.contains(r#""tenant":"acme""#), "{first}");
}
