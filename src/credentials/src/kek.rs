//! The KEK, opened by `systemd-creds` when it is first needed.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use vault::{Kek, Keks};
use vault_store::{KekFile, VaultStore};
use zeroize::Zeroizing;

use crate::error::Error;

const PROGRAM: &str = "/usr/bin/systemd-creds";
/// Name under which the host's key seals a KEK.
const NAME: &str = "--name=tenantd-kek";
/// More than a KEK has, so that one that is too long shows.
const ROOM: usize = 64;

/// The KEKs as they were when they were last read.
#[derive(Default)]
pub struct Keyring {
    /// With the sealed bytes they come from: a rotation changes those.
    held: Option<(Sealed, Keks)>,
}

type Sealed = (Option<Vec<u8>>, Option<Vec<u8>>);

impl Keyring {
    /// The KEKs that the vault needs now.
    pub fn keks(&mut self, store: &VaultStore) -> Result<&Keks, Error> {
        let sealed = (store.kek(KekFile::Current)?, store.kek(KekFile::Next)?);
        let fresh = self.held.as_ref().is_some_and(|(held, _)| *held == sealed);
        if !fresh {
            let current = sealed.0.as_deref().ok_or_else(|| Error::Locked("there is no KEK".to_owned()))?;
            let next = sealed.1.as_deref().map(open).transpose()?;
            let keks = Keks::new(open(current)?, next);
            self.held = Some((sealed, keks));
        }
        self.held.as_ref().map(|(_, keks)| keks).ok_or_else(|| Error::Locked("there is no KEK".to_owned()))
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "one fixed program; the host's key and the TPM are systemd's to speak to"
)]
fn open(sealed: &[u8]) -> Result<Kek, Error> {
    let failed = |error: std::io::Error| Error::Kernel("run systemd-creds", error);
    let mut child = Command::new(PROGRAM)
        .args([NAME, "decrypt", "-", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    // Smaller than a pipe, so nobody waits. Dropped at the end of the statement: the end of the input.
    let fed = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(sealed));
    let mut plain = Zeroizing::new([0; ROOM]);
    let mut length = 0;
    let mut read = Ok(());
    if let Some(mut stdout) = child.stdout.take() {
        while let Some(room) = plain.get_mut(length..).filter(|room| !room.is_empty()) {
            match stdout.read(room) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(error) => {
                    read = Err(error);
                    break;
                }
            }
        }
    }
    let status = child.wait().map_err(failed)?;
    if !status.success() {
        return Err(Error::Locked(format!(
            "systemd-creds: {status}: the host's own key or its TPM is not the one that sealed the KEK"
        )));
    }
    fed.and(read).map_err(failed)?;
    Ok(Kek::from_bytes(plain.get(..length).unwrap_or_default())?)
}
