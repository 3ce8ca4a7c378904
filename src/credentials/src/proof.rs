//! Who asks for a proof header: root, or the edge, known by its uid; and for which tenant.
//!
//! The mode of the socket lets in whoever is in the edge's group, which an administrator may join for its metrics. The uid decides.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use model::TenantId;
use rustix::net::sockopt::socket_peercred;

use crate::asker::{Asker, Program};
use crate::error::Error;

/// The edge's user. The package makes it, in the file that is read here: no name service is asked by a program that holds keys.
const USER: &str = "tenantd-edge";
const PASSWD: &str = "/etc/passwd";
/// How long a question may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Which tenant is asked for, by somebody who may.
pub fn of(connection: &UnixStream) -> Result<Asker, Error> {
    let peer = socket_peercred(connection).map_err(|errno| Error::Kernel("ask who asks", errno.into()))?;
    if !peer.uid.is_root() {
        let users =
            std::fs::read_to_string(PASSWD).map_err(|error| Error::Kernel("read /etc/passwd", error))?;
        if uid_of(&users, USER) != Some(peer.uid.as_raw()) {
            return Err(Error::Refused(format!("uid {} is neither root nor {USER}", peer.uid.as_raw())));
        }
    }
    let tenant = question(connection, PATIENCE)?;
    Ok(Asker { tenant, program: Program::Edge })
}

/// The uid of a user of this host's own. Root's is nobody's.
fn uid_of(users: &str, name: &str) -> Option<u32> {
    let mut fields = users
        .lines()
        .map(|line| line.split(':'))
        .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
    fields.nth(1)?.parse().ok().filter(|uid| *uid != 0)
}

/// One line: a tenant's name.
fn question(mut connection: &UnixStream, patience: Duration) -> Result<TenantId, Error> {
    let failed = |error| Error::Kernel("read the question", error);
    let end = Instant::now() + patience;
    let mut line = [0; TenantId::MAX_BYTES + 1];
    let mut have = 0;
    connection.set_nonblocking(false).map_err(failed)?;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(failed(io::ErrorKind::TimedOut.into()));
        }
        connection.set_read_timeout(Some(left)).map_err(failed)?;
        let room = line.get_mut(have..).filter(|room| !room.is_empty());
        let room = room.ok_or_else(|| Error::Refused("the question is too long".to_owned()))?;
        let more = connection.read(room).map_err(failed)?;
        have += more;
        let so_far = line.get(..have).unwrap_or_default();
        if let Some(name) = so_far.strip_suffix(b"\n") {
            let tenant = std::str::from_utf8(name).ok().and_then(|name| TenantId::parse(name).ok());
            return tenant.ok_or_else(|| Error::Refused("the question names no tenant".to_owned()));
        }
        if more == 0 {
            return Err(Error::Refused("the question ends early".to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_edge_is_known_by_its_line_in_passwd_and_root_is_never_it() {
        let users = "root:x:0:0::/root:/bin/sh\ntenantd-edge-2:x:7:7::/:/x\ntenantd-edge:x:997:996:x:/nonexistent:/usr/sbin/nologin\n";
        assert_eq!(uid_of(users, USER), Some(997));
        for none in [
            "",
            "tenantd-edge",
            "tenantd-edge:x",
            "tenantd-edge:x:0:0",
            "tenantd-edge:x::0",
            "tenantd-edge:x:-1:0",
            "#tenantd-edge:x:997:1",
        ] {
            assert_eq!(uid_of(none, USER), None, "{none}");
        }
    }

    fn asked(bytes: &[u8], close: bool) -> Result<TenantId, String> {
        let (mut asker, connection) = UnixStream::pair().unwrap();
        asker.write_all(bytes).unwrap();
        let asker = if close {
            drop(asker);
            None
        } else {
            Some(asker)
        };
        let answer = question(&connection, Duration::from_millis(100)).map_err(|error| error.to_string());
        drop(asker);
        answer
    }

    #[test]
    fn a_question_is_a_tenants_name_and_a_line_end_and_comes_in_time() {
        assert_eq!(asked(b"acme\n", false).unwrap().as_str(), "acme");
        assert_eq!(asked(format!("{}\n", "a".repeat(24)).as_bytes(), false).unwrap().as_str().len(), 24);
        for bytes in [&b"\n"[..], b"ACME\n", b"../x\n", b"acme\nbeta\n", b"\xff\n", b"acme \n"] {
            assert!(asked(bytes, false).is_err(), "{bytes:?}");
        }
        assert!(asked(&[b'a'; 26], false).unwrap_err().contains("too long"));
        assert!(asked(b"acme", true).unwrap_err().contains("ends early"));
        let start = Instant::now();
        assert!(asked(b"acme", false).is_err());
        assert!(start.elapsed() < Duration::from_secs(2));
    }
}
