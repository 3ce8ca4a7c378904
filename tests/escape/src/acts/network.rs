//! Reaching what the fence forbids: neighbours, the host's ports and sockets, name servers, metadata addresses.
//!
//! A TCP act succeeds only when a connection stands: a refusal may come from the fence as well as from the target.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram, UnixStream};
use std::time::Duration;

use nix::errno::Errno;

use crate::act::{Act, Args, Control, Failure, Prepare as _, Verdict, blocked};
use crate::bytes::Bytes;
use crate::sys::{self, Word};

const PATIENCE: Duration = Duration::from_secs(3);
const METADATA: [&str; 2] = ["169.254.169.254", "fd00:ec2::254"];

/// Host (an address, with `%link` for link-local) and port.
pub fn address(host: &str, port: &str) -> Result<SocketAddr, Failure> {
    let port: u16 = port.parse().prepared("the port")?;
    (host, port)
        .to_socket_addrs()
        .prepared(host)?
        .next()
        .ok_or_else(|| Failure::NotTried(format!("{host} has no address")))
}

fn tcp(host: &str, port: &str) -> Verdict {
    let target = address(host, port)?;
    let stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    Ok(format!("connected to {target} from {}", stream.local_addr()?))
}

/// Sends from `local` and waits for any answer.
pub fn ask_udp(socket: &UdpSocket, target: SocketAddr, question: &[u8]) -> Result<Vec<u8>, Failure> {
    socket.set_read_timeout(Some(PATIENCE)).prepared("time limit")?;
    socket.set_broadcast(true).prepared("broadcast")?;
    socket.send_to(question, target)?;
    let mut answer = [0; 2048];
    match socket.recv_from(&mut answer) {
        Ok((length, _)) => Ok(answer.iter().take(length).copied().collect()),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            Err(Failure::Blocked("ETIMEDOUT".into(), "sent, but nothing came back".into()))
        }
        Err(error) => Err(error.into()),
    }
}

fn udp(args: &Args<'_>) -> Verdict {
    let target = address(args.text(0), args.text(1))?;
    let local = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let answer = ask_udp(&UdpSocket::bind(local)?, target, b"escape-probe")?;
    Ok(format!("{target} answered {} bytes", answer.len()))
}

/// A DNS question for an A record; any answer with our id counts, be it a refusal.
fn dns(args: &Args<'_>) -> Verdict {
    let server = address(args.text(0), "53")?;
    let name = args.text_or(1, "example.org");
    let mut question = Bytes::new().be16(0x7e57).be16(0x0100).be16(1).be16(0).be16(0).be16(0);
    for label in name.split('.') {
        question = question.u8(u8::try_from(label.len()).prepared("a label")?).raw(label.as_bytes());
    }
    let question = question.u8(0).be16(1).be16(1).done();
    let local = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let answer = ask_udp(&UdpSocket::bind(local)?, server, &question)?;
    if answer.starts_with(&[0x7e, 0x57]) {
        Ok(format!("{server} answers for {name}"))
    } else {
        blocked("not a DNS answer")
    }
}

/// ICMP echo through the unprivileged ping socket.
fn ping(args: &Args<'_>) -> Verdict {
    let target = address(args.text(0), "0")?;
    let SocketAddr::V4(target) = target else {
        return Err(Failure::NotTried("an IPv4 address is needed".into()));
    };
    let words = [
        Word::N(i64::from(libc::AF_INET)),
        Word::N(i64::from(libc::SOCK_DGRAM)),
        Word::N(i64::from(libc::IPPROTO_ICMP)),
    ];
    let socket = UdpSocket::from(sys::owned(sys::call(libc::SYS_socket, words)?)?);
    let echo = Bytes::new().u8(8).u8(0).be16(0xf7fb).be16(0).be16(1).raw(&[0; 8]).done();
    let answer = ask_udp(&socket, SocketAddr::V4(target), &echo)?;
    Ok(format!("{} answered {} bytes", target.ip(), answer.len()))
}

fn tcp_listen(args: &Args<'_>) -> Verdict {
    let at = address(args.text(0), args.text(1))?;
    TcpListener::bind(at)?;
    Ok(format!("listening on {at}"))
}

fn metadata(which: usize) -> Verdict {
    let host = METADATA.get(which).copied().unwrap_or_default();
    tcp(host, "80")
}

fn unix(args: &Args<'_>) -> Verdict {
    let path = args.text(0);
    match UnixStream::connect(path) {
        Ok(_) => Ok(format!("connected to {path}")),
        Err(error) if error.raw_os_error() == Some(Errno::EPROTOTYPE as i32) => unix_send(args),
        Err(error) => Err(error.into()),
    }
}

fn unix_send(args: &Args<'_>) -> Verdict {
    let socket = UnixDatagram::unbound()?;
    socket.connect(args.text(0))?;
    // An empty state change of the notify protocol, and no field of the journal's: accepted and without effect.
    let sent = socket.send(b"X_ESCAPE_PROBE=1\n")?;
    Ok(format!("sent {sent} bytes to {}", args.text(0)))
}

fn abstract_name(args: &Args<'_>) -> Verdict {
    let name = UnixAddr::from_abstract_name(args.text(0)).prepared("the name")?;
    match UnixStream::connect_addr(&name) {
        Ok(_) => Ok(format!("connected to @{}", args.text(0))),
        Err(error) => Err(error.into()),
    }
}

/// The bus's own greeting: a connection that is authenticated could call any verb.
fn dbus(args: &Args<'_>) -> Verdict {
    let mut socket = UnixStream::connect(args.text_or(0, "/run/dbus/system_bus_socket"))?;
    socket.set_read_timeout(Some(PATIENCE)).prepared("time limit")?;
    let uid = sys::call(libc::SYS_getuid, [])?.to_string();
    let hex: String = uid.bytes().map(|byte| format!("{byte:02x}")).collect();
    socket.write_all(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes())?;
    let mut answer = [0; 256];
    let length = socket.read(&mut answer)?;
    let text = String::from_utf8_lossy(answer.get(..length).unwrap_or_default()).trim().to_owned();
    if text.starts_with("OK") {
        Ok(format!("the bus says {text}"))
    } else {
        blocked(format!("the bus says {text:?}"))
    }
}

/// The sockets through which the host's services can be steered; any one of them is too much.
fn host_sockets(_: &Args<'_>) -> Verdict {
    const SOCKETS: [&str; 14] = [
        "/run/dbus/system_bus_socket",
        "/run/systemd/private",
        "/run/systemd/notify",
        "/run/systemd/journal/socket",
        "/run/systemd/journal/stdout",
        "/run/systemd/journal/dev-log",
        "/dev/log",
        "/run/systemd/io.system.ManagedOOM",
        "/run/systemd/userdb/io.systemd.DynamicUser",
        "/run/udev/control",
        "/run/tenantd/credentials.sock",
        "/run/tenantd/tenantd.sock",
        "/run/nscd/socket",
        "/run/docker.sock",
    ];
    let mut reached = Vec::new();
    for path in SOCKETS {
        if unix(&Args(&[path.to_owned()])).is_ok() {
            reached.push(path);
        }
    }
    if reached.is_empty() {
        blocked(format!("none of {} sockets could be reached", SOCKETS.len()))
    } else {
        Ok(reached.join(" "))
    }
}

/// An address of its own by autoconfiguration would open a second way past the IPv4 rules.
fn ipv6_address(_: &Args<'_>) -> Verdict {
    let text = std::fs::read_to_string("/proc/self/net/if_inet6")
        .or_else(|_| std::fs::read_to_string("/proc/net/if_inet6"))?;
    let foreign = text.lines().find(|line| !line.ends_with(" lo"));
    foreign.map_or_else(
        || blocked("no link has an IPv6 address"),
        |line| Ok(line.split_whitespace().collect::<Vec<_>>().join(" ")),
    )
}

/// Neighbour tables and multicast would tell who else is on the link.
fn multicast(args: &Args<'_>) -> Verdict {
    let (group, link, port) = (args.text(0), args.text(1), args.text(2));
    let target = address(&format!("{group}%{link}"), port)?;
    let answer = ask_udp(&UdpSocket::bind("[::]:0")?, target, b"escape-probe")?;
    Ok(format!("{target} answered {} bytes", answer.len()))
}

/// An open TCP connection is kept while somebody changes the rules: it must not outlive its approval.
fn outlive(args: &Args<'_>) -> Verdict {
    let target = address(args.text(0), args.text(1))?;
    let seconds = args.bounded(2, 5, 50)?;
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE)).prepared("time limit")?;
    std::thread::sleep(Duration::from_secs(seconds));
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let mut answer = [0; 64];
    let length = stream.read(&mut answer)?;
    if length == 0 {
        blocked("the connection was closed")
    } else {
        Ok(format!("still answered after {seconds} s"))
    }
}

const FENCE: &str = "network firewall";

/// This area's acts.
#[rustfmt::skip]
pub const ACTS: &[Act] = &[
    Act { id: "tcp", about: "connect to a port of a neighbour or of the host", layers: FENCE, args: "HOST PORT", control: Control::Target, run: |a| tcp(a.text(0), a.text(1)) },
    Act { id: "udp", about: "send a datagram to a neighbour or the host and get an answer", layers: FENCE, args: "HOST PORT", control: Control::Target, run: udp },
    Act { id: "dns", about: "ask a name server that is not its own", layers: FENCE, args: "SERVER [NAME]", control: Control::Target, run: dns },
    Act { id: "ping", about: "get an ICMP echo", layers: "firewall seccomp", args: "HOST", control: Control::Target, run: ping },
    Act { id: "multicast", about: "be answered on an IPv6 multicast group of the link", layers: FENCE, args: "GROUP LINK PORT", control: Control::Target, run: multicast },
    Act { id: "ipv6-address", about: "have an IPv6 address on any link but lo", layers: "network", args: "", control: Control::User, run: ipv6_address },
    Act { id: "metadata-v4", about: "reach the cloud's metadata service at 169.254.169.254", layers: FENCE, args: "", control: Control::Target, run: |_| metadata(0) },
    Act { id: "metadata-v6", about: "reach the cloud's metadata service at fd00:ec2::254", layers: FENCE, args: "", control: Control::Target, run: |_| metadata(1) },
    Act { id: "tcp-listen", about: "listen where another service should (a low port, a foreign address)", layers: "network capabilities landlock", args: "HOST PORT", control: Control::RootInNetns, run: tcp_listen },
    Act { id: "tcp-outlive", about: "keep a connection alive after its approval ended", layers: "firewall", args: "HOST PORT [SECONDS]", control: Control::Target, run: outlive },
    Act { id: "unix", about: "connect to a Unix socket by its path", layers: "mounts landlock", args: "PATH", control: Control::Root, run: unix },
    Act { id: "unix-send", about: "send a datagram to a Unix socket (notify, journal)", layers: "mounts landlock", args: "PATH", control: Control::Root, run: unix_send },
    Act { id: "host-sockets", about: "reach any control socket of the host", layers: "mounts", args: "", control: Control::Root, run: host_sockets },
    Act { id: "dbus", about: "log in on the system bus", layers: "mounts", args: "[PATH]", control: Control::Root, run: dbus },
    Act { id: "abstract", about: "connect to an abstract Unix socket by its name", layers: "network landlock", args: "NAME", control: Control::Target, run: abstract_name },
];
