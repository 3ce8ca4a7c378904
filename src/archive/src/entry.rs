//! One entry of an archive, as `pack` writes it and `unpack` believes it.

/// How many pieces of a sparse file one entry lists; a file with more takes several entries.
pub const MOST_EXTENTS: usize = 1024;

/// A point in time as stat(2) gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds, below 10^9.
    pub nanos: u32,
}

/// A piece of a sparse file that holds data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Where it begins.
    pub offset: u64,
    /// How long it is; not 0.
    pub length: u64,
}

/// The pieces of a sparse file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// In order, not touching each other's bytes, at most [`MOST_EXTENTS`].
    pub extents: Vec<Extent>,
    /// Whether the next entry goes on with the same file.
    pub more: bool,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory; its entries follow.
    Directory,
    /// A regular file.
    File {
        /// Its length in bytes.
        size: u64,
        /// Where its data are, if it has holes.
        map: Option<Map>,
    },
    /// A symbolic link.
    Symlink {
        /// What it says.
        target: Vec<u8>,
    },
    /// Another name of a file that came before.
    HardLink {
        /// The path of that file.
        target: Vec<u8>,
    },
}

/// An entry without its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// From the tree's root, without a slash before or after it.
    pub path: Vec<u8>,
    /// Permission bits, at most 0o777.
    pub mode: u32,
    /// Last change of the content.
    pub mtime: Time,
    /// What it is.
    pub kind: Kind,
}

impl Entry {
    /// How many bytes of data follow it, without the padding.
    pub fn stored(&self) -> u64 {
        match &self.kind {
            Kind::File { size, map: None } => *size,
            Kind::File { map: Some(map), .. } => {
                map.extents.iter().fold(0, |sum: u64, extent| sum.saturating_add(extent.length))
            }
            Kind::Directory | Kind::Symlink { .. } | Kind::HardLink { .. } => 0,
        }
    }

    /// The length of the file, 0 for anything else.
    pub fn size(&self) -> u64 {
        match &self.kind {
            Kind::File { size, .. } => *size,
            Kind::Directory | Kind::Symlink { .. } | Kind::HardLink { .. } => 0,
        }
    }

    /// The target of a link, empty for anything else.
    pub fn target(&self) -> &[u8] {
        match &self.kind {
            Kind::Symlink { target } | Kind::HardLink { target } => target,
            Kind::Directory | Kind::File { .. } => &[],
        }
    }
}
