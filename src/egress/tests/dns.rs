//! The tenant's name server: what it answers, and what it looks up.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};
use support::{PUBLIC, World, policy};
use tenant_egress::dns;
use tenant_egress::names::stands_in;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

const LISTED: &str =
    "      - {host: a.example, ports: [443]}\n      - {host: \"*.wild.example\", ports: [443]}";

fn query(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new();
    message.set_id(0xbeef).set_recursion_desired(true);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

/// A query with this name, as it stands on the wire.
fn raw(name: &[u8]) -> Vec<u8> {
    [&[0xbe, 0xef, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], name, &[0, 1, 0, 1]].concat()
}

async fn ask(world: &World, bytes: &[u8]) -> Option<Message> {
    let reply = dns::answer(&world.proxy, bytes).await?;
    let message = Message::from_vec(&reply.bytes).unwrap();
    assert_eq!((message.message_type(), message.id()), (MessageType::Response, 0xbeef));
    assert!(message.name_servers().is_empty() && message.additionals().is_empty());
    Some(message)
}

async fn code(world: &World, message: &Message) -> (ResponseCode, Vec<Ipv4Addr>) {
    let answer = ask(world, &message.to_vec().unwrap()).await.unwrap();
    let addresses = answer.answers().iter().map(|record| {
        let RData::A(address) = record.data() else { panic!("{record:?}") };
        address.0
    });
    (answer.response_code(), addresses.collect())
}

async fn of(world: &World, name: &str) -> (ResponseCode, Vec<Ipv4Addr>) {
    code(world, &query(name, RecordType::A)).await
}

#[tokio::test]
async fn a_listed_name_is_looked_up_and_no_other() {
    let world = World::new(&policy("deny", LISTED), None).await;
    let public = Ipv4Addr::from(PUBLIC);
    assert_eq!(of(&world, "A.exaMPle.").await, (ResponseCode::NoError, vec![public]));
    let answer = ask(&world, &query("A.exaMPle.", RecordType::A).to_vec().unwrap()).await.unwrap();
    assert_eq!(answer.queries()[0].name().to_ascii(), "A.exaMPle.");
    assert!(answer.answers()[0].name().to_ascii() == "A.exaMPle." && answer.answers()[0].ttl() <= 60);
    assert!(world.proxy.names.is_pinned("a.example", public.into()));
    for name in
        ["b.example.", "example.", ".", "x.a.example.", "wild.example.", "a.example.b.example.", "localhost."]
    {
        assert_eq!(of(&world, name).await, (ResponseCode::Refused, vec![]), "{name}");
    }
    assert_eq!(world.looked_up(), ["a.example"; 2]);
    assert_eq!(world.count("dns-refused"), 7);
    // One that nobody knows outside.
    assert_eq!(of(&world, "x.wild.example.").await.0, ResponseCode::ServFail);
    assert_eq!(world.looked_up().len(), 3);
}

#[tokio::test]
async fn a_name_that_may_only_be_asked_about_stands_for_itself_and_is_not_looked_up() {
    let world = World::new(&policy("ask", LISTED), Some("allow")).await;
    let (code, first) = of(&world, "other.example.").await;
    assert!(code == ResponseCode::NoError && first.len() == 1 && stands_in(first[0].into()));
    assert_eq!(of(&world, "OTHER.example.").await.1, first);
    assert_ne!(of(&world, "b.example.").await.1, first);
    assert_eq!(world.proxy.names.standing_for(first[0].into()).as_deref(), Some("other.example"));
    assert!(world.looked_up().is_empty() && world.asked.lock().unwrap().is_empty());
    assert_eq!(of(&world, "a.example.").await.1, [Ipv4Addr::from(PUBLIC)]);
    // That of models, too, wherever it is asked for.
    let world = World::new(&policy("deny", LISTED), None).await;
    let (code, found) = of(&world, "inference.internal.").await;
    assert!(code == ResponseCode::NoError && stands_in(found[0].into()) && world.looked_up().is_empty());
}

#[tokio::test]
async fn only_addresses_are_asked_for() {
    let world = World::new(&policy("deny", LISTED), None).await;
    for kind in [
        RecordType::AAAA,
        RecordType::TXT,
        RecordType::ANY,
        RecordType::NULL,
        RecordType::MX,
        RecordType::HTTPS,
        RecordType::CNAME,
        RecordType::SRV,
        RecordType::AXFR,
        RecordType::Unknown(65_280),
    ] {
        assert_eq!(code(&world, &query("a.example.", kind)).await, (ResponseCode::NoError, vec![]), "{kind}");
        assert_eq!(code(&world, &query("b.example.", kind)).await, (ResponseCode::Refused, vec![]), "{kind}");
    }
    let mut chaos = query("a.example.", RecordType::A);
    chaos.queries_mut()[0].set_query_class(DNSClass::CH);
    assert_eq!(code(&world, &chaos).await, (ResponseCode::Refused, vec![]));
    assert_eq!(of(&world, "14.215.184.93.in-addr.arpa.").await.0, ResponseCode::Refused);
    assert!(world.looked_up().is_empty());
    assert_eq!(of(&world, "a.example.").await.0, ResponseCode::NoError);
}

#[tokio::test]
async fn a_message_that_is_no_single_query_is_refused_or_dropped() {
    let world = World::new(&policy("deny", LISTED), None).await;
    let good = query("a.example.", RecordType::A);
    let change = |with: &dyn Fn(&mut Message)| {
        let mut message = good.clone();
        with(&mut message);
        message.to_vec().unwrap()
    };
    let two = |message: &mut Message| {
        message.add_query(good.queries()[0].clone());
    };
    let record =
        || hickory_proto::rr::Record::from_rdata(Name::root(), 1, RData::A(Ipv4Addr::from(PUBLIC).into()));
    for (bytes, wanted) in [
        (change(&two), ResponseCode::FormErr),
        (change(&|message| drop(message.take_queries())), ResponseCode::FormErr),
        (
            change(&|message| {
                message.add_answer(record());
            }),
            ResponseCode::FormErr,
        ),
        (
            change(&|message| {
                message.add_name_server(record());
            }),
            ResponseCode::FormErr,
        ),
        (
            change(&|message| {
                message.set_op_code(OpCode::Update);
            }),
            ResponseCode::NotImp,
        ),
        (
            change(&|message| {
                message.set_op_code(OpCode::Notify);
            }),
            ResponseCode::NotImp,
        ),
    ] {
        let answer = ask(&world, &bytes).await.unwrap();
        assert!(answer.answers().is_empty(), "{bytes:?}");
        assert_eq!(answer.response_code(), wanted, "{bytes:?}");
    }
    let answer = change(&|message| {
        message.set_message_type(MessageType::Response);
    });
    let broken = [&[0xbe, 0xef, 0x81, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &[0xc0, 12]].concat();
    for dropped in [answer, broken, vec![], vec![0xbe; 11]] {
        assert!(dns::answer(&world.proxy, &dropped).await.is_none(), "{dropped:?}");
    }
    assert!(world.looked_up().is_empty());
    let whole = ask(&world, &good.to_vec().unwrap()).await.unwrap();
    assert_eq!(whole.answers().len(), 1);
}

#[tokio::test]
async fn a_query_whose_name_is_malformed_is_told_so() {
    let world = World::new(&policy("ask", LISTED), None).await;
    for bytes in [
        // A pointer to itself, two to each other, one forward, one into the head.
        raw(&[0xc0, 12]),
        raw(&[1, b'a', 0xc0, 12]),
        raw(&[0xc0, 14, 0xc0, 12]),
        raw(&[0xc0, 200]),
        raw(&[0x40, b'a', 0]),
        raw(&[5, b'a', 0]),
        raw(&[[63; 64].as_slice(); 4].concat()),
        raw(b"\x01a")[..14].to_vec(),
    ] {
        let answer = ask(&world, &bytes).await.unwrap();
        assert_eq!((answer.response_code(), answer.answers().len()), (ResponseCode::FormErr, 0), "{bytes:?}");
    }
    assert_eq!(world.count("dns-malformed"), 8);
    assert!(world.looked_up().is_empty());
    let answer = ask(&world, &raw(b"\x01a\x07example\0")).await.unwrap();
    assert_eq!(answer.answers().len(), 1);
}

#[tokio::test]
async fn a_name_of_odd_bytes_is_no_host() {
    for default in ["deny", "ask"] {
        let world = World::new(&policy(default, LISTED), None).await;
        for name in [
            // One label with a dot in it is not two.
            &b"\x09a.example\0"[..],
            b"\x06a.wild\x07example\0",
            b"\x09a.example\x07example\0",
            b"\x02a\0\x07example\0",
            b"\x02a \x07example\0",
            b"\x02\\.\x07example\0",
            b"\x02\xc3\xa4\x07example\0",
            b"\x01*\x04wild\x07example\0",
            b"\x01a\x08example\n\0",
            b"\x02-a\x07example\0",
            // An address is no name.
            b"\x03127\x010\x010\x011\0",
            b"\x0a2130706433\0",
            b"\x040x7f\x011\0",
        ] {
            let answer = ask(&world, &raw(name)).await.unwrap();
            assert_eq!(answer.response_code(), ResponseCode::Refused, "{default} {name:?}");
            assert!(answer.answers().is_empty());
        }
        assert!(world.looked_up().is_empty());
        let answer = ask(&world, &raw(b"\x01a\x07example\0")).await.unwrap();
        assert_eq!(answer.answers().len(), 1);
    }
}

#[tokio::test]
async fn an_address_that_may_not_be_reached_is_not_told() {
    let closed = [
        "10.0.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "192.168.1.1",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "198.18.0.7",
        "203.0.113.1",
        "::1",
        "fd00::1",
        "fe80::1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
    ]
    .map(|text| text.parse::<IpAddr>().unwrap());
    let listed = "      - {host: a.example, ports: [443]}\n      - {host: inside.example, ports: [443], allowed_ips: [10.0.0.0/8]}";
    let world = World::new(&policy("deny", listed), None).await;
    for address in closed {
        world.name("a.example", &[address]);
        assert_eq!(of(&world, "a.example.").await, (ResponseCode::Refused, vec![]), "{address}");
        assert!(!world.proxy.names.is_known(address), "{address}");
    }
    assert_eq!(world.count("dns-closed"), 17);
    // What is open of several.
    let all = [&closed[..], &[PUBLIC.into()]].concat();
    world.name("a.example", &all);
    assert_eq!(of(&world, "a.example.").await, (ResponseCode::NoError, vec![PUBLIC.into()]));
    assert!(closed.iter().all(|address| !world.proxy.names.is_pinned("a.example", *address)));
    // What is listed for this name, and for no other.
    world.name("inside.example", &all);
    assert_eq!(of(&world, "inside.example.").await.1, [Ipv4Addr::new(10, 0, 0, 1)]);
    // IPv6 alone: the proxy goes there by name.
    world.name("a.example", &["2606:4700::1".parse().unwrap()]);
    let (_, found) = of(&world, "a.example.").await;
    assert!(found.len() == 1 && stands_in(found[0].into()));
    world.name("a.example", &[]);
    assert_eq!(of(&world, "a.example.").await, (ResponseCode::ServFail, vec![]));
}

#[tokio::test]
async fn names_below_a_pattern_are_few_in_a_minute() {
    let world = World::new(&policy("deny", LISTED), None).await;
    for number in 0..70 {
        let name = format!("n{number}.wild.example");
        world.name(&name, &[PUBLIC.into()]);
        let wanted = if number < 60 { ResponseCode::NoError } else { ResponseCode::Refused };
        assert_eq!(of(&world, &format!("{name}.")).await.0, wanted, "{number}");
    }
    assert_eq!((world.looked_up().len(), world.count("dns-tunnel")), (60, 10));
    assert_eq!(of(&world, "n0.wild.example.").await.0, ResponseCode::NoError);
    assert_eq!(of(&world, "a.example.").await.0, ResponseCode::NoError);
}

fn addresses(count: u32) -> Vec<IpAddr> {
    (0..count).map(|number| Ipv4Addr::from_bits(0x0808_0000 + number).into()).collect()
}

#[tokio::test]
async fn an_answer_is_as_long_as_the_asker_takes_and_never_longer_than_1232_bytes() {
    let world = World::new(&policy("deny", LISTED), None).await;
    for (count, edns, fits) in [
        (20, None, true),
        (40, None, false),
        (40, Some(100), false),
        (40, Some(1232), true),
        (64, Some(4096), true),
        (64, Some(512), false),
    ] {
        world.name("a.example", &addresses(count));
        let mut message = query("a.example.", RecordType::A);
        if let Some(payload) = edns {
            let mut edns = Edns::new();
            edns.set_max_payload(payload);
            message.set_edns(edns);
        }
        let reply = dns::answer(&world.proxy, &message.to_vec().unwrap()).await.unwrap();
        assert_eq!(Message::from_vec(&reply.bytes).unwrap().answers().len(), usize::try_from(count).unwrap());
        assert_eq!(reply.truncated.is_none(), fits, "{count} {edns:?}");
        let sent = reply.truncated.unwrap_or(reply.bytes);
        let read = Message::from_vec(&sent).unwrap();
        assert_eq!((read.truncated(), read.answers().is_empty()), (!fits, !fits));
        assert_eq!(read.extensions().is_some(), edns.is_some());
        assert!(sent.len() <= 1232 && (edns.is_some() || sent.len() <= 512), "{}", sent.len());
    }
}

#[tokio::test]
async fn a_name_with_more_addresses_than_anybody_needs_is_answered() {
    let world = World::new(&policy("deny", LISTED), None).await;
    world.name("a.example", &addresses(10_000));
    let (code, found) = of(&world, "a.example.").await;
    assert_eq!(code, ResponseCode::NoError);
    // Each that is told is known afterwards.
    assert!(
        !found.is_empty() && found.iter().all(|ip| world.proxy.names.is_pinned("a.example", (*ip).into()))
    );
}

async fn over_tcp(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<Message> {
    let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length, bytes].concat()).await?;
    let mut answer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut answer).await?;
    Ok(Message::from_vec(&answer).unwrap())
}

#[tokio::test]
async fn both_sockets_answer_and_what_is_too_long_for_one_comes_by_the_other() {
    let world = World::new(&policy("deny", LISTED), None).await;
    world.name("a.example", &addresses(40));
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let udp = socket.local_addr().unwrap();
    tokio::spawn(dns::udp(std::sync::Arc::clone(&world.proxy), socket));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tcp = listener.local_addr().unwrap();
    let proxy = std::sync::Arc::clone(&world.proxy);
    tokio::spawn(async move {
        while let Ok((stream, from)) = listener.accept().await {
            tokio::spawn(dns::tcp(std::sync::Arc::clone(&proxy), stream, from));
        }
    });
    let good = query("a.example.", RecordType::A).to_vec().unwrap();
    let asker = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    asker.connect(udp).await.unwrap();
    let mut buffer = [0; 4096];
    for junk in [&[][..], &[0; 5], &[0xff; 3000]] {
        asker.send(junk).await.unwrap();
    }
    asker.send(&good).await.unwrap();
    let length = asker.recv(&mut buffer).await.unwrap();
    let answer = Message::from_vec(&buffer[..length]).unwrap();
    assert!(length <= 512 && answer.truncated() && answer.answers().is_empty());

    let mut stream = TcpStream::connect(tcp).await.unwrap();
    for _ in 0..3 {
        let answer = over_tcp(&mut stream, &good).await.unwrap();
        assert!(!answer.truncated() && answer.answers().len() == 40);
    }
    let refused = over_tcp(&mut stream, &query("b.example.", RecordType::A).to_vec().unwrap()).await.unwrap();
    assert_eq!(refused.response_code(), ResponseCode::Refused);
    // A message without a length, or longer than any query.
    for bad in [&[0, 0][..], &[0xff, 0xff, 0, 0]] {
        let mut stream = TcpStream::connect(tcp).await.unwrap();
        stream.write_all(bad).await.unwrap();
        let read = stream.read(&mut buffer).await;
        assert!(read.is_err() || read.is_ok_and(|length| length == 0), "{bad:?}");
    }
}

#[tokio::test]
async fn a_name_whose_entry_has_ended_is_looked_up_no_more() {
    let ended = "\n    x-tenantd: {expires: \"2026-01-01T00:00:00Z\"}";
    let world = World::new(&policy("deny", &format!("{LISTED}{ended}")), None).await;
    assert_eq!(of(&world, "a.example.").await, (ResponseCode::Refused, vec![]));
    assert_eq!(of(&world, "x.wild.example.").await, (ResponseCode::Refused, vec![]));
    assert!(world.looked_up().is_empty());
    let world =
        World::new(&policy("deny", &format!("{LISTED}{}", ended.replace("2026", "9998"))), None).await;
    assert_eq!(of(&world, "a.example.").await.0, ResponseCode::NoError);
}
