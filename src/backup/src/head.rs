//! Reading and writing what stands before the data. Nothing is believed of its lengths: each has a bound.

use std::io::{Error, ErrorKind, Read, Write};

use thiserror::Error;

use crate::Label;

const MAGIC: [u8; 8] = *b"tnd-bkup";
const FORMAT: u8 = 1;
/// A label holds a spec, which is a page or two.
const MOST_LABEL: usize = 1 << 20;
/// More than a record of the vault has.
const MOST_FILE: usize = 1 << 17;
/// All files of a vault together; they are held in memory.
const MOST_FILES: usize = 16 << 20;
/// Longest name of a file.
const MOST_NAME: usize = 255;

/// A file of a vault: its name and its bytes.
pub type VaultFile = (String, Vec<u8>);

/// All that stands before the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// What it is.
    pub label: Label,
    /// The tenant's vault, as it lies on disk: sealed by keys that a key of the host wraps.
    pub vault: Vec<VaultFile>,
}

/// Why a head is not written or not read.
#[derive(Debug, Error)]
pub enum HeadError {
    /// The stream failed, or ended too early. What opens it says why.
    #[error("{0}")]
    Stream(#[from] Error),
    /// It is none of ours.
    #[error("what was sealed is no backup: {0}: take another copy")]
    Malformed(&'static str),
    /// It is of a later version.
    #[error("the backup has format {0}, and this tenantd reads {FORMAT}: install a newer tenantd")]
    Newer(u8),
    /// More than is ever read back.
    #[error(
        "the vault of this tenant has more than 16 MiB, which no backup takes: remove secrets it no longer needs"
    )]
    TooLarge,
}

impl Head {
    /// Writes it; the data follows.
    pub fn write(&self, out: &mut impl Write) -> Result<(), HeadError> {
        let label = serde_json::to_vec(&self.label).map_err(Error::from)?;
        let all: usize = self.vault.iter().map(|(name, bytes)| name.len() + bytes.len()).sum();
        if label.len() > MOST_LABEL || all > MOST_FILES {
            return Err(HeadError::TooLarge);
        }
        out.write_all(&MAGIC)?;
        out.write_all(&[FORMAT])?;
        write_field(out, &label)?;
        for (name, bytes) in &self.vault {
            if name.is_empty() || name.len() > MOST_NAME || bytes.len() > MOST_FILE {
                return Err(HeadError::TooLarge);
            }
            write_field(out, name.as_bytes())?;
            write_field(out, bytes)?;
        }
        Ok(write_field(out, &[])?)
    }

    /// Reads it, and not a byte more.
    pub fn read(source: &mut impl Read) -> Result<Self, HeadError> {
        let mut begin = [0; 9];
        read_exact(source, &mut begin)?;
        let [magic @ .., format] = begin;
        if magic != MAGIC {
            return Err(HeadError::Malformed("it does not begin as one"));
        }
        if format != FORMAT {
            return Err(HeadError::Newer(format));
        }
        let label = read_field(source, MOST_LABEL)?;
        let label = serde_json::from_slice(&label).map_err(|_| HeadError::Malformed("its label"))?;
        let (mut vault, mut all) = (Vec::new(), 0);
        loop {
            let name = read_field(source, MOST_NAME)?;
            if name.is_empty() {
                return Ok(Self { label, vault });
            }
            let name = String::from_utf8(name).map_err(|_| HeadError::Malformed("the name of a secret"))?;
            let bytes = read_field(source, MOST_FILE)?;
            all += name.len() + bytes.len();
            if all > MOST_FILES {
                return Err(HeadError::Malformed("more than 16 MiB of secrets"));
            }
            vault.push((name, bytes));
        }
    }
}

/// Length in 4 bytes, and bytes.
fn write_field(out: &mut impl Write, bytes: &[u8]) -> Result<(), Error> {
    let length = u32::try_from(bytes.len()).map_err(Error::other)?;
    out.write_all(&length.to_be_bytes())?;
    out.write_all(bytes)
}

fn read_field(source: &mut impl Read, most: usize) -> Result<Vec<u8>, HeadError> {
    let mut length = [0; 4];
    read_exact(source, &mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > most {
        return Err(HeadError::Malformed("a field is longer than it can be"));
    }
    let mut bytes = vec![0; length];
    read_exact(source, &mut bytes)?;
    Ok(bytes)
}

/// An end in the midst of it is no backup; any other error is the stream's.
fn read_exact(source: &mut impl Read, bytes: &mut [u8]) -> Result<(), HeadError> {
    source.read_exact(bytes).map_err(|error| {
        let early = error.kind() == ErrorKind::UnexpectedEof;
        if early { HeadError::Malformed("it ends too early") } else { HeadError::Stream(error) }
    })
}

#[cfg(test)]
mod tests {
    use model::TenantId;
    use proptest::prelude::*;

    use super::*;
    use crate::Quiesced;

    fn label() -> Label {
        Label {
            tenant: TenantId::parse("acme").unwrap(),
            made: 1_790_000_000,
            host: "host-1".to_owned(),
            tenantd: "0.1.0".to_owned(),
            quiesced: Quiesced::Frozen,
            enabled: true,
            spec: "id = \"acme\"\n".to_owned(),
            settings: "none = 1\n".to_owned(),
        }
    }

    fn written(vault: &[VaultFile]) -> Vec<u8> {
        let mut bytes = Vec::new();
        Head { label: label(), vault: vault.to_vec() }.write(&mut bytes).unwrap();
        bytes
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_and_not_a_byte_more(
            vault in prop::collection::vec(("[a-z.0-9]{1,80}", prop::collection::vec(any::<u8>(), 0..300)), 0..6),
            tail in prop::collection::vec(any::<u8>(), 0..50),
        ) {
            let bytes = [written(&vault), tail.clone()].concat();
            let mut source = &bytes[..];
            prop_assert_eq!(Head::read(&mut source).unwrap(), Head { label: label(), vault });
            prop_assert_eq!(source, &tail[..]);
        }

        #[test]
        fn whatever_is_changed_or_missing_never_panics(at in 0usize..400, byte in any::<u8>(), cut in 0usize..400) {
            let mut bytes = written(&[("dek.1".to_owned(), vec![1; 97])]);
            if let Some(place) = bytes.get_mut(at) { *place = byte; }
            bytes.truncate(cut.max(1));
            drop(Head::read(&mut &bytes[..]));
        }
    }

    /// The known answer: a change of the format is deliberate.
    #[test]
    fn the_layout_never_changes() {
        let json = br#"{"tenant":"acme","made":1790000000,"host":"host-1","tenantd":"0.1.0","quiesced":"frozen","enabled":true,"spec":"id = \"acme\"\n","settings":"none = 1\n"}"#;
        let length = u32::try_from(json.len()).unwrap().to_be_bytes();
        let wanted = [
            b"tnd-bkup\x01",
            &length[..],
            &json[..],
            b"\x00\x00\x00\x05dek.1\x00\x00\x00\x02\xab\xcd",
            b"\x00\x00\x00\x00",
        ]
        .concat();
        assert_eq!(written(&[("dek.1".to_owned(), vec![0xab, 0xcd])]), wanted);
    }

    #[test]
    fn what_is_none_of_ours_is_refused_with_a_reason() {
        let good = written(&[]);
        let refused = |bytes: &[u8]| Head::read(&mut &bytes[..]).unwrap_err().to_string();
        assert!(refused(b"").contains("ends too early"));
        assert!(refused(b"something else").contains("does not begin as one"));
        assert!(refused(&[&good[..8], &[2], &good[9..]].concat()).contains("format 2"));
        assert!(refused(&good[..good.len() - 1]).contains("ends too early"));
        assert!(refused(&[&good[..9], &[0xff; 4]].concat()).contains("longer than it can be"));
        let at = good.windows(7).position(|seven| seven == b"enabled").unwrap();
        let unknown = [&good[..at], b"enablee", &good[at + 7..]].concat();
        assert!(refused(&unknown).contains("its label"));
    }

    #[test]
    fn a_vault_that_could_not_be_read_back_is_not_written() {
        let large: Vec<VaultFile> = (0..200).map(|n| (format!("secret.a.{n}"), vec![0; 100_000])).collect();
        let head = Head { label: label(), vault: large };
        assert!(matches!(head.write(&mut Vec::new()), Err(HeadError::TooLarge)));
    }
}
