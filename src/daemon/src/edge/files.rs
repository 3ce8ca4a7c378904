//! The files that the edge reads, and the user that reads them. Each is replaced whole.

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use host::files;
use model::edge::{EdgeFile, KEYS_FORMAT, Keys, REVOCATIONS_FORMAT, Revocations};
use model::{Exit, Owner, Paths};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// User and group of the edge, made by the package.
const READER: &str = "tenantd-edge";
/// Bytes of one of these files, at most; the edge reads no more of one.
const MOST_BYTES: usize = 16 << 20;

/// uid and gid of the edge's user.
pub(crate) fn reader() -> Result<(u32, u32), Failure> {
    match (host::user_id(READER), host::group_id(READER)) {
        (Some(uid), Some(gid)) => Ok((uid, gid)),
        _ => Err(Failure::new(
            Exit::OsFile,
            format!(
                "there is no user and group {READER} on this host: run \"systemd-sysusers /usr/lib/sysusers.d/tenantd.conf\", or reinstall the package tenantd"
            ),
        )),
    }
}

/// Makes the directories that are missing. What the edge may read has its group; a host without it has no edge.
pub(crate) fn prepare_directories(paths: &Paths) -> Result<(), Failure> {
    let group = host::group_id(READER);
    let closed = group.map_or(0o700, |_| 0o750);
    for (path, mode, group) in [
        (paths.edge(), closed, group),
        (paths.edge().join("tls"), closed, group),
        (paths.edge().join("routes"), 0o755, None),
        (paths.signing(), 0o700, None),
    ] {
        let made = std::fs::DirBuilder::new().mode(mode).create(&path);
        let made = match made {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
            // An umask may have taken bits away, but never gave any.
            Ok(()) => std::os::unix::fs::chown(&path, None, group),
        };
        made.map_err(|error| {
            let text = format!("cannot make {}: {error}: reinstall the package tenantd", path.display());
            Failure::new(Exit::Io, text)
        })?;
    }
    Ok(())
}

/// The compiled files.
pub(super) struct Files {
    directory: PathBuf,
}

impl Files {
    pub(super) fn of(paths: &Paths) -> Self {
        Self { directory: paths.edge() }
    }

    /// What is in force; nothing while the edge is disabled.
    pub(super) fn edge(&self) -> Result<Option<EdgeFile>, Failure> {
        self.read("edge.json")
    }

    pub(super) fn write_edge(&self, edge: &EdgeFile) -> Result<(), Failure> {
        self.write("edge.json", edge)
    }

    pub(super) fn remove_edge(&self) -> Result<(), Failure> {
        Ok(files::remove(&self.directory.join("edge.json"))?)
    }

    /// Public keys; none where none was ever made.
    pub(super) fn keys(&self) -> Result<Keys, Failure> {
        let none = Keys { format: KEYS_FORMAT, issuer: String::new(), keys: Vec::new() };
        Ok(self.read("keys.json")?.unwrap_or(none))
    }

    pub(super) fn write_keys(&self, keys: &Keys) -> Result<(), Failure> {
        self.write("keys.json", keys)
    }

    /// Nothing where nothing was ever written.
    pub(super) fn revocations(&self) -> Result<Option<Revocations>, Failure> {
        self.read("revoked.json")
    }

    pub(super) fn write_revocations(&self, revocations: &Revocations) -> Result<(), Failure> {
        self.write("revoked.json", revocations)
    }

    /// A file of the certificate.
    pub(super) fn tls(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        Ok(files::read_bounded(&self.directory.join("tls").join(name), MOST_BYTES)?)
    }

    pub(super) fn write_tls(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        self.put(self.directory.join("tls").join(name), bytes)
    }

    pub(super) fn remove_tls(&self, name: &str) -> Result<(), Failure> {
        Ok(files::remove(&self.directory.join("tls").join(name))?)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Failure> {
        let path = self.directory.join(name);
        let Some(bytes) = files::read_bounded(&path, MOST_BYTES)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            let remedy = match name {
                "edge.json" => "run \"tenantctl edge reload\"",
                "keys.json" => "run \"tenantctl edge rotate-key --now\"",
                _ => "restore it from a backup, or remove it and run \"tenantctl edge rotate-key --now\"",
            };
            let text = format!("{} is damaged ({error}): {remedy}", path.display());
            Failure::new(Exit::OsFile, text)
        })
    }

    fn write<T: Serialize>(&self, name: &str, document: &T) -> Result<(), Failure> {
        self.put(self.directory.join(name), &serde_json::to_vec(document)?)
    }

    fn put(&self, path: PathBuf, bytes: &[u8]) -> Result<(), Failure> {
        let (_, gid) = reader()?;
        Ok(files::write_atomic(&path, Owner { uid: 0, gid }, 0o640, bytes)?)
    }
}

/// No revocations.
pub(super) fn nothing_revoked() -> Revocations {
    Revocations { format: REVOCATIONS_FORMAT, entries: Vec::new() }
}
