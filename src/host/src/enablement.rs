//! Which tenants start at boot: links in `tenants.target.wants`, just as `systemctl enable` makes them.
//!
//! The link is all there is to it: PID 1 reads it when the target is loaded at boot, so nothing is reloaded.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use model::{Exit, Paths};
use plan::HostError;

use crate::error::sentence;
use crate::{files, tree};

/// Where packages put units; the first is the place on Debian 13, the second on Debian 12.
const UNIT_DIRECTORIES: [&str; 2] = ["usr/lib/systemd/system", "lib/systemd/system"];

/// Names of the units that start with `tenants.target`.
pub fn enabled(paths: &Paths) -> Result<BTreeSet<String>, HostError> {
    Ok(files::list(&paths.enabled_units())?.into_iter().filter(|name| name.ends_with(".service")).collect())
}

/// Whether one of them does.
pub(crate) fn is_enabled(paths: &Paths, unit: &str) -> Result<bool, HostError> {
    Ok(files::look_link(&paths.enabled_units().join(unit))?.is_some())
}

/// Makes a unit start at boot, or no longer.
pub fn set_enabled(paths: &Paths, unit: &str, enable: bool) -> Result<(), HostError> {
    let link = paths.enabled_units().join(unit);
    if enable {
        return files::write_link(&link, &template(paths, unit)?);
    }
    files::remove(&link)?;
    // `systemctl disable` removes the directory with its last link, too; one that is not empty stays.
    tree::remove_empty(&paths.enabled_units()).map(drop)
}

/// The file a link points to: the template of an instance, in the directory `systemctl enable` would name.
fn template(paths: &Paths, unit: &str) -> Result<PathBuf, HostError> {
    let (prefix, rest) = unit.split_once('@').unwrap_or((unit, ""));
    let file = match rest.rsplit_once('.') {
        Some((_, suffix)) => format!("{prefix}@.{suffix}"),
        None => unit.to_owned(),
    };
    let candidates = UNIT_DIRECTORIES.map(|directory| Path::new(directory).join(&file));
    let found = candidates.into_iter().find(|candidate| paths.root().join(candidate).is_file());
    found.map(|candidate| Path::new("/").join(candidate)).ok_or_else(|| {
        let text =
            format!("cannot enable {unit}: there is no unit file {file}: reinstall the package tenantd");
        sentence(Exit::OsFile, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enabling_is_the_link_systemctl_would_make() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::below(root.path());
        let shipped = root.path().join("lib/systemd/system/tenant@.service");
        assert!(set_enabled(&paths, "tenant@acme.service", true).unwrap_err().message.contains("reinstall"));
        files::write_atomic(&shipped, model::Owner::ROOT, 0o644, b"").unwrap();
        set_enabled(&paths, "tenant@acme.service", true).unwrap();
        set_enabled(&paths, "tenant@beta.service", true).unwrap();
        let link = paths.enabled_units().join("tenant@acme.service");
        assert_eq!(std::fs::read_link(link).unwrap(), Path::new("/lib/systemd/system/tenant@.service"));
        assert_eq!(enabled(&paths).unwrap().len(), 2);
        set_enabled(&paths, "tenant@acme.service", false).unwrap();
        assert!(!is_enabled(&paths, "tenant@acme.service").unwrap());
        assert!(is_enabled(&paths, "tenant@beta.service").unwrap());
        set_enabled(&paths, "tenant@beta.service", false).unwrap();
        assert!(!paths.enabled_units().exists(), "the last link takes the directory with it");
    }
}
