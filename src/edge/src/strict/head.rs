//! One request head, byte by byte (RFC 9112): refused if any part of it could be read in two ways.

use super::{REFUSED, Refusal};

/// Longest request target.
pub const MAX_TARGET: usize = 8 << 10;
/// Most header lines.
pub const MAX_HEADERS: usize = 100;

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The next head.
    Nothing,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Whatever the other protocol says, or the end: a request to upgrade that is not granted ends the connection.
    Upgrade,
}

/// A head that is plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its length, the empty line included.
    pub length: usize,
    /// What follows it.
    pub framing: Framing,
}

/// Looks at the head at the start of `bytes`; nothing if it is not complete yet, and nothing in it is wrong so far.
///
/// # Errors
///
/// The [`Refusal`] it deserves.
pub fn check(bytes: &[u8], limit: usize) -> Result<Option<Head>, Refusal> {
    let mut lines = Lines { bytes, at: 0 };
    let Some(first) = lines.next()? else {
        return too_long(bytes, limit, true);
    };
    let version = request_line(first)?;
    let mut found = Found::default();
    let mut count = 0;
    loop {
        let Some(line) = lines.next()? else { return too_long(bytes, limit, false) };
        if lines.at > limit {
            return Err(LARGE);
        }
        if line.is_empty() {
            let framing = found.framing(version)?;
            return Ok(Some(Head { length: lines.at, framing }));
        }
        count += 1;
        if count > MAX_HEADERS {
            return Err(LARGE);
        }
        found.field(line)?;
    }
}

const LARGE: Refusal = Refusal { status: 431, reason: "the header is too large" };
const LONG: Refusal = Refusal { status: 414, reason: "the request target is too long" };
const BAD_LINE: Refusal = Refusal::bad("the request line is malformed");
const BAD_LENGTH: Refusal = Refusal::bad("Content-Length is malformed or given more than once");
const BAD_HOST: Refusal = Refusal::bad("Host is missing or given more than once");

fn too_long(bytes: &[u8], limit: usize, in_first: bool) -> Result<Option<Head>, Refusal> {
    if in_first && bytes.len() > MAX_TARGET + 64 {
        return Err(LONG);
    }
    if bytes.len() > limit { Err(LARGE) } else { Ok(None) }
}

/// Lines that end in CR LF, and nothing else that could be taken for an end.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<Option<&'a [u8]>, Refusal> {
        const ENDS: Refusal = Refusal::bad("a line does not end in CR LF");
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else { return Ok(None) };
        match (rest.get(end), rest.get(end + 1)) {
            (Some(b'\r'), Some(b'\n')) => {
                self.at += end + 2;
                Ok(rest.get(..end))
            }
            (Some(b'\r'), None) => Ok(None),
            _ => Err(ENDS),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    Ten,
    Eleven,
}

fn request_line(line: &[u8]) -> Result<Version, Refusal> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(BAD_LINE);
    };
    if method.is_empty()
        || method.len() > 32
        || !method.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'-')
    {
        return Err(BAD_LINE);
    }
    if matches!(method, b"CONNECT" | b"TRACE" | b"TRACK") || method == REFUSED.as_bytes() {
        return Err(Refusal::bad("the method is not supported"));
    }
    if target.len() > MAX_TARGET {
        return Err(LONG);
    }
    let plain = target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#' && *byte != b'\\');
    let form = target.starts_with(b"/") || target.starts_with(b"https://") || target.starts_with(b"http://");
    if !plain || !form {
        return Err(Refusal::bad("the request target is malformed"));
    }
    match version {
        b"HTTP/1.1" => Ok(Version::Eleven),
        b"HTTP/1.0" => Ok(Version::Ten),
        _ => Err(Refusal::bad("the HTTP version is not supported")),
    }
}

/// The fields that decide where the request ends.
#[derive(Default)]
struct Found {
    host: bool,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

impl Found {
    fn field(&mut self, line: &[u8]) -> Result<(), Refusal> {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(Refusal::bad("a header line is folded"));
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or_default();
        let (name, value) = line.split_at_checked(colon).unwrap_or_default();
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            return Err(Refusal::bad("a header name is malformed"));
        }
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if !value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..)) {
            return Err(Refusal::bad("a header value has a control character"));
        }
        self.known(name, value)
    }

    fn known(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        if name.eq_ignore_ascii_case(b"host") {
            if self.host || value.is_empty() {
                return Err(BAD_HOST);
            }
            self.host = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            if self.length.is_some() || value.is_empty() || value.len() > 18 {
                return Err(BAD_LENGTH);
            }
            let digits =
                value.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(value).ok()).flatten();
            self.length = Some(digits.and_then(|digits| digits.parse().ok()).ok_or(BAD_LENGTH)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Refusal::bad("Transfer-Encoding is not chunked"));
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.upgrade = true;
        } else if name.eq_ignore_ascii_case(b"expect") && !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Refusal::bad("the expectation is not supported"));
        }
        Ok(())
    }

    fn framing(&self, version: Version) -> Result<Framing, Refusal> {
        if !self.host {
            return Err(BAD_HOST);
        }
        match (self.length, self.chunked) {
            (Some(_), true) => Err(Refusal::bad("both Content-Length and Transfer-Encoding are given")),
            (None, true) if version == Version::Ten => Err(Refusal::bad("Transfer-Encoding needs HTTP/1.1")),
            (Some(1..), _) | (_, true) if self.upgrade => Err(Refusal::bad("an upgrade cannot have a body")),
            (_, false) if self.upgrade => Ok(Framing::Upgrade),
            (None, true) => Ok(Framing::Chunked),
            (None | Some(0), false) => Ok(Framing::Nothing),
            (Some(length), false) => Ok(Framing::Length(length)),
        }
    }
}

/// `tchar` of RFC 9110.
pub fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
