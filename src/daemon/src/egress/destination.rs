//! A destination in the form in which questions are compared: whoever asks for the same thing twice asks one question.
//!
//! Two are the same if host, port, program, and kind, method and path of the request are. The query is left out: a program could make
//! any number of questions of it, and an approval is for the path with any query.

use model::egress::{AskedExchange, AskedKind, Destination};
use policy::{Exchange, Host, Kind, Request, Target};

/// Longest text of a destination.
const MOST: usize = 2048;

/// The destination, normalised; its address is kept, as it does not tell questions apart.
pub(crate) fn normal(asked: &Destination) -> Result<Destination, &'static str> {
    let host = Host::parse(&asked.host)?.to_string();
    if asked.port == 0 {
        return Err("port 0 is no port");
    }
    if let Some(binary) = &asked.binary {
        if !binary.starts_with('/') || binary.len() > MOST || binary.chars().any(hidden) {
            return Err("a program is an absolute path of at most 2048 bytes that can be shown");
        }
    }
    let exchange = asked.exchange.as_ref().map(|exchange| {
        let method = exchange.method.to_ascii_uppercase();
        if !(1..=32).contains(&method.len())
            || !method.bytes().all(|b| b.is_ascii_uppercase() || b"-_".contains(&b))
        {
            return Err("a method is a word");
        }
        if exchange.target.len() > MOST {
            return Err("path and query have at most 2048 bytes");
        }
        let target = Target::parse(&exchange.target)?.path().to_owned();
        if target.chars().any(hidden) {
            return Err("a path holds nothing that cannot be shown");
        }
        Ok(AskedExchange { kind: exchange.kind, method, target })
    });
    Ok(Destination {
        host,
        port: asked.port,
        address: asked.address,
        binary: asked.binary.clone(),
        exchange: exchange.transpose()?,
    })
}

/// What tells questions apart.
pub(crate) fn key(normal: &Destination) -> Destination {
    Destination { address: None, ..normal.clone() }
}

/// One line for people.
pub(crate) fn line(destination: &Destination) -> String {
    let Destination { host, port, binary, exchange, .. } = destination;
    let place = match exchange {
        Some(AskedExchange { method, target, .. }) => format!("{method} {host}:{port}{target}"),
        None => format!("{host}:{port}"),
    };
    match binary {
        Some(binary) => format!("{place} by {binary}"),
        None => format!("{place} by a program that is not known"),
    }
}

/// Whether a character would not be seen, or would move others.
fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A destination taken apart, so that the policy can be asked about it.
#[derive(Debug)]
pub(crate) struct Parsed {
    host: Host,
    target: Option<Target>,
}

impl Parsed {
    /// Of a destination that [`normal`] made.
    pub(crate) fn of(normal: &Destination) -> Result<Self, &'static str> {
        let host = Host::parse(&normal.host)?;
        // Decoded once: a percent sign that is left was one before, and is read as one again.
        let target = normal.exchange.as_ref().map(|exchange| Target::parse(&raw(&exchange.target)));
        Ok(Self { host, target: target.transpose()? })
    }

    /// Asks about it.
    pub(crate) fn with<T>(&self, normal: &Destination, now: u64, ask: impl FnOnce(&Request<'_>) -> T) -> T {
        let binaries: Vec<&str> = normal.binary.as_deref().into_iter().collect();
        let exchange = match (&normal.exchange, &self.target) {
            (Some(asked), Some(target)) => Some(Exchange::new(kind(asked.kind), &asked.method, target)),
            _ => None,
        };
        let (host, port, address) = (&self.host, normal.port, normal.address);
        ask(&Request { host, port, address, binaries: &binaries, exchange, now })
    }
}

/// A decoded path as it may stand in a request.
fn raw(path: &str) -> String {
    let mut raw = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(c) = rest.chars().next() {
        match c {
            '%' if rest.starts_with("%2F") => raw.push('%'),
            '/' => raw.push('/'),
            c if c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@".contains(c) => raw.push(c),
            c => {
                let mut bytes = [0; 4];
                c.encode_utf8(&mut bytes).bytes().for_each(|byte| raw.push_str(&format!("%{byte:02X}")));
            }
        }
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    raw
}

pub(crate) fn kind(asked: AskedKind) -> Kind {
    match asked {
        AskedKind::Request => Kind::Request,
        AskedKind::Upgrade => Kind::Upgrade,
        AskedKind::Message => Kind::Message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(target: &str) -> Destination {
        let exchange =
            AskedExchange { kind: AskedKind::Request, method: "get".into(), target: target.into() };
        Destination {
            host: "API.example.org.".into(),
            port: 443,
            address: None,
            binary: Some("/usr/bin/curl".into()),
            exchange: Some(exchange),
        }
    }

    #[test]
    fn one_thing_has_one_form_however_it_is_asked_for() {
        let one = normal(&asked("/a/b?x=1")).unwrap();
        assert_eq!(
            (one.host.as_str(), one.exchange.as_ref().unwrap().target.as_str()),
            ("api.example.org", "/a/b")
        );
        assert_eq!(one.exchange.as_ref().unwrap().method, "GET");
        assert_eq!(key(&one), key(&normal(&asked("/%61/%62?x=1")).unwrap()));
        assert_ne!(key(&one), key(&normal(&asked("/a/B")).unwrap()));
    }

    #[test]
    fn what_could_mislead_a_reader_is_no_question() {
        for change in [
            |d: &mut Destination| d.host = "a\u{202e}b".into(),
            |d: &mut Destination| d.host = String::new(),
            |d: &mut Destination| d.port = 0,
            |d: &mut Destination| d.binary = Some("curl".into()),
            |d: &mut Destination| d.binary = Some("/x\n/y".into()),
            |d: &mut Destination| d.exchange.as_mut().unwrap().method = "GET /x".into(),
            |d: &mut Destination| d.exchange.as_mut().unwrap().target = "/a%0Ab".into(),
            |d: &mut Destination| d.exchange.as_mut().unwrap().target = "/..".into(),
            |d: &mut Destination| d.exchange.as_mut().unwrap().target = format!("/{}", "x".repeat(MOST)),
        ] {
            let mut one = asked("/a");
            change(&mut one);
            assert!(normal(&one).is_err(), "{one:?}");
        }
    }

    #[test]
    fn a_path_that_was_decoded_is_asked_about_as_it_was() {
        for path in ["/a b", "/a%2Fb", "/\u{e9}", "/a*", "/a{b}", "/a?b"] {
            assert_eq!(Target::parse(&raw(path)).unwrap().path(), path);
        }
    }
}
