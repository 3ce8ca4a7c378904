//! An entry as blocks of tar, and back. There is one way to write an entry, and only that one is read: so no two
//! streams say the same, and no field is left over in which something could hide.

use tar::Header;

use crate::entry::{Entry, Kind, Map, Time};
use crate::pax;

/// The size of a block.
pub const BLOCK: usize = 512;
/// The type of the block before an extended header.
pub const EXTENDED: u8 = b'x';

/// The largest number of an octal field of twelve bytes.
const MAX_OCTAL: u64 = 0o777_7777_7777;
const EXTENDED_NAME: &[u8] = b"pax";

const PATH: &str = "path";
const LINK: &str = "linkpath";
const SIZE: &str = "size";
const MTIME: &str = "mtime";
const SPARSE_SIZE: &str = "GNU.sparse.size";
const SPARSE_COUNT: &str = "GNU.sparse.numblocks";
const SPARSE_MAP: &str = "GNU.sparse.map";
const MORE: &str = "TENANTD.more";

/// The blocks before the data.
pub fn encode(entry: &Entry) -> Vec<u8> {
    let mut out = Vec::with_capacity(BLOCK * 3);
    encode_into(&mut out, entry);
    out
}

/// Adds the blocks before the data, at the end of a block.
pub fn encode_into(out: &mut Vec<u8>, entry: &Entry) {
    let begin = out.len();
    out.resize(begin + BLOCK, 0);
    put_records(out, entry);
    let length = out.len() - begin - BLOCK;
    if length == 0 {
        out.truncate(begin);
    } else {
        let size = u64::try_from(length).unwrap_or(u64::MAX);
        let header = header(EXTENDED, EXTENDED_NAME, &[], 0o644, 0, size);
        out.iter_mut().skip(begin).zip(header).for_each(|(to, from)| *to = from);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    let time = u64::try_from(entry.mtime.seconds).ok().filter(|seconds| *seconds <= MAX_OCTAL).unwrap_or(0);
    let size = Some(entry.stored()).filter(|size| *size <= MAX_OCTAL).unwrap_or(0);
    out.extend(header(letter(&entry.kind), &entry.path, entry.target(), entry.mode, time, size));
}

/// The entry of a header and its extended header. `None` if there is none that [`encode`] would write so, as the caller
/// must still see by encoding it again.
pub fn decode(extended: &[u8], block: &[u8; BLOCK]) -> Option<Entry> {
    let header = Header::from_byte_slice(block);
    let old = header.as_old();
    let mut entry = Entry {
        path: text(&old.name),
        mode: header.mode().ok().filter(|mode| *mode <= 0o777)?,
        mtime: Time { seconds: i64::try_from(header.mtime().ok()?).ok()?, nanos: 0 },
        kind: Kind::Directory,
    };
    let mut target = text(&old.linkname);
    let mut stored = header.entry_size().ok()?;
    let (mut size, mut map, mut more) = (None, None, false);
    for (key, value) in pax::records(extended)? {
        match std::str::from_utf8(key).ok()? {
            PATH => entry.path = value.to_vec(),
            LINK => target = value.to_vec(),
            SIZE => stored = pax::number(value)?,
            MTIME => entry.mtime = pax::time(value)?,
            SPARSE_SIZE => size = Some(pax::number(value)?),
            SPARSE_COUNT => {}
            MORE => more = true,
            SPARSE_MAP => map = Some(value),
            _ => return None,
        }
    }
    entry.kind = match (old.linkflag, size, map) {
        ([b'0'], None, None) => Kind::File { size: stored, map: None },
        ([b'0'], Some(size), Some(map)) => Kind::File { size, map: Some(pax::map(size, more, map)?) },
        ([b'1'], None, None) => Kind::HardLink { target },
        ([b'2'], None, None) => Kind::Symlink { target },
        ([b'5'], None, None) => Kind::Directory,
        _ => return None,
    };
    // As the kernel: a file is at most 2^63 - 1 bytes long.
    (i64::try_from(entry.size()).is_ok() && entry.stored() == stored).then_some(entry)
}

/// The size of an extended header whose block this is.
pub fn extended_size(block: &[u8; BLOCK]) -> Option<u64> {
    let header = Header::from_byte_slice(block);
    header.entry_size().ok().filter(|size| *size <= pax::MAX_PAX)
}

/// The type of the entry whose block this is.
pub fn type_of(block: &[u8; BLOCK]) -> u8 {
    let [kind] = Header::from_byte_slice(block).as_old().linkflag;
    kind
}

/// What a type is that is never taken, for errors.
pub fn name_of_type(kind: u8) -> &'static str {
    match kind {
        b'3' | b'4' => "it is a device",
        b'6' => "it is a FIFO",
        b'g' => "it is a global extended header",
        b'L' | b'K' | b'S' => "it is of GNU's form",
        b'0' | b'1' | b'2' | b'5' | EXTENDED => "its header is not as tenant-archive writes it",
        _ => "its type is unknown",
    }
}

/// The name field, cut, for errors.
pub fn short_name(block: &[u8; BLOCK]) -> Vec<u8> {
    text(&Header::from_byte_slice(block).as_old().name)
}

fn letter(kind: &Kind) -> u8 {
    match kind {
        Kind::File { .. } => b'0',
        Kind::HardLink { .. } => b'1',
        Kind::Symlink { .. } => b'2',
        Kind::Directory => b'5',
    }
}

fn put_records(out: &mut Vec<u8>, entry: &Entry) {
    if entry.path.len() > 100 {
        pax::put(out, PATH, &entry.path);
    }
    if entry.target().len() > 100 {
        pax::put(out, LINK, entry.target());
    }
    if entry.stored() > MAX_OCTAL {
        pax::put(out, SIZE, entry.stored().to_string().as_bytes());
    }
    if entry.mtime.nanos != 0 || u64::try_from(entry.mtime.seconds).map_or(true, |s| s > MAX_OCTAL) {
        pax::put(out, MTIME, pax::put_time(entry.mtime).as_bytes());
    }
    if let Kind::File { size, map: Some(map) } = &entry.kind {
        put_sparse(out, *size, map);
    }
}

/// Version 0.1 of GNU's sparse files: the only one whose map is not among the data.
fn put_sparse(out: &mut Vec<u8>, size: u64, map: &Map) {
    let (count, text) = pax::put_map(size, map);
    pax::put(out, SPARSE_SIZE, size.to_string().as_bytes());
    pax::put(out, SPARSE_COUNT, count.to_string().as_bytes());
    pax::put(out, SPARSE_MAP, text.as_bytes());
    if map.more {
        pax::put(out, MORE, b"1");
    }
}

/// By hand, because that of `tar` formats and sums byte by byte, which showed with many small files.
fn header(kind: u8, path: &[u8], target: &[u8], mode: u32, mtime: u64, size: u64) -> [u8; BLOCK] {
    let mut header = Header::new_ustar();
    let old = header.as_old_mut();
    fill(&mut old.name, path);
    fill(&mut old.linkname, target);
    old.linkflag = [kind];
    octal(&mut old.mode, u64::from(mode));
    octal(&mut old.uid, 0);
    octal(&mut old.gid, 0);
    octal(&mut old.mtime, mtime);
    octal(&mut old.size, size);
    old.cksum = [b' '; 8];
    let sum: u32 = header.as_bytes().iter().map(|byte| u32::from(*byte)).sum();
    octal(&mut header.as_old_mut().cksum, u64::from(sum));
    *header.as_bytes()
}

/// A number that fits, in octal digits up to the field's last byte, which is NUL.
fn octal(field: &mut [u8], mut number: u64) {
    for (place, byte) in field.iter_mut().rev().enumerate() {
        *byte = 0;
        if place > 0 {
            *byte = b'0' + u8::try_from(number % 8).unwrap_or_default();
            number /= 8;
        }
    }
}

/// As much of `value` as the field holds.
fn fill(field: &mut [u8; 100], value: &[u8]) {
    field.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
}

/// A field up to its first NUL.
fn text(field: &[u8; 100]) -> Vec<u8> {
    field.iter().copied().take_while(|byte| *byte != 0).collect()
}
