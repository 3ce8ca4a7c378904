//! Socket families and types that no gateway needs: each is its own part of the kernel to attack.

use crate::act::{Act, Control, Verdict};
use crate::acts::reach;
use crate::sys::Word;

fn socket(family: i32, kind: i32, protocol: i32) -> Verdict {
    reach(libc::SYS_socket, [family, kind, protocol].map(|n| Word::N(i64::from(n))), &[])
}

fn netlink(protocol: i32) -> Verdict {
    socket(libc::AF_NETLINK, libc::SOCK_RAW, protocol)
}

fn pair(family: i32) -> Verdict {
    let mut ends = [0; 8];
    let words = [i64::from(family), i64::from(libc::SOCK_SEQPACKET), 0].map(Word::N);
    let [a, b, c] = words;
    reach(libc::SYS_socketpair, [a, b, c, Word::Out(&mut ends)], &[])
}

const RAW: &str = "capabilities seccomp";
const FAMILY: &str = "seccomp";
const STREAM: i32 = libc::SOCK_STREAM;
const DGRAM: i32 = libc::SOCK_DGRAM;
const SOCK_RAW: i32 = libc::SOCK_RAW;
const SEQ: i32 = libc::SOCK_SEQPACKET;

/// This area's acts. Where a kernel lacks a family the control cannot succeed either, and the row is skipped by name.
#[rustfmt::skip]
pub const ACTS: &[Act] = &[
    Act { id: "socket-raw", about: "open a raw IPv4 socket", layers: RAW, args: "", control: Control::Root, run: |_| socket(libc::AF_INET, SOCK_RAW, libc::IPPROTO_RAW) },
    Act { id: "socket-raw-icmp", about: "open a raw ICMP socket", layers: RAW, args: "", control: Control::Root, run: |_| socket(libc::AF_INET, SOCK_RAW, libc::IPPROTO_ICMP) },
    Act { id: "socket-raw6", about: "open a raw ICMPv6 socket", layers: RAW, args: "", control: Control::Root, run: |_| socket(libc::AF_INET6, SOCK_RAW, libc::IPPROTO_ICMPV6) },
    Act { id: "socket-packet", about: "open a packet socket", layers: RAW, args: "", control: Control::Root, run: |_| socket(libc::AF_PACKET, SOCK_RAW, 0x0300) },
    Act { id: "socket-packet-dgram", about: "open a cooked packet socket", layers: RAW, args: "", control: Control::Root, run: |_| socket(libc::AF_PACKET, DGRAM, 0x0300) },
    Act { id: "socket-mptcp", about: "open a Multipath TCP socket", layers: FAMILY, args: "", control: Control::User, run: |_| socket(libc::AF_INET, STREAM, 262) },
    Act { id: "socket-sctp", about: "open an SCTP socket", layers: FAMILY, args: "", control: Control::User, run: |_| socket(libc::AF_INET, STREAM, libc::IPPROTO_SCTP) },
    Act { id: "socket-dccp", about: "open a DCCP socket", layers: FAMILY, args: "", control: Control::User, run: |_| socket(libc::AF_INET, 6, libc::IPPROTO_DCCP) },
    Act { id: "socket-udplite", about: "open a UDP-Lite socket", layers: FAMILY, args: "", control: Control::User, run: |_| socket(libc::AF_INET, DGRAM, libc::IPPROTO_UDPLITE) },
    Act { id: "socket-smc-inet", about: "open an SMC socket as a protocol of AF_INET", layers: FAMILY, args: "", control: Control::User, run: |_| socket(libc::AF_INET, STREAM, 256) },
    Act { id: "socket-vsock", about: "open a socket to the hypervisor", layers: FAMILY, args: "", control: Control::User, run: |_| socket(libc::AF_VSOCK, STREAM, 0) },
    Act { id: "socket-alg", about: "open a socket to the kernel's cryptography", layers: FAMILY, args: "", control: Control::User, run: |_| socket(libc::AF_ALG, SEQ, 0) },
    Act { id: "socket-bluetooth", about: "open a Bluetooth socket", layers: FAMILY, args: "", control: Control::User, run: |_| socket(libc::AF_BLUETOOTH, SOCK_RAW, 1) },
    Act { id: "socket-xdp", about: "open an AF_XDP socket", layers: RAW, args: "", control: Control::Root, run: |_| socket(libc::AF_XDP, SOCK_RAW, 0) },
    Act { id: "socket-can", about: "open a CAN socket", layers: FAMILY, args: "", control: Control::User, run: |_| socket(libc::AF_CAN, SOCK_RAW, 1) },
    Act { id: "socket-tipc", about: "open a TIPC socket", layers: FAMILY, args: "", control: Control::User, run: |_| socket(libc::AF_TIPC, SEQ, 0) },
    Act { id: "socketpair-tipc", about: "open a pair of TIPC sockets", layers: FAMILY, args: "", control: Control::User, run: |_| pair(libc::AF_TIPC) },
    Act { id: "socket-rds", about: "open an RDS socket", layers: FAMILY, args: "", control: Control::User, run: |_| socket(libc::AF_RDS, SEQ, 0) },
    Act { id: "socket-kcm", about: "open a kernel connection multiplexer", layers: FAMILY, args: "", control: Control::User, run: |_| socket(41, DGRAM, 0) },
    Act { id: "socket-smc", about: "open an SMC socket", layers: FAMILY, args: "", control: Control::User, run: |_| socket(43, STREAM, 0) },
    Act { id: "socket-key", about: "open an IPsec key socket", layers: RAW, args: "", control: Control::Root, run: |_| socket(libc::AF_KEY, SOCK_RAW, 2) },
    Act { id: "socket-nfc", about: "open an NFC socket", layers: FAMILY, args: "", control: Control::User, run: |_| socket(libc::AF_NFC, SEQ, 1) },
    Act { id: "socket-qipcrtr", about: "open a Qualcomm IPC router socket", layers: FAMILY, args: "", control: Control::User, run: |_| socket(42, DGRAM, 0) },
    Act { id: "socket-llc", about: "open an LLC socket", layers: RAW, args: "", control: Control::Root, run: |_| socket(libc::AF_LLC, STREAM, 0) },
    Act { id: "socket-x25", about: "open an X.25 socket", layers: FAMILY, args: "", control: Control::User, run: |_| socket(libc::AF_X25, SEQ, 0) },
    Act { id: "socket-ax25", about: "open an AX.25 socket", layers: FAMILY, args: "", control: Control::User, run: |_| socket(libc::AF_AX25, SEQ, 0) },
    Act { id: "socket-appletalk", about: "open an AppleTalk socket", layers: FAMILY, args: "", control: Control::User, run: |_| socket(libc::AF_APPLETALK, DGRAM, 0) },
    Act { id: "socket-pppox", about: "open a PPP socket", layers: FAMILY, args: "", control: Control::User, run: |_| socket(libc::AF_PPPOX, DGRAM, 0) },
    Act { id: "socket-phonet", about: "open a Phonet socket", layers: FAMILY, args: "", control: Control::User, run: |_| socket(libc::AF_PHONET, DGRAM, 0) },
    Act { id: "socket-ieee802154", about: "open an IEEE 802.15.4 socket", layers: FAMILY, args: "", control: Control::User, run: |_| socket(libc::AF_IEEE802154, DGRAM, 0) },
    Act { id: "socket-mctp", about: "open an MCTP socket", layers: FAMILY, args: "", control: Control::User, run: |_| socket(45, DGRAM, 0) },
    Act { id: "netlink-generic", about: "speak to any kernel service by generic netlink", layers: FAMILY, args: "", control: Control::User, run: |_| netlink(libc::NETLINK_GENERIC) },
    Act { id: "netlink-audit", about: "speak to the audit system", layers: FAMILY, args: "", control: Control::Root, run: |_| netlink(libc::NETLINK_AUDIT) },
    Act { id: "netlink-uevent", about: "hear of devices", layers: FAMILY, args: "", control: Control::User, run: |_| netlink(libc::NETLINK_KOBJECT_UEVENT) },
    Act { id: "netlink-netfilter", about: "speak to the packet filter", layers: FAMILY, args: "", control: Control::User, run: |_| netlink(libc::NETLINK_NETFILTER) },
    Act { id: "netlink-sock-diag", about: "list all sockets of the namespace", layers: FAMILY, args: "", control: Control::User, run: |_| netlink(libc::NETLINK_SOCK_DIAG) },
    Act { id: "netlink-xfrm", about: "speak to IPsec", layers: FAMILY, args: "", control: Control::User, run: |_| netlink(libc::NETLINK_XFRM) },
    Act { id: "netlink-crypto", about: "speak to the kernel's cryptography", layers: FAMILY, args: "", control: Control::User, run: |_| netlink(libc::NETLINK_CRYPTO) },
    Act { id: "netlink-connector", about: "hear of every process that starts and ends", layers: FAMILY, args: "", control: Control::User, run: |_| netlink(libc::NETLINK_CONNECTOR) },
    Act { id: "netlink-selinux", about: "hear of policy changes", layers: FAMILY, args: "", control: Control::User, run: |_| netlink(libc::NETLINK_SELINUX) },
    Act { id: "netlink-rdma", about: "speak to RDMA devices", layers: FAMILY, args: "", control: Control::User, run: |_| netlink(20) },
    Act { id: "netlink-scsi", about: "speak to the SCSI transport", layers: FAMILY, args: "", control: Control::User, run: |_| netlink(18) },
];
