//! Tokens that were verified already: a bounded memory, so that the second request with a token costs a hash.
//!
//! An entry is good for one generation of the compiled files and of external keys, and until its token expires. Two halves
//! take turns: when the young one is full, the old one is forgotten and everything still asked for moves over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ring::digest::{Context, SHA256};

use super::Identity;

/// Halves of independent locks.
const SHARDS: usize = 16;
/// Entries of a shard's half. With both halves of all shards: at most 32768 tokens.
const HALF: usize = 1024;

/// What a verified token was verified under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Epoch {
    pub(super) files: u64,
    pub(super) external: u64,
}

/// The hash of a token at a tenant. The token itself is not kept.
pub(super) type Fingerprint = [u8; 32];

#[derive(Debug)]
pub(super) struct Cache {
    shards: Vec<Mutex<Halves>>,
    half: usize,
}

#[derive(Debug, Default)]
struct Halves {
    young: HashMap<Fingerprint, (Epoch, Arc<Identity>)>,
    old: HashMap<Fingerprint, (Epoch, Arc<Identity>)>,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self::with_half(HALF)
    }

    fn with_half(half: usize) -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), half }
    }

    /// Who `fingerprint` was, if that was found out in this epoch and the token has not expired.
    pub(super) fn get(&self, fingerprint: &Fingerprint, epoch: Epoch, now: i64) -> Option<Arc<Identity>> {
        let mut halves = self.shard(fingerprint)?;
        let entry = match halves.young.get(fingerprint) {
            Some(entry) => entry.clone(),
            None => {
                let entry = halves.old.remove(fingerprint)?;
                halves.insert(self.half, *fingerprint, entry.clone());
                entry
            }
        };
        let (found, identity) = entry;
        (found == epoch && now < identity.expires).then_some(identity)
    }

    pub(super) fn put(&self, fingerprint: Fingerprint, epoch: Epoch, identity: Arc<Identity>) {
        if let Some(mut halves) = self.shard(&fingerprint) {
            halves.insert(self.half, fingerprint, (epoch, identity));
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().unwrap())
            .map(|shard| shard.young.len() + shard.old.len())
            .sum()
    }

    fn shard(&self, fingerprint: &Fingerprint) -> Option<std::sync::MutexGuard<'_, Halves>> {
        let index = usize::from(*fingerprint.first()?) % SHARDS;
        Some(self.shards.get(index)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Halves {
    fn insert(&mut self, half: usize, fingerprint: Fingerprint, entry: (Epoch, Arc<Identity>)) {
        if self.young.len() >= half && !self.young.contains_key(&fingerprint) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(fingerprint, entry);
    }
}

/// The name under which a token is remembered. The tenant is in it: what is good at one is not even found at another.
pub(super) fn fingerprint(tenant: &str, source: &str, token: &str) -> Fingerprint {
    let mut context = Context::new(&SHA256);
    for part in [tenant, "\0", source, "\0", token] {
        context.update(part.as_bytes());
    }
    context.finish().as_ref().try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests;
