//! The stream inside the compressed stream. It is one zstd frame with a bounded window, and nothing comes after it.

use std::io::{self, BufRead, BufReader, Read};

use zstd::stream::read::Decoder;

use crate::block::BLOCK;
use crate::error::Error;

/// The largest window, as a power of two, that a frame may ask memory for: 8 MiB, four times that of level 3.
const WINDOW_LOG: u32 = 23;
const COMPRESSED: usize = 128 * 1024;
const PLAIN: usize = 256 * 1024;

/// Reads what `pack` compressed.
pub struct Source<R: Read> {
    plain: BufReader<Decoder<'static, BufReader<R>>>,
    /// For errors: the entry that is read.
    pub place: Vec<u8>,
}

impl<R: Read> Source<R> {
    /// Nothing read so far.
    pub fn new(input: R) -> Result<Source<R>, Error> {
        let input = BufReader::with_capacity(COMPRESSED, input);
        let mut decoder = Decoder::with_buffer(input).map_err(Error::Input)?.single_frame();
        decoder.window_log_max(WINDOW_LOG).map_err(Error::Input)?;
        Ok(Source { plain: BufReader::with_capacity(PLAIN, decoder), place: b"its beginning".to_vec() })
    }

    /// This stream is not to be believed.
    pub fn refused(&self, cause: impl Into<String>) -> Error {
        Error::refused(&self.place, cause)
    }

    /// The next block.
    pub fn block(&mut self) -> Result<[u8; BLOCK], Error> {
        let mut block = [0; BLOCK];
        self.plain.read_exact(&mut block).map_err(|error| self.failed(error))?;
        Ok(block)
    }

    /// The next bytes, all of them, with a bound that the caller has checked.
    pub fn bytes(&mut self, length: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; length];
        self.plain.read_exact(&mut bytes).map_err(|error| self.failed(error))?;
        Ok(bytes)
    }

    /// Hands the next `length` bytes to `take`, in pieces.
    pub fn pieces(
        &mut self,
        mut length: u64,
        mut take: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        while length > 0 {
            let buffered = match self.plain.fill_buf() {
                Ok(buffered) => buffered,
                Err(error) => return Err(self.failed(error)),
            };
            let most = usize::try_from(length).unwrap_or(usize::MAX).min(buffered.len());
            let piece = buffered.get(..most).unwrap_or_default();
            if piece.is_empty() {
                return Err(self.failed(io::ErrorKind::UnexpectedEof.into()));
            }
            take(piece)?;
            self.plain.consume(most);
            length = length.saturating_sub(u64::try_from(most).unwrap_or(u64::MAX));
        }
        Ok(())
    }

    /// The zeros that fill the last block of `length` bytes.
    pub fn padding(&mut self, length: u64) -> Result<(), Error> {
        let block = BLOCK as u64;
        let missing = usize::try_from((block - length % block) % block).unwrap_or_default();
        if self.bytes(missing)?.iter().any(|byte| *byte != 0) {
            return Err(self.refused("the bytes after its data are not zero"));
        }
        Ok(())
    }

    /// Sees that nothing is left: of the tar, of the frame, and of the input.
    pub fn end(mut self) -> Result<(), Error> {
        self.place = b"its end".to_vec();
        for _ in 0..2 {
            if self.block()?.iter().any(|byte| *byte != 0) {
                return Err(self.refused("something comes after the manifest"));
            }
        }
        match self.plain.fill_buf() {
            Ok([]) => {}
            Ok(_) => return Err(self.refused("something comes after the end")),
            Err(error) => return Err(self.failed(error)),
        }
        let mut input = self.plain.into_inner().finish();
        match input.fill_buf() {
            Ok([]) => Ok(()),
            Ok(_) => Err(Error::refused(&self.place, "something comes after the compressed data")),
            Err(error) => Err(Error::Input(error)),
        }
    }

    /// Of the operating system's errors and zstd's, only the former have a number.
    fn failed(&self, error: io::Error) -> Error {
        if error.raw_os_error().is_some() {
            Error::Input(error)
        } else if error.kind() == io::ErrorKind::UnexpectedEof {
            self.refused("the stream ends early")
        } else {
            self.refused(format!("it cannot be decompressed: {error}"))
        }
    }
}
