//! A small HTTP and WebSocket gateway for tests: it opens its port within a millisecond or two of its start,
//! tells who it is (`/whoami`), and misbehaves on request (late, never ready, deaf to SIGTERM, crashing).
//!
//! It depends on nothing of tenantd, so that what a test sees is the cell and not our own code.
#![forbid(unsafe_code)]

mod answer;
mod body;
mod http;
mod options;
mod routes;
mod state;
mod websocket;
mod whoami;

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};

use options::Options;
use routes::Gateway;

fn main() -> ExitCode {
    let started = Instant::now();
    let options = match Options::parse(std::env::args().skip(1), std::env::var("PORT").ok()) {
        Ok(options) => options,
        Err(message) => return fail(64, &message),
    };
    if let Some(code) = options.exit {
        return fail(code, "exiting at once, as --exit asked");
    }
    match run(options, started) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(1, &message),
    }
}

/// Serves until SIGTERM or SIGINT. Both are blocked before any thread exists and then waited for, which ends the
/// program promptly as process 1 of a pid namespace too, where the default disposition would be ignored.
fn run(options: Options, started: Instant) -> Result<(), String> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block().map_err(|e| format!("cannot block SIGTERM: {e}"))?;

    let listeners = bind_all(&options)?;
    let starts = options.state.as_deref().map(state::record_start).transpose()?;
    if let Some(after) = options.crash_after {
        thread::spawn(move || {
            thread::sleep(after);
            std::process::abort();
        });
    }
    let deaf = options.ignore_term;
    let gateway = Arc::new(Gateway::new(options, started, starts));
    for listener in listeners {
        let gateway = Arc::clone(&gateway);
        thread::spawn(move || accept_forever(&listener, &gateway));
    }
    loop {
        let signal = signals.wait().map_err(|e| format!("cannot wait for SIGTERM: {e}"))?;
        if !deaf {
            say(&format!("ending on {signal}"));
            return Ok(());
        }
        say(&format!("{signal} ignored, as --ignore-term asked"));
    }
}

fn bind_all(options: &Options) -> Result<Vec<TcpListener>, String> {
    let mut listeners = Vec::new();
    for address in &options.bind {
        let wanted = SocketAddr::new(*address, options.port);
        let listener = TcpListener::bind(wanted).map_err(|e| format!("cannot listen on {wanted}: {e}"))?;
        let bound = listener.local_addr().map_err(|e| format!("cannot read the address of {wanted}: {e}"))?;
        say(&format!("listening on {bound}"));
        listeners.push(listener);
    }
    Ok(listeners)
}

fn accept_forever(listener: &TcpListener, gateway: &Arc<Gateway>) {
    loop {
        match listener.accept() {
            Ok((stream, peer)) => {
                let gateway = Arc::clone(gateway);
                let served = thread::Builder::new()
                    .spawn(move || http::serve(stream, |request| gateway.answer(request, peer)));
                if let Err(e) = served {
                    say(&format!("no thread for {peer}: {e}"));
                }
            }
            // Out of file descriptors is the usual cause: wait for some to be closed instead of spinning.
            Err(e) => {
                say(&format!("cannot accept: {e}"));
                thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

fn fail(code: u8, message: &str) -> ExitCode {
    say(message);
    ExitCode::from(code)
}

/// One line on standard error; a closed standard error is no reason to stop serving.
fn say(message: &str) {
    writeln!(std::io::stderr(), "standin-gateway: {message}").unwrap_or_default();
}
