//! Numbers for Prometheus, on a Unix socket. Few series; those by tenant are for tenants that have a route and were asked for.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;

use crate::edge::Edge;

/// Upper bounds of the times of requests, milliseconds.
const BOUNDS: [u64; 8] = [5, 10, 50, 100, 500, 1000, 5000, 30_000];

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn up(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How many.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is counted of one tenant.
#[derive(Debug, Default)]
pub struct TenantNumbers {
    /// Requests by the hundreds of their status, from 1xx.
    pub requests: [Counter; 5],
    /// Bytes from its clients.
    pub received: Counter,
    /// Bytes to its clients.
    pub sent: Counter,
    /// WebSockets that were opened.
    pub sockets: Counter,
    /// Connections to the gateway that failed.
    pub unreachable: Counter,
}

/// What is counted of all.
#[derive(Debug, Default)]
pub struct Numbers {
    /// Connections that were accepted.
    pub connections: Counter,
    /// Connections that were turned away: too many.
    pub turned_away: Counter,
    /// TLS handshakes that failed.
    pub handshakes_failed: Counter,
    /// Heads that were refused.
    pub malformed: Counter,
    /// Bad credentials.
    pub unauthorized: Counter,
    /// Requests over a limit.
    pub limited: Counter,
    /// Streams that were ended with their credential.
    pub ended: Counter,
    /// Lines of the access log that were not written, because the journal was slower.
    pub unlogged: Counter,
    times: [Counter; BOUNDS.len() + 1],
    milliseconds: Counter,
}

impl Numbers {
    /// One request took this long.
    pub fn took(&self, time: Duration) {
        let took = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().position(|bound| took <= *bound).unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.times.get(bucket) {
            bucket.up();
        }
        self.milliseconds.add(took);
    }
}

/// The text that Prometheus reads.
#[must_use]
pub fn text(edge: &Edge) -> String {
    let mut out = String::new();
    let numbers = &edge.numbers;
    for (name, help, counter) in [
        ("connections_total", "Connections accepted", &numbers.connections),
        ("connections_turned_away_total", "Connections over a limit", &numbers.turned_away),
        ("handshakes_failed_total", "TLS handshakes that failed", &numbers.handshakes_failed),
        ("requests_malformed_total", "Requests whose head was refused", &numbers.malformed),
        ("requests_unauthorized_total", "Requests with a bad credential", &numbers.unauthorized),
        ("requests_limited_total", "Requests over a limit", &numbers.limited),
        ("streams_ended_total", "Streams ended with their credential", &numbers.ended),
        ("log_lines_dropped_total", "Access log lines not written", &numbers.unlogged),
        ("acme_orders_total", "Certificates ordered by ACME", &edge.acme.orders),
        ("acme_failures_total", "Orders that brought no certificate", &edge.acme.failures),
    ] {
        line(&mut out, name, help, "counter", &[("", counter.get())]);
    }
    let open = [("", edge.limits.connections.total())];
    line(&mut out, "connections_open", "Connections now", "gauge", &open);
    line(&mut out, "streams_open", "WebSockets and streams now", "gauge", &[("", edge.streams.open())]);
    let acme = edge.acme.summary();
    line(&mut out, "acme_certificates", "Certificates by ACME in force", "gauge", &[("", acme.certificates)]);
    let expiry = [("", acme.first_expiry)];
    line(&mut out, "acme_first_expiry_seconds", "When the first of them expires", "gauge", &expiry);
    times(&mut out, numbers);
    tenants(&mut out, edge);
    out
}

fn times(out: &mut String, numbers: &Numbers) {
    let mut sum = 0;
    let mut series = Vec::new();
    for (index, counter) in numbers.times.iter().enumerate() {
        sum += counter.get();
        let bound = BOUNDS
            .get(index)
            .map_or("+Inf".to_owned(), |bound| format!("{}.{:03}", bound / 1000, bound % 1000));
        series.push((format!("_bucket{{le=\"{bound}\"}}"), sum.to_string()));
    }
    let took = numbers.milliseconds.get();
    series.push(("_sum".to_owned(), format!("{}.{:03}", took / 1000, took % 1000)));
    series.push(("_count".to_owned(), sum.to_string()));
    let name = "tenantd_edge_request_seconds";
    out.push_str(&format!("# HELP {name} Time to the end of an answer\n# TYPE {name} histogram\n"));
    for (suffix, value) in series {
        out.push_str(&format!("{name}{suffix} {value}\n"));
    }
}

fn tenants(out: &mut String, edge: &Edge) {
    let tenants = edge.tenants.all();
    let by = |read: fn(&TenantNumbers) -> u64| -> Vec<(String, u64)> {
        tenants
            .iter()
            .map(|tenant| (format!("{{tenant=\"{}\"}}", tenant.id), read(&tenant.numbers)))
            .collect()
    };
    let mut requests = Vec::new();
    for tenant in &tenants {
        for (hundreds, counter) in (1..).zip(&tenant.numbers.requests) {
            requests.push((format!("{{tenant=\"{}\",status=\"{hundreds}xx\"}}", tenant.id), counter.get()));
        }
    }
    line(out, "requests_total", "Requests by tenant and status", "counter", &requests);
    line(out, "received_bytes_total", "Bytes from clients", "counter", &by(|numbers| numbers.received.get()));
    line(out, "sent_bytes_total", "Bytes to clients", "counter", &by(|numbers| numbers.sent.get()));
    line(out, "websockets_total", "WebSockets opened", "counter", &by(|numbers| numbers.sockets.get()));
    line(
        out,
        "gateway_unreachable_total",
        "Failed connections",
        "counter",
        &by(|numbers| numbers.unreachable.get()),
    );
}

fn line<S: AsRef<str>>(out: &mut String, name: &str, help: &str, kind: &str, series: &[(S, u64)]) {
    out.push_str(&format!("# HELP tenantd_edge_{name} {help}\n# TYPE tenantd_edge_{name} {kind}\n"));
    for (labels, value) in series {
        out.push_str(&format!("tenantd_edge_{name}{} {value}\n", labels.as_ref()));
    }
}

/// Serves them at this path, for whoever its mode lets in, for as long as the process lives.
///
/// # Errors
///
/// If the socket cannot be made.
pub fn serve(edge: Arc<Edge>, path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = tokio::net::UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let edge = Arc::clone(&edge);
            // One after the other: who reads them is one program.
            let answer = hyper::service::service_fn(move |_| {
                let body = Full::new(Bytes::from(text(&edge)));
                let answer =
                    http::Response::builder().header("content-type", "text/plain; version=0.0.4").body(body);
                std::future::ready(Ok::<_, Infallible>(answer.unwrap_or_default()))
            });
            let served = hyper::server::conn::http1::Builder::new()
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), answer);
            // A reader that goes away is no fault of ours.
            drop(tokio::time::timeout(Duration::from_secs(5), served).await);
        }
    });
    Ok(())
}
