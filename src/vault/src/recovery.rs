//! The recovery copy: a KEK wrapped by a passphrase, to be kept away from the host.
//!
//! Argon2id makes guessing dear. Its parameters stand in the file, and are bounded on reading, so that a hostile file costs no
//! more memory and time than a slow copy of our own.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::cipher::{Context, KEY, Key, NONCE, SealError, TAG, random};
use crate::form::{Form, FormError};
use crate::kek::{Kek, KekId};
use crate::secret::Secret;

const FORM: Form = Form { magic: b"tnd-reco", what: "recovery copy" };

/// Bytes of the salt.
const SALT: usize = 16;

/// What export takes: the second recommendation of RFC 9106, section 4.
const EXPORT: Cost = Cost { memory: 64 * 1024, passes: 3, lanes: 4 };

/// What import bears: 19 MiB to 256 MiB, 1 to 10 passes, 1 to 4 lanes. Less guards nothing, and more comes from no tenantd.
const MEMORY: (u32, u32) = (19 * 1024, 256 * 1024);
const PASSES: (u32, u32) = (1, 10);
const LANES: (u32, u32) = (1, 4);

/// Why a recovery copy was not made or not opened.
#[derive(Debug, Error)]
pub enum RecoveryError {
    /// The passphrase is too short or too long.
    #[error("the passphrase has {found} bytes: give one of {min} to {max}, such as six words", min = Passphrase::MIN, max = Passphrase::MAX)]
    Passphrase {
        /// Its length.
        found: usize,
    },
    /// The bytes are no recovery copy.
    #[error("cannot read the recovery copy: {0}; look for another copy")]
    Form(#[from] FormError),
    /// The passphrase is wrong, or the copy was changed.
    #[error(
        "the recovery copy of KEK {0} does not open: the passphrase is wrong, or the copy was changed: try again, or take another copy"
    )]
    Sealed(KekId),
    /// There is no memory to work in.
    #[error(
        "there are no {mebibytes} MiB of memory to work with the passphrase: try again when more is free"
    )]
    Memory {
        /// How much is needed.
        mebibytes: u32,
    },
    /// The passphrase cannot be worked with.
    #[error("cannot make a key of the passphrase: {0}: give another one")]
    Derive(argon2::Error),
    /// Sealing failed.
    #[error("cannot seal the recovery copy: {0}")]
    Seal(#[from] SealError),
}

/// What somebody has to know to open a recovery copy: 12 to 1,024 bytes, as they are.
#[expect(missing_debug_implementations, reason = "a passphrase that can be printed is printed one day")]
pub struct Passphrase(Secret);

impl Passphrase {
    /// Fewest bytes.
    pub const MIN: usize = 12;
    /// Most bytes.
    pub const MAX: usize = 1024;

    /// Takes it, if its length is right. A newline at its end is part of it.
    pub fn new(secret: Secret) -> Result<Self, RecoveryError> {
        let found = secret.expose().len();
        let fits = (Self::MIN..=Self::MAX).contains(&found);
        if fits { Ok(Self(secret)) } else { Err(RecoveryError::Passphrase { found }) }
    }
}

impl ZeroizeOnDrop for Passphrase {}

/// The recovery copy of `kek`.
pub fn export_kek(kek: &Kek, passphrase: &Passphrase) -> Result<Vec<u8>, RecoveryError> {
    export_with(kek, passphrase, EXPORT, *random()?, *random()?)
}

/// The KEK of a recovery copy.
pub fn import_kek(bytes: &[u8], passphrase: &Passphrase) -> Result<Kek, RecoveryError> {
    let mut fields = FORM.fields(bytes)?;
    let id = KekId::from_bytes(fields.take()?);
    let cost = Cost {
        memory: fields.number32("memory cost", MEMORY.0, MEMORY.1)?,
        passes: fields.number32("number of passes", PASSES.0, PASSES.1)?,
        lanes: fields.number32("number of lanes", LANES.0, LANES.1)?,
    };
    let salt = fields.take()?;
    let length = NONCE + KEY + TAG;
    let sealed = fields.rest(length, length)?;
    let key = cost.key(passphrase, &salt)?.open(&context(id, cost, &salt), sealed);
    let kek = key.and_then(|key| Kek::from_bytes(&key).ok()).filter(|kek| kek.id() == id);
    kek.ok_or(RecoveryError::Sealed(id))
}

fn export_with(
    kek: &Kek,
    passphrase: &Passphrase,
    cost: Cost,
    salt: [u8; SALT],
    nonce: [u8; NONCE],
) -> Result<Vec<u8>, RecoveryError> {
    let context = context(kek.id(), cost, &salt);
    let sealed = cost.key(passphrase, &salt)?.seal_with(&nonce, &context, kek.expose())?;
    Ok([header(kek.id(), cost, &salt), sealed].concat())
}

/// What Argon2id is given.
#[derive(Clone, Copy)]
struct Cost {
    /// KiB.
    memory: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    fn key(self, passphrase: &Passphrase, salt: &[u8; SALT]) -> Result<Key, RecoveryError> {
        let params =
            Params::new(self.memory, self.passes, self.lanes, Some(KEY)).map_err(RecoveryError::Derive)?;
        let mut blocks = Blocks(Vec::new());
        let count = params.block_count();
        let memory = RecoveryError::Memory { mebibytes: self.memory / 1024 };
        blocks.0.try_reserve_exact(count).map_err(|_| memory)?;
        blocks.0.resize(count, Block::new());
        let mut key = Zeroizing::new([0; KEY]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(passphrase.0.expose(), salt, key.as_mut_slice(), &mut blocks.0)
            .map_err(RecoveryError::Derive)?;
        let derived = Key::from_slice(key.as_slice());
        derived.ok_or(RecoveryError::Derive(argon2::Error::OutputTooShort))
    }
}

/// The memory of Argon2, wiped like all else.
struct Blocks(Vec<Block>);

impl Drop for Blocks {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

fn header(id: KekId, cost: Cost, salt: &[u8; SALT]) -> Vec<u8> {
    let mut header = FORM.begin();
    header.extend_from_slice(id.as_bytes());
    for number in [cost.memory, cost.passes, cost.lanes] {
        header.extend_from_slice(&number.to_be_bytes());
    }
    header.extend_from_slice(salt);
    header
}

fn context(id: KekId, cost: Cost, salt: &[u8; SALT]) -> Context {
    Context::new("tenantd recovery 1", &[&header(id, cost, salt)])
}

#[cfg(test)]
mod tests;
