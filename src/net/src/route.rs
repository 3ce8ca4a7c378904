//! Steps on links, addresses and neighbours: each with the sentence to say if the kernel refuses it.

use std::io;

use netlink_packet_core::Parseable;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use nix::errno::Errno;

use crate::error::Error;
use crate::message;
use crate::socket::{Netlink, Request};

/// One request and what to make of a refusal.
#[derive(Debug)]
pub struct Step {
    action: String,
    request: Request,
    tolerated: &'static [Errno],
}

/// A step that must succeed; `action` completes "cannot …".
pub fn must(action: impl Into<String>, request: Request) -> Step {
    Step { action: action.into(), request, tolerated: &[] }
}

/// A step that may be refused for one of the reasons `tolerated`.
pub fn may(action: impl Into<String>, request: Request, tolerated: &'static [Errno]) -> Step {
    Step { action: action.into(), request, tolerated }
}

/// A link as found by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index in its namespace.
    pub index: u32,
    /// Index of the other end of a pair, in the other end's namespace.
    pub other_end: Option<u32>,
    /// Group it is in.
    pub group: u32,
    /// Index of the bridge it is a port of.
    pub bridge: Option<u32>,
    /// Flags of `ip link` (IFF_*).
    pub silent: bool,
}

/// Opens a socket for links in the calling thread's namespace.
pub fn open() -> Result<Netlink, Error> {
    Netlink::open(netlink_sys::protocols::NETLINK_ROUTE)
        .map_err(|error| Error::kernel("open a route socket", error))
}

/// Carries out `steps` in order, all of them, in one system call; the first refusal that is not tolerated is returned.
pub fn run(netlink: &mut Netlink, steps: Vec<Step>) -> Result<(), Error> {
    let (words, requests): (Vec<_>, Vec<_>) =
        steps.into_iter().map(|step| ((step.action, step.tolerated), step.request)).unzip();
    let answers = netlink.exchange(&requests).map_err(|error| Error::kernel("speak to the kernel", error))?;
    for ((action, tolerated), answer) in words.into_iter().zip(answers) {
        match answer.into_result() {
            Err(error) if !is_one_of(&error, tolerated) => return Err(Error::kernel(action, error)),
            Ok(_) | Err(_) => (),
        }
    }
    Ok(())
}

/// The link called `name`, if there is one.
pub fn find(netlink: &mut Netlink, name: &str) -> Result<Option<Link>, Error> {
    let failed = |error: io::Error| Error::kernel(format!("look for link {name}"), error);
    let answer = netlink.exchange(&[message::find(name)]).map_err(failed)?.pop();
    let messages = match answer.map(crate::socket::Answer::into_result) {
        Some(Err(error)) if is_one_of(&error, &[Errno::ENODEV]) => return Ok(None),
        Some(other) => other.map_err(failed)?,
        None => return Ok(None),
    };
    let Some(body) = messages.first() else { return Ok(None) };
    let parsed = LinkMessage::parse(body).map_err(|error| failed(io::Error::other(error)))?;
    let mut link =
        Link { index: parsed.header.index, other_end: None, group: 0, bridge: None, silent: false };
    link.silent = parsed.header.flags.contains(LinkFlags::Noarp);
    for attribute in parsed.attributes {
        if let LinkAttribute::Link(index) = attribute {
            link.other_end = Some(index);
        } else if let LinkAttribute::Controller(index) = attribute {
            link.bridge = Some(index);
        } else if let LinkAttribute::Group(group) = attribute {
            link.group = group;
        }
    }
    Ok(Some(link))
}

/// Whether `error` is the kernel's answer with one of these numbers.
pub fn is_one_of(error: &io::Error, numbers: &[Errno]) -> bool {
    numbers.iter().any(|number| error.raw_os_error() == Some(*number as i32))
}
