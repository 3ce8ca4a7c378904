//! The files that tenantd compiles for the edge, as they are now.
//!
//! They are looked at every [`POLL`]; a new one is in force within that time. One that does not parse changes nothing: what
//! was in force stays, and the journal says so. Until all three were read once there is nothing, and nobody comes in.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use model::edge::{EDGE_FORMAT, EdgeFile, KEYS_FORMAT, Keys, REVOCATIONS_FORMAT, Revocations};
use serde::de::DeserializeOwned;
use thiserror::Error;
use token::{OwnKeys, Revoked};
use tokio::sync::watch;

/// How often the files are looked at.
pub const POLL: Duration = Duration::from_millis(250);
/// Bytes of a file, at most.
const MAX_BYTES: u64 = 16 << 20;

/// The compiled files that are in force, and what is made of them once.
#[derive(Clone, Debug, PartialEq)]
pub struct Files {
    /// Number of this state; the next one has a higher one.
    pub generation: u64,
    /// `edge.json`.
    pub edge: EdgeFile,
    /// `keys.json`.
    pub keys: Keys,
    /// `revoked.json`.
    pub revocations: Revocations,
    /// `keys`, ready to verify.
    pub own_keys: OwnKeys,
    /// `revocations`, ready to be asked.
    pub revoked: Revoked,
}

/// A file that is not taken.
#[derive(Debug, Error)]
pub enum LiveError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is larger than any that tenantd writes.
    #[error("{} is larger than {MAX_BYTES} bytes", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
    },
    /// It is not what it should be.
    #[error("cannot read {}: {source} (run \"tenantctl edge reload\")", path.display())]
    Parse {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// It is of another version.
    #[error("{} is of format {found}, this program knows {known} (restart tenantd-edge after an upgrade)", path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// Its number.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// A key in it is none.
    #[error("cannot use a key of {}: {source}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: token::KeyError,
    },
    /// There is no thread to look at them.
    #[error("cannot watch {}: {source}", path.display())]
    Thread {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The files in force.
#[derive(Debug)]
pub struct Live {
    files: RwLock<Option<Arc<Files>>>,
    generation: watch::Sender<u64>,
}

impl Files {
    /// What tenantd compiled, made ready.
    ///
    /// # Errors
    ///
    /// [`token::KeyError`] if a public key is none.
    pub fn new(edge: EdgeFile, keys: Keys, revocations: Revocations) -> Result<Self, token::KeyError> {
        let own_keys = OwnKeys::new(&keys)?;
        let revoked = Revoked::new(&revocations);
        Ok(Self { generation: 0, edge, keys, revocations, own_keys, revoked })
    }
}

impl Live {
    /// Reads the files in `directory` and goes on looking at them, until what is returned is dropped.
    ///
    /// # Errors
    ///
    /// [`LiveError::Thread`]. Files that are missing or wrong are no error: there is nothing in force then.
    pub fn start(directory: PathBuf) -> Result<Arc<Self>, LiveError> {
        let live = Arc::new(Self { files: RwLock::new(None), generation: watch::Sender::new(0) });
        let mut sources = Sources::of(&directory);
        live.replace(sources.look());
        let weak = Arc::downgrade(&live);
        let thread = std::thread::Builder::new().name("live".to_owned()).spawn(move || poll(&weak, sources));
        thread.map_err(|source| LiveError::Thread { path: directory, source })?;
        Ok(live)
    }

    /// These files, whatever is on disk.
    #[must_use]
    pub fn fixed(files: Files) -> Arc<Self> {
        let live = Self { files: RwLock::new(None), generation: watch::Sender::new(0) };
        live.replace(Some(files));
        Arc::new(live)
    }

    /// What is in force; nothing until every file was read once.
    pub fn now(&self) -> Option<Arc<Files>> {
        self.files.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells of changes, by the number of what is in force then.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Puts other files in force.
    pub(crate) fn replace(&self, files: Option<Files>) {
        let Some(mut files) = files else { return };
        let mut slot = self.files.write().unwrap_or_else(PoisonError::into_inner);
        files.generation = slot.as_ref().map_or(1, |files| files.generation + 1);
        let generation = files.generation;
        *slot = Some(Arc::new(files));
        drop(slot);
        self.generation.send_replace(generation);
    }
}

fn poll(live: &Weak<Live>, mut sources: Sources) {
    loop {
        std::thread::sleep(POLL);
        let Some(live) = live.upgrade() else { return };
        live.replace(sources.look());
    }
}

/// The three files as they were last seen.
struct Sources {
    edge: Source<EdgeFile>,
    keys: Source<Keys>,
    revocations: Source<Revocations>,
}

impl Sources {
    fn of(directory: &Path) -> Self {
        Self {
            edge: Source::new(directory.join("edge.json"), EDGE_FORMAT, |edge| edge.format),
            keys: Source::new(directory.join("keys.json"), KEYS_FORMAT, |keys| keys.format),
            revocations: Source::new(directory.join("revoked.json"), REVOCATIONS_FORMAT, |list| list.format),
        }
    }

    /// Everything, if all is there and anything of it is new.
    fn look(&mut self) -> Option<Files> {
        let changed = [self.edge.look(), self.keys.look(), self.revocations.look()];
        if !changed.contains(&true) {
            return None;
        }
        let (edge, keys) = (self.edge.good.clone()?, self.keys.good.clone()?);
        match Files::new(edge, keys, self.revocations.good.clone()?) {
            Ok(files) => Some(files),
            Err(source) => {
                let error = LiveError::Key { path: self.keys.path.clone(), source };
                tracing::error!("{error}; what was in force stays in force");
                None
            }
        }
    }
}

/// Device, inode, size, and times of change with nanoseconds: an atomic replacement differs in at least the inode.
type Stamp = (u64, u64, u64, i64, i64, i64, i64);

struct Source<T> {
    path: PathBuf,
    known: u32,
    format: fn(&T) -> u32,
    stamp: Option<Stamp>,
    good: Option<T>,
    /// Whether the journal knows already that it cannot be read.
    told: bool,
}

impl<T: DeserializeOwned> Source<T> {
    fn new(path: PathBuf, known: u32, format: fn(&T) -> u32) -> Self {
        Self { path, known, format, stamp: None, good: None, told: false }
    }

    /// Whether there is a new one.
    fn look(&mut self) -> bool {
        let stamp = std::fs::metadata(&self.path).ok().map(|metadata| stamp(&metadata));
        if stamp.is_some() && stamp == self.stamp {
            return false;
        }
        match self.read() {
            Ok((stamp, value)) => {
                self.told = false;
                self.stamp = Some(stamp);
                self.good = Some(value);
                true
            }
            Err(error) => {
                // A file that is still the same wrong one is not told again, four times a second.
                if !self.told || stamp != self.stamp {
                    tracing::error!("{error}; what was in force stays in force");
                }
                self.told = true;
                self.stamp = stamp;
                false
            }
        }
    }

    fn read(&self) -> Result<(Stamp, T), LiveError> {
        let path = || self.path.clone();
        let unread = |source| LiveError::Read { path: path(), source };
        let file = File::open(&self.path).map_err(unread)?;
        let stamp = stamp(&file.metadata().map_err(unread)?);
        let mut text = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(unread)?;
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_BYTES {
            return Err(LiveError::TooLarge { path: path() });
        }
        let value: T =
            serde_json::from_slice(&text).map_err(|source| LiveError::Parse { path: path(), source })?;
        let found = (self.format)(&value);
        if found == self.known {
            Ok((stamp, value))
        } else {
            Err(LiveError::Format { path: path(), found, known: self.known })
        }
    }
}

fn stamp(metadata: &std::fs::Metadata) -> Stamp {
    let (changed, modified) =
        ((metadata.ctime(), metadata.ctime_nsec()), (metadata.mtime(), metadata.mtime_nsec()));
    (metadata.dev(), metadata.ino(), metadata.size(), changed.0, changed.1, modified.0, modified.1)
}

#[cfg(test)]
mod tests;
