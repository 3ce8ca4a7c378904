//! Where a backup goes: a directory, standard output, or a program such as restic.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use model::{BackupSettings, Exit, TenantId};

use super::directory::{self, Partial};
use crate::cli::BackupArgs;
use crate::failure::Failure;
use crate::session::Session;

/// A place for backups.
#[derive(Debug)]
pub(super) enum Target {
    /// Files in a directory, of which so many stay.
    Directory(PathBuf, Option<u32>),
    /// One backup on standard output.
    Stdout,
    /// A program for each backup, which reads it from its standard input.
    Program(Vec<String>),
}

/// A backup under way.
#[derive(Debug)]
pub(super) enum Under {
    File(Partial),
    Stdout(OwnedFd),
    Program(Running),
}

/// A program that reads a backup. Dropped before the end, it is killed: an end of its input would look like a whole backup.
#[derive(Debug)]
pub(super) struct Running {
    child: Option<Child>,
    stdin: OwnedFd,
    name: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

impl Target {
    /// As the command line or else the settings say.
    pub(super) fn of(
        session: &Session,
        arguments: &BackupArgs,
        settings: &BackupSettings,
    ) -> Result<Self, Failure> {
        let keep = arguments.keep.or(settings.keep);
        match &arguments.to {
            Some(path) if path.as_os_str() == "-" => {
                let refuse = |text: &str| Err(Failure::new(Exit::Usage, text));
                if session.terminals.stdout {
                    return refuse("a backup is not written to a terminal: redirect standard output");
                }
                if arguments.all || arguments.tenants.len() > 1 {
                    return refuse(
                        "standard output takes the backup of one tenant: name one, or give a directory with --to",
                    );
                }
                Ok(Self::Stdout)
            }
            Some(path) => Ok(Self::Directory(path.clone(), keep)),
            None if !settings.command.is_empty() => Ok(Self::Program(settings.command.clone())),
            None => Ok(Self::Directory(settings.directory.clone().into(), keep)),
        }
    }

    /// Opens it for one backup.
    pub(super) fn open(&self, tenant: &TenantId, now: u64) -> Result<Under, Failure> {
        match self {
            Self::Directory(path, _) => Ok(Under::File(Partial::begin(path, tenant, now)?)),
            Self::Stdout => {
                let stdout = io::stdout().as_fd().try_clone_to_owned()?;
                Ok(Under::Stdout(stdout))
            }
            Self::Program(words) => program(words, tenant),
        }
    }

    /// Removes what is not to stay.
    pub(super) fn thin_out(&self, tenant: &TenantId, made: &Path) -> Result<Vec<PathBuf>, Failure> {
        match self {
            Self::Directory(path, Some(keep)) => {
                directory::thin_out(path, tenant, usize::try_from(*keep).unwrap_or(usize::MAX), made)
            }
            Self::Directory(_, None) | Self::Stdout | Self::Program(_) => Ok(Vec::new()),
        }
    }
}

impl Under {
    /// What tenantd writes to.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            Self::File(partial) => partial.file.as_fd(),
            Self::Stdout(descriptor) => descriptor.as_fd(),
            Self::Program(running) => running.stdin.as_fd(),
        }
    }

    /// What was written, to be read again, where that can be.
    pub(super) fn again(&self) -> Option<(&File, &Path)> {
        match self {
            Self::File(partial) => Some((&partial.file, &partial.at)),
            Self::Stdout(_) | Self::Program(_) => None,
        }
    }

    /// Bytes written so far, where that can be known.
    pub(super) fn written(&self) -> Option<u64> {
        match self {
            Self::File(partial) => partial.file.metadata().ok().map(|found| found.len()),
            Self::Stdout(_) | Self::Program(_) => None,
        }
    }

    /// Ends a backup that is whole; answers with its file, if it is one.
    pub(super) fn keep(self) -> Result<Option<PathBuf>, Failure> {
        match self {
            Self::File(partial) => partial.keep().map(Some),
            Self::Stdout(_) => Ok(None),
            Self::Program(mut running) => {
                let (child, name) = (running.child.take(), running.name.clone());
                // The end of its input.
                drop(running);
                let gone = || Err(io::ErrorKind::NotFound.into());
                match child.map_or_else(gone, |mut child| child.wait()) {
                    Ok(status) if status.success() => Ok(None),
                    Ok(status) => Err(Failure::new(
                        Exit::Unavailable,
                        format!(
                            "{name}, which backup.command names, ended with {status}: the backup is not kept"
                        ),
                    )),
                    Err(error) => Err(Failure::new(Exit::Os, format!("cannot wait for {name}: {error}"))),
                }
            }
        }
    }
}

fn program(words: &[String], tenant: &TenantId) -> Result<Under, Failure> {
    let (name, rest) = words.split_first().ok_or_else(|| {
        Failure::new(
            Exit::Config,
            "backup.command in tenantd.toml is empty: write a program and its arguments",
        )
    })?;
    let failed = |error: io::Error| {
        Failure::new(Exit::Unavailable, format!("cannot run {name}, which backup.command names: {error}"))
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "the rule is for programs with privilege; this one has the caller's, and runs what root's settings name"
    )]
    let mut child = Command::new(name)
        .args(rest.iter().map(|word| word.replace("{tenant}", tenant.as_str())))
        .stdin(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let stdin = child.stdin.take().ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
    Ok(Under::Program(Running { child: Some(child), stdin: stdin.into(), name: name.clone() }))
}
