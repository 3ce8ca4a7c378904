//! The first message of TLS, over real sockets: for whom it is decides, and what hides or contradicts that is refused.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::{World, client_config, policy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const L4: &str = "      - {host: a.example, ports: [443, 8443]}\n      - {host: 93.184.215.14, ports: [443]}";
const L7: &str =
    "      - host: a.example\n        ports: [443, 8443]\n        protocol: rest\n        access: full";
/// `access_denied` (RFC 8446, 6.2).
const DENIED: [u8; 7] = [21, 3, 3, 0, 2, 2, 49];

type Seen = Arc<Mutex<Vec<u8>>>;

/// A server that notes what arrives.
async fn noting(world: &World, port: u16) -> Seen {
    let seen = Seen::default();
    let own = Arc::clone(&seen);
    world
        .serve(port, move |mut stream| {
            let seen = Arc::clone(&own);
            async move {
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    seen.lock().unwrap().extend_from_slice(&buffer[..length]);
                }
            }
        })
        .await;
    seen
}

/// A `ClientHello` with these extensions after it; with none, it has no name.
fn hello(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let short = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
    // rustls takes these: supported versions, groups, signatures, a key.
    let versions = (43_u16, vec![2, 3, 4]);
    let groups = (10, vec![0, 2, 0, 29]);
    let signatures = (13, vec![0, 4, 4, 3, 8, 4]);
    let key = (51, [&[0, 36, 0, 29, 0, 32][..], &[9; 32]].concat());
    let all = [extensions, &[versions, groups, signatures, key]].concat();
    let all: Vec<u8> = all
        .iter()
        .flat_map(|(kind, content)| [&kind.to_be_bytes(), &short(content.len())[..], content].concat())
        .collect();
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &short(all.len()), &all].concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[1][..], &length[1..], &body].concat()
}

fn name(text: &str) -> (u16, Vec<u8>) {
    let short = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
    let one = [&[0][..], &short(text.len()), text.as_bytes()].concat();
    (0, [&short(one.len())[..], &one].concat())
}

fn records(message: &[u8], size: usize) -> Vec<u8> {
    let record =
        |part: &[u8]| [&[22, 3, 1][..], &u16::try_from(part.len()).unwrap().to_be_bytes(), part].concat();
    message.chunks(size).flat_map(record).collect()
}

/// Everything that is answered to these bytes until the end; whether it was cut counts for nothing.
async fn answered(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    drop(tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.unwrap());
    answer
}

/// Whether the proxy passes them to the server as they are.
async fn passes(world: &World, seen: &Seen, to: &str, bytes: &[u8]) -> bool {
    let (mut stream, said) = world.connect(to).await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    stream.write_all(bytes).await.unwrap();
    let mut byte = [0; 1];
    let before = seen.lock().unwrap().len();
    let arrived = async {
        while seen.lock().unwrap().len() < before + bytes.len() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let passed = tokio::select! {
        () = arrived => true,
        _ = stream.read(&mut byte) => false,
    };
    if passed {
        assert!(seen.lock().unwrap().ends_with(bytes));
    } else {
        assert_eq!(seen.lock().unwrap().len(), before, "the server sees nothing");
    }
    passed
}

#[tokio::test]
async fn a_name_that_is_hidden_is_refused_where_tls_is_passed_through() {
    let world = World::new(&policy("deny", L4), None).await;
    let seen = noting(&world, 443).await;
    let ech = (0xfe0d, [&[0, 0, 1, 0, 1, 7, 0, 0, 0, 4][..], &[1; 4]].concat());
    for extensions in [vec![name("a.example"), ech.clone()], vec![ech, name("a.example")]] {
        let (mut stream, _) = world.connect("a.example:443").await;
        stream.write_all(&records(&hello(&extensions), 1 << 14)).await.unwrap();
        assert_eq!(answered(&mut stream).await, DENIED);
    }
    assert_eq!((world.count("ech-refused"), seen.lock().unwrap().len()), (2, 0));
    let plain = records(&hello(&[name("a.example")]), 1 << 14);
    assert!(passes(&world, &seen, "a.example:443", &plain).await);
}

#[tokio::test]
async fn where_tls_ends_here_a_hidden_name_is_not_used() {
    let world = World::new(&policy("deny", L7), None).await;
    world.serve_tls(&[], support::mirror).await;
    let (mut stream, _) = world.connect("a.example:443").await;
    let ech = (0xfe0d, [&[0, 0, 1, 0, 1, 7, 0, 0, 0, 4][..], &[1; 4]].concat());
    stream.write_all(&records(&hello(&[name("a.example"), ech]), 1 << 14)).await.unwrap();
    let mut first = [0; 3];
    // A ServerHello: the proxy has no key for what is hidden, and answers for the name that is seen.
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(first, [22, 3, 3]);
}

#[tokio::test]
async fn the_name_in_tls_is_the_one_of_the_tunnel() {
    for text in [L4, L7] {
        let world = World::new(&policy("deny", text), None).await;
        let seen = noting(&world, 443).await;
        for extensions in [
            vec![],
            vec![name("b.example")],
            vec![name("a.example.b.example")],
            vec![name("xa.example")],
            vec![name("93.184.215.14")],
        ] {
            let (mut stream, said) = world.connect("a.example:443").await;
            assert!(said.starts_with("HTTP/1.1 200"), "{said}");
            stream.write_all(&records(&hello(&extensions), 1 << 14)).await.unwrap();
            assert_eq!(answered(&mut stream).await, DENIED, "{extensions:?}");
        }
        assert_eq!((world.count("sni-differs"), seen.lock().unwrap().len()), (5, 0));
    }
    let world = World::new(&policy("deny", L4), None).await;
    let seen = noting(&world, 443).await;
    // The same name, however it is written; an address has none, and no name has an address.
    for to in ["a.example:443", "A.Example.:443"] {
        for own in ["a.example", "A.EXAMPLE", "a.example.", "A.Example."] {
            assert!(passes(&world, &seen, to, &records(&hello(&[name(own)]), 1 << 14)).await, "{to} {own}");
        }
    }
    assert!(passes(&world, &seen, "93.184.215.14:443", &records(&hello(&[]), 1 << 14)).await);
    assert!(
        !passes(&world, &seen, "93.184.215.14:443", &records(&hello(&[name("a.example")]), 1 << 14)).await
    );
}

#[tokio::test]
async fn a_name_of_another_spelling_is_served_by_a_certificate_that_is_good_for_it() {
    let world = World::new(&policy("deny", L7), None).await;
    world.serve_tls(&[], support::mirror).await;
    for (to, own) in [("A.EXAMPLE.:443", "a.example"), ("a.example:443", "A.Example")] {
        let (stream, said) = world.connect(to).await;
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
        let connector = TlsConnector::from(client_config(&world.ca));
        let mut stream = connector.connect(own.try_into().unwrap(), stream).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: A.Example.\r\n\r\n").await.unwrap();
        let mut answer = [0; 512];
        let length = stream.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    // A final dot has no place in the name of a server (RFC 6066, 3); what is done with it is TLS's own business.
    let (mut stream, _) = world.connect("a.example:443").await;
    stream.write_all(&records(&hello(&[name("a.example.")]), 1 << 14)).await.unwrap();
    let mut first = [0; 1];
    stream.read_exact(&mut first).await.unwrap();
    assert!(matches!(first, [21 | 22]));
}

#[tokio::test]
async fn a_hello_is_read_in_however_many_pieces_it_comes() {
    let world = World::new(&policy("deny", L4), None).await;
    let seen = noting(&world, 443).await;
    let message = hello(&[name("a.example"), (21, vec![0; 1500])]);
    for size in [1, 3, 100, 1 << 14] {
        assert!(passes(&world, &seen, "a.example:443", &records(&message, size)).await, "{size}");
    }
    // In many segments of TCP: in the middle of a record's head, of the message's, of the name.
    let bytes = records(&hello(&[name("a.example")]), 50);
    let before = seen.lock().unwrap().len();
    let (mut stream, _) = world.connect("a.example:443").await;
    for byte in &bytes {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    world.until(|_| seen.lock().unwrap().len() == before + bytes.len()).await;
    // What is refused is refused so, too.
    let bytes = records(&hello(&[name("b.example")]), 3);
    let (mut stream, _) = world.connect("a.example:443").await;
    for part in bytes.chunks(7) {
        stream.write_all(part).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(answered(&mut stream).await, DENIED);
    assert_eq!(seen.lock().unwrap().len(), before + records(&hello(&[name("a.example")]), 50).len());
}

#[tokio::test]
async fn what_is_no_hello_is_refused() {
    let world = World::new(&policy("deny", L4), None).await;
    let seen = noting(&world, 443).await;
    let good = hello(&[name("a.example")]);
    let mut claims = records(&good, 1 << 14);
    claims[6] = 1;
    let two = hello(&[name("a.example"), name("a.example")]);
    let list = [name("a.example").1[2..].to_vec(), name("b.example").1[2..].to_vec()].concat();
    let list = [&u16::try_from(list.len()).unwrap().to_be_bytes()[..], &list].concat();
    for (what, bytes) in [
        ("too long", records(&hello(&[name("a.example"), (21, vec![0; 17_000])]), 1 << 14)),
        ("too long by what it says", claims),
        ("two names", records(&two, 1 << 14)),
        ("two names in one list", records(&hello(&[(0, list)]), 1 << 14)),
        ("no characters of a name", records(&hello(&[name("a.example\0.b")]), 1 << 14)),
        ("something after it", records(&[&good[..], &[0]].concat(), 1 << 14)),
        ("an empty record", [&[22, 3, 1, 0, 0][..], &records(&good, 1 << 14)].concat()),
        ("another message", records(&[2, 0, 0, 1, 0], 1 << 14)),
        ("another record within", [&records(&good, 20)[..25], &[23, 3, 3, 0, 1, 0]].concat()),
    ] {
        let (mut stream, said) = world.connect("a.example:443").await;
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
        stream.write_all(&bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = answered(&mut stream).await;
        assert!(answer.is_empty() || answer == DENIED, "{what}: {answer:?}");
        assert_eq!(seen.lock().unwrap().len(), 0, "{what}");
    }
    // What is no TLS at all passes where bytes are not looked at, and nowhere else.
    let old = [0x80, 0x2e, 1, 3, 1, 0, 0x15, 0, 0, 0, 0x10];
    let inspected = World::new(&policy("deny", L7), None).await;
    let unseen = noting(&inspected, 443).await;
    assert!(!passes(&inspected, &unseen, "a.example:443", &old).await);
    assert_eq!(inspected.count("not-http"), 1);
    // One that never ends.
    let (mut stream, _) = world.connect("a.example:443").await;
    stream.write_all(&records(&good, 20)[..30]).await.unwrap();
    assert_eq!(answered(&mut stream).await, b"");
    assert!(passes(&world, &seen, "a.example:443", &records(&good, 1 << 14)).await);
}
