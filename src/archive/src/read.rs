//! Reads an archive entry by entry, believes nothing of it, and hands on what is in order.
//!
//! Entries come as a walk down the tree gives them: a directory, then all that is in it. So the reader need remember the
//! path of one directory only, and nothing can be put into a directory that was left.

use std::io::Read;

use sha2::{Digest as _, Sha256};

use crate::block::{self, BLOCK, EXTENDED};
use crate::entry::{Entry, Kind, Map, Time};
use crate::error::Error;
use crate::manifest::{
    self, AnyFormat, Digest, FIRST, FORMAT, First, Hash, LAST, MAX_DOCUMENT, Manifest, Summary,
};
use crate::path::{self, Tops};
use crate::source::Source;

/// What is made of the entries. Names are the last components of the paths.
pub trait Target {
    /// The archive holds these directories.
    fn begin(&mut self, tops: &Tops) -> Result<(), Error>;
    /// A directory; what follows is in it.
    fn enter(&mut self, entry: &Entry, name: &[u8]) -> Result<(), Error>;
    /// The directory at `path` is whole.
    fn leave(&mut self, path: &[u8]) -> Result<(), Error>;
    /// A file; its data follow.
    fn open(&mut self, entry: &Entry, name: &[u8]) -> Result<(), Error>;
    /// Data of the file that is open.
    fn data(&mut self, entry: &Entry, offset: u64, bytes: &[u8]) -> Result<(), Error>;
    /// The file that is open is whole.
    fn close(&mut self, entry: &Entry) -> Result<(), Error>;
    /// A symbolic or hard link.
    fn link(&mut self, entry: &Entry, name: &[u8]) -> Result<(), Error>;
    /// The archive is whole.
    fn finish(&mut self) -> Result<(), Error>;
}

/// Reads all of `input`. An error means that what was handed on is not to be kept.
pub fn read(input: impl Read, target: &mut impl Target) -> Result<Summary, Error> {
    let source = Source::new(input)?;
    let mut reader = Reader { source, digest: Digest::default(), summary: Summary::default() };
    let tops = reader.first()?;
    target.begin(&tops)?;
    let mut order = Order { tops: &tops, next: 0, current: Vec::new(), begun: None };
    loop {
        let entry = reader.entry()?;
        if entry.path == LAST {
            order.end(&reader, target)?;
            let summary = reader.last(&entry)?;
            target.finish()?;
            return Ok(summary);
        }
        let goes_on = order.goes_on(&entry).map_err(|cause| reader.source.refused(cause))?;
        if !goes_on {
            order.place(&entry, &reader, target)?;
        }
        reader.summary.count(&entry, goes_on);
        let content = match &entry.kind {
            Kind::File { map, .. } => reader.content(&entry, map.as_ref(), target)?,
            Kind::Directory | Kind::Symlink { .. } | Kind::HardLink { .. } => Sha256::digest([]).into(),
        };
        reader.digest.add(&entry, &content);
        order.after(entry, target)?;
    }
}

struct Reader<R: Read> {
    source: Source<R>,
    digest: Digest,
    summary: Summary,
}

impl<R: Read> Reader<R> {
    /// The next entry, written as `pack` writes it.
    fn entry(&mut self) -> Result<Entry, Error> {
        let first = self.source.block()?;
        if first.iter().all(|byte| *byte == 0) {
            return Err(self.source.refused("the stream ends without its manifest"));
        }
        let mut raw = first.to_vec();
        let (mut header, mut extended) = (first, Vec::new());
        if block::type_of(&first) == EXTENDED {
            let size = block::extended_size(&first).and_then(|size| usize::try_from(size).ok());
            let Some(size) = size else { return Err(self.source.refused("its extended header is too long")) };
            extended = self.source.bytes(size.next_multiple_of(BLOCK))?;
            raw.extend_from_slice(&extended);
            extended.truncate(size);
            header = self.source.block()?;
            raw.extend_from_slice(&header);
        }
        match block::decode(&extended, &header) {
            Some(entry) if block::encode(&entry) == raw => {
                self.source.place.clone_from(&entry.path);
                Ok(entry)
            }
            found => {
                self.source.place = found.map_or_else(|| block::short_name(&header), |entry| entry.path);
                Err(self.source.refused(block::name_of_type(block::type_of(&header))))
            }
        }
    }

    fn first(&mut self) -> Result<Tops, Error> {
        let entry = self.entry()?;
        if entry.path != FIRST {
            return Err(self.source.refused("its first entry does not say what it is"));
        }
        let text = self.document(&entry, FIRST)?;
        let format = serde_json::from_slice(&text).map(|first: AnyFormat| first.format);
        match format {
            Ok(FORMAT) => {}
            Ok(newer) if newer > FORMAT => return Err(Error::Newer(newer)),
            _ => return Err(self.source.refused("it has no format")),
        }
        self.digest.add(&entry, &Sha256::digest(&text).into());
        let first: First = self.parsed(&text)?;
        Ok(first.directories)
    }

    fn last(mut self, entry: &Entry) -> Result<Summary, Error> {
        let text = self.document(entry, LAST)?;
        let manifest: Manifest = self.parsed(&text)?;
        // What was left out, or changed, only the one who packed can say.
        self.summary.changed = manifest.summary.changed;
        self.summary.left_out = manifest.summary.left_out.clone();
        if manifest != (Manifest { summary: self.summary.clone(), sha256: self.digest.finish() }) {
            return Err(self.source.refused("the manifest is not that of the entries before it"));
        }
        self.source.end()?;
        Ok(self.summary)
    }

    fn document(&mut self, entry: &Entry, path: &[u8]) -> Result<Vec<u8>, Error> {
        let length = usize::try_from(entry.size()).unwrap_or(usize::MAX);
        if *entry != manifest::document_entry(path, length) || entry.size() > MAX_DOCUMENT {
            return Err(self.source.refused("it is no document of tenant-archive"));
        }
        let text = self.source.bytes(length)?;
        self.source.padding(entry.size())?;
        Ok(text)
    }

    fn parsed<D>(&self, text: &[u8]) -> Result<D, Error>
    where
        D: serde::de::DeserializeOwned + serde::Serialize,
    {
        match serde_json::from_slice::<D>(text) {
            Ok(document) if manifest::json(&document).as_bytes() == text => Ok(document),
            _ => Err(self.source.refused("its text is not as tenant-archive writes it")),
        }
    }

    /// The data of a file. The holes of a sparse one are part of its hash by the places of its pieces.
    fn content(&mut self, entry: &Entry, map: Option<&Map>, target: &mut impl Target) -> Result<Hash, Error> {
        let whole = [crate::entry::Extent { offset: 0, length: entry.size() }];
        let mut hash = Sha256::new();
        for extent in map.map_or(whole.as_slice(), |map| &map.extents) {
            if map.is_some() {
                hash.update(extent.offset.to_be_bytes());
                hash.update(extent.length.to_be_bytes());
            }
            let mut offset = extent.offset;
            self.source.pieces(extent.length, |bytes| {
                hash.update(bytes);
                target.data(entry, offset, bytes)?;
                offset = offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                Ok(())
            })?;
        }
        self.source.padding(entry.stored())?;
        Ok(hash.finalize().into())
    }
}

/// Where in the tree the reader is.
struct Order<'tops> {
    tops: &'tops Tops,
    /// How many top directories came.
    next: usize,
    /// The directory that entries are in; empty before the first one.
    current: Vec<u8>,
    /// A sparse file that is not whole yet.
    begun: Option<Entry>,
}

impl Order<'_> {
    /// Whether this entry goes on with the sparse file before it, as it must if that is not whole.
    fn goes_on(&self, entry: &Entry) -> Result<bool, &'static str> {
        let Some(begun) = &self.begun else { return Ok(false) };
        let place = |entry: &Entry| match &entry.kind {
            Kind::File { size, map: Some(map) } => {
                let ends = map.extents.last().map(|last| last.offset.saturating_add(last.length));
                Some((*size, map.extents.first().map(|first| first.offset), ends))
            }
            Kind::File { .. } | Kind::Directory | Kind::Symlink { .. } | Kind::HardLink { .. } => None,
        };
        let same = begun.path == entry.path && begun.mode == entry.mode && begun.mtime == entry.mtime;
        match (place(begun), place(entry)) {
            (Some((size, _, Some(ends))), Some((other, begins, _)))
                if same && size == other && begins.is_none_or(|begins| begins >= ends) =>
            {
                Ok(true)
            }
            _ => Err("the sparse file before it is not whole"),
        }
    }

    /// Sees that an entry may come here, and hands it on.
    fn place<R: Read>(
        &mut self,
        entry: &Entry,
        reader: &Reader<R>,
        target: &mut impl Target,
    ) -> Result<(), Error> {
        let refused = |cause: &str| Err(reader.source.refused(cause));
        if let Some(fault) = path::fault(&entry.path) {
            return refused(fault);
        }
        let (directory, name) = path::split(&entry.path);
        let is_directory = entry.kind == Kind::Directory;
        if directory.is_none() {
            if !is_directory || self.tops.get(self.next).map(str::as_bytes) != Some(name) {
                return refused("it is none of the archive's directories, or not the next one of them");
            }
            self.next += 1;
        }
        while self.current != directory.unwrap_or_default() {
            if self.current.is_empty() {
                return refused("its directory does not come before it");
            }
            self.leave(target)?;
        }
        match &entry.kind {
            Kind::Directory => {
                self.current.clone_from(&entry.path);
                target.enter(entry, name)
            }
            Kind::File { .. } => target.open(entry, name),
            Kind::Symlink { target: to } => {
                if entry.mode != 0o777 || path::leads_out(&entry.path, to) {
                    return refused("it is a link that leads out");
                }
                target.link(entry, name)
            }
            Kind::HardLink { target: to } => {
                let top = to.split(|byte| *byte == b'/').next().unwrap_or_default();
                let plain = entry.mode == 0 && entry.mtime == Time::default();
                if !plain || path::fault(to).is_some() || path::depth(to) < 2 || !self.tops.has(top) {
                    return refused("it is a hard link that leads out");
                }
                target.link(entry, name)
            }
        }
    }

    /// After an entry and its data.
    fn after(&mut self, entry: Entry, target: &mut impl Target) -> Result<(), Error> {
        self.begun = None;
        match &entry.kind {
            Kind::File { map: Some(Map { more: true, .. }), .. } => self.begun = Some(entry),
            Kind::File { .. } => target.close(&entry)?,
            Kind::Directory | Kind::Symlink { .. } | Kind::HardLink { .. } => {}
        }
        Ok(())
    }

    fn leave(&mut self, target: &mut impl Target) -> Result<(), Error> {
        target.leave(&self.current)?;
        let length = path::split(&self.current).0.map_or(0, <[u8]>::len);
        self.current.truncate(length);
        Ok(())
    }

    /// Before the manifest: everything that was begun is whole.
    fn end<R: Read>(&mut self, reader: &Reader<R>, target: &mut impl Target) -> Result<(), Error> {
        if self.begun.is_some() || self.tops.get(self.next).is_some() {
            return Err(reader.source.refused("the manifest comes too early"));
        }
        while !self.current.is_empty() {
            self.leave(target)?;
        }
        Ok(())
    }
}
