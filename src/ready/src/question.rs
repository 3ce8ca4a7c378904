//! What to ask, as the tenant's readiness file says.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;

use model::{READINESS_FORMAT, Readiness};

use crate::error::Error;

/// The readiness file in the cell.
const PATH: &str = "/run/tenantd/cell/readiness.json";
const MAX_BYTES: u64 = 64 * 1024;
/// `tenant@.service` gives up a little later than this.
const LONGEST_SEC: u32 = 900;

/// The readiness file: owned by root and of our format.
pub fn read() -> Result<Readiness, Error> {
    let bad = |problem: String| Error::File { path: PATH, problem };
    let file = File::open(PATH).map_err(|error| bad(format!("cannot be opened: {error}")))?;
    let about = file.metadata().map_err(|error| bad(format!("cannot be examined: {error}")))?;
    if !about.is_file() || about.uid() != 0 || about.mode() & 0o022 != 0 {
        return Err(bad("is not a file that only root can write".to_owned()));
    }
    let mut text = String::new();
    file.take(MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| bad(format!("cannot be read: {error}")))?;
    let readiness: Readiness =
        serde_json::from_str(&text).map_err(|error| bad(format!("is no readiness file: {error}")))?;
    match complaint(&readiness) {
        Some(problem) => Err(bad(problem)),
        None => Ok(readiness),
    }
}

/// Where to connect.
pub fn target(readiness: &Readiness) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(readiness.address), readiness.port)
}

/// The question as people write it.
pub fn shown(readiness: &Readiness) -> String {
    format!("GET http://{}{}", target(readiness), readiness.path)
}

/// The question as sent. HTTP/1.0, so that the answer ends with the connection and comes in one piece, not in chunks.
pub fn request(readiness: &Readiness) -> String {
    format!(
        "GET {} HTTP/1.0\r\nHost: {}\r\nAccept: */*\r\nUser-Agent: tenant-ready\r\nConnection: close\r\n\r\n",
        readiness.path,
        target(readiness)
    )
}

fn complaint(readiness: &Readiness) -> Option<String> {
    if readiness.format != READINESS_FORMAT {
        return Some(format!(
            "has format {}, this program reads format {READINESS_FORMAT}",
            readiness.format
        ));
    }
    let printable = readiness.path.bytes().all(|byte| byte.is_ascii_graphic());
    if !readiness.path.starts_with('/') || !printable || readiness.path.len() > 1024 {
        return Some(format!("has the path {:?}, which is none", readiness.path));
    }
    if readiness.port == 0 {
        return Some("has port 0".to_owned());
    }
    let in_range = (1..=LONGEST_SEC).contains(&readiness.timeout_sec);
    (!in_range).then(|| format!("waits {} s; 1 to {LONGEST_SEC} are possible", readiness.timeout_sec))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::TenantId;

    fn readiness() -> Readiness {
        Readiness {
            format: 1,
            tenant: TenantId::parse("acme").unwrap(),
            address: [127, 0, 0, 1].into(),
            port: 18789,
            path: "/startupz".to_owned(),
            body_contains: String::new(),
            timeout_sec: 60,
        }
    }

    #[test]
    fn a_path_cannot_smuggle_a_header() {
        for path in ["", "startupz", "/a b", "/a\r\nX-Forwarded-User: root", "/\u{e9}", "/\0"] {
            assert!(complaint(&Readiness { path: path.to_owned(), ..readiness() }).is_some(), "{path:?}");
        }
        assert_eq!(complaint(&readiness()), None);
    }

    #[test]
    fn waiting_is_bounded() {
        assert!(complaint(&Readiness { timeout_sec: 0, ..readiness() }).is_some());
        assert!(complaint(&Readiness { timeout_sec: 901, ..readiness() }).is_some());
    }
}
