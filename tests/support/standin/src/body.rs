//! The body of a request: with its length, or in chunks.

use std::io::{BufRead, Read as _};

use crate::http::Request;

const MOST: usize = 1024 * 1024;
const LONGEST_LINE: u64 = 1024;

/// Reads it; the inner error is a body that this server does not take.
pub fn read(reader: &mut impl BufRead, request: &Request) -> std::io::Result<Result<Vec<u8>, &'static str>> {
    if let Some(coding) = request.header("transfer-encoding") {
        return if coding.eq_ignore_ascii_case("chunked") {
            chunked(reader)
        } else {
            Ok(Err("this Transfer-Encoding is not known here"))
        };
    }
    let Some(length) = request.header("content-length") else { return Ok(Ok(Vec::new())) };
    match length.parse::<usize>() {
        Ok(length) if length <= MOST => {
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            Ok(Ok(body))
        }
        _ => Ok(Err("Content-Length is no number or above 1 MiB")),
    }
}

/// Chunks until the one of no length, and the trailer.
fn chunked(reader: &mut impl BufRead) -> std::io::Result<Result<Vec<u8>, &'static str>> {
    let mut body = Vec::new();
    loop {
        let line = line(reader)?;
        let digits = line.split(';').next().unwrap_or_default();
        let Ok(length) = usize::from_str_radix(digits, 16) else {
            return Ok(Err("a chunk's length is no number"));
        };
        if length == 0 {
            break;
        }
        if length > MOST || body.len() > MOST {
            return Ok(Err("a body above 1 MiB"));
        }
        let mut chunk = vec![0; length];
        reader.read_exact(&mut chunk)?;
        body.append(&mut chunk);
        if !self::line(reader)?.is_empty() {
            return Ok(Err("a chunk is longer than it says"));
        }
    }
    while !line(reader)?.is_empty() {}
    Ok(Ok(body))
}

fn line(reader: &mut impl BufRead) -> std::io::Result<String> {
    let mut line = String::new();
    reader.take(LONGEST_LINE).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_chunked(text: &str) -> Result<Vec<u8>, &'static str> {
        let headers = vec![("transfer-encoding".to_owned(), "chunked".to_owned())];
        let request = Request { method: "POST".into(), target: "/".into(), headers, body: Vec::new() };
        read(&mut text.as_bytes(), &request).unwrap()
    }

    #[test]
    fn chunks_are_put_together() {
        assert_eq!(read_chunked("3\r\nabc\r\n2;x=1\r\nde\r\n0\r\n\r\n"), Ok(b"abcde".to_vec()));
    }

    #[test]
    fn a_chunk_of_another_length_is_refused() {
        assert!(read_chunked("3\r\nabcd\r\n0\r\n\r\n").is_err());
        assert!(read_chunked("x\r\n").is_err());
    }
}
