//! The first entry of an archive, which says what it is, and the last, which says what all others were.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::entry::{Entry, Kind, Time};
use crate::path::Tops;

/// The format that is written, and the only one that is read.
pub const FORMAT: u64 = 1;
/// The path of the first entry. No top directory can have it.
pub const FIRST: &[u8] = b".tenant-archive";
/// The path of the last entry.
pub const LAST: &[u8] = b".tenant-manifest";
/// How much of either is read.
pub const MAX_DOCUMENT: u64 = 8192;

/// A SHA-256.
pub type Hash = [u8; 32];

/// The document of the first entry.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct First {
    /// [`FORMAT`].
    pub format: u64,
    /// The top directories that follow, in order.
    pub directories: Tops,
}

/// The one field of [`First`] that every format has.
#[derive(Debug, Deserialize)]
pub struct AnyFormat {
    /// Its number.
    pub format: u64,
}

/// What is not in the archive, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Symbolic links that lead out of the tree.
    pub links_out: u64,
    /// Block and character devices.
    pub devices: u64,
    /// FIFOs.
    pub fifos: u64,
    /// Sockets.
    pub sockets: u64,
    /// Files and directories that are kept without their setuid, setgid or sticky bit.
    pub special_bits: u64,
    /// Files left out, and directories kept empty, because they could not be read.
    pub unreadable: u64,
    /// Mount points, and what is mounted there.
    pub mounts: u64,
    /// Below more directories than an archive holds.
    pub too_deep: u64,
    /// Names of a file with several that are kept as files of their own, because there were too many to remember.
    pub hard_links: u64,
}

/// What an archive holds, and what not. Printed at the end of each verb.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Regular files.
    pub files: u64,
    /// Directories, the top ones among them.
    pub directories: u64,
    /// Symbolic links.
    pub links: u64,
    /// Further names of files.
    pub hard_links: u64,
    /// The lengths of all files, holes included.
    pub bytes: u64,
    /// The bytes of data in the archive, before compression.
    pub stored: u64,
    /// Files and directories that changed while they were read.
    pub changed: u64,
    /// What is not in it.
    pub left_out: LeftOut,
}

impl Summary {
    /// The one line at the end.
    pub fn line(&self) -> String {
        json(self)
    }

    /// Counts an entry. `goes_on` is for the second and further entries of a sparse file.
    pub fn count(&mut self, entry: &Entry, goes_on: bool) {
        self.stored = self.stored.saturating_add(entry.stored());
        match entry.kind {
            _ if goes_on => return,
            Kind::Directory => self.directories += 1,
            Kind::File { .. } => self.files += 1,
            Kind::Symlink { .. } => self.links += 1,
            Kind::HardLink { .. } => self.hard_links += 1,
        }
        self.bytes = self.bytes.saturating_add(entry.size());
    }
}

/// The document of the last entry.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// What the archive holds.
    #[serde(flatten)]
    pub summary: Summary,
    /// Of all entries before this one, in hexadecimal digits.
    pub sha256: String,
}

/// A document as it is written. Numbers, plain names and no maps: it cannot fail.
pub fn json(document: &impl Serialize) -> String {
    serde_json::to_string(document).unwrap_or_default()
}

/// An entry that holds a document.
pub fn document_entry(path: &[u8], length: usize) -> Entry {
    let size = u64::try_from(length).unwrap_or(u64::MAX);
    Entry { path: path.to_vec(), mode: 0o600, mtime: Time::default(), kind: Kind::File { size, map: None } }
}

/// The hash over all entries in their order.
#[derive(Debug, Default)]
pub struct Digest(Sha256);

impl Digest {
    /// Adds one. `content` is the hash of its data, that of nothing if it has none.
    pub fn add(&mut self, entry: &Entry, content: &Hash) {
        let kind = match &entry.kind {
            Kind::Directory => b'd',
            Kind::File { map: None, .. } => b'f',
            Kind::File { map: Some(map), .. } => {
                if map.more {
                    b'm'
                } else {
                    b's'
                }
            }
            Kind::Symlink { .. } => b'l',
            Kind::HardLink { .. } => b'h',
        };
        self.0.update([kind]);
        self.bytes(&entry.path);
        self.0.update(entry.mode.to_be_bytes());
        self.0.update(entry.mtime.seconds.to_be_bytes());
        self.0.update(entry.mtime.nanos.to_be_bytes());
        self.0.update(entry.size().to_be_bytes());
        self.bytes(entry.target());
        self.0.update(content);
    }

    /// In hexadecimal digits.
    pub fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.update(bytes);
    }
}
