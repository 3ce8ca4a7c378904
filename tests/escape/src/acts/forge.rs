//! Pretending to be another machine: foreign source addresses, ARP and neighbour spoofing, changes of the link.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;

use crate::act::{Act, Args, Control, Failure, Prepare as _, Verdict};
use crate::acts::network::{address, ask_udp};
use crate::bytes::Bytes;
use crate::sys::{self, NULL, Word};

const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const RTM_NEWNEIGH: u16 = 28;
/// The families, in the width in which structures hold them.
const INET: u8 = 2;
const PACKET: u16 = 17;
const CREATE: u16 = 0x400 | 0x100;
const BROADCAST_MAC: [u8; 6] = [0xff; 6];
const FORGED_MAC: [u8; 6] = [0x02, 0xbe, 0xef, 0, 0, 1];

fn v4(args: &Args<'_>, at: usize) -> Result<Ipv4Addr, Failure> {
    args.text(at).parse().prepared("an IPv4 address")
}

fn sockaddr(ip: Ipv4Addr, port: u16) -> Vec<u8> {
    Bytes::new().u16(INET.into()).be16(port).raw(&ip.octets()).upto(16).done()
}

fn option(fd: i64, level: i32, name: i32) -> Result<i64, Errno> {
    let one = Bytes::new().i32(1).done();
    let words =
        [Word::N(fd), Word::N(i64::from(level)), Word::N(i64::from(name)), Word::In(&one), Word::N(4)];
    sys::call(libc::SYS_setsockopt, words)
}

/// Binds to a foreign address with one socket option set, and sends from it.
fn send_as(args: &Args<'_>, name: i32) -> Verdict {
    let source = v4(args, 0)?;
    let target = address(args.text(1), args.text(2))?;
    let words = [Word::N(i64::from(libc::AF_INET)), Word::N(i64::from(libc::SOCK_DGRAM)), NULL];
    let fd = sys::call(libc::SYS_socket, words)?;
    if name != 0 {
        option(fd, libc::IPPROTO_IP, name)?;
    }
    sys::call(libc::SYS_bind, [Word::N(fd), Word::In(&sockaddr(source, 0)), Word::N(16)])?;
    let socket = UdpSocket::from(sys::owned(fd)?);
    match ask_udp(&socket, target, b"escape-probe") {
        Ok(answer) => Ok(format!("{target} answered {} bytes to {source}", answer.len())),
        Err(Failure::Blocked(errno, _)) if errno == "ETIMEDOUT" => Ok(format!("a datagram left as {source}")),
        Err(failure) => Err(failure),
    }
}

/// The source address as ancillary data of one datagram (IP_PKTINFO), which needs no bind.
fn send_pktinfo(args: &Args<'_>) -> Verdict {
    let source = v4(args, 0)?;
    let SocketAddr::V4(target) = address(args.text(1), args.text(2))? else {
        return Err(Failure::NotTried("an IPv4 target is needed".into()));
    };
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    let there = sockaddr(*target.ip(), target.port());
    let data = *b"escape-probe";
    let pointer = |bytes: &[u8]| bytes.as_ptr().expose_provenance() as u64;
    let iov = Bytes::new().u64(pointer(&data)).u64(12).done();
    let info = Bytes::new().u64(28).i32(libc::IPPROTO_IP).i32(libc::IP_PKTINFO).u32(0);
    let control = info.raw(&source.octets()).raw(&[0; 4]).upto(32).done();
    let header = Bytes::new().u64(pointer(&there)).u64(16).u64(pointer(&iov)).u64(1);
    let header = header.u64(pointer(&control)).u64(32).u64(0).done();
    let words = [Word::N(i64::from(socket.as_raw_fd())), Word::In(&header), NULL];
    let sent = sys::call(libc::SYS_sendmsg, words);
    // The header points at these; they live until the call has returned.
    std::hint::black_box((&there, &data, &iov, &control));
    Ok(format!("{} bytes left as {source}", sent?))
}

/// An IPv4 packet with a header of our own.
fn send_raw(args: &Args<'_>) -> Verdict {
    let (source, target) = (v4(args, 0)?, v4(args, 1)?);
    let words = [libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW].map(|n| Word::N(i64::from(n)));
    let fd = sys::call(libc::SYS_socket, words)?;
    let packet = Bytes::new().u8(0x45).u8(0).be16(28).be16(1).be16(0).u8(64).u8(17).be16(0);
    let packet = packet.raw(&source.octets()).raw(&target.octets()).be16(9).be16(9).be16(8).be16(0).done();
    let there = sockaddr(target, 0);
    sys::call(
        libc::SYS_sendto,
        [Word::N(fd), Word::In(&packet), Word::N(28), NULL, Word::In(&there), Word::N(16)],
    )?;
    Ok(format!("a packet left as {source}"))
}

/// One rtnetlink request with acknowledgement.
fn route_request(kind: u16, flags: u16, body: &[u8]) -> Verdict {
    let words = [libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE].map(|n| Word::N(i64::from(n)));
    let fd = sys::call(libc::SYS_socket, words)?;
    let length = u32::try_from(16 + body.len()).prepared("length")?;
    let message = Bytes::new().u32(length).u16(kind).u16(flags | 5).u32(1).u32(0).raw(body).done();
    let words = [Word::N(fd), Word::In(&message), Word::N(i64::from(length)), NULL, NULL, NULL];
    sys::call(libc::SYS_sendto, words)?;
    let mut answer = [0; 1024];
    let got = sys::call(
        libc::SYS_recvfrom,
        [Word::N(fd), Word::Out(&mut answer), Word::N(1024), NULL, NULL, NULL],
    )?;
    let error = answer.get(16..20).and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_ne_bytes);
    if got < 20 || error != 0 {
        return Err(Errno::from_raw(-error).into());
    }
    Ok("the kernel acknowledged the change".into())
}

fn index(name: &str) -> Result<u32, Failure> {
    let mut request = Bytes::new().raw(name.as_bytes()).upto(40).done();
    let words = [Word::N(i64::from(libc::AF_INET)), Word::N(i64::from(libc::SOCK_DGRAM)), NULL];
    let fd = sys::call(libc::SYS_socket, words).prepared("a socket")?;
    let ask = [Word::N(fd), Word::bits(libc::SIOCGIFINDEX), Word::Out(&mut request)];
    sys::call(libc::SYS_ioctl, ask).prepared(&format!("index of link {name:?}"))?;
    let bytes: [u8; 4] = request.get(16..20).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
    Ok(u32::from_ne_bytes(bytes))
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = 4 + value.len();
    Bytes::new()
        .u16(u16::try_from(length).unwrap_or(4))
        .u16(kind)
        .raw(value)
        .upto(length.next_multiple_of(4))
        .done()
}

fn add_address(args: &Args<'_>) -> Verdict {
    let octets = v4(args, 0)?.octets();
    let body = Bytes::new().u8(INET).u8(32).u8(0).u8(0).u32(index(args.text(1))?);
    route_request(RTM_NEWADDR, CREATE, &body.raw(&attribute(2, &octets)).raw(&attribute(1, &octets)).done())
}

fn add_route(args: &Args<'_>) -> Verdict {
    let out = index(args.text(0))?.to_ne_bytes();
    let header = Bytes::new().u8(INET).u8(0).u8(0).u8(0).u8(254).u8(3).u8(253).u8(1).u32(0);
    route_request(RTM_NEWROUTE, CREATE, &header.raw(&attribute(4, &out)).done())
}

fn add_neighbour(args: &Args<'_>) -> Verdict {
    let address = v4(args, 0)?.octets();
    let header = Bytes::new().u8(INET).u8(0).u16(0).u32(index(args.text(1))?).u16(0x80).u8(0).u8(1);
    let body = header.raw(&attribute(1, &address)).raw(&attribute(2, &FORGED_MAC)).done();
    route_request(RTM_NEWNEIGH, CREATE, &body)
}

/// Sets a link down, or gives it a forged hardware address.
fn change_link(args: &Args<'_>, address: bool) -> Verdict {
    let change = if address { 0 } else { 1 };
    let header = Bytes::new().u8(0).u8(0).u16(0).u32(index(args.text(0))?).u32(0).u32(change);
    let more = if address { attribute(1, &FORGED_MAC) } else { Vec::new() };
    route_request(RTM_NEWLINK, 0, &header.raw(&more).done())
}

fn add_link(_: &Args<'_>) -> Verdict {
    let header = Bytes::new().u8(0).u8(0).u16(0).u32(0).u32(0).u32(0);
    let kind = attribute(18, &attribute(1, b"bridge\0"));
    route_request(RTM_NEWLINK, CREATE, &header.raw(&attribute(3, b"escape0\0")).raw(&kind).done())
}

/// Sends one Ethernet frame from a packet socket.
fn frame(link: &str, protocol: u16, payload: &[u8]) -> Verdict {
    let words = [Word::N(i64::from(libc::AF_PACKET)), Word::N(i64::from(libc::SOCK_RAW)), NULL];
    let fd = sys::call(libc::SYS_socket, words)?;
    let frame = Bytes::new().raw(&BROADCAST_MAC).raw(&FORGED_MAC).be16(protocol).raw(payload).upto(60).done();
    let there = Bytes::new().u16(PACKET).be16(protocol).u32(index(link)?).u16(1).u8(0).u8(6);
    let there = there.raw(&BROADCAST_MAC).upto(20).done();
    let length = i64::try_from(frame.len()).prepared("length")?;
    let words = [Word::N(fd), Word::In(&frame), Word::N(length), NULL, Word::In(&there), Word::N(20)];
    Ok(format!("a frame of {} bytes left by {link}", sys::call(libc::SYS_sendto, words)?))
}

fn arp(args: &Args<'_>) -> Verdict {
    let claimed = v4(args, 0)?.octets();
    let reply = Bytes::new().be16(1).be16(0x0800).u8(6).u8(4).be16(2).raw(&FORGED_MAC).raw(&claimed);
    frame(args.text(1), 0x0806, &reply.raw(&BROADCAST_MAC).raw(&claimed).done())
}

/// An unsolicited neighbour advertisement for the claimed address.
fn ndp(args: &Args<'_>) -> Verdict {
    let IpAddr::V6(claimed) = args.text(0).parse().prepared("an IPv6 address")? else {
        return Err(Failure::NotTried("an IPv6 address is needed".into()));
    };
    let all_nodes: std::net::Ipv6Addr = "ff02::1".parse().prepared("all nodes")?;
    let packet = Bytes::new().raw(&[0x60, 0, 0, 0]).be16(32).u8(58).u8(255).raw(&claimed.octets());
    let packet = packet.raw(&all_nodes.octets()).u8(136).u8(0).be16(0).raw(&[0x20, 0, 0, 0]);
    let packet = packet.raw(&claimed.octets()).u8(2).u8(1).raw(&FORGED_MAC);
    frame(args.text(1), 0x86dd, &packet.done())
}

/// From its own address to a neighbour's, through a link that is not the neighbour's: only routing stands between.
fn bind_device(args: &Args<'_>) -> Verdict {
    let target = SocketAddr::V4(SocketAddrV4::new(v4(args, 0)?, args.number(1)?));
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    let name = args.path(2)?;
    let length = i64::try_from(args.text(2).len()).prepared("length")?;
    let words =
        [Word::N(i64::from(socket.as_raw_fd())), Word::N(1), Word::N(25), Word::Text(&name), Word::N(length)];
    sys::call(libc::SYS_setsockopt, words)?;
    let answer = ask_udp(&socket, target, b"escape-probe")?;
    Ok(format!("{target} answered {} bytes", answer.len()))
}

const FORGE: &str = "capabilities network firewall";
const LINK: &str = "capabilities";
const SPOOF: &str = "capabilities seccomp firewall";

/// This area's acts.
#[rustfmt::skip]
pub const ACTS: &[Act] = &[
    Act { id: "source-bind", about: "send from a foreign source address by bind", layers: FORGE, args: "SOURCE HOST PORT", control: Control::RootInNetns, run: |a| send_as(a, 0) },
    Act { id: "source-freebind", about: "send from a foreign source address by IP_FREEBIND, which needs no right", layers: FORGE, args: "SOURCE HOST PORT", control: Control::RootInNetns, run: |a| send_as(a, libc::IP_FREEBIND) },
    Act { id: "source-transparent", about: "send from a foreign source address by IP_TRANSPARENT", layers: FORGE, args: "SOURCE HOST PORT", control: Control::RootInNetns, run: |a| send_as(a, libc::IP_TRANSPARENT) },
    Act { id: "source-pktinfo", about: "send from a foreign source address by IP_PKTINFO", layers: FORGE, args: "SOURCE HOST PORT", control: Control::RootInNetns, run: send_pktinfo },
    Act { id: "source-raw", about: "send a packet with a forged header", layers: SPOOF, args: "SOURCE HOST", control: Control::RootInNetns, run: send_raw },
    Act { id: "bind-device", about: "send past the routing table by SO_BINDTODEVICE", layers: FORGE, args: "HOST PORT LINK", control: Control::Target, run: bind_device },
    Act { id: "address-add", about: "give a link a foreign address", layers: LINK, args: "ADDRESS LINK", control: Control::RootInNetns, run: add_address },
    Act { id: "route-add", about: "add a default route", layers: LINK, args: "LINK", control: Control::RootInNetns, run: add_route },
    Act { id: "neighbour-add", about: "replace the neighbour entry of an address", layers: LINK, args: "ADDRESS LINK", control: Control::RootInNetns, run: add_neighbour },
    Act { id: "link-down", about: "take a link down", layers: LINK, args: "LINK", control: Control::RootInNetns, run: |a| change_link(a, false) },
    Act { id: "link-address", about: "change the hardware address of a link", layers: LINK, args: "LINK", control: Control::RootInNetns, run: |a| change_link(a, true) },
    Act { id: "link-add", about: "add a link of its own", layers: LINK, args: "", control: Control::RootInNetns, run: add_link },
    Act { id: "arp-spoof", about: "claim an address by a forged ARP reply", layers: SPOOF, args: "ADDRESS LINK", control: Control::RootInNetns, run: arp },
    Act { id: "ndp-spoof", about: "claim an address by a forged neighbour advertisement", layers: SPOOF, args: "ADDRESS LINK", control: Control::RootInNetns, run: ndp },
];
