//! `exec`: a command in a tenant's cell. Its streams are pipes or a terminal made here, never the caller's own: neither
//! the operator's terminal nor a file, socket or directory that a shell opened gets into a tenant's hands.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use api::Manager1Proxy;
use model::Exit;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::signal::unix::{Signal, SignalKind, signal};
use zbus::zvariant::Fd;

use crate::cli::ExecArgs;
use crate::failure::{Ended, Failure};
use crate::session::{Session, Terminals};
use crate::tty::{Pair, Raw, resize};

/// Where the command's streams come from and go to here.
#[derive(Debug)]
pub struct Streams {
    /// Read for its standard input.
    pub stdin: OwnedFd,
    /// Written with its standard output.
    pub stdout: OwnedFd,
    /// Written with its standard error.
    pub stderr: OwnedFd,
}

impl Streams {
    /// Those of this process.
    fn of_process() -> io::Result<Self> {
        Ok(Self {
            stdin: io::stdin().as_fd().try_clone_to_owned()?,
            stdout: io::stdout().as_fd().try_clone_to_owned()?,
            stderr: io::stderr().as_fd().try_clone_to_owned()?,
        })
    }
}

/// Runs a command and ends as it ended.
pub(crate) async fn exec(session: &mut Session, arguments: ExecArgs) -> Ended {
    let streams = match session.streams.take() {
        Some(streams) => streams,
        None => Streams::of_process().map_err(failed("duplicate the standard streams"))?,
    };
    run(session, &arguments, &streams).await
}

async fn run(session: &mut Session, arguments: &ExecArgs, streams: &Streams) -> Ended {
    let daemon = session.daemon().await?;
    let Terminals { stdin, stdout, stderr } = session.terminals;
    let with_terminal = arguments.tty || (stdin && stdout && !arguments.no_tty);
    let mut relay = Relay::default();
    let (theirs, terminal) = if with_terminal {
        let like = if stdout { &streams.stdout } else { &streams.stdin };
        let pair = Pair::open(like).map_err(failed("make a terminal"))?;
        let theirs = relay.through_terminal(&pair, streams, stderr).map_err(failed("relay a terminal"))?;
        (theirs, Some(pair.ours))
    } else {
        (relay.through_pipes(streams).map_err(failed("make pipes"))?, None)
    };
    let raw = match with_terminal && stdin {
        true => Some(Raw::enter(&streams.stdin).map_err(failed("put the terminal into raw mode"))?),
        false => None,
    };
    let environment = if with_terminal { terminal_environment() } else { HashMap::new() };
    let ended =
        wait(&daemon, arguments, environment, theirs, terminal.as_ref().map(|ours| (ours, streams))).await;
    relay.drain().await;
    drop(raw);
    ended
}

/// The tenant's ends of the three streams.
struct Theirs {
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

/// Waits for the command's end, passing changes of the window's size on.
async fn wait(
    daemon: &Manager1Proxy<'_>,
    arguments: &ExecArgs,
    environment: HashMap<String, String>,
    theirs: Theirs,
    window: Option<(&OwnedFd, &Streams)>,
) -> Ended {
    let words: Vec<&str> = arguments.command.iter().map(String::as_str).collect();
    let environment = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let Theirs { stdin, stdout, stderr } = theirs;
    let call = daemon.exec_tenant(
        arguments.tenant.as_str(),
        &words,
        environment,
        Fd::from(stdin),
        Fd::from(stdout),
        Fd::from(stderr),
    );
    tokio::pin!(call);
    let listen = |kind| signal(kind).map_err(failed("wait for signals"));
    let mut resized = listen(SignalKind::window_change())?;
    let ends = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [mut interrupt, mut terminate, mut hangup] = ends.map(listen);
    loop {
        // Ending the program closes its connection, on which tenantd ends the command.
        tokio::select! {
            status = &mut call => return Ok(u8::try_from(status?).unwrap_or(u8::MAX)),
            Some(()) = resized.recv() => if let Some((ours, streams)) = window { resize(ours, &streams.stdout) },
            _ = received(&mut interrupt) => return Ok(128 + 2),
            _ = received(&mut terminate) => return Ok(128 + 15),
            _ = received(&mut hangup) => return Ok(128 + 1),
        }
    }
}

/// Comes back when the signal came; never, when it cannot be waited for.
async fn received(signal: &mut Result<Signal, Failure>) {
    match signal {
        Ok(signal) => drop(signal.recv().await),
        Err(_) => std::future::pending().await,
    }
}

/// What a program needs to know of the operator's terminal.
fn terminal_environment() -> HashMap<String, String> {
    let names = ["TERM", "COLORTERM"];
    names.into_iter().filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))).collect()
}

/// Threads that copy between the caller's streams and the tenant's. Threads, because files and terminals of a caller
/// may be of any kind; a copy that still waits for input when the command has ended dies with the program.
#[derive(Debug, Default)]
struct Relay {
    copied: Arc<AtomicU64>,
    open: Arc<AtomicUsize>,
}

/// End of input as a terminal's line discipline knows it (^D).
const END_OF_INPUT: &[u8] = &[4];

impl Relay {
    fn through_pipes(&mut self, streams: &Streams) -> io::Result<Theirs> {
        let (stdin, stdin_ours) = pipe_with(PipeFlags::CLOEXEC)?;
        self.copy_in(streams.stdin.try_clone()?, stdin_ours, &[])?;
        let stdout = self.pipe_out(&streams.stdout)?;
        let stderr = self.pipe_out(&streams.stderr)?;
        Ok(Theirs { stdin, stdout, stderr })
    }

    fn through_terminal(&mut self, pair: &Pair, streams: &Streams, stderr: bool) -> io::Result<Theirs> {
        self.copy_in(streams.stdin.try_clone()?, pair.ours.try_clone()?, END_OF_INPUT)?;
        self.copy_out(pair.ours.try_clone()?, streams.stdout.try_clone()?)?;
        let tenants = || pair.tenants.try_clone();
        let stderr = if stderr { tenants()? } else { self.pipe_out(&streams.stderr)? };
        Ok(Theirs { stdin: tenants()?, stdout: tenants()?, stderr })
    }

    fn pipe_out(&mut self, to: &OwnedFd) -> io::Result<OwnedFd> {
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        self.copy_out(ours, to.try_clone()?)?;
        Ok(theirs)
    }

    fn copy_in(&self, from: OwnedFd, to: OwnedFd, at_end: &'static [u8]) -> io::Result<()> {
        let work = move || {
            let mut to = File::from(to);
            // A command that no longer reads, or a terminal that is gone: nobody is left to be told.
            drop(copy(&mut File::from(from), &mut to, |_| {}).and_then(|()| to.write_all(at_end)));
        };
        std::thread::Builder::new().name("input".into()).spawn(work).map(drop)
    }

    fn copy_out(&self, from: OwnedFd, to: OwnedFd) -> io::Result<()> {
        let (copied, open) = (self.copied.clone(), self.open.clone());
        open.fetch_add(1, Ordering::SeqCst);
        let work = move || {
            let count = |bytes| {
                copied.fetch_add(bytes, Ordering::SeqCst);
            };
            // EIO is how a terminal says that its other end is closed; a closed output here ends the copy as well.
            drop(copy(&mut File::from(from), &mut File::from(to), count));
            open.fetch_sub(1, Ordering::SeqCst);
        };
        std::thread::Builder::new().name("output".into()).spawn(work).map(drop)
    }

    /// Waits until all output is copied: to its end, or until nothing has come for half a second.
    async fn drain(&self) {
        let mut quiet = 0;
        let mut seen = self.copied.load(Ordering::SeqCst);
        while self.open.load(Ordering::SeqCst) > 0 && quiet < 50 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let now = self.copied.load(Ordering::SeqCst);
            quiet = if now == seen { quiet + 1 } else { 0 };
            seen = now;
        }
    }
}

fn copy(from: &mut File, to: &mut File, mut count: impl FnMut(u64)) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(buffer.get(..length).unwrap_or_default())?;
        count(u64::try_from(length).unwrap_or(0));
    }
}

fn failed(what: &str) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::new(Exit::Os, format!("cannot {what}: {error}: see \"ulimit -a\" and /dev/pts"))
}
