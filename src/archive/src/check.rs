//! `tenant-archive check`: reads a whole archive and makes nothing of it.

use std::io::Read;

use crate::entry::Entry;
use crate::error::Error;
use crate::manifest::Summary;
use crate::path::Tops;
use crate::read::{Target, read};

/// Refuses what `unpack` would refuse, but for what only a file system can tell: names that come twice, and hard links to
/// nowhere.
pub fn check(input: impl Read) -> Result<Summary, Error> {
    read(input, &mut Nothing)
}

struct Nothing;

impl Target for Nothing {
    fn begin(&mut self, _: &Tops) -> Result<(), Error> {
        Ok(())
    }

    fn enter(&mut self, _: &Entry, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    fn leave(&mut self, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    fn open(&mut self, _: &Entry, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    fn data(&mut self, _: &Entry, _: u64, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    fn close(&mut self, _: &Entry) -> Result<(), Error> {
        Ok(())
    }

    fn link(&mut self, _: &Entry, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Error> {
        Ok(())
    }
}
