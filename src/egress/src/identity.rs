//! Who opened a connection: the uid and the inode of the client's socket, from the kernel of the namespace it is in; and the
//! programs that hold that socket, from `tenant-identify`, where the policy needs them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::socket::{MsgFlags, NetlinkAddr, recvfrom, send};
use serde::Deserialize;
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;

/// How long `tenant-identify` may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Questions at once, and how long to wait where it hung up: it has so many seats for each tenant, and one may still be warm.
const AT_ONCE: usize = 4;
const AGAIN: Duration = Duration::from_millis(20);
/// Bytes of its answer, at most, and of most answers.
const MOST: usize = 256 << 10;
const USUAL: usize = 1 << 10;
/// Holders of one socket, at most.
const HOLDERS: usize = 64;

/// Why it is not known.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// The kernel knows no such socket.
    #[error("the kernel does not know the socket at {0}: {1}")]
    Unknown(SocketAddr, io::Error),
    /// It is another account's.
    #[error("the socket at {0} is of uid {1}, not of the tenant's gateway")]
    Stranger(SocketAddr, u32),
    /// Which programs hold it is not known.
    #[error(
        "tenant-identify does not tell which program connects: {0} (see \"journalctl -u tenantd-identify\")"
    )]
    Programs(io::Error),
}

/// The client's end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Account.
    pub uid: u32,
    /// Inode of the socket.
    pub inode: u32,
}

/// Asks.
#[derive(Debug)]
pub struct Identity {
    netlink: Mutex<(OwnedFd, u32)>,
    socket: PathBuf,
    places: Semaphore,
    /// A connection to `tenant-identify` on which nothing is under way: it knows for whom it answers from when that was opened.
    kept: Mutex<Option<UnixStream>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    #[serde(default)]
    holders: Vec<Vec<String>>,
    #[serde(default)]
    error: Option<String>,
}

impl Identity {
    /// By this `NETLINK_SOCK_DIAG` socket and this socket of `tenant-identify`.
    #[must_use]
    pub fn new(netlink: OwnedFd, socket: PathBuf) -> Self {
        let (netlink, kept) = (Mutex::new((netlink, 0)), Mutex::new(None));
        Self { netlink, socket, places: Semaphore::new(AT_ONCE), kept }
    }

    /// Who has the end at `client` of a connection to `server`, as the client sees both.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Unknown`], and [`IdentityError::Stranger`] if it is not `uid`.
    pub fn owner(&self, client: SocketAddr, server: SocketAddr, uid: u32) -> Result<Owner, IdentityError> {
        let owner = self.ask(client, server).map_err(|error| IdentityError::Unknown(client, error))?;
        if owner.uid == uid { Ok(owner) } else { Err(IdentityError::Stranger(client, owner.uid)) }
    }

    fn ask(&self, client: SocketAddr, server: SocketAddr) -> io::Result<Owner> {
        let mut held = self.netlink.lock().unwrap_or_else(PoisonError::into_inner);
        let (netlink, sequence) = &mut *held;
        *sequence = sequence.wrapping_add(1);
        let query = query(client, server, *sequence).ok_or(io::ErrorKind::InvalidInput)?;
        let mut buffer = [0u8; 1024];
        send(netlink.as_raw_fd(), &query, MsgFlags::MSG_DONTWAIT)?;
        loop {
            // The kernel answers before send returns.
            let (length, from) = recvfrom::<NetlinkAddr>(netlink.as_raw_fd(), &mut buffer)?;
            if from.is_none_or(|from| from.pid() != 0) {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            let reply = buffer.get(..length).unwrap_or_default();
            // Others are left of an earlier question that failed.
            if number(reply) == Some(*sequence) {
                return answer(reply, client, server, *sequence);
            }
        }
    }

    /// Executables of every program that holds the socket, each with those of its ancestors; an empty list is a program that
    /// cannot be told.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Programs`].
    pub async fn programs(&self, inode: u32) -> Result<Vec<Vec<String>>, IdentityError> {
        let asked = tokio::time::timeout(PATIENCE, self.ask_programs(inode)).await;
        asked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(IdentityError::Programs)
    }

    async fn ask_programs(&self, inode: u32) -> io::Result<Vec<Vec<String>>> {
        let place = self.places.acquire().await.map_err(io::Error::other)?;
        let kept = self.kept().take();
        let mut answered = match kept {
            // It may have been given up, as nothing was asked for a while.
            Some(stream) => self.line(stream, inode).await?,
            None => None,
        };
        while answered.is_none() {
            answered = match UnixStream::connect(&self.socket).await {
                Ok(stream) => self.line(stream, inode).await?,
                // More connections wait to be let in than the socket holds, for a moment.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
                Err(error) => return Err(error),
            };
            if answered.is_none() {
                tokio::time::sleep(AGAIN).await;
            }
        }
        drop(place);
        let answer: Answer = serde_json::from_slice(&answered.unwrap_or_default())?;
        match answer.error {
            Some(error) => Err(io::Error::other(error)),
            None if answer.holders.is_empty() || answer.holders.len() > HOLDERS => {
                Err(io::Error::other("no program holds the socket, or too many do"))
            }
            None => Ok(answer.holders),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Option<UnixStream>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its answer, after which the connection is kept; nothing if it hung up, having no seat. Whoever stops waiting takes the connection
    /// along, so that nobody gets the answer to another question.
    async fn line(&self, mut stream: UnixStream, inode: u32) -> io::Result<Option<Vec<u8>>> {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        let hung_up = |error: io::Error| {
            if matches!(error.kind(), BrokenPipe | ConnectionReset) { Ok(None) } else { Err(error) }
        };
        if let Err(error) = stream.write_all(format!("inode {inode}\n").as_bytes()).await {
            return hung_up(error);
        }
        let mut line = Vec::with_capacity(USUAL);
        loop {
            match stream.read_buf(&mut line).await {
                Ok(0) if line.is_empty() => return Ok(None),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) => return hung_up(error),
            }
            match line.iter().position(|byte| *byte == b'\n') {
                Some(end) if end + 1 == line.len() => break,
                // Nobody asked for more.
                Some(_) => return Err(io::ErrorKind::InvalidData.into()),
                None if line.len() >= MOST => return Err(io::ErrorKind::InvalidData.into()),
                None => {}
            }
        }
        *self.kept() = Some(stream);
        Ok(Some(line))
    }
}

const HEADER: usize = 16;
const BY_FAMILY: u16 = 20;
const REQUEST: u16 = 1;
const TCP: u8 = 6;
const LISTENING: u8 = 10;
const TIME_WAIT: u8 = 6;

/// `struct nlmsghdr` and `struct inet_diag_req_v2` (linux/inet_diag.h): this one socket.
fn query(client: SocketAddr, server: SocketAddr, sequence: u32) -> Option<Vec<u8>> {
    let family = match (client, server) {
        (SocketAddr::V4(_), SocketAddr::V4(_)) => 2,
        (SocketAddr::V6(_), SocketAddr::V6(_)) => 10,
        _ => return None,
    };
    let mut out = Vec::with_capacity(72);
    out.extend_from_slice(&72u32.to_ne_bytes());
    out.extend_from_slice(&BY_FAMILY.to_ne_bytes());
    out.extend_from_slice(&REQUEST.to_ne_bytes());
    out.extend_from_slice(&sequence.to_ne_bytes());
    out.extend_from_slice(&0u32.to_ne_bytes());
    out.extend_from_slice(&[family, TCP, 0, 0]);
    out.extend_from_slice(&u32::MAX.to_ne_bytes());
    out.extend_from_slice(&client.port().to_be_bytes());
    out.extend_from_slice(&server.port().to_be_bytes());
    out.extend_from_slice(&wide(client.ip()));
    out.extend_from_slice(&wide(server.ip()));
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&[0xff; 8]);
    Some(out)
}

fn wide(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Of which question it is.
fn number(bytes: &[u8]) -> Option<u32> {
    bytes.get(8..)?.first_chunk::<4>().map(|own| u32::from_ne_bytes(*own))
}

/// Reads the one answer; anything unexpected is no answer.
pub(crate) fn answer(
    bytes: &[u8],
    client: SocketAddr,
    server: SocketAddr,
    sequence: u32,
) -> io::Result<Owner> {
    let malformed = || io::Error::from(io::ErrorKind::InvalidData);
    let word = |at: usize| -> Option<u32> { Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk::<4>()?)) };
    let half = |at: usize| -> Option<[u8; 2]> { bytes.get(at..)?.first_chunk::<2>().copied() };
    let length = word(0).and_then(|length| usize::try_from(length).ok()).ok_or_else(malformed)?;
    if length > bytes.len() || word(8) != Some(sequence) {
        return Err(malformed());
    }
    match half(4).map(u16::from_ne_bytes) {
        // An error: a negative number.
        Some(2) => {
            let code = word(HEADER).map_or(0, |code| i32::from_ne_bytes(code.to_ne_bytes()));
            return Err(io::Error::from_raw_os_error(
                code.checked_neg().filter(|code| *code > 0).unwrap_or(5),
            ));
        }
        Some(BY_FAMILY) if length >= HEADER + 72 => {}
        _ => return Err(malformed()),
    }
    let (family, state) = (bytes.get(HEADER), bytes.get(HEADER + 1));
    let ends = half(HEADER + 4) == Some(client.port().to_be_bytes())
        && half(HEADER + 6) == Some(server.port().to_be_bytes())
        && bytes.get(HEADER + 8..HEADER + 24).is_some_and(|own| is_address(own, family, client.ip()))
        && bytes.get(HEADER + 24..HEADER + 40).is_some_and(|own| is_address(own, family, server.ip()));
    if !ends || state.is_none_or(|state| [LISTENING, TIME_WAIT].contains(state)) {
        return Err(malformed());
    }
    let (uid, inode) = (word(HEADER + 64).ok_or_else(malformed)?, word(HEADER + 68).ok_or_else(malformed)?);
    if inode == 0 { Err(malformed()) } else { Ok(Owner { uid, inode }) }
}

/// A socket of the family `AF_INET6` may be connected over IPv4.
fn is_address(bytes: &[u8], family: Option<&u8>, address: IpAddr) -> bool {
    match (family, address) {
        (Some(2), IpAddr::V4(v4)) => bytes.first_chunk::<4>() == Some(&v4.octets()),
        (Some(10), IpAddr::V4(v4)) => bytes == v4.to_ipv6_mapped().octets(),
        (Some(10), IpAddr::V6(v6)) => bytes == v6.octets(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
    use tokio::io::{AsyncBufReadExt as _, BufReader};

    use super::*;

    fn netlink() -> Identity {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let diag = SockProtocol::NetlinkSockDiag;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, diag).unwrap();
        Identity::new(fd, "/nonexistent".into())
    }

    #[test]
    fn the_kernel_tells_whose_a_socket_is() {
        use std::os::linux::fs::MetadataExt as _;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (from, to) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
        let (identity, uid) = (netlink(), nix::unistd::getuid().as_raw());
        let owner = identity.owner(from, to, uid).unwrap();
        let inode = std::fs::metadata(format!("/proc/self/fd/{}", client.as_raw_fd())).unwrap().st_ino();
        assert_eq!((owner.uid, u64::from(owner.inode)), (uid, inode));
        assert!(matches!(identity.owner(from, to, uid + 1), Err(IdentityError::Stranger(..))));
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        assert!(matches!(identity.owner(nobody, to, uid), Err(IdentityError::Unknown(..))));
        assert_eq!(identity.owner(from, to, uid).unwrap(), owner);
    }

    #[test]
    fn a_cut_or_foreign_answer_is_none() {
        let (client, server) = (SocketAddr::from(([127, 0, 0, 1], 5)), SocketAddr::from(([127, 0, 0, 1], 6)));
        for length in 0..100 {
            assert!(answer(&vec![0x14; length], client, server, 7).is_err());
        }
    }

    #[tokio::test]
    async fn more_questions_than_there_are_seats_are_all_answered() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicUsize, Ordering};
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("identify.sock");
        let server = tokio::net::UnixListener::bind(&path).unwrap();
        let hung_up = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&hung_up);
        tokio::spawn(async move {
            let seats = Arc::new(Semaphore::new(2));
            while let Ok((stream, _)) = server.accept().await {
                let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else {
                    count.fetch_add(1, Ordering::Relaxed);
                    continue;
                };
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    stream.read_line(&mut String::new()).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    stream.write_all(b"{\"holders\":[[\"/usr/bin/curl\"]]}\n").await.unwrap();
                    drop(seat);
                });
            }
        });
        let mut identity = netlink();
        identity.socket = path;
        let all = futures_util::future::join_all((1..40).map(|inode| identity.programs(inode))).await;
        assert!(all.iter().all(|one| one.as_ref().is_ok_and(|found| found.len() == 1)), "{all:?}");
        assert!(hung_up.load(Ordering::Relaxed) > 0);
    }
}
