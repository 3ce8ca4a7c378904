//! What is up now: one file per tenant in `/run/tenantd/net`, written before the first element exists and removed after the
//! last is gone. Taking down works from it, so it does not matter what has become of the compiled files since.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use model::{Network, TenantId};

use crate::error::Error;
use crate::file;

/// The directory of the records.
const DIRECTORY: &str = "/run/tenantd/net";

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
            DirBuilder::new().recursive(true).mode(0o755).create(DIRECTORY).map_err(failed)?;
            put(&path, &text).map_err(failed)
        }
        other => other.map_err(failed),
    }
}

/// Forgets `tenant`.
pub fn remove(tenant: &TenantId) -> Result<(), Error> {
    let path = path(tenant);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::kernel(format!("remove {}", path.display()), error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
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
