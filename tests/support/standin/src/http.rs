//! HTTP/1.1 as far as tests need it: keep-alive, bodies with a length or in chunks, an upgrade to WebSocket.
//! Anything else is answered 400 and the connection ends; no request can make the program stop.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::answer::{self, Answer};
use crate::body;
use crate::websocket;

const MAX_HEAD: u64 = 64 * 1024;
const IDLE: Duration = Duration::from_secs(300);

/// One request as it was read.
#[derive(Debug)]
pub struct Request {
    /// GET, POST, …
    pub method: String,
    /// Path with its query.
    pub target: String,
    /// Header names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    /// Body, empty without Content-Length.
    pub body: Vec<u8>,
}

impl Request {
    /// First value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A number in the query, `?name=5`.
    pub fn query(&self, name: &str) -> Option<u64> {
        let (_, query) = self.target.split_once('?')?;
        let pair = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
        pair.and_then(|(_, value)| value.parse().ok())
    }
}

/// Reads requests from one connection and answers them until the peer closes it.
pub fn serve(stream: TcpStream, answer: impl Fn(&Request) -> Answer) {
    // A connection that breaks is the peer's affair; nobody waits for the result of this thread.
    converse(&stream, answer).unwrap_or_default();
}

fn converse(stream: &TcpStream, answer: impl Fn(&Request) -> Answer) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE))?;
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let request = match read_request(&mut reader)? {
            Some(Ok(request)) => request,
            Some(Err(why)) => {
                let refusal = Answer::new(400, "text/plain", format!("{why}\n"));
                return answer::write(&mut writer, &refusal, false, true);
            }
            None => return Ok(()),
        };
        if request.header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")) {
            let Some(key) = request.header("sec-websocket-key") else { return Ok(()) };
            let protocol =
                request.header("sec-websocket-protocol").and_then(|offered| offered.split(',').next());
            write!(writer, "{}", websocket::handshake(key, protocol.map(str::trim)))?;
            // What came with the upgrade is the first message, so that a test sees what the gateway sees.
            if request.path() == "/echo" {
                websocket::say(&mut writer, &answer(&request).body)?;
            }
            return websocket::echo(&mut reader, &mut writer);
        }
        let last = request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let head_only = request.method == "HEAD";
        let answer = answer(&request);
        answer::write(&mut writer, &answer, head_only, last)?;
        if last || answer.ends_the_connection() {
            return Ok(());
        }
    }
}

/// `None` at the end of the connection, `Err` for what is not a request this server takes.
fn read_request(
    reader: &mut BufReader<&TcpStream>,
) -> std::io::Result<Option<Result<Request, &'static str>>> {
    let mut head = String::new();
    let mut limited = reader.by_ref().take(MAX_HEAD);
    loop {
        let before = head.len();
        if limited.read_line(&mut head)? == 0 {
            return Ok((!head.is_empty()).then_some(Err("the request's head ended early or is too long")));
        }
        if matches!(head.get(before..), Some("\r\n" | "\n")) {
            break;
        }
    }
    let mut request = match parse_head(&head) {
        Ok(request) => request,
        Err(why) => return Ok(Some(Err(why))),
    };
    match body::read(reader, &request)? {
        Ok(body) => request.body = body,
        Err(why) => return Ok(Some(Err(why))),
    }
    Ok(Some(Ok(request)))
}

fn parse_head(head: &str) -> Result<Request, &'static str> {
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("the request line has not three words");
    };
    if !version.starts_with("HTTP/1.") {
        return Err("only HTTP/1 is spoken here");
    }
    let mut headers = Vec::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or("a header line without a colon")?;
        headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok(Request { method: method.to_owned(), target: target.to_owned(), headers, body: Vec::new() })
}

/// A JSON string with its quotes.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_taken_apart() {
        let request = parse_head("GET /burn?x=1&ms=20 HTTP/1.1\r\nHost: a\r\nX-A:  b \r\n\r\n").unwrap();
        assert_eq!((request.method.as_str(), request.path()), ("GET", "/burn"));
        assert_eq!(request.query("ms"), Some(20));
        assert_eq!(request.header("x-a"), Some("b"));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for head in
            ["", "GET /\r\n", "GET / HTTP/2\r\n", "GET / HTTP/1.1 x\r\n", "GET / HTTP/1.1\r\nno colon\r\n"]
        {
            assert!(parse_head(head).is_err(), "{head:?}");
        }
    }

    #[test]
    fn strings_are_quoted_for_json() {
        assert_eq!(quote("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\"");
    }
}
