//! What a query is answered.

use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::op::{Header, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};
use model::egress::INFERENCE_HOST;
use policy::{Host, Listing};

use crate::gate::Place;
use crate::proxy::Proxy;

/// Seconds that an answer counts.
const TTL: u32 = 30;
/// Bytes of an answer over UDP: without and with EDNS (RFC 9715).
const SHORT: u16 = 512;
const LONG: u16 = 1232;

/// Addresses of a name that are told, at most: no more are known of it afterwards.
const MOST: usize = 64;

/// An answer, and how long it may be over UDP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The message.
    pub bytes: Vec<u8>,
    /// The same without records, where the message is too long for UDP.
    pub truncated: Option<Vec<u8>>,
}

/// What was found.
enum Found {
    Addresses(Vec<Ipv4Addr>),
    Nothing,
    Code(ResponseCode),
}

/// Reads a query; an error is the answer to what is none, if it is answered at all.
///
/// # Errors
///
/// The answer.
pub fn read(bytes: &[u8]) -> Result<(Message, Query), Option<Vec<u8>>> {
    let Ok(message) = Message::from_vec(bytes) else {
        let head = bytes.first_chunk::<12>().ok_or(None)?;
        // An answer is never answered.
        let [high, low, flags, ..] = *head;
        return Err(if flags & 0x80 == 0 { format_error(u16::from_be_bytes([high, low])) } else { None });
    };
    if message.message_type() != MessageType::Query {
        return Err(None);
    }
    let refuse = |code| Err(encode(&message, None, &[], code, false));
    if message.op_code() != OpCode::Query {
        return refuse(ResponseCode::NotImp);
    }
    match message.queries() {
        [query] if message.answers().is_empty() && message.name_servers().is_empty() => {
            let query = query.clone();
            Ok((message, query))
        }
        _ => refuse(ResponseCode::FormErr),
    }
}

/// Answers a query; nothing: it is dropped.
pub async fn answer(proxy: &Proxy, bytes: &[u8]) -> Option<Reply> {
    let (message, query) = match read(bytes) {
        Ok(read) => read,
        Err(answer) => {
            proxy.events.happened("dns-malformed", &"a query is malformed");
            return answer.map(|bytes| Reply { bytes, truncated: None });
        }
    };
    let found = find(proxy, &query).await;
    let (addresses, code) = match found {
        Found::Addresses(addresses) => (addresses, ResponseCode::NoError),
        Found::Nothing => (Vec::new(), ResponseCode::NoError),
        Found::Code(code) => (Vec::new(), code),
    };
    let bytes = encode(&message, Some(&query), &addresses, code, false)?;
    let most = message.extensions().as_ref().map_or(SHORT, |edns| edns.max_payload().clamp(SHORT, LONG));
    let truncated =
        if bytes.len() > usize::from(most) { encode(&message, Some(&query), &[], code, true) } else { None };
    Some(Reply { bytes, truncated })
}

async fn find(proxy: &Proxy, query: &Query) -> Found {
    let refused = |kind, what: &dyn std::fmt::Display| {
        proxy.events.happened(kind, what);
        Found::Code(ResponseCode::Refused)
    };
    if query.query_class() != DNSClass::IN {
        return refused("dns-refused", &"a query of another class");
    }
    let Some(host @ Host::Name(_)) = Host::parse(&query.name().to_ascii()).ok() else {
        return refused("dns-refused", &"a query for what is no name of a host");
    };
    let Some(snapshot) = proxy.live.now() else { return refused("dns-refused", &"there is no policy") };
    let name = host.to_string();
    let inference = name == INFERENCE_HOST;
    if !inference && !snapshot.resolves(&host) {
        return refused("dns-refused", &format_args!("{name} is not listed"));
    }
    if query.query_type() != RecordType::A {
        return Found::Nothing;
    }
    let listing = if inference { Listing::None } else { snapshot.listing(&host) };
    match listing {
        Listing::None => return Found::Addresses(vec![proxy.names.stand_in(&name)]),
        Listing::Pattern(suffix) if !proxy.queries.may_name(suffix, &host) => {
            return refused("dns-tunnel", &format_args!("too many names below {suffix} in a minute"));
        }
        Listing::Pattern(_) | Listing::Exact => {}
    }
    let place = Place { host: host.clone(), port: 0 };
    let found = match proxy.look_up(&place).await {
        Ok(found) => found,
        Err(refusal) => {
            proxy.events.happened("dns-unresolved", &refusal.message);
            return Found::Code(ResponseCode::ServFail);
        }
    };
    let open = found.into_iter().filter(|ip| snapshot.policy.takes(&host, *ip));
    let open: Vec<IpAddr> = open.take(MOST).collect();
    proxy.names.pin(&name, &open);
    let addresses: Vec<Ipv4Addr> =
        open.iter().filter_map(|ip| if let IpAddr::V4(v4) = ip { Some(*v4) } else { None }).collect();
    match (addresses.is_empty(), open.is_empty()) {
        (false, _) => Found::Addresses(addresses),
        // It has IPv6 addresses only, and the namespace has none: the proxy reaches it by name.
        (true, false) => Found::Addresses(vec![proxy.names.stand_in(&name)]),
        (true, true) => refused("dns-closed", &format_args!("{name} has no address that may be reached")),
    }
}

/// An answer of these addresses.
pub(crate) fn encode(
    asked: &Message,
    query: Option<&Query>,
    addresses: &[Ipv4Addr],
    code: ResponseCode,
    truncated: bool,
) -> Option<Vec<u8>> {
    let mut header = Header::response_from_request(asked.header());
    header.set_response_code(code);
    header.set_recursion_available(true);
    header.set_authoritative(false);
    header.set_truncated(truncated);
    let mut message = Message::new();
    message.set_header(header);
    if let Some(query) = query {
        message.add_query(query.clone());
        for address in addresses {
            message.add_answer(Record::from_rdata(query.name().clone(), TTL, RData::A(A(*address))));
        }
    }
    if asked.extensions().is_some() {
        let mut edns = hickory_proto::op::Edns::new();
        edns.set_max_payload(LONG);
        message.set_edns(edns);
    }
    message.to_vec().ok()
}

fn format_error(id: u16) -> Option<Vec<u8>> {
    Message::error_msg(id, OpCode::Query, ResponseCode::FormErr).to_vec().ok()
}
