//! A directory of backups: `TENANT-20261122T020000Z.backup`, one file each, whole or not there.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use model::{Exit, TenantId};

use crate::failure::Failure;

const SUFFIX: &str = ".backup";
const PARTIAL: &str = ".partial";
/// How many names are tried for one.
const SECONDS: u64 = 10;
/// What an interrupted run left is removed by a later one, after a time in which no run still writes to it.
const ABANDONED: Duration = Duration::from_secs(2 * 86_400);

/// A backup that is being written.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) file: File,
    pub(super) at: PathBuf,
    path: PathBuf,
    kept: bool,
}

impl Partial {
    /// Begins one; it has another name until it is whole.
    pub(super) fn begin(directory: &Path, tenant: &TenantId, now: u64) -> Result<Self, Failure> {
        sweep(directory, tenant)?;
        // Two of one second have names a second apart.
        for second in now..now.saturating_add(SECONDS) {
            let name = format!("{tenant}-{}{SUFFIX}", stamp(second));
            let (at, path) = (directory.join(format!(".{name}{PARTIAL}")), directory.join(name));
            let failed = |error: io::Error| making(&path, &error);
            if path.try_exists().map_err(failed)? {
                continue;
            }
            match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&at) {
                Ok(file) => return Ok(Self { file, at, path, kept: false }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(making(
            &directory.join(format!("{tenant}-{}{SUFFIX}", stamp(now))),
            &io::ErrorKind::AlreadyExists.into(),
        ))
    }

    /// Gives it its name.
    pub(super) fn keep(mut self) -> Result<PathBuf, Failure> {
        let failed = |error: io::Error| making(&self.path, &error);
        self.file.sync_all().map_err(failed)?;
        std::fs::rename(&self.at, &self.path).map_err(failed)?;
        self.kept = true;
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
        Ok(self.path.clone())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.kept {
            // Left behind, it is removed by a later run.
            std::fs::remove_file(&self.at).ok();
        }
    }
}

/// The backups of a tenant, oldest first.
pub(super) fn backups(directory: &Path, tenant: &TenantId) -> Result<Vec<PathBuf>, Failure> {
    let mut found = entries(directory, tenant, "", SUFFIX)?;
    found.sort();
    Ok(found)
}

/// Backups of a tenant, and what interrupted runs left of some.
pub(super) fn everything(directory: &Path, tenant: &TenantId) -> Result<Vec<PathBuf>, Failure> {
    let mut found = backups(directory, tenant)?;
    found.extend(entries(directory, tenant, ".", &format!("{SUFFIX}{PARTIAL}"))?);
    Ok(found)
}

/// Removes the oldest backups of a tenant, so that `keep` stay. The one just made is among them, whatever times others claim.
pub(super) fn thin_out(
    directory: &Path,
    tenant: &TenantId,
    keep: usize,
    made: &Path,
) -> Result<Vec<PathBuf>, Failure> {
    let mut all = backups(directory, tenant)?;
    all.retain(|path| path != made);
    all.truncate(all.len().saturating_sub(keep.saturating_sub(1)));
    remove(&all)?;
    Ok(all)
}

/// Removes files.
pub(super) fn remove(files: &[PathBuf]) -> Result<(), Failure> {
    files.iter().try_for_each(|path| {
        std::fs::remove_file(path).map_err(|error| {
            Failure::new(
                Exit::Io,
                format!("cannot remove the backup {}: {error}: remove it by hand", path.display()),
            )
        })
    })
}

/// When it was made, for people.
pub(super) fn shown(seconds: u64) -> String {
    timestamp(seconds).strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn stamp(seconds: u64) -> String {
    timestamp(seconds).strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn timestamp(seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

fn sweep(directory: &Path, tenant: &TenantId) -> Result<(), Failure> {
    let partial = format!("{SUFFIX}{PARTIAL}");
    let abandoned = |path: &PathBuf| {
        let modified = path.symlink_metadata().and_then(|found| found.modified());
        modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > ABANDONED))
    };
    let left: Vec<_> = entries(directory, tenant, ".", &partial)?.into_iter().filter(abandoned).collect();
    remove(&left)
}

/// Regular files named PREFIX TENANT - TIME SUFFIX, and no others: those of `acme-2` are none of `acme`.
fn entries(directory: &Path, tenant: &TenantId, prefix: &str, suffix: &str) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: io::Error| {
        let exit = if error.kind() == io::ErrorKind::NotFound { Exit::CantCreate } else { Exit::Io };
        Failure::new(
            exit,
            format!(
                "cannot read the directory of backups {}: {error}: make it (mode 0700), or give another with --to",
                directory.display()
            ),
        )
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let time = name.to_str().and_then(|name| {
            name.strip_prefix(prefix)?.strip_prefix(tenant.as_str())?.strip_prefix('-')?.strip_suffix(suffix)
        });
        if time.is_some_and(is_stamp) && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// `20261122T020000Z`
fn is_stamp(text: &str) -> bool {
    text.len() == 16
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        })
}

fn making(path: &Path, error: &io::Error) -> Failure {
    let exit = if error.kind() == io::ErrorKind::AlreadyExists { Exit::CantCreate } else { Exit::Io };
    Failure::new(exit, format!("cannot make the backup {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acme() -> TenantId {
        TenantId::parse("acme").unwrap()
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_backup_has_its_name_when_it_is_whole_and_leaves_nothing_when_it_is_not() {
        let directory = tempfile::tempdir().unwrap();
        drop(Partial::begin(directory.path(), &acme(), 0).unwrap());
        assert!(names(directory.path()).is_empty());
        let partial = Partial::begin(directory.path(), &acme(), 1_795_312_800).unwrap();
        assert!(names(directory.path())[0].ends_with(".partial"));
        partial.keep().unwrap();
        assert_eq!(names(directory.path()), ["acme-20261122T020000Z.backup"]);
        let again = Partial::begin(directory.path(), &acme(), 1_795_312_800).unwrap();
        assert!(again.keep().unwrap().ends_with("acme-20261122T020001Z.backup"));
        assert_eq!(shown(1_795_312_800), "2026-11-22 02:00:00 UTC");
    }

    #[test]
    fn only_the_oldest_of_the_same_tenant_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let others = [
            "acme-2-20200101T000000Z.backup",
            "acme-20200101T000000Z.backup.asc",
            "acme-2020.backup",
            "acme.backup",
            "note",
        ];
        let own =
            ["acme-20260101T000000Z.backup", "acme-20260102T000000Z.backup", "acme-20260103T000000Z.backup"];
        for name in own.iter().chain(&others) {
            File::create(directory.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink("note", directory.path().join("acme-20190101T000000Z.backup")).unwrap();
        let newest = directory.path().join(own[2]);
        let removed = thin_out(directory.path(), &acme(), 2, &newest).unwrap();
        assert_eq!(removed, [directory.path().join(own[0])]);
        assert_eq!(names(directory.path()).len(), own.len() + others.len());
        assert!(thin_out(directory.path(), &acme(), 2, &newest).unwrap().is_empty());
        // A clock that was wrong once does not cost the backup of today.
        let today = directory.path().join(own[1]);
        assert_eq!(thin_out(directory.path(), &acme(), 1, &today).unwrap(), [newest]);
    }

    #[test]
    fn a_directory_that_is_not_there_is_said() {
        let error = Partial::begin(Path::new("/nonexistent"), &acme(), 0).unwrap_err();
        assert!(error.to_string().contains("/nonexistent"), "{error}");
        assert_eq!(error.code(), Exit::CantCreate.code());
    }
}
