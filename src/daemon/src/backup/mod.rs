//! Backups: sealed by a key of the vault, written where the caller says, read back before they are believed.

mod make;
mod notes;
mod over;
mod restore;
mod verify;

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use api::BackupSummary;
use backup::{Head, HeadError, Quiesced};
use model::Exit;
use vault::{ArchiveError, KekId, Opener, Unopened};

pub use restore::RestoreRequest;

use crate::failure::Failure;
use crate::service::Service;

/// Numbers the checks, which belong to no tenant of this host.
static NEXT_CHECK: AtomicU64 = AtomicU64::new(0);

fn check_number() -> u64 {
    NEXT_CHECK.fetch_add(1, Ordering::Relaxed)
}

/// A backup that was opened as far as its data.
struct Opened {
    head: Head,
    kek: KekId,
    data: Opener<File>,
}

impl Service {
    /// Opens a backup. What it says is genuine, since the key of the vault opens it; what it says of the world may be wrong all the same.
    fn open_backup(&self, archive: File) -> Result<Opened, Failure> {
        let unusable = |cause: io::Error| Failure::new(Exit::Io, format!("cannot read the backup: {cause}"));
        if !archive.metadata().map_err(unusable)?.is_file() {
            let text = "a backup is read from a file, and this is none: copy it to a disk first";
            return Err(Failure::new(Exit::NoInput, text));
        }
        let unopened = Unopened::read(archive).map_err(archive_failure)?;
        let (tenant, kek) = (unopened.tenant().clone(), unopened.kek());
        let mut data = unopened.open(&self.opening_key(&tenant, kek)?).map_err(archive_failure)?;
        let head = Head::read(&mut data).map_err(|error| head_failure("read", error))?;
        if head.label.tenant != tenant {
            let text = format!(
                "the backup of tenant {tenant} says inside that it is of tenant {}: take another copy",
                head.label.tenant
            );
            return Err(Failure::new(Exit::Data, text));
        }
        Ok(Opened { head, kek, data })
    }
}

fn summary(head: &Head, kek: KekId, contents: String) -> BackupSummary {
    let label = &head.label;
    // Versions that are on their way out are counted, too: it is the files that are in it.
    let secrets = head.vault.iter().filter(|(name, _)| name.starts_with("secret.")).count();
    BackupSummary {
        tenant: label.tenant.to_string(),
        made: label.made,
        host: label.host.clone(),
        tenantd: label.tenantd.clone(),
        quiesced: match label.quiesced {
            Quiesced::Frozen => "frozen",
            Quiesced::Stopped => "stopped",
        }
        .to_owned(),
        kek: kek.to_string(),
        settings: label.settings.clone(),
        secrets,
        contents,
        problem: None,
    }
}

fn archive_failure(error: ArchiveError) -> Failure {
    let exit = match &error {
        ArchiveError::Form(_) | ArchiveError::Sealed { .. } => Exit::Data,
        ArchiveError::ForeignKey { .. } => Exit::Config,
        ArchiveError::Read(_) | ArchiveError::Write(_) => Exit::Io,
        ArchiveError::TooLarge { .. } => Exit::CantCreate,
        ArchiveError::Broken { .. } | ArchiveError::Seal(_) => Exit::Os,
    };
    Failure::new(exit, error.to_string())
}

fn head_failure(verb: &str, error: HeadError) -> Failure {
    match error {
        HeadError::Stream(error) => stream_failure(verb, error),
        HeadError::Malformed(_) | HeadError::Newer(_) => Failure::new(Exit::Data, error.to_string()),
        HeadError::TooLarge => Failure::new(Exit::CantCreate, error.to_string()),
    }
}

/// What a stream failed of: the seal says it itself, everything else is the file or pipe.
fn stream_failure(verb: &str, error: io::Error) -> Failure {
    match error.downcast::<ArchiveError>() {
        Ok(sealed) => archive_failure(sealed),
        Err(error) => {
            let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            let remedy = if full {
                "make room there, or give another place with --to"
            } else {
                "see what is at its other end"
            };
            Failure::new(Exit::Io, format!("cannot {verb} the backup: {error}: {remedy}"))
        }
    }
}

/// The data, moved from one end to the other. Which of the two failed decides what is said.
fn pump<E>(
    from: &mut impl io::Read,
    to: &mut impl io::Write,
    (read, write): (impl Fn(io::Error) -> E, impl Fn(io::Error) -> E),
) -> Result<(), E> {
    let mut buffer = vec![0; 1 << 17];
    loop {
        let length = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(read(error)),
        };
        to.write_all(buffer.get(..length).unwrap_or_default()).map_err(&write)?;
    }
}
