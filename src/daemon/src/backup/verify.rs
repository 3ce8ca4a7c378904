//! Reading a backup whole, without making anything of it.

use std::fs::File;
use std::os::fd::OwnedFd;

use api::BackupSummary;
use host::{ArchiveTask, Cancel};

use super::{Opened, check_number, pump, stream_failure, summary};
use crate::failure::Failure;
use crate::service::Service;

impl Service {
    /// Opens every chunk and reads every entry, each by a program that a hostile one could not hurt.
    pub fn verify_backup(&self, archive: OwnedFd, cancel: &Cancel) -> Result<BackupSummary, Failure> {
        let Opened { head, kek, mut data } = self.open_backup(File::from(archive))?;
        let task = ArchiveTask::Check { number: check_number() };
        let tenant = &head.label.tenant;
        let (checked, opened) =
            host::archive(&self.systemd, tenant, &task, cancel, |to| feed(&mut data, to))?;
        let contents = outcome(checked, opened)?;
        Ok(summary(&head, kek, contents))
    }
}

/// Moves the opened data into a program that reads it.
pub(super) fn feed(data: &mut impl std::io::Read, mut to: File) -> Result<(), Fed> {
    let refused = |_| Fed::Refused;
    let broken = |error| Fed::Broken(stream_failure("read", error));
    pump(data, &mut to, (broken, refused))
}

/// Why a program was not fed to the end.
pub(super) enum Fed {
    /// What opens the archive failed.
    Broken(Failure),
    /// The program stopped reading, and says why.
    Refused,
}

/// What feeder and program say together: a broken seal explains everything else.
pub(super) fn outcome(
    program: Result<String, plan::HostError>,
    fed: Result<(), Fed>,
) -> Result<String, Failure> {
    match (program, fed) {
        (_, Err(Fed::Broken(failure))) => Err(failure),
        (Err(error), Ok(()) | Err(Fed::Refused)) => Err(error.into()),
        (Ok(_), Err(Fed::Refused)) => Err(Failure::new(
            model::Exit::Data,
            "the backup goes on behind the end of its data: take another copy",
        )),
        (Ok(summary), Ok(())) => Ok(summary),
    }
}
