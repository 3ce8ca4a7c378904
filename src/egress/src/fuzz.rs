//! What reads bytes of strangers, for fuzzing: none of these panics, and what each says of itself holds.

use std::net::SocketAddr;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use policy::Host;

use crate::head::Head;
use crate::hello::Read;
use crate::http::frames::{Frames, Step};
use crate::{dns, head, hello, http, identity};

/// The ends of the connection that [`inet_diag`] asks about, and its number.
const ASKED: (SocketAddr, SocketAddr, u32) = (end(40_000), end(443), 1);
/// Bytes of a reply without records, at most: head, the longest name, type and class, EDNS.
const LONGEST_REPLY: usize = 12 + 255 + 4 + 11;

const fn end(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port)
}

/// The first message of TLS: a beginning of it waits, and in other records it says the same.
pub fn client_hello(bytes: &[u8]) {
    let read = hello::read(bytes);
    if !matches!(read, Read::Hello(_)) {
        return;
    }
    let (message, length) = handshake(bytes);
    for cut in cuts(length) {
        assert!(hello::read(bytes.get(..cut).unwrap_or_default()) == Read::More, "a part of it is read");
    }
    for size in [1, 7, 4000] {
        let mut records = Vec::new();
        for part in message.chunks(size) {
            records.extend_from_slice(&[22, 3, 1]);
            records.extend_from_slice(&u16::try_from(part.len()).unwrap_or_default().to_be_bytes());
            records.extend_from_slice(part);
        }
        assert!(hello::read(&records) == read, "it depends on the records");
    }
}

/// What the records of a whole `ClientHello` hold, and where they end.
fn handshake(bytes: &[u8]) -> (Vec<u8>, usize) {
    let (mut message, mut rest) = (Vec::new(), bytes);
    while let Some((&[_, _, _, high, low], after)) = rest.split_first_chunk::<5>() {
        let wanted = match message.as_slice() {
            [_, a, b, c, ..] => 4 + (usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c)),
            _ => usize::MAX,
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let Some((record, after)) = after.split_at_checked(length).filter(|_| message.len() < wanted) else {
            break;
        };
        message.extend_from_slice(record);
        rest = after;
    }
    (message, bytes.len().saturating_sub(rest.len()))
}

/// The head of a CONNECT: a beginning of it waits, what follows it changes nothing, and the place has one spelling.
pub fn connect_line(bytes: &[u8]) {
    let read = head::read(bytes);
    let Head::Connect(place, length) = &read else { return };
    assert!(place.port != 0);
    let spelled = format!("{}:{}", place.host, place.port);
    assert!(head::authority(&spelled).as_ref() == Some(place), "{spelled} is another place");
    assert!(head::host_and_port(&spelled, 1).as_ref() == Some(place), "{spelled} is another place");
    assert!(bytes.get(..*length).is_some_and(|head| head.ends_with(b"\n") && head::read(head) == read));
    for cut in cuts(*length) {
        assert!(head::read(bytes.get(..cut).unwrap_or_default()) == Head::More, "a part of it is read");
    }
}

/// A query: its answer, also the answer that it is none, has its number and its question, and is short.
pub fn dns(bytes: &[u8]) {
    let is_reply = |reply: &[u8]| {
        let read = Message::from_vec(reply).ok().filter(|read| read.message_type() == MessageType::Response);
        assert!(reply.get(..2) == bytes.get(..2), "it answers another query");
        assert!(reply.len() <= LONGEST_REPLY);
        read
    };
    match dns::read(bytes) {
        Ok((message, query)) => {
            let refused = dns::encode(&message, Some(&query), &[], ResponseCode::Refused, false);
            let read = refused.as_deref().and_then(is_reply);
            assert!(read.is_some_and(|read| read.queries() == [query]), "it answers another question");
        }
        Err(Some(reply)) => assert!(is_reply(&reply).is_some(), "it is no answer"),
        Err(None) => {}
    }
}

/// The head of a request: more of it changes nothing that was said before, and a host has one spelling.
pub fn http_head(bytes: &[u8]) {
    let (looks, host) = (head::looks_like_http(bytes), http::first_host(bytes, 80));
    for cut in cuts(bytes.len()) {
        let part = bytes.get(..cut).unwrap_or_default();
        let before = head::looks_like_http(part);
        assert!(before.is_none() || before == looks, "it looks different with more of it");
        match http::first_host(part, 80) {
            Ok(Some(before)) => assert!(host.as_ref().is_ok_and(|host| host.as_ref() == Some(&before))),
            Ok(None) => {}
            Err(_) => assert!(host.is_err(), "what was none became one"),
        }
    }
    if let Ok(Some(host)) = host {
        assert!(Host::parse(&host.to_string()) == Ok(host));
    }
}

/// Frames of a WebSocket are the same however they are cut.
pub fn websocket(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    for masked in [false, true] {
        let (one, other) = (steps(bytes, masked, bytes.len()), steps(bytes, masked, usize::from(first) + 1));
        assert!(one == other, "they depend on the cuts");
    }
}

#[derive(PartialEq, Eq)]
enum Part {
    Head(Vec<u8>),
    Payload(Vec<u8>),
}

/// Heads and payloads, and what was wrong.
fn steps(bytes: &[u8], masked: bool, size: usize) -> (Vec<Part>, Option<&'static str>) {
    let (mut frames, mut all) = (Frames::new(masked), Vec::new());
    for mut chunk in bytes.chunks(size.max(1)) {
        loop {
            match (frames.step(&mut chunk), all.last_mut()) {
                (Err(wrong), _) => return (all, Some(wrong)),
                (Ok(None), _) => break,
                (Ok(Some(Step::Head(head))), _) => all.push(Part::Head(head.raw)),
                (Ok(Some(Step::Payload(payload))), Some(Part::Payload(before))) => {
                    before.extend_from_slice(payload);
                }
                (Ok(Some(Step::Payload(payload))), _) => all.push(Part::Payload(payload.to_vec())),
            }
        }
    }
    (all, None)
}

/// An answer of the kernel: it is the answer to one question.
pub fn inet_diag(bytes: &[u8]) {
    let (client, server, number) = ASKED;
    if identity::answer(bytes, client, server, number).is_err() {
        return;
    }
    assert!(identity::answer(bytes, client, server, number + 1).is_err());
    assert!(identity::answer(bytes, server, client, number).is_err());
    assert!(identity::answer(bytes, SocketAddr::from(([127, 0, 0, 2], 40_000)), server, number).is_err());
    assert!(identity::answer(bytes.get(..87).unwrap_or_default(), client, server, number).is_err());
}

/// Some lengths of parts of so many bytes.
fn cuts(length: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by(length / 32 + 1).chain(length.checked_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Captured: sockets of IPv4 and of IPv6, and that there is none.
    #[test]
    fn the_seeds_of_the_kernel_are_answers() {
        let (client, server, number) = ASKED;
        let read = |bytes: &[u8]| identity::answer(bytes, client, server, number);
        assert_eq!(read(include_bytes!("../../../tests/fuzz/corpus/inet_diag/seed")).unwrap().uid, 0);
        assert_eq!(read(include_bytes!("../../../tests/fuzz/corpus/inet_diag/mapped")).unwrap().uid, 0);
        let none = read(include_bytes!("../../../tests/fuzz/corpus/inet_diag/none")).unwrap_err();
        assert_eq!(none.kind(), std::io::ErrorKind::NotFound);
    }
}
