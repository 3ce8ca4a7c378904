//! From the start to the end of the program.

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;

use confine::{Service, confine_service};
use listenfd::ListenFd;
use model::{Exit, Paths};
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::edge::{Edge, Options, Patience};
use crate::{metrics, serve, tls};

/// Bytes of stack of a thread: nothing here is deep, and buffers of a tunnel are on it.
const STACK: usize = 512 << 10;

/// The sockets that PID 1 listens on.
struct Listeners {
    https: Vec<TcpListener>,
    http: Vec<TcpListener>,
}

/// Runs until SIGTERM.
#[must_use]
pub fn run() -> Exit {
    match prepare() {
        Ok((listeners, confined)) => {
            start_logging();
            tracing::info!("{confined}");
            finish(serve_all(listeners))
        }
        Err((exit, why)) => {
            // Nobody is left to tell if standard error is gone.
            drop(writeln!(std::io::stderr(), "{why}"));
            exit
        }
    }
}

fn finish(done: Result<(), (Exit, String)>) -> Exit {
    match done {
        Ok(()) => Exit::Ok,
        Err((exit, why)) => {
            tracing::error!("{why}");
            exit
        }
    }
}

/// Everything that needs one thread.
fn prepare() -> Result<(Listeners, String), (Exit, String)> {
    let listeners = listeners()?;
    let paths = Paths::host();
    let (program, unit, policy) = ("tenant-edge", "tenantd-edge.socket", "edge");
    let service = Service { program, unit, policy, state: &paths.edge_state() };
    let confined = confine_service(&paths, service);
    Ok((listeners, confined.map_err(|error| (error.exit(), error.to_string()))?))
}

fn listeners() -> Result<Listeners, (Exit, String)> {
    const HOW: &str =
        "tenant-edge is started by tenantd-edge.socket only: systemctl start tenantd-edge.socket";
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut given = ListenFd::from_env();
    let mut found = Listeners { https: Vec::new(), http: Vec::new() };
    for (index, name) in names.split(':').enumerate().take(given.len()) {
        let taken = given
            .take_tcp_listener(index)
            .map_err(|error| (Exit::Os, format!("cannot take the socket {name:?} over: {error}")))?;
        match (name, taken) {
            ("https", Some(listener)) => found.https.push(listener),
            ("http", Some(listener)) => found.http.push(listener),
            _ => return Err((Exit::Usage, format!("there is no use for a socket {name:?}: {HOW}"))),
        }
    }
    if found.https.is_empty() { Err((Exit::Usage, HOW.to_owned())) } else { Ok(found) }
}

/// To the journal, with fields; to standard error where there is no journal.
fn start_logging() {
    let registry = tracing_subscriber::registry().with(tracing_subscriber::filter::LevelFilter::INFO);
    match tracing_journald::layer() {
        Ok(journal) => registry.with(journal).init(),
        Err(_) => registry.with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr)).init(),
    }
}

fn serve_all(listeners: Listeners) -> Result<(), (Exit, String)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build();
    let runtime = runtime.map_err(|error| (Exit::Os, format!("cannot start threads: {error}")))?;
    runtime.block_on(async {
        let paths = Paths::host();
        let metrics_socket = paths.edge_metrics();
        let options = Options { state: paths.edge_state(), paths, patience: Patience::default() };
        let edge = Edge::new(options).map_err(|error| (Exit::Config, error.to_string()))?;
        let tls = tls::config(edge.resolver()).map_err(|error| (Exit::Software, error.to_string()))?;
        if let Err(error) = metrics::serve(Arc::clone(&edge), &metrics_socket) {
            tracing::error!("cannot serve metrics at {}: {error}", metrics_socket.display());
        }
        let (https, http) = (tokio_listeners(listeners.https)?, tokio_listeners(listeners.http)?);
        let mut ended = signal(SignalKind::terminate()).map_err(|error| (Exit::Os, error.to_string()))?;
        let stopping = Arc::clone(&edge);
        tokio::spawn(async move {
            ended.recv().await;
            stopping.stopping.send_replace(true);
        });
        tracing::info!("serving");
        serve::serve(edge, https, http, TlsAcceptor::from(tls)).await;
        // The last lines of the access log.
        tokio::time::sleep(crate::log::GATHER * 3).await;
        Ok(())
    })
}

fn tokio_listeners(listeners: Vec<TcpListener>) -> Result<Vec<tokio::net::TcpListener>, (Exit, String)> {
    let one = |listener: TcpListener| {
        listener.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(listener)
    };
    let all: std::io::Result<_> = listeners.into_iter().map(one).collect();
    all.map_err(|error| (Exit::Os, format!("cannot listen: {error}")))
}
