//! What is up now: one file per tenant in `/run/tenantd/net`, written before the first element exists and removed after the
//! last is gone. Taking down works from it, so it does not matter what has become of the compiled files since.
//!
//! A record of what was taken down goes to `/run/tenantd/dead`: its links are dead and wait for the sweep, which
//! `tenantd-sweep.path` starts as long as anything lies there. One left while a sweep runs is found by the next.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;

use model::{Network, TenantId};

use crate::error::Error;
use crate::file;

/// The directory of the records.
const DIRECTORY: &str = "/run/tenantd/net";

/// The directory of the records whose links wait for the sweep.
const DEAD: &str = "/run/tenantd/dead";

/// What was put up for `tenant`, if anything was.
pub fn read(tenant: &TenantId) -> Result<Option<Network>, Error> {
    file::network(&path(tenant), tenant)
}

/// Records that `network` is about to be put up.
pub fn write(network: &Network) -> Result<(), Error> {
    let path = path(&network.tenant);
    let failed = |source: io::Error| Error::kernel(format!("write {}", path.display()), source);
    let text = serde_json::to_vec(network).map_err(|error| failed(error.into()))?;
    match put(&path, &text) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(DIRECTORY).map_err(failed)?;
            put(&path, &text).map_err(failed)
        }
        other => other.map_err(failed),
    }
}

/// Hands `tenant`'s dead links to the sweep. The name is this process's alone: a tenant that comes and goes during a sweep
/// leaves a second record, not the same one again.
pub fn bury(tenant: &TenantId) -> Result<(), Error> {
    let (from, to) =
        (path(tenant), Path::new(DEAD).join(format!("{}.{}", tenant.system_name(), process::id())));
    let failed = |source: io::Error| Error::kernel(format!("move {} to {DEAD}", from.display()), source);
    make(DEAD).map_err(failed)?;
    match fs::rename(&from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The records whose links wait for the sweep.
pub fn dead() -> Result<Vec<PathBuf>, Error> {
    let failed = |source: io::Error| Error::kernel(format!("list {DEAD}"), source);
    match fs::read_dir(DEAD) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed(error)),
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect(),
    }
}

/// Forgets the dead of `records`, whose links are gone; another sweep may have done so already.
pub fn forget(records: &[PathBuf]) -> Result<(), Error> {
    for path in records {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::kernel(format!("remove {}", path.display()), error));
            }
            Ok(()) | Err(_) => (),
        }
    }
    Ok(())
}

/// Every tenant with a record.
pub fn all() -> Result<Vec<TenantId>, Error> {
    let failed = |source: io::Error| Error::kernel(format!("list {DIRECTORY}"), source);
    let entries = match fs::read_dir(DIRECTORY) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut tenants = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let system_name = name.to_str().and_then(|name| name.strip_suffix(".json"));
        tenants.extend(system_name.and_then(|name| TenantId::from_system_name(name).ok()));
    }
    Ok(tenants)
}

fn make(directory: &str) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(directory)
}

fn path(tenant: &TenantId) -> PathBuf {
    Path::new(DIRECTORY).join(format!("{}.json", tenant.system_name()))
}

/// No fsync: the record and what it records both end with the boot.
fn put(path: &Path, text: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file: File = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text)?;
    fs::rename(&new, path)
}
