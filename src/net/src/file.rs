//! Reading a root-owned JSON file: refused if anyone but root could have written it.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use model::{NETWORK_FORMAT, Network, TenantId};
use nix::fcntl::OFlag;

use crate::error::Error;

/// A compiled file is a few hundred bytes; whatever is longer is not one.
const MAX_BYTES: u64 = 64 * 1024;

/// The network file at `path`, if there is one: owned by root, writable by nobody else, of our format, for `tenant`.
pub fn network(path: &Path, tenant: &TenantId) -> Result<Option<Network>, Error> {
    let Some(text) = read(path)? else { return Ok(None) };
    let network: Network =
        serde_json::from_str(&text).map_err(|error| bad(path, format!("is no network file: {error}")))?;
    if network.format != NETWORK_FORMAT {
        let problem = format!("has format {}, this program reads format {NETWORK_FORMAT}", network.format);
        return Err(bad(path, problem));
    }
    if network.tenant != *tenant {
        return Err(bad(path, format!("is tenant {}'s, not {tenant}'s", network.tenant)));
    }
    Ok(Some(network))
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).bits();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(bad(path, format!("cannot be opened: {error}"))),
    };
    let about = file.metadata().map_err(|error| bad(path, format!("cannot be examined: {error}")))?;
    trusted(path, &about)?;
    let mut text = String::new();
    File::take(file, MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| bad(path, format!("cannot be read: {error}")))?;
    Ok(Some(text))
}

fn trusted(path: &Path, about: &Metadata) -> Result<(), Error> {
    if !about.is_file() {
        return Err(bad(path, "is not a regular file".to_owned()));
    }
    if about.uid() != 0 || about.mode() & 0o022 != 0 {
        let problem = format!(
            "is owned by uid {} with mode {:04o}; only root may be able to write it",
            about.uid(),
            about.mode() & 0o7777
        );
        return Err(bad(path, problem));
    }
    if about.len() >= MAX_BYTES {
        return Err(bad(path, format!("is longer than {MAX_BYTES} bytes")));
    }
    Ok(())
}

fn bad(path: &Path, problem: String) -> Error {
    Error::File {
        path: path.to_owned(),
        problem,
        remedy: " (run \"tenantctl repair\" to have it written anew)",
    }
}
