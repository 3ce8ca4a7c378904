//! `usage.json`: read when the proxy starts, written whole.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use model::egress::UsageFile;
use thiserror::Error;

use super::clock::Day;

/// Bytes of the file, at most.
const MOST: u64 = 16 << 20;
/// Its format number.
pub(super) const FORMAT: u32 = 1;

/// What was used is not known.
#[derive(Debug, Error)]
pub(super) enum FileError {
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} is damaged: {why}", path.display())]
    Damaged { path: PathBuf, why: String },
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

fn path(directory: &Path) -> PathBuf {
    directory.join("usage.json")
}

/// Reads it; nothing yet is nothing used.
pub(super) fn read(directory: &Path) -> Result<UsageFile, FileError> {
    let path = path(directory);
    let mut text = String::new();
    let taken = match File::open(&path) {
        Ok(file) => file.take(MOST + 1).read_to_string(&mut text),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(UsageFile { format: FORMAT, ..UsageFile::default() });
        }
        Err(error) => Err(error),
    };
    let damaged = |why: String| FileError::Damaged { path: path.clone(), why };
    match taken {
        Ok(length) if u64::try_from(length).unwrap_or(u64::MAX) > MOST => {
            return Err(damaged(format!("it is larger than {MOST} bytes")));
        }
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            return Err(damaged("it is not UTF-8".to_owned()));
        }
        Err(source) => return Err(FileError::Read { path, source }),
    }
    let file: UsageFile = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    if file.format != FORMAT {
        return Err(damaged(format!("its format is {}, not {FORMAT}", file.format)));
    }
    if let Some(day) = file.days.keys().find(|day| Day::parse(day).is_none()) {
        return Err(damaged(format!("{day:?} is no day")));
    }
    Ok(file)
}

/// Writes it, whole or not at all.
pub(super) fn write(directory: &Path, text: &[u8]) -> Result<(), FileError> {
    let path = path(directory);
    let unfinished = directory.join("usage.json.new");
    let written = || {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(text)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, &path)?;
        File::open(directory)?.sync_all()
    };
    written().map_err(|source| FileError::Write { path, source })
}

/// Puts a damaged file aside, so that somebody may look at it.
pub(super) fn set_aside(directory: &Path) -> Result<(), FileError> {
    let path = path(directory);
    let moved = std::fs::rename(&path, directory.join("usage.json.damaged"));
    moved.map_err(|source| FileError::Write { path, source })
}
