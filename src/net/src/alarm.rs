//! Tenants that were cut off because their fence did not hold: one file each, with the reason, until a self-test has seen the
//! fence hold for them again. The self-test fails for as long as there is one, so that nobody overlooks it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use model::{Paths, TenantId};

use crate::error::Error;

/// A reason is one sentence; more is not read.
const MAX_BYTES: u64 = 4096;

/// Notes why `tenant` is cut off.
pub fn raise(tenant: &TenantId, why: &str) -> Result<(), Error> {
    let path = Paths::host().alarm(tenant);
    let failed = |source: io::Error| Error::kernel(format!("write {}", path.display()), source);
    DirBuilder::new().recursive(true).mode(0o755).create(Paths::host().alarms()).map_err(failed)?;
    let new = path.with_extension("new");
    let mut file: File =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new).map_err(failed)?;
    file.write_all(why.as_bytes()).and_then(|()| fs::rename(&new, &path)).map_err(failed)
}

/// The fence holds for `tenant` again.
pub fn clear(tenant: &TenantId) -> Result<(), Error> {
    remove(&Paths::host().alarm(tenant))
}

/// The reasons that stand. One of a tenant that was deleted since is forgotten.
pub fn standing() -> Result<Vec<String>, Error> {
    let directory = Paths::host().alarms();
    let failed = |source: io::Error| Error::kernel(format!("list {}", directory.display()), source);
    let entries = match fs::read_dir(&directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut reasons = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        match owner(&path) {
            Some(tenant) if Paths::host().compiled(&tenant).join("network.json").exists() => {
                reasons.push(read(&path)?);
            }
            Some(_) | None => remove(&path)?,
        }
    }
    reasons.sort();
    Ok(reasons)
}

fn owner(path: &Path) -> Option<TenantId> {
    TenantId::from_system_name(path.file_name()?.to_str()?).ok()
}

fn read(path: &PathBuf) -> Result<String, Error> {
    let failed = |source: io::Error| Error::kernel(format!("read {}", path.display()), source);
    let mut why = String::new();
    File::open(path).map_err(failed)?.take(MAX_BYTES).read_to_string(&mut why).map_err(failed)?;
    Ok(why)
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::kernel(format!("remove {}", path.display()), error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
