//! The stream that is written: entries, their hash, the manifest; compressed by a thread beside the one that reads.

use std::io::{BufWriter, Write};

use sha2::{Digest as _, Sha256};
use zstd::stream::raw::CParameter;
use zstd::stream::write::Encoder;

use crate::block::{self, BLOCK};
use crate::entry::Entry;
use crate::error::Error;
use crate::manifest::{self, Digest, FIRST, FORMAT, First, LAST, Manifest, Summary};
use crate::path::Tops;

const LEVEL: i32 = 3;
const BUFFER: usize = 256 * 1024;
/// What the compressing thread takes at a time. It holds up to three of these; by default they would be of 8 MiB.
const JOB: u32 = 2 * 1024 * 1024;

/// Writes entries in order.
pub struct Sink<W: Write> {
    out: BufWriter<Encoder<'static, W>>,
    digest: Digest,
    content: Sha256,
    /// Room for the blocks of an entry.
    blocks: Vec<u8>,
    /// What was written so far, and what was not.
    pub summary: Summary,
}

impl<W: Write> Sink<W> {
    /// A stream that begins with its format and its directories.
    pub fn new(output: W, tops: &Tops) -> Result<Sink<W>, Error> {
        let mut encoder = Encoder::new(output, LEVEL).map_err(Error::Output)?;
        encoder.set_parameter(CParameter::NbWorkers(1)).map_err(Error::Output)?;
        encoder.set_parameter(CParameter::JobSize(JOB)).map_err(Error::Output)?;
        let mut sink = Sink {
            out: BufWriter::with_capacity(BUFFER, encoder),
            digest: Digest::default(),
            content: Sha256::new(),
            blocks: Vec::new(),
            summary: Summary::default(),
        };
        let text = manifest::json(&First { format: FORMAT, directories: tops.clone() });
        let entry = manifest::document_entry(FIRST, text.len());
        sink.put(&block::encode(&entry))?;
        sink.data(text.as_bytes())?;
        sink.end(&entry)?;
        Ok(sink)
    }

    /// Begins an entry. `goes_on` is for the second and further entries of a sparse file.
    pub fn entry(&mut self, entry: &Entry, goes_on: bool) -> Result<(), Error> {
        self.summary.count(entry, goes_on);
        self.blocks.clear();
        block::encode_into(&mut self.blocks, entry);
        self.out.write_all(&self.blocks).map_err(Error::Output)
    }

    /// Adds something to the hash of the content that is not among the data.
    pub fn hash(&mut self, bytes: &[u8]) {
        self.content.update(bytes);
    }

    /// Data of the entry that was begun.
    pub fn data(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.content.update(bytes);
        self.put(bytes)
    }

    /// Ends an entry whose data are all there.
    pub fn end(&mut self, entry: &Entry) -> Result<(), Error> {
        self.pad(entry.stored())?;
        let content = self.content.finalize_reset().into();
        self.digest.add(entry, &content);
        Ok(())
    }

    /// The manifest and the end of the stream.
    pub fn finish(mut self) -> Result<Summary, Error> {
        let sha256 = std::mem::take(&mut self.digest).finish();
        let text = manifest::json(&Manifest { summary: self.summary.clone(), sha256 });
        let entry = manifest::document_entry(LAST, text.len());
        self.put(&block::encode(&entry))?;
        self.put(text.as_bytes())?;
        self.pad(entry.stored())?;
        self.put(&[0; 2 * BLOCK])?;
        let encoder = self.out.into_inner().map_err(|error| Error::Output(error.into_error()))?;
        encoder.finish().and_then(|mut output| output.flush()).map_err(Error::Output)?;
        Ok(self.summary)
    }

    fn pad(&mut self, length: u64) -> Result<(), Error> {
        let block = BLOCK as u64;
        let missing = usize::try_from((block - length % block) % block).unwrap_or_default();
        self.put([0; BLOCK].get(..missing).unwrap_or_default())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.out.write_all(bytes).map_err(Error::Output)
    }
}
