//! How files of the vault begin, and reading their fields one after another, each from exactly its bytes.

use thiserror::Error;

/// The format that is written, and the only one that is read so far.
const FORMAT: u8 = 1;

/// Why bytes are no file of the vault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FormError {
    /// Something else.
    #[error("it is no {0}")]
    Other(&'static str),
    /// Of another version.
    #[error(
        "it is a {what} of format {found}, and this tenantd reads format {FORMAT}: use the tenantd that wrote it, or a newer one"
    )]
    Format {
        /// What it is.
        what: &'static str,
        /// Its format.
        found: u8,
    },
    /// Too short or too long.
    #[error("its length is not that of a {0}: it was cut short or added to")]
    Length(&'static str),
    /// A field that no tenantd writes.
    #[error("its {0} is out of bounds")]
    Field(&'static str),
}

/// One kind of file: the eight bytes it begins with, and what people call it.
pub(crate) struct Form {
    /// First eight bytes.
    pub(crate) magic: &'static [u8; 8],
    /// Its name in a sentence.
    pub(crate) what: &'static str,
}

impl Form {
    /// Bytes of the beginning.
    pub(crate) const BEGIN: usize = 9;

    /// The beginning: magic and format.
    pub(crate) fn begin(&self) -> Vec<u8> {
        [self.magic.as_slice(), &[FORMAT]].concat()
    }

    /// Checks the beginning and gives the fields behind it.
    pub(crate) fn fields<'a>(&self, bytes: &'a [u8]) -> Result<Fields<'a>, FormError> {
        let rest = bytes.strip_prefix(self.magic).ok_or(FormError::Other(self.what))?;
        match rest.split_first() {
            Some((&FORMAT, rest)) => Ok(Fields { what: self.what, rest }),
            Some((&found, _)) => Err(FormError::Format { what: self.what, found }),
            None => Err(FormError::Length(self.what)),
        }
    }
}

/// What is left to read.
pub(crate) struct Fields<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The next N bytes.
    pub(crate) fn take<const N: usize>(&mut self) -> Result<[u8; N], FormError> {
        let (field, rest) = self.rest.split_first_chunk().ok_or(FormError::Length(self.what))?;
        self.rest = rest;
        Ok(*field)
    }

    /// The next number, within bounds.
    pub(crate) fn number32(&mut self, name: &'static str, from: u32, to: u32) -> Result<u32, FormError> {
        let number = u32::from_be_bytes(self.take()?);
        if (from..=to).contains(&number) { Ok(number) } else { Err(FormError::Field(name)) }
    }

    /// The next number, within bounds.
    pub(crate) fn number64(&mut self, name: &'static str, from: u64, to: u64) -> Result<u64, FormError> {
        let number = u64::from_be_bytes(self.take()?);
        if (from..=to).contains(&number) { Ok(number) } else { Err(FormError::Field(name)) }
    }

    /// All that follows, which has between `from` and `to` bytes.
    pub(crate) fn rest(self, from: usize, to: usize) -> Result<&'a [u8], FormError> {
        let fits = (from..=to).contains(&self.rest.len());
        if fits { Ok(self.rest) } else { Err(FormError::Length(self.what)) }
    }
}
