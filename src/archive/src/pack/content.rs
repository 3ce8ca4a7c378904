//! The data of a file, in the length that was announced, whatever happens to the file meanwhile.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, Stat};
use rustix::io::Errno;

use super::sink::Sink;
use crate::entry::{Entry, Extent, Kind, MOST_EXTENTS, Map};
use crate::error::Error;

/// How much is read at a time.
pub const BUFFER: usize = 256 * 1024;

/// How reading went. The stream is whole in each case.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// What was announced is what was read.
    AsItWas,
    /// The file was written to, cut or lengthened; what was missing is zeros.
    Changed,
    /// The kernel could not read some of it; zeros are there instead.
    Failed(Errno),
}

/// Writes the file `entry`, which is open and was seen as `stat`.
pub fn put<W: Write>(
    sink: &mut Sink<W>,
    mut entry: Entry,
    file: &File,
    stat: &Stat,
    buffer: &mut [u8],
) -> Result<Read, Error> {
    let size = entry.size();
    // As tar: fewer blocks than bytes make holes likely; only then it is worth asking.
    let blocks = u64::try_from(stat.st_blocks).unwrap_or_default();
    let mut map = if size > 0 && blocks.saturating_mul(512) < size { next_map(file, size, 0) } else { None };
    if map.as_ref().is_some_and(|map| map.extents == [Extent { offset: 0, length: size }]) {
        map = None;
    }
    let mut read = Read::AsItWas;
    let mut goes_on = false;
    loop {
        entry.kind = Kind::File { size, map: map.clone() };
        sink.entry(&entry, goes_on)?;
        let whole = [Extent { offset: 0, length: size }];
        for extent in map.as_ref().map_or(whole.as_slice(), |map| &map.extents) {
            if map.is_some() {
                sink.hash(&extent.offset.to_be_bytes());
                sink.hash(&extent.length.to_be_bytes());
            }
            put_extent(sink, file, *extent, buffer, &mut read)?;
        }
        sink.end(&entry)?;
        let ends = map.as_ref().filter(|map| map.more).and_then(|map| map.extents.last());
        let Some(last) = ends else { break };
        // A file that can no longer be asked has changed; its last entry is empty then.
        let empty = Map { extents: Vec::new(), more: false };
        map = Some(next_map(file, size, last.offset.saturating_add(last.length)).unwrap_or(empty));
        goes_on = true;
    }
    let now = rustix::fs::fstat(file);
    let same = now.is_ok_and(|now| {
        (now.st_size, now.st_mtime, now.st_mtime_nsec) == (stat.st_size, stat.st_mtime, stat.st_mtime_nsec)
    });
    Ok(if read == Read::AsItWas && !same { Read::Changed } else { read })
}

/// The next pieces of a sparse file, or `None` if its file system does not tell.
fn next_map(file: &File, size: u64, mut from: u64) -> Option<Map> {
    let mut map = Map { extents: Vec::new(), more: false };
    while from < size {
        let offset = match rustix::fs::seek(file, SeekFrom::Data(from)) {
            Ok(offset) => offset,
            // Holes up to the end.
            Err(Errno::NXIO) => break,
            Err(_) => return None,
        };
        if offset >= size {
            break;
        }
        if map.extents.len() == MOST_EXTENTS {
            map.more = true;
            break;
        }
        // A file that shrinks between the two calls has no data left here.
        let end = match rustix::fs::seek(file, SeekFrom::Hole(offset)) {
            Ok(end) => end.min(size),
            Err(Errno::NXIO) => break,
            Err(_) => return None,
        };
        if end > offset {
            map.extents.push(Extent { offset, length: end - offset });
        }
        from = end.max(offset.saturating_add(1));
    }
    Some(map)
}

/// Writes exactly the bytes of one piece.
fn put_extent<W: Write>(
    sink: &mut Sink<W>,
    file: &File,
    extent: Extent,
    buffer: &mut [u8],
    read: &mut Read,
) -> Result<(), Error> {
    let (mut offset, mut left) = (extent.offset, extent.length);
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(part) = buffer.get_mut(..most) else { break };
        let got = if matches!(read, Read::AsItWas) { file.read_at(part, offset) } else { Ok(0) };
        let got = match got {
            Ok(0) => {
                if *read == Read::AsItWas {
                    *read = Read::Changed;
                }
                part.fill(0);
                most
            }
            Ok(got) => got,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => {
                *read = Read::Failed(Errno::from_io_error(&error).unwrap_or(Errno::IO));
                continue;
            }
        };
        sink.data(part.get(..got).unwrap_or_default())?;
        let got = u64::try_from(got).unwrap_or(u64::MAX);
        offset = offset.saturating_add(got);
        left = left.saturating_sub(got);
    }
    Ok(())
}
