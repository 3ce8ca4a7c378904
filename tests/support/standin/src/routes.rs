//! What each path answers.

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::answer::{Answer, Shape};
use crate::http::{Request, quote};
use crate::options::Options;
use crate::whoami;

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const PAGE: &str = "<!doctype html><title>stand-in gateway</title><h1>stand-in gateway</h1>\n";
/// A page that tries to have the session of whoever looks at it.
const HOSTILE: &str = "<!doctype html><title>hostile</title><pre id=seen></pre><script>\
document.cookie='__Host-tenantd=forged; Secure; Path=/';\
document.cookie='__Host-tenantd=; Max-Age=0; Secure; Path=/';\
document.getElementById('seen').textContent='cookies: ['+document.cookie+']'</script>\n";
const MAX_BURN_MS: u64 = 60_000;
const MAX_EVENTS: u64 = 100_000;
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// The gateway's behaviour, shared by all connections.
#[derive(Debug)]
pub struct Gateway {
    options: Options,
    started: Instant,
    starts: Option<usize>,
    smuggled: AtomicU64,
}

impl Gateway {
    /// `starts` is the number of starts its state folder has seen, if there is one.
    pub fn new(options: Options, started: Instant, starts: Option<usize>) -> Self {
        Self { options, started, starts, smuggled: AtomicU64::new(0) }
    }

    /// The answer to one request of `peer`.
    pub fn answer(&self, request: &Request, peer: SocketAddr) -> Answer {
        if self.options.html_everywhere {
            return ok(HTML, PAGE.to_owned());
        }
        match request.path() {
            "/" => ok(HTML, PAGE.to_owned()),
            "/healthz" => ok(JSON, r#"{"ok":true,"status":"live"}"#.to_owned()),
            "/startupz" => self.readiness("started", "starting"),
            "/readyz" => self.readiness("ready", "not ready"),
            "/echo" => ok(JSON, echo(request, peer)),
            "/env" => ok(JSON, env_names()),
            "/whoami" => ok(JSON, whoami::json()),
            "/state" => ok(JSON, self.starts.map_or("null".to_owned(), |n| format!(r#"{{"starts":{n}}}"#))),
            "/smuggled" => ok(JSON, format!("{}", self.smuggled.fetch_add(1, Ordering::Relaxed))),
            "/smuggled-count" => ok(JSON, format!("{}", self.smuggled.load(Ordering::Relaxed))),
            "/burn" => ok(JSON, burn(request.query("ms").unwrap_or(1000).min(MAX_BURN_MS))),
            "/events" => shaped("text/event-stream", events(request)),
            "/torn" => shaped(JSON, Shape::Torn),
            "/bytes" => shaped("application/octet-stream", bytes(request)),
            "/cookies" => cookies(),
            "/hostile" => ok(HTML, HOSTILE.to_owned()),
            _ => Answer::new(404, JSON, r#"{"ok":false,"status":"no such path"}"#.to_owned()),
        }
    }

    fn readiness(&self, yes: &str, no: &str) -> Answer {
        let ready = !self.options.never_ready && self.started.elapsed() >= self.options.ready_after;
        let word = quote(if ready { yes } else { no });
        let status = if ready { 200 } else { 503 };
        Answer::new(status, JSON, format!(r#"{{"ok":{ready},"status":{word}}}"#))
    }
}

fn ok(media: &'static str, body: String) -> Answer {
    Answer::new(200, media, body)
}

fn shaped(media: &'static str, shape: Shape) -> Answer {
    Answer { shape, ..ok(media, String::new()) }
}

/// `?count=N&every=MS`: server-sent events, one by one.
fn events(request: &Request) -> Shape {
    let every = Duration::from_millis(request.query("every").unwrap_or(100).min(MAX_BURN_MS));
    Shape::Events { count: request.query("count").unwrap_or(10).min(MAX_EVENTS), every }
}

/// `?count=N`: as many bytes.
fn bytes(request: &Request) -> Shape {
    Shape::Bytes { count: request.query("count").unwrap_or(1024).min(MAX_BYTES) }
}

/// A gateway that sets cookies: one of its own, and what it has no business with.
fn cookies() -> Answer {
    let mut answer = ok(JSON, "{}".to_owned());
    answer.headers.extend([
        ("Set-Cookie", "own=1; Path=/"),
        ("Set-Cookie", "__Host-tenantd=forged; Secure; Path=/"),
        ("Set-Cookie", "__host-TENANTD=forged; Secure; Path=/"),
        ("Set-Cookie", "wide=1; Domain=agents.test; Path=/"),
    ]);
    answer
}

fn echo(request: &Request, peer: SocketAddr) -> String {
    let headers: Vec<String> =
        request.headers.iter().map(|(name, value)| format!("[{},{}]", quote(name), quote(value))).collect();
    format!(
        r#"{{"method":{},"target":{},"peer":{},"headers":[{}],"body":{}}}"#,
        quote(&request.method),
        quote(&request.target),
        quote(&peer.to_string()),
        headers.join(","),
        quote(&String::from_utf8_lossy(&request.body)),
    )
}

/// Names only: an environment may hold secrets, and a test needs to see that it does not.
fn env_names() -> String {
    let mut names: Vec<String> =
        std::env::vars_os().map(|(name, _)| quote(&name.to_string_lossy())).collect();
    names.sort();
    format!("[{}]", names.join(","))
}

fn burn(ms: u64) -> String {
    let until = Instant::now() + Duration::from_millis(ms);
    let mut rounds = 0_u64;
    while Instant::now() < until {
        for _ in 0..1000 {
            rounds = black_box(rounds.wrapping_add(1));
        }
    }
    format!(r#"{{"burnt_ms":{ms},"rounds":{rounds}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(line: &str, target: &str) -> Answer {
        let options = Options::parse(line.split_whitespace().map(str::to_owned), None).unwrap();
        let request = Request { method: "GET".into(), target: target.into(), headers: vec![], body: vec![] };
        Gateway::new(options, Instant::now(), None).answer(&request, "127.0.0.1:9".parse().unwrap())
    }

    #[test]
    fn it_is_healthy_before_it_is_ready() {
        assert_eq!(ask("--port 1 --never-ready", "/healthz").status, 200);
        for path in ["/startupz", "/readyz"] {
            assert_eq!(ask("--port 1", path).status, 200);
            assert_eq!(ask("--port 1 --never-ready", path).status, 503);
            assert_eq!(ask("--port 1 --ready-after 60000", path).status, 503);
        }
    }

    #[test]
    fn html_everywhere_hides_the_health_paths() {
        assert_eq!(ask("--port 1 --html-everywhere --never-ready", "/startupz").media, HTML);
        assert_eq!(ask("--port 1", "/nowhere").status, 404);
    }

    #[test]
    fn the_environment_is_told_by_name_only() {
        let text = ask("--port 1", "/env").body;
        assert!(text.contains("\"PATH\"") && !text.contains("/bin"), "{text}");
    }
}
