//! The part of nfnetlink that the fence needs: elements in and out in one transaction, and questions about the skeleton.
//! (`nft` itself would cost a process on every start.) Source: include/uapi/linux/netfilter/nf_tables.h.

use std::io;

use netlink_packet_core::{DefaultNla, Emitable, NlaBuffer, NlasIterator};
use nix::errno::Errno;

use crate::element::Element;
use crate::error::Error;
use crate::socket::{Answer, Netlink, Request};

/// The table of `fence.nft`.
const TABLE: &str = "tenantd";
/// Chains of the skeleton, each with the least uses it has when it holds a rule: one per rule, one per jump to it.
const CHAINS: [(&str, u32); 7] = [
    ("prerouting", 1),
    ("input", 1),
    ("forward", 1),
    ("output", 1),
    ("from_tenant", 2),
    ("tenant_to_host", 2),
    ("host_to_tenant", 2),
];

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// Makes a table.
pub const NEW_TABLE: u16 = SUBSYSTEM << 8;
/// Makes a chain.
pub const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
const GET_CHAIN: u16 = SUBSYSTEM << 8 | 4;
/// Makes a rule.
pub const NEW_RULE: u16 = SUBSYSTEM << 8 | 6;
const NEW_ELEMENT: u16 = SUBSYSTEM << 8 | 12;
const GET_ELEMENT: u16 = SUBSYSTEM << 8 | 13;
const DELETE_ELEMENT: u16 = SUBSYSTEM << 8 | 14;
/// Makes a counter.
pub const NEW_OBJECT: u16 = SUBSYSTEM << 8 | 18;
const GET_OBJECT: u16 = SUBSYSTEM << 8 | 19;
const FAMILY_INET: u8 = 1;
/// Makes what is not there.
pub const CREATE: u16 = 0x400;
/// Puts a rule behind those that are there.
pub const APPEND: u16 = 0x800;
const NESTED: u16 = 0x8000;

/// Opens a socket in the calling thread's namespace, which must be the host's.
pub fn open() -> Result<Netlink, Error> {
    Netlink::open(netlink_sys::protocols::NETLINK_NETFILTER)
        .map_err(|error| Error::kernel("open a netfilter socket", error))
}

/// Whether every chain of the skeleton is there and holds rules; [`Error::Fence`] if not.
pub fn skeleton(netlink: &mut Netlink) -> Result<(), Error> {
    let questions: Vec<_> = CHAINS
        .iter()
        .map(|(chain, _)| question(GET_CHAIN, &[text(1, TABLE), text(3, chain)].concat()))
        .collect();
    let answers = netlink.exchange(&questions).map_err(|error| Error::kernel("ask for the fence", error))?;
    for ((chain, least), answer) in CHAINS.iter().zip(answers) {
        let messages = answer
            .into_result()
            .map_err(|error| Error::Fence(format!("chain {chain} of table inet {TABLE}: {error}")))?;
        let uses = messages.first().and_then(|message| number(message, &[6])).unwrap_or(0);
        if uses < u64::from(*least) {
            return Err(Error::Fence(format!("chain {chain} of table inet {TABLE} is empty")));
        }
    }
    Ok(())
}

/// Adds `elements` in one transaction; those that exist already stay.
pub fn add(netlink: &mut Netlink, elements: &[Element]) -> Result<(), Error> {
    let refused = |error: io::Error| match error.raw_os_error() {
        Some(errno) if errno == Errno::ENOENT as i32 => {
            Error::Fence(format!("no table inet {TABLE} or a set of it"))
        }
        _ => Error::kernel("add elements to the fence", error),
    };
    transaction(netlink, NEW_ELEMENT, elements).map_err(refused)
}

/// Takes `elements` away; those that are gone already, or whose table is, do not matter.
pub fn remove(netlink: &mut Netlink, elements: &[Element]) -> Result<(), Error> {
    let absent = |error: &io::Error| error.raw_os_error() == Some(Errno::ENOENT as i32);
    let Err(error) = transaction(netlink, DELETE_ELEMENT, elements) else { return Ok(()) };
    if !absent(&error) {
        return Err(Error::kernel("remove elements from the fence", error));
    }
    // One of them was missing, and that undid the whole transaction: one by one.
    for element in elements {
        match transaction(netlink, DELETE_ELEMENT, std::slice::from_ref(element)) {
            Err(error) if !absent(&error) => {
                return Err(Error::kernel(format!("remove an element from {}", element.set), error));
            }
            Ok(()) | Err(_) => (),
        }
    }
    Ok(())
}

/// The sets in which an element of `elements` is missing.
pub fn missing(netlink: &mut Netlink, elements: &[Element]) -> Result<Vec<&'static str>, Error> {
    let questions: Vec<_> = elements.iter().map(|element| question(GET_ELEMENT, &list(element))).collect();
    let answers =
        netlink.exchange(&questions).map_err(|error| Error::kernel("read elements of the fence", error))?;
    Ok(elements
        .iter()
        .zip(answers)
        .filter(|(_, answer)| !matches!(answer, Answer::Done(messages) if !messages.is_empty()))
        .map(|(element, _)| element.set)
        .collect())
}

/// Packets counted by the named counter.
pub fn counter(netlink: &mut Netlink, name: &str) -> Result<u64, Error> {
    counter_of(netlink, FAMILY_INET, TABLE, name)
}

/// Packets counted by a named counter of any table.
pub fn counter_of(netlink: &mut Netlink, family: u8, table: &str, name: &str) -> Result<u64, Error> {
    let body =
        [header(family, 0), text(1, table), text(2, name), attribute(3, &1_u32.to_be_bytes())].concat();
    let failed = |error: io::Error| Error::kernel(format!("read counter {name} of table {table}"), error);
    let question = Request { kind: GET_OBJECT, flags: 0, answered: true, body };
    let mut answers = netlink.exchange(&[question]).map_err(failed)?;
    let messages = answers.pop().map_or(Ok(Vec::new()), Answer::into_result).map_err(failed)?;
    messages
        .first()
        .and_then(|message| number(message, &[4, 2]))
        .ok_or_else(|| failed(io::Error::from(io::ErrorKind::InvalidData)))
}

/// How many rules and jumps use a chain; 0 if there is none.
pub fn uses(netlink: &mut Netlink, family: u8, table: &str, chain: &str) -> Result<u64, Error> {
    let body = [header(family, 0), text(1, table), text(3, chain)].concat();
    let question = Request { kind: GET_CHAIN, flags: 0, answered: true, body };
    let mut answers = netlink
        .exchange(&[question])
        .map_err(|error| Error::kernel(format!("ask for chain {chain}"), error))?;
    let found = answers.pop().and_then(|answer| answer.into_result().ok());
    Ok(found.and_then(|messages| messages.first().and_then(|message| number(message, &[6]))).unwrap_or(0))
}

fn transaction(netlink: &mut Netlink, kind: u16, elements: &[Element]) -> io::Result<()> {
    let flags = if kind == NEW_ELEMENT { CREATE } else { 0 };
    batch(netlink, FAMILY_INET, flags, elements.iter().map(|element| (kind, list(element))))
}

/// Requests that are done all or none, in this order.
pub fn batch(
    netlink: &mut Netlink,
    family: u8,
    flags: u16,
    requests: impl Iterator<Item = (u16, Vec<u8>)>,
) -> io::Result<()> {
    let mark = |kind| Request { kind, flags: 0, answered: false, body: header(0, SUBSYSTEM) };
    let mut batch = vec![mark(BATCH_BEGIN)];
    batch.extend(requests.map(|(kind, attributes)| Request {
        kind,
        flags,
        answered: true,
        body: [header(family, 0), attributes].concat(),
    }));
    batch.push(mark(BATCH_END));
    netlink.exchange(&batch)?.into_iter().try_for_each(|answer| answer.into_result().map(drop))
}

/// The attributes that name one element: table, set, and a list of one.
fn list(element: &Element) -> Vec<u8> {
    let inner = nested(1, &attribute(1, &element.key));
    [text(1, TABLE), text(2, element.set), nested(3, &nested(1, &inner))].concat()
}

fn question(kind: u16, attributes: &[u8]) -> Request {
    Request { kind, flags: 0, answered: true, body: [&header(FAMILY_INET, 0), attributes].concat() }
}

/// `struct nfgenmsg`: family, version 0, resource in network order.
fn header(family: u8, resource: u16) -> Vec<u8> {
    let [high, low] = resource.to_be_bytes();
    vec![family, 0, high, low]
}

/// An attribute that holds a text.
pub fn text(kind: u16, value: &str) -> Vec<u8> {
    let mut bytes = value.as_bytes().to_vec();
    bytes.push(0);
    attribute(kind, &bytes)
}

/// An attribute that holds others.
pub fn nested(kind: u16, attributes: &[u8]) -> Vec<u8> {
    attribute(kind | NESTED, attributes)
}

/// An attribute.
pub fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let attribute = DefaultNla::new(kind, value.to_vec());
    let mut bytes = vec![0; attribute.buffer_len()];
    attribute.emit(&mut bytes);
    bytes
}

/// The big-endian number (four or eight bytes) at `path` in the attributes of `message`.
fn number(message: &[u8], path: &[u16]) -> Option<u64> {
    let mut level = message.get(4..)?.to_vec();
    for kind in path {
        let found = NlasIterator::new(level.as_slice())
            .filter_map(Result::ok)
            .find(|attribute: &NlaBuffer<_>| attribute.kind() == *kind)?;
        level = found.value().to_vec();
    }
    Some(level.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}
