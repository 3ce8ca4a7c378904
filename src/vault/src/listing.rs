//! The vault of one tenant as its files show it, and what is done to them: one file is written or removed at a time.

use std::collections::BTreeMap;
use std::fmt;

use model::TenantId;

use crate::cipher::SealError;
use crate::dek::{Dek, Given, WrappedDek};
use crate::error::VaultError;
use crate::kek::{KekId, Keks};
use crate::name::{Kind, SecretName};
use crate::record;
use crate::secret::Secret;

/// One change to one file. Carried out whole or not at all, and on disk before the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The file has these bytes, whatever it had before.
    Write {
        /// Name of the file.
        file: String,
        /// All of it.
        bytes: Vec<u8>,
    },
    /// The file is not there.
    Remove {
        /// Name of the file.
        file: String,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Write { file, .. } => write!(f, "write {file}"),
            Step::Remove { file } => write!(f, "remove {file}"),
        }
    }
}

/// One version of a secret, as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretEntry {
    /// Its name.
    pub name: SecretName,
    /// Its version, which only grows.
    pub version: u64,
    /// What the record says it is for; nothing where it cannot be read. Believed once it is opened.
    pub kind: Option<Kind>,
}

/// The file of a secret's newest version, of which nothing but the name is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordFile {
    name: SecretName,
    version: u64,
    file: String,
}

impl RecordFile {
    /// Bytes at the beginning of a record that an entry is made of.
    pub const HEAD: usize = record::HEAD;

    /// The newest record of each secret, in order of their names, by the names of a tenant's files.
    pub fn newest(
        tenant: &TenantId,
        files: impl IntoIterator<Item = String>,
    ) -> Result<Vec<Self>, VaultError> {
        let mut records = Vec::new();
        for file in files {
            match parse_file(&file) {
                Some(FileName::Record((name, version))) => records.push(Self { name, version, file }),
                Some(FileName::Dek(_)) => (),
                None => return Err(VaultError::Stray { tenant: tenant.clone(), file }),
            }
        }
        records.sort_unstable_by(|one, other| (&one.name, one.version).cmp(&(&other.name, other.version)));
        records.dedup_by(|newer, kept| {
            let same = newer.name == kept.name;
            if same {
                std::mem::swap(newer, kept);
            }
            same
        });
        Ok(records)
    }

    /// Name of the file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What [`Listing::secrets`] would give, by the first [`RecordFile::HEAD`] bytes or more of the file and its length. The value is not
    /// needed, however large it is.
    pub fn entry(&self, head: &[u8], length: u64) -> SecretEntry {
        SecretEntry { name: self.name.clone(), version: self.version, kind: record::kind(head, length) }
    }
}

/// Key of a record: name and version.
pub(crate) type Version = (SecretName, u64);

/// All files of one tenant's vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    pub(crate) tenant: TenantId,
    pub(crate) deks: BTreeMap<u32, Vec<u8>>,
    pub(crate) records: BTreeMap<Version, Vec<u8>>,
}

impl Listing {
    /// Files by name, with their bytes. A name that is none of the vault's is refused; a damaged file is an error only to
    /// those who need it.
    pub fn read(
        tenant: TenantId,
        files: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Result<Self, VaultError> {
        let mut listing = Self { tenant, deks: BTreeMap::new(), records: BTreeMap::new() };
        for (file, bytes) in files {
            listing.apply(Step::Write { file, bytes })?;
        }
        Ok(listing)
    }

    /// The listing after a step, for a caller that has just carried it out.
    pub fn apply(&mut self, step: Step) -> Result<(), VaultError> {
        let (file, bytes) = match step {
            Step::Write { file, bytes } => (file, Some(bytes)),
            Step::Remove { file } => (file, None),
        };
        match (parse_file(&file), bytes) {
            (Some(FileName::Dek(generation)), Some(bytes)) => drop(self.deks.insert(generation, bytes)),
            (Some(FileName::Dek(generation)), None) => drop(self.deks.remove(&generation)),
            (Some(FileName::Record(version)), Some(bytes)) => drop(self.records.insert(version, bytes)),
            (Some(FileName::Record(version)), None) => drop(self.records.remove(&version)),
            (None, _) => return Err(VaultError::Stray { tenant: self.tenant.clone(), file }),
        }
        Ok(())
    }

    /// The secrets in order of their names, each in its newest version.
    pub fn secrets(&self) -> impl Iterator<Item = SecretEntry> + '_ {
        let mut records = self.records.iter().peekable();
        std::iter::from_fn(move || {
            loop {
                let ((name, version), bytes) = records.next()?;
                if records.peek().is_none_or(|((next, _), _)| next != name) {
                    let kind = record::parse(bytes).ok().map(|(header, _)| header.kind);
                    return Some(SecretEntry { name: name.clone(), version: *version, kind });
                }
            }
        })
    }

    /// The newest version of a secret. That no newer one was taken away, only the caller's own records can tell.
    pub fn newest_version(&self, name: &SecretName) -> Option<u64> {
        self.versions(name).next_back()
    }

    /// Opens one version of a secret, if it is of this kind.
    pub fn open(
        &self,
        keks: &Keks,
        name: &SecretName,
        version: u64,
        kind: Kind,
    ) -> Result<Secret, VaultError> {
        let key = (name.clone(), version);
        let (found, secret) = self.open_record(keks, &key)?;
        if found == kind { Ok(secret) } else { Err(self.sealed(record_file(&key))) }
    }

    /// Whether every DEK is wrapped by this KEK, so that no other is needed for this tenant.
    pub fn is_held_by(&self, kek: KekId) -> bool {
        self.deks.values().all(|bytes| WrappedDek::parse(bytes).is_ok_and(|dek| dek.kek == kek))
    }

    /// Opens every DEK and every record. The first that does not open is the error.
    pub fn check(&self, keks: &Keks) -> Result<(), VaultError> {
        self.deks.keys().try_for_each(|generation| self.open_dek(keks, *generation).map(drop))?;
        self.records.keys().try_for_each(|key| self.open_record(keks, key).map(drop))
    }

    /// Versions of a secret, lowest first.
    pub(crate) fn versions(&self, name: &SecretName) -> impl DoubleEndedIterator<Item = u64> + use<'_> {
        self.records.range((name.clone(), 0)..=(name.clone(), u64::MAX)).map(|((_, version), _)| *version)
    }

    /// A record and its kind.
    pub(crate) fn open_record(&self, keks: &Keks, key: &Version) -> Result<(Kind, Secret), VaultError> {
        let (name, version) = key;
        let Some(bytes) = self.records.get(key) else {
            let (name, version) = key.clone();
            return Err(VaultError::NoSecret { tenant: self.tenant.clone(), name, version });
        };
        let file = record_file(key);
        let (header, sealed) = match record::parse(bytes) {
            Ok(parsed) => parsed,
            Err(source) => return Err(VaultError::Form { tenant: self.tenant.clone(), file, source }),
        };
        let generation = header.generation;
        if !self.deks.contains_key(&generation) {
            return Err(VaultError::NoGeneration { tenant: self.tenant.clone(), file, generation });
        }
        let dek = self.open_dek(keks, generation)?;
        let secret = record::open(&dek, name, *version, header, sealed);
        secret.map(|secret| (header.kind, secret)).ok_or_else(|| self.sealed(file))
    }

    /// The DEK of a generation.
    pub(crate) fn open_dek(&self, keks: &Keks, generation: u32) -> Result<Dek, VaultError> {
        let wrapped = self.wrapped_dek(generation)?;
        let (file, kek) = (dek_file(generation), wrapped.kek);
        let Some(kek) = keks.find(kek) else {
            return Err(VaultError::ForeignKek { tenant: self.tenant.clone(), file, kek });
        };
        let dek = wrapped.unwrap(&self.tenant, kek).filter(|dek| dek.generation == generation);
        dek.ok_or_else(|| self.sealed(file))
    }

    /// The file of a DEK, read.
    pub(crate) fn wrapped_dek(&self, generation: u32) -> Result<WrappedDek, VaultError> {
        let Some(bytes) = self.deks.get(&generation) else { return Err(self.no_dek()) };
        let file = dek_file(generation);
        WrappedDek::parse(bytes).map_err(|source| VaultError::Form {
            tenant: self.tenant.clone(),
            file,
            source,
        })
    }

    /// The newest DEK, under which everything new is sealed.
    pub(crate) fn newest_dek(&self, keks: &Keks) -> Result<Dek, VaultError> {
        let generation = self.newest_generation().ok_or_else(|| self.no_dek())?;
        self.open_dek(keks, generation)
    }

    pub(crate) fn newest_generation(&self) -> Option<u32> {
        self.deks.last_key_value().map(|(generation, _)| *generation)
    }

    /// The highest numbers given under `dek`: those written down with it, and those of the records that are there.
    pub(crate) fn given(&self, dek: &Dek) -> Given {
        let records = self.records.iter().map(|((_, version), bytes)| {
            let header = record::parse(bytes).ok().map(|(header, _)| header);
            let message = header.filter(|header| header.generation == dek.generation);
            Given { message: message.map_or(0, |header| header.message), version: *version }
        });
        records.fold(dek.given, Given::max)
    }

    pub(crate) fn sealed(&self, file: String) -> VaultError {
        VaultError::Sealed { tenant: self.tenant.clone(), file }
    }

    pub(crate) fn no_dek(&self) -> VaultError {
        VaultError::NoDek { tenant: self.tenant.clone() }
    }

    pub(crate) fn cannot_seal(&self, source: SealError) -> VaultError {
        VaultError::Seal { tenant: self.tenant.clone(), source }
    }
}

enum FileName {
    Dek(u32),
    Record(Version),
}

/// Name of the file of a DEK.
pub(crate) fn dek_file(generation: u32) -> String {
    format!("dek.{generation}")
}

/// Name of the file of a record.
pub(crate) fn record_file((name, version): &Version) -> String {
    format!("secret.{name}.{version}")
}

fn parse_file(file: &str) -> Option<FileName> {
    let mut parts = file.split('.');
    match (parts.next()?, parts.next()?, parts.next(), parts.next()) {
        ("dek", generation, None, None) => Some(FileName::Dek(number(generation)?)),
        ("secret", name, Some(version), None) => {
            Some(FileName::Record((SecretName::parse(name).ok()?, number(version)?)))
        }
        _ => None,
    }
}

/// A number from 1 in the one way of writing it.
fn number<N: std::str::FromStr>(digits: &str) -> Option<N> {
    let canonical = !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
    if canonical { digits.parse().ok() } else { None }
}
