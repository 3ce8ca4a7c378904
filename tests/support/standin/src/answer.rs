//! What goes back to the peer: a whole body, server-sent events one by one, many bytes, or an answer that is torn off.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

const PIECE: usize = 64 * 1024;

/// One answer.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Content-Type.
    pub media: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, &'static str)>,
    /// Body, unless the shape makes its own.
    pub body: String,
    /// How it is sent.
    pub shape: Shape,
}

/// How an answer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// With its length, at once.
    Whole,
    /// Chunked, `count` server-sent events with a pause before each but the first.
    Events {
        /// How many.
        count: u64,
        /// The pause.
        every: Duration,
    },
    /// So many bytes, with their length.
    Bytes {
        /// How many.
        count: u64,
    },
    /// A head that promises more than the connection gives before it ends.
    Torn,
}

impl Answer {
    /// A whole body.
    pub fn new(status: u16, media: &'static str, body: String) -> Self {
        Self { status, media, headers: Vec::new(), body, shape: Shape::Whole }
    }

    /// Whether no other answer can follow.
    pub fn ends_the_connection(&self) -> bool {
        self.shape == Shape::Torn
    }
}

/// Writes an answer, without its body if only the head was asked for.
pub fn write(out: &mut &TcpStream, answer: &Answer, head_only: bool, last: bool) -> std::io::Result<()> {
    let length = match answer.shape {
        Shape::Whole => format!("Content-Length: {}", answer.body.len()),
        Shape::Events { .. } => "Transfer-Encoding: chunked".to_owned(),
        Shape::Bytes { count } => format!("Content-Length: {count}"),
        Shape::Torn => "Content-Length: 100000".to_owned(),
    };
    let head = head(answer, &length, last || answer.ends_the_connection());
    if head_only {
        return out.write_all(head.as_bytes());
    }
    match answer.shape {
        // One write, so that a short answer is one segment.
        Shape::Whole => out.write_all([head.as_str(), &answer.body].concat().as_bytes()),
        Shape::Events { count, every } => {
            out.write_all(head.as_bytes())?;
            events(out, count, every)
        }
        Shape::Bytes { count } => {
            out.write_all(head.as_bytes())?;
            bytes(out, count)
        }
        Shape::Torn => out.write_all([head.as_str(), "{\"the\":\"rest\",\"never\":"].concat().as_bytes()),
    }
}

fn head(answer: &Answer, length: &str, last: bool) -> String {
    let reason = match answer.status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        503 => "Service Unavailable",
        _ => "Answer",
    };
    let connection = if last { "close" } else { "keep-alive" };
    let further: String = answer.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!(
        "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\n{length}\r\nConnection: {connection}\r\n\
         Cache-Control: no-store\r\n{further}\r\n",
        answer.status, answer.media,
    )
}

fn events(out: &mut &TcpStream, count: u64, every: Duration) -> std::io::Result<()> {
    for number in 0..count {
        if number > 0 {
            thread::sleep(every);
        }
        let event = format!("data: {number}\n\n");
        write!(out, "{:x}\r\n{event}\r\n", event.len())?;
    }
    out.write_all(b"0\r\n\r\n")
}

fn bytes(out: &mut &TcpStream, count: u64) -> std::io::Result<()> {
    let piece = [b'x'; PIECE];
    let mut left = count;
    while left > 0 {
        let now = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        out.write_all(piece.get(..now).unwrap_or(&piece))?;
        left = left.saturating_sub(u64::try_from(now).unwrap_or(left));
    }
    Ok(())
}
