//! Asking again and again, quickly at first.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use model::Readiness;

use crate::answer::{MAX_BYTES, Verdict, judge};
use crate::error::Error;
use crate::main_process::MainProcess;
use crate::question;

/// The first wait between two tries; each further one is a quarter longer, up to the last.
const FIRST_WAIT: Duration = Duration::from_millis(1);
const LAST_WAIT: Duration = Duration::from_millis(50);
/// How long one try may take; a gateway that is busy starting may be slow to answer.
const TRY: Duration = Duration::from_secs(5);
/// How long "now" lasts.
const NOW_SEC: u32 = 2;
/// How long a try waits before it looks whether the gateway still runs.
const SLICE: Duration = Duration::from_millis(100);

/// Returns when the gateway is ready.
pub fn until_ready() -> Result<(), Error> {
    let main_process = MainProcess::open(std::env::var("MAINPID").ok().as_deref())?;
    ask(question::read()?, &main_process)
}

/// Whether the gateway is ready now: asked for two seconds at the most, without a main process to watch.
pub fn once() -> Result<(), Error> {
    let own = std::process::id().to_string();
    let mut readiness = question::read()?;
    readiness.timeout_sec = readiness.timeout_sec.min(NOW_SEC);
    ask(readiness, &MainProcess::open(Some(&own))?)
}

fn ask(readiness: Readiness, main_process: &MainProcess) -> Result<(), Error> {
    let deadline = Instant::now() + Duration::from_secs(readiness.timeout_sec.into());
    let mut wait = FIRST_WAIT;
    loop {
        let last = match attempt(&readiness, main_process, deadline)? {
            None => return Ok(()),
            Some(last) => last,
        };
        let question = question::shown(&readiness);
        if main_process.ended_within(wait)? {
            return Err(Error::Ended { tenant: readiness.tenant, question, last });
        }
        if Instant::now() >= deadline {
            let seconds = readiness.timeout_sec;
            return Err(Error::TimedOut { tenant: readiness.tenant, question, seconds, last });
        }
        wait = LAST_WAIT.min(wait.saturating_mul(5) / 4);
    }
}

/// One try: `None` if the gateway is ready, else what came instead.
fn attempt(
    readiness: &Readiness,
    main_process: &MainProcess,
    deadline: Instant,
) -> Result<Option<String>, Error> {
    let end = deadline.min(Instant::now() + TRY);
    let connected = TcpStream::connect_timeout(&question::target(readiness), SLICE)
        .and_then(|stream| stream.set_read_timeout(Some(SLICE)).map(|()| stream))
        .and_then(|stream| stream.set_write_timeout(Some(SLICE)).map(|()| stream))
        .and_then(|mut stream| stream.write_all(question::request(readiness).as_bytes()).map(|()| stream));
    let mut stream = match connected {
        Ok(stream) => stream,
        Err(error) => return Ok(Some(error.to_string())),
    };
    let mut received = Vec::new();
    loop {
        let (ended, broken) = read_some(&mut stream, &mut received);
        match judge(&received, &readiness.body_contains, ended) {
            Verdict::Ready => return Ok(None),
            Verdict::NotReady(why) => return Ok(Some(broken.unwrap_or(why))),
            Verdict::More => (),
        }
        if Instant::now() >= end || main_process.ended_within(Duration::ZERO)? {
            return Ok(Some("no complete answer".to_owned()));
        }
    }
}

/// Reads what there is; whether the connection has ended, and with which error if it broke.
fn read_some(stream: &mut TcpStream, received: &mut Vec<u8>) -> (bool, Option<String>) {
    let mut piece = [0; 4096];
    let room = MAX_BYTES.saturating_sub(received.len()).min(piece.len());
    let Some(space) = piece.get_mut(..room) else { return (true, None) };
    match stream.read(space) {
        Ok(0) => (true, None),
        Ok(count) => {
            received.extend_from_slice(space.get(..count).unwrap_or_default());
            (false, None)
        }
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
            ) =>
        {
            (false, None)
        }
        Err(error) => (true, Some(error.to_string())),
    }
}
