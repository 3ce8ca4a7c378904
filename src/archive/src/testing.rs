//! Trees and streams for tests: scratch directories, what is in them, and archives made by hand.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use zstd::stream::raw::CParameter;

use crate::block;
use crate::entry::{Entry, Extent, Kind, Map, Time};
use crate::error::Error;
use crate::manifest::{self, Digest, FORMAT, First, Manifest, Summary};
use crate::path::Tops;
use crate::report::Report;

/// A directory with a tree in `tree` and a canary beside it.
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    pub fn new() -> Scratch {
        let scratch = Scratch(tempfile::tempdir().unwrap());
        for top in ["tree/home", "tree/state", "tree/workspace", "canary"] {
            std::fs::create_dir_all(scratch.path(top)).unwrap();
        }
        scratch.write("canary/secret", b"CANARY");
        scratch
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    #[expect(clippy::disallowed_methods, reason = "a file of a test, which nobody else reads")]
    pub fn write(&self, path: &str, content: &[u8]) {
        std::fs::write(self.path(path), content).unwrap();
    }

    pub fn tree(&self) -> OsString {
        self.path("tree").into_os_string()
    }

    /// That the canary is as it was.
    pub fn untouched(&self) {
        let names: Vec<_> =
            std::fs::read_dir(self.path("canary")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["secret"]);
        assert_eq!(std::fs::read(self.path("canary/secret")).unwrap(), b"CANARY");
    }

    /// That the three top directories are there, empty, and nothing else.
    pub fn empty(&self) {
        let all = listing(&self.path("tree"));
        assert_eq!(all.keys().collect::<Vec<_>>(), [&b"home"[..], b"state", b"workspace"]);
    }

    pub fn pack(&self) -> (Vec<u8>, Summary) {
        let (archive, summary, _) = self.pack_with_warnings();
        (archive, summary)
    }

    pub fn pack_with_warnings(&self) -> (Vec<u8>, Summary, String) {
        let (mut archive, mut warnings) = (Vec::new(), Vec::new());
        let tops = Tops::of_arguments(&[]).unwrap();
        let mut report = Report::new(&mut warnings);
        let summary = crate::pack::pack(&self.tree(), &tops, &mut archive, &mut report).unwrap();
        (archive, summary, String::from_utf8(warnings).unwrap())
    }

    pub fn unpack(&self, archive: &[u8]) -> Result<Summary, Error> {
        crate::unpack::unpack(&self.tree(), archive)
    }
}

/// What an object is, but for its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    pub mode: u32,
    pub mtime: (i64, i64),
    pub size: u64,
    /// Content or target; the length alone of what is longer than 1 GiB.
    pub content: Vec<u8>,
    /// The first path of the same file.
    pub same_as: Option<Vec<u8>>,
}

/// All that is below a directory, by path. Follows nothing.
pub fn listing(root: &Path) -> BTreeMap<Vec<u8>, Object> {
    let mut all = BTreeMap::new();
    let mut first = BTreeMap::new();
    let mut todo = vec![root.to_path_buf()];
    while let Some(directory) = todo.pop() {
        let mut names: Vec<_> =
            std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        for path in names {
            let stat = path.symlink_metadata().unwrap();
            let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
            let (mut content, mut same_as) = (Vec::new(), None);
            if stat.is_dir() {
                todo.push(path);
            } else if stat.is_symlink() {
                content = path.read_link().unwrap().as_os_str().as_bytes().to_vec();
            } else if stat.is_file() {
                content = if stat.len() > 1 << 30 { Vec::new() } else { std::fs::read(path).unwrap() };
                if stat.nlink() > 1 {
                    same_as = Some(first.entry(stat.ino()).or_insert_with(|| name.clone()).clone());
                }
            }
            let size = if stat.is_dir() { 0 } else { stat.len() };
            let mtime = (stat.mtime(), stat.mtime_nsec());
            all.insert(name, Object { mode: stat.mode(), mtime, size, content, same_as });
        }
    }
    all
}

/// Compresses as any zstd does.
pub fn squeeze(plain: &[u8]) -> Vec<u8> {
    zstd::encode_all(plain, 1).unwrap()
}

pub fn squeeze_with_window(plain: &[u8], log: u32) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.set_parameter(CParameter::WindowLog(log)).unwrap();
    std::io::Write::write_all(&mut encoder, plain).unwrap();
    encoder.finish().unwrap()
}

pub fn expand(archive: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    zstd::stream::read::Decoder::new(archive).unwrap().read_to_end(&mut plain).unwrap();
    plain
}

pub fn directory(path: &str) -> Entry {
    entry(path, Kind::Directory)
}

pub fn entry(path: &str, kind: Kind) -> Entry {
    let mode = match kind {
        Kind::Symlink { .. } => 0o777,
        Kind::HardLink { .. } => 0,
        Kind::Directory | Kind::File { .. } => 0o755,
    };
    Entry { path: path.as_bytes().to_vec(), mode, mtime: Time::default(), kind }
}

pub fn file(path: &str, size: u64) -> Entry {
    entry(path, Kind::File { size, map: None })
}

pub fn sparse(path: &str, size: u64, extents: &[(u64, u64)], more: bool) -> Entry {
    let extents =
        extents.iter().map(|(offset, length)| Extent { offset: *offset, length: *length }).collect();
    entry(path, Kind::File { size, map: Some(Map { extents, more }) })
}

pub fn symlink(path: &str, target: &str) -> Entry {
    entry(path, Kind::Symlink { target: target.into() })
}

pub fn hard_link(path: &str, target: &str) -> Entry {
    entry(path, Kind::HardLink { target: target.into() })
}

/// A stream that says what its maker wants, with blocks, hash and manifest as they should be.
pub struct Forged {
    pub plain: Vec<u8>,
    digest: Digest,
    pub summary: Summary,
}

impl Forged {
    /// With the three top directories, none of them begun.
    pub fn new() -> Forged {
        Forged::of_first(&manifest::json(&First {
            format: FORMAT,
            directories: Tops::of_arguments(&[]).unwrap(),
        }))
    }

    pub fn of_first(text: &str) -> Forged {
        let mut forged = Forged { plain: Vec::new(), digest: Digest::default(), summary: Summary::default() };
        forged.put(&manifest::document_entry(manifest::FIRST, text.len()), text.as_bytes());
        forged.summary = Summary::default();
        forged
    }

    /// Adds an entry with data of the letter `x`.
    pub fn add(mut self, entry: &Entry) -> Forged {
        let data = vec![b'x'; usize::try_from(entry.stored().min(1 << 20)).unwrap()];
        self.put(entry, &data);
        self
    }

    pub fn raw(mut self, bytes: &[u8]) -> Forged {
        self.plain.extend_from_slice(bytes);
        self
    }

    /// Manifest and end.
    pub fn finish(mut self) -> Vec<u8> {
        let digest = std::mem::take(&mut self.digest);
        let text = manifest::json(&Manifest { summary: self.summary.clone(), sha256: digest.finish() });
        self.put(&manifest::document_entry(manifest::LAST, text.len()), text.as_bytes());
        self.plain.extend([0; 2 * block::BLOCK]);
        self.plain
    }

    fn put(&mut self, entry: &Entry, data: &[u8]) {
        self.summary.count(entry, false);
        self.plain.extend(block::encode(entry));
        self.plain.extend_from_slice(data);
        self.plain.resize(self.plain.len().next_multiple_of(block::BLOCK), 0);
        let mut content = Sha256::new();
        if let Kind::File { map: Some(map), .. } = &entry.kind {
            let mut rest = data;
            for extent in &map.extents {
                content.update(extent.offset.to_be_bytes());
                content.update(extent.length.to_be_bytes());
                let (piece, other) = rest.split_at(rest.len().min(usize::try_from(extent.length).unwrap()));
                content.update(piece);
                rest = other;
            }
        } else {
            content.update(data);
        }
        self.digest.add(entry, &content.finalize().into());
    }
}
