//! The frame of a chunked body (RFC 9112, 7.1), byte by byte.

/// Longest extension of a chunk, and longest trailer section.
const MAX_EXTENSION: u32 = 256;
const MAX_TRAILER: u32 = 4096;
/// Digits of a chunk's size: 64 GiB less one byte.
const MAX_DIGITS: u32 = 9;

/// Where in a chunked body the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// In the size, after so many digits.
    Size { digits: u32, size: u64 },
    /// In an extension, after so many bytes.
    Extension { length: u32, size: u64 },
    /// After the CR of a size line.
    SizeEnd { size: u64 },
    /// In the data, before so many bytes.
    Data { left: u64 },
    /// Before the CR after the data.
    DataEnd,
    /// Before the LF after the data.
    DataEndLf,
    /// In the trailer section: bytes of it so far, bytes of this line.
    Trailer { length: u32, line: u32, cr: bool },
    /// After the last byte.
    Done,
}

impl Chunk {
    /// Before the first byte.
    pub const START: Self = Self::Size { digits: 0, size: 0 };

    /// Goes over bytes up to the end of the body; returns how many there were, or nothing if they are no chunks.
    pub fn follow(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while *self != Self::Done {
            if let Self::Data { left } = self {
                let here = bytes.len().saturating_sub(at);
                let step = usize::try_from(*left).unwrap_or(usize::MAX).min(here);
                at += step;
                *left -= u64::try_from(step).ok()?;
                if *left > 0 {
                    break;
                }
                *self = Self::DataEnd;
            }
            let Some(byte) = bytes.get(at) else { break };
            *self = self.after(*byte)?;
            at += 1;
        }
        Some(at)
    }

    fn after(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Size { digits, size }, byte) if byte.is_ascii_hexdigit() && digits < MAX_DIGITS => {
                let digit = char::from(byte).to_digit(16)?;
                Self::Size { digits: digits + 1, size: size * 16 + u64::from(digit) }
            }
            (Self::Size { digits: 1.., size }, b';') => Self::Extension { length: 0, size },
            (Self::Size { digits: 1.., size } | Self::Extension { size, .. }, b'\r') => {
                Self::SizeEnd { size }
            }
            (Self::Extension { length, size }, b'\t' | b' '..=b'~') if length < MAX_EXTENSION => {
                Self::Extension { length: length + 1, size }
            }
            (Self::SizeEnd { size: 0 }, b'\n') => Self::Trailer { length: 0, line: 0, cr: false },
            (Self::SizeEnd { size }, b'\n') => Self::Data { left: size },
            (Self::DataEnd, b'\r') => Self::DataEndLf,
            (Self::DataEndLf, b'\n') => Self::START,
            (Self::Trailer { line: 0, cr: true, .. }, b'\n') => Self::Done,
            (Self::Trailer { length, cr: true, .. }, b'\n') => Self::Trailer { length, line: 0, cr: false },
            (Self::Trailer { length, line, cr: false }, b'\r') => Self::Trailer { length, line, cr: true },
            (Self::Trailer { length, line, cr: false }, b'\t' | b' '..=b'~' | 0x80..)
                if length < MAX_TRAILER && !(line == 0 && matches!(byte, b' ' | b'\t')) =>
            {
                Self::Trailer { length: length + 1, line: line + 1, cr: false }
            }
            _ => return None,
        })
    }
}
