//! The access log: one line for each request, with fields, in the journal. Never a token, a body or a query.
//!
//! A thread of its own writes it. When the journal is slower than the requests, lines are dropped and counted.

use std::mem::take;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use http::Method;

use crate::auth::Identity;
use crate::edge::Edge;
use crate::tenants::Tenant;

/// Lines that wait, at most.
const WAITING: usize = 4096;
/// How long lines are gathered.
pub const GATHER: Duration = Duration::from_millis(20);
/// Bytes of a path in the log, at most.
const PATH: usize = 256;

/// Where lines go.
#[derive(Debug)]
pub struct Log {
    lines: SyncSender<Line>,
}

/// What is known of a request, filled as it becomes known; written when dropped.
#[derive(Debug)]
pub struct Record {
    edge: Arc<Edge>,
    started: Instant,
    line: Line,
    tenant: Option<Arc<Tenant>>,
}

/// One line.
#[derive(Clone, Debug)]
struct Line {
    id: String,
    client: IpAddr,
    method: Method,
    path: String,
    host: Option<String>,
    who: Option<Arc<Identity>>,
    status: u16,
    why: Option<&'static str>,
    took: Duration,
    received: u64,
    sent: u64,
    websocket: bool,
}

impl Log {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// If there is none to have.
    pub fn start() -> std::io::Result<Self> {
        let (lines, waiting) = sync_channel(WAITING);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || write(&waiting))?;
        Ok(Self { lines })
    }
}

fn write(lines: &Receiver<Line>) {
    while let Ok(first) = lines.recv() {
        write_one(&first);
        // A thread that sleeps is not woken for each line: requests go on without a system call for the log.
        std::thread::sleep(GATHER);
        lines.try_iter().for_each(|line| write_one(&line));
    }
}

fn write_one(line: &Line) {
    let (tenant, subject, role, source) = line.who.as_ref().map_or(("", "", "nobody", ""), |who| {
        (who.tenant.as_str(), who.subject.as_str(), who.role.name(), who.source.name())
    });
    tracing::info!(
        target: "access",
        request = line.id,
        client = %line.client,
        host = line.host.as_deref().unwrap_or_default(),
        tenant,
        subject,
        role,
        credential = source,
        status = line.status,
        why = line.why.unwrap_or_default(),
        ms = u64::try_from(line.took.as_millis()).unwrap_or(u64::MAX),
        received = line.received,
        sent = line.sent,
        websocket = line.websocket,
        "{} {} {} {} ({role}) {} {} in {} ms",
        line.client,
        line.host.as_deref().unwrap_or("-").escape_debug(),
        line.status,
        Some(subject).filter(|subject| !subject.is_empty()).unwrap_or("-").escape_debug(),
        line.method,
        line.path.escape_debug(),
        line.took.as_millis(),
    );
}

impl Record {
    /// Of a request that has just come.
    #[must_use]
    pub fn begin(edge: &Arc<Edge>, id: String, client: IpAddr, method: Method, path: &str) -> Self {
        let path = path.chars().take(PATH).collect();
        let (who, why) = (None, None);
        let (took, received, sent, websocket) = (Duration::ZERO, 0, 0, false);
        let line = Line {
            id,
            client,
            method,
            path,
            host: None,
            who,
            status: 0,
            why,
            took,
            received,
            sent,
            websocket,
        };
        Self { edge: Arc::clone(edge), started: Instant::now(), line, tenant: None }
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.line.id
    }

    /// When it came.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The host it is for.
    pub fn host(&mut self, host: &str) {
        self.line.host = Some(host.to_owned());
    }

    /// Who sent it.
    pub fn who(&mut self, who: &Arc<Identity>) {
        self.line.who = Some(Arc::clone(who));
    }

    /// To whom.
    pub fn tenant(&mut self, tenant: &Arc<Tenant>) {
        self.tenant = Some(Arc::clone(tenant));
    }

    /// What it was answered with, and why if that is a refusal.
    pub fn status(&mut self, status: u16, why: Option<&'static str>) {
        self.line.status = status;
        self.line.why = why.or(self.line.why);
    }

    /// Bytes of bodies, or of the tunnel.
    pub fn bytes(&mut self, received: u64, sent: u64) {
        self.line.received += received;
        self.line.sent += sent;
    }

    /// What it was answered with so far.
    #[must_use]
    pub fn last_status(&self) -> u16 {
        self.line.status
    }

    /// It became a WebSocket.
    pub fn websocket(&mut self) {
        self.line.websocket = true;
        if let Some(tenant) = &self.tenant {
            tenant.numbers.sockets.up();
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.line.took = self.started.elapsed();
        let numbers = &self.edge.numbers;
        if !self.line.websocket {
            numbers.took(self.line.took);
        }
        if let Some(tenant) = &self.tenant {
            let hundreds = usize::from(self.line.status / 100).saturating_sub(1);
            if let Some(counter) = tenant.numbers.requests.get(hundreds) {
                counter.up();
            }
            tenant.numbers.received.add(self.line.received);
            tenant.numbers.sent.add(self.line.sent);
        }
        let line = Line {
            id: take(&mut self.line.id),
            method: take(&mut self.line.method),
            path: take(&mut self.line.path),
            host: self.line.host.take(),
            who: self.line.who.take(),
            ..self.line
        };
        match self.edge.log.lines.try_send(line) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => numbers.unlogged.up(),
        }
    }
}
