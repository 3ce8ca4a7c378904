//! Archives: known ones, every way to tamper with one, sizes around the borders of chunks.

use std::io::{Cursor, ErrorKind, Read, Write};

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::header::{HEADER, Header};
use super::*;
use crate::cipher::TAG;
use crate::kek::BackupKey;
use crate::testing::{counting, kek, tenant, unhex};

/// Both made with Python's cryptography by the layout in docs/vault-formats.md: a change of the format must be deliberate.
const KNOWN: &str = "746e642d61726368015be9c25717ea853761636d650000000000000000000000000000000000000000000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f48b2595dd1f15fdfe0bb3f319ceeb6ebe1497d9d80";
const KNOWN_OF_TWO_CHUNKS: &str = "485025cfd5cd26d19fb7b2ca8cdc2c6256e47dc6a95d2d32dda85106315b6582";

/// Bytes of a full chunk in an archive.
const SEALED: usize = CHUNK + TAG;

fn key() -> BackupKey {
    kek(1).backup_key(&tenant("acme"))
}

fn seal(plain: &[u8]) -> Vec<u8> {
    let mut sealer = Sealer::new(&key(), Vec::new()).unwrap();
    sealer.write_all(plain).unwrap();
    sealer.finish().unwrap()
}

fn open(archive: &[u8]) -> Result<Vec<u8>, std::io::Error> {
    let mut opener =
        Unopened::read(archive).and_then(|archive| archive.open(&key())).map_err(std::io::Error::other)?;
    let mut plain = Vec::new();
    let result = opener.read_to_end(&mut plain);
    if result.is_err() {
        // Once broken, always broken: never an end that looks like one.
        assert!(opener.read(&mut [0]).is_err());
    }
    result.map(|_| plain)
}

fn plain(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect()
}

/// The sealed chunks of an archive.
fn chunks(archive: &[u8]) -> Vec<Vec<u8>> {
    archive[HEADER..].chunks(SEALED).map(<[u8]>::to_vec).collect()
}

fn refused(header: &[u8], chunks: &[Vec<u8>], what: &str) {
    let archive = [header, &chunks.concat()].concat();
    let error = open(&archive).expect_err(what);
    assert_eq!(error.kind(), ErrorKind::InvalidData, "{what}: {error}");
    assert!(
        error.to_string().contains("the archive was cut short, changed or put together"),
        "{what}: {error}"
    );
}

fn known_header() -> Header {
    Header { tenant: tenant("acme"), kek: kek(1).id(), salt: counting() }
}

#[test]
fn known_archives_are_written_and_open() {
    let mut sealer = Sealer::with(known_header(), &key(), Vec::new()).unwrap();
    sealer.write_all(b"hello").unwrap();
    assert_eq!(sealer.finish().unwrap(), unhex(KNOWN));
    assert_eq!(open(&unhex(KNOWN)).unwrap(), b"hello");
    let mut sealer = Sealer::with(known_header(), &key(), Vec::new()).unwrap();
    sealer.write_all(&plain(CHUNK + 5)).unwrap();
    let archive = sealer.finish().unwrap();
    assert_eq!(Sha256::digest(&archive)[..], unhex(KNOWN_OF_TWO_CHUNKS));
    assert_eq!(open(&archive).unwrap(), plain(CHUNK + 5));
}

#[test]
fn an_archive_says_whose_it_is_and_opens_with_that_key_only() {
    let archive = seal(b"hello");
    let unopened = Unopened::read(&archive[..]).unwrap();
    assert_eq!((unopened.tenant(), unopened.kek()), (&tenant("acme"), kek(1).id()));
    for key in [kek(1).backup_key(&tenant("beta")), kek(2).backup_key(&tenant("acme"))] {
        let opened = Unopened::read(&archive[..]).unwrap().open(&key);
        assert!(matches!(opened, Err(ArchiveError::ForeignKey { kek: id, .. }) if id == kek(1).id()));
    }
}

#[test]
fn an_archive_with_a_bit_turned_in_any_byte_of_its_header_does_not_open() {
    let archive = seal(&plain(100));
    for bit in 0..archive.len() * 8 {
        let mut turned = archive.clone();
        turned[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&turned).is_err(), "bit {bit}");
    }
}

#[test]
fn an_archive_made_for_another_tenant_by_its_header_alone_does_not_open() {
    let archive = seal(b"hello");
    let header = Header { tenant: tenant("beta"), ..Header::read(&mut &archive[..]).unwrap() };
    let forged = [header.bytes(), archive[HEADER..].to_vec()].concat();
    let key = kek(1).backup_key(&tenant("beta"));
    let mut opener = Unopened::read(&forged[..]).unwrap().open(&key).unwrap();
    assert!(opener.read(&mut [0; 5]).is_err());
}

#[test]
fn an_archive_cut_anywhere_does_not_open_to_its_end() {
    let archive = seal(&plain(2 * CHUNK + 10));
    let borders = [HEADER, HEADER + SEALED, HEADER + 2 * SEALED, archive.len()];
    let near = borders.iter().flat_map(|border| border.saturating_sub(20)..border + 20);
    for length in near.chain(0..HEADER).filter(|length| *length < archive.len()) {
        assert!(open(&archive[..length]).is_err(), "cut to {length}");
    }
}

#[test]
fn chunks_that_are_swapped_left_out_repeated_or_added_do_not_open() {
    let archive = seal(&plain(3 * CHUNK + 10));
    let (header, whole) = (&archive[..HEADER], chunks(&archive));
    let [a, b, c, last] = <[Vec<u8>; 4]>::try_from(whole.clone()).unwrap();
    assert_eq!(open(&[header, &whole.concat()].concat()).unwrap(), plain(3 * CHUNK + 10));
    let of = |parts: &[&Vec<u8>]| parts.iter().map(|part| (*part).clone()).collect::<Vec<_>>();
    refused(header, &of(&[&b, &a, &c, &last]), "swapped");
    refused(header, &of(&[&a, &c, &last]), "one left out");
    refused(header, &of(&[&a, &b, &c]), "the last left out");
    refused(header, &of(&[&a, &b, &b, &c, &last]), "repeated");
    refused(header, &of(&[&a, &b, &c, &last, &last]), "the last repeated");
    refused(header, &of(&[&a, &b, &last]), "ended early");
    refused(header, &of(&[&last]), "only the end");
    refused(header, &of(&[&a, &b, &c, &last, &vec![0]]), "a byte added");
    refused(header, &[], "nothing but a header");
}

#[test]
fn chunks_of_another_archive_under_the_same_key_do_not_open() {
    let [left, right] = [1, 2].map(|_| seal(&plain(2 * CHUNK)));
    let (header, left, right) = (&left[..HEADER], chunks(&left), chunks(&right));
    refused(header, &right, "all of them");
    refused(header, &[left[0].clone(), right[1].clone()], "the last");
    refused(header, &[right[0].clone(), left[1].clone()], "the first");
}

#[test]
fn an_archive_that_was_not_finished_does_not_open_to_its_end() {
    let mut written = Vec::new();
    let mut sealer = Sealer::new(&key(), &mut written).unwrap();
    sealer.write_all(&plain(2 * CHUNK + 1)).unwrap();
    sealer.flush().unwrap();
    drop(sealer);
    assert_eq!(written.len(), HEADER + 2 * SEALED);
    assert!(open(&written).is_err());
}

#[test]
fn memory_does_not_grow_with_the_archive() {
    let mut sealer = Sealer::new(&key(), std::io::sink()).unwrap();
    std::io::copy(&mut std::io::repeat(1).take(100 * CHUNK as u64 + 1), &mut sealer).unwrap();
    assert_eq!(sealer.chunk_capacity(), SEALED);
    let archive = seal(&plain(100 * CHUNK));
    let mut opener = Unopened::read(&archive[..]).unwrap().open(&key()).unwrap();
    assert_eq!(std::io::copy(&mut opener, &mut std::io::sink()).unwrap(), 100 * CHUNK as u64);
    assert_eq!(opener.chunk_capacity(), SEALED);
}

#[test]
fn a_write_that_fails_is_told_and_breaks_the_archive() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            if taken == 0 { Err(ErrorKind::StorageFull.into()) } else { Ok(taken) }
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    assert!(matches!(Sealer::new(&key(), Full(HEADER - 1)), Err(ArchiveError::Write(_))));
    let mut sealer = Sealer::new(&key(), Full(HEADER + 10)).unwrap();
    let error = sealer.write_all(&plain(2 * CHUNK)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert!(sealer.write(b"more").unwrap_err().to_string().contains("broken"));
    assert!(matches!(sealer.finish(), Err(ArchiveError::Broken { .. })));
    let sealer = Sealer::new(&key(), Full(HEADER + 10)).unwrap();
    assert!(matches!(sealer.finish(), Err(ArchiveError::Write(_))));
}

#[test]
fn a_read_that_fails_is_told_and_gives_no_sealed_bytes() {
    struct Failing(Cursor<Vec<u8>>);
    impl Read for Failing {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(out) {
                Ok(0) => Err(ErrorKind::TimedOut.into()),
                other => other,
            }
        }
    }
    let archive = seal(&plain(2 * CHUNK));
    for length in [HEADER + SEALED / 2, HEADER + SEALED, HEADER + 2 * SEALED] {
        let source = Failing(Cursor::new(archive[..length].to_vec()));
        let mut opener = Unopened::read(source).unwrap().open(&key()).unwrap();
        let mut read = Vec::new();
        assert_eq!(opener.read_to_end(&mut read).unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(read, plain(2 * CHUNK)[..read.len()]);
        assert!(opener.read(&mut [0]).unwrap_err().to_string().contains("broken"));
    }
    assert!(matches!(Unopened::read(Failing(Cursor::new(Vec::new()))), Err(ArchiveError::Read(_))));
}

/// Lengths around the borders of chunks.
fn length() -> impl Strategy<Value = usize> {
    (0usize..4, -20isize..=20).prop_map(|(full, more)| (full * CHUNK).saturating_add_signed(more))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_sealed_opens_whatever_the_sizes_of_writes_and_reads(
        length in length(), write in 1usize..200_000, read in 1usize..200_000,
    ) {
        let plain = plain(length);
        let mut sealer = Sealer::new(&key(), Vec::new()).unwrap();
        plain.chunks(write).for_each(|part| sealer.write_all(part).unwrap());
        let archive = sealer.finish().unwrap();
        let last = if length == 0 { 1 } else { length.div_ceil(CHUNK) };
        prop_assert_eq!(archive.len(), HEADER + length + last * TAG);
        let mut opener = Unopened::read(&archive[..]).unwrap().open(&key()).unwrap();
        let (mut opened, mut buffer) = (Vec::new(), vec![0; read]);
        loop {
            match opener.read(&mut buffer).unwrap() {
                0 => break,
                more => opened.extend_from_slice(&buffer[..more]),
            }
        }
        prop_assert_eq!(opener.read(&mut buffer).unwrap(), 0);
        prop_assert!(opened == plain);
    }

    #[test]
    fn one_bit_anywhere_is_noticed_before_its_chunk_is_given(at: prop::sample::Index, bit in 0u8..8) {
        let mut archive = seal(&plain(2 * CHUNK + 100));
        let at = HEADER + at.index(archive.len() - HEADER);
        archive[at] ^= 1 << bit;
        let mut opener = Unopened::read(&archive[..]).unwrap().open(&key()).unwrap();
        let mut opened = Vec::new();
        prop_assert!(opener.read_to_end(&mut opened).is_err());
        prop_assert!(opened == plain((at - HEADER) / SEALED * CHUNK));
    }

    #[test]
    fn any_bytes_are_refused_without_panic(bytes: Vec<u8>, begins in 0usize..=HEADER) {
        prop_assert!(open(&[&seal(b"")[..begins], &bytes].concat()).is_err());
    }
}
