//! What the edge itself remembers on disk: the key of its cookies, tickets that were used, and sessions that were ended.
//!
//! A ticket is used once: the file with its name can be made only once, also after a restart and by two requests at a time.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};

use thiserror::Error;
use zeroize::Zeroizing;

use super::random;
use super::sealed::Sealer;

const KEY_BYTES: usize = 32;
/// Seconds between two clean-ups, and for which a name is kept beyond its expiry, for a clock that is set back.
const GRACE: i64 = 3600;

/// The state directory cannot be used.
#[derive(Debug, Error)]
pub enum StateError {
    /// Something in it cannot be read or written.
    #[error("cannot use {} of the edge: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The key is not one.
    #[error("{} does not hold {KEY_BYTES} bytes (remove it and restart tenantd-edge: everybody signs in anew)", path.display())]
    Key {
        /// Its file.
        path: PathBuf,
    },
    /// There is no key.
    #[error("cannot make a key for sessions: no random bytes from the operating system")]
    Random,
}

/// Whether a ticket could be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Use {
    /// It could, and now is used.
    First,
    /// It was used before.
    Again,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) sealer: Sealer,
    used: PathBuf,
    /// Sessions that were ended, with the time of their expiry.
    ended: RwLock<HashMap<String, i64>>,
    cleaned: Mutex<i64>,
}

impl State {
    /// What is in `directory`, which exists.
    pub(super) fn open(directory: &Path) -> Result<Self, StateError> {
        let key_file = directory.join("session.key");
        let key = key(directory, &key_file)?;
        let sealer = Sealer::new(key.as_slice()).ok_or(StateError::Key { path: key_file })?;
        let used = directory.join("used");
        let made = std::fs::DirBuilder::new().mode(0o700).recursive(true).create(&used);
        made.map_err(|source| StateError::Io { path: used.clone(), source })?;
        let ended = ended(&used).map_err(|source| StateError::Io { path: used.clone(), source })?;
        Ok(Self { sealer, used, ended: RwLock::new(ended), cleaned: Mutex::new(0) })
    }

    /// Uses the ticket `jti`, which expires at `exp`. Waits for the disk.
    pub(super) fn use_ticket(&self, jti: &str, exp: i64, now: i64) -> std::io::Result<Use> {
        self.clean(now);
        match self.note("ticket", jti, exp) {
            Ok(()) => Ok(Use::First),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Use::Again),
            Err(error) => Err(error),
        }
    }

    /// Ends the session `jti`, which would expire at `exp`. It is dead even if the disk does not take it. Waits for the disk.
    pub(super) fn end_session(&self, jti: &str, exp: i64, now: i64) -> std::io::Result<()> {
        self.ended.write().unwrap_or_else(PoisonError::into_inner).insert(jti.to_owned(), exp);
        self.clean(now);
        match self.note("session", jti, exp) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Whether somebody signed out of the session `jti`.
    pub(super) fn is_ended(&self, jti: &str) -> bool {
        self.ended.read().unwrap_or_else(PoisonError::into_inner).contains_key(jti)
    }

    /// The name says everything, so that a file which lost its content in a power cut still counts.
    fn note(&self, what: &str, jti: &str, exp: i64) -> std::io::Result<()> {
        let path = self.used.join(format!("{what}-{jti}-{exp}"));
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        File::open(&self.used)?.sync_all()
    }

    /// Forgets what has expired, at most once an hour.
    fn clean(&self, now: i64) {
        {
            let mut cleaned = self.cleaned.lock().unwrap_or_else(PoisonError::into_inner);
            if now < cleaned.saturating_add(GRACE) && now >= *cleaned {
                return;
            }
            *cleaned = now;
        }
        let gone = |exp: i64| exp.saturating_add(GRACE) < now;
        self.ended.write().unwrap_or_else(PoisonError::into_inner).retain(|_, exp| !gone(*exp));
        let Ok(names) = names(&self.used) else { return };
        for (name, _, _, _) in names.into_iter().filter(|(_, _, _, exp)| gone(*exp)) {
            if let Err(error) = std::fs::remove_file(self.used.join(&name)) {
                tracing::warn!("cannot remove {name} from {}: {error}", self.used.display());
            }
        }
    }
}

/// File name, what it is of, its `jti`, its expiry.
type Name = (String, String, String, i64);

fn names(used: &Path) -> std::io::Result<Vec<Name>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(used)? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        let mut parts = name.splitn(3, '-');
        let (what, jti, exp) = (parts.next(), parts.next(), parts.next().and_then(|exp| exp.parse().ok()));
        if let (Some(what), Some(jti), Some(exp)) = (what, jti, exp) {
            let (what, jti) = (what.to_owned(), jti.to_owned());
            names.push((name, what, jti, exp));
        }
    }
    Ok(names)
}

fn ended(used: &Path) -> std::io::Result<HashMap<String, i64>> {
    let names = names(used)?.into_iter().filter(|(_, what, _, _)| what == "session");
    Ok(names.map(|(_, _, jti, exp)| (jti, exp)).collect())
}

fn key(directory: &Path, path: &Path) -> Result<Zeroizing<[u8; KEY_BYTES]>, StateError> {
    let error = |source| StateError::Io { path: path.to_owned(), source };
    match File::open(path) {
        Ok(file) => {
            let mut key = Zeroizing::new(Vec::with_capacity(KEY_BYTES + 1));
            file.take(KEY_BYTES as u64 + 1).read_to_end(&mut key).map_err(error)?;
            let key: [u8; KEY_BYTES] =
                key.as_slice().try_into().map_err(|_| StateError::Key { path: path.to_owned() })?;
            Ok(Zeroizing::new(key))
        }
        Err(source) if source.kind() == ErrorKind::NotFound => {
            let key = Zeroizing::new(random::bytes::<KEY_BYTES>().ok_or(StateError::Random)?);
            write_key(directory, path, key.as_slice()).map_err(error)?;
            Ok(key)
        }
        Err(source) => Err(error(source)),
    }
}

/// Whole or not at all: a key of half its bytes would keep the edge from starting.
fn write_key(directory: &Path, path: &Path, key: &[u8]) -> std::io::Result<()> {
    let unfinished = directory.join("session.key.new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(key)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests;
