//! Progress of long work: a bar on a terminal, a plain line now and then elsewhere, nothing with `--json`.

use std::future::Future;
use std::io::Write;
use std::pin::pin;
use std::time::{Duration, Instant};

use api::Manager1Proxy;
use futures_util::StreamExt;

use crate::failure::Failure;
use crate::output::{clean, size};
use crate::session::Session;

/// Waits for `work` while showing what tenantd says about `subject`.
pub async fn follow<T>(
    session: &mut Session,
    daemon: &Manager1Proxy<'_>,
    subject: &str,
    work: impl Future<Output = Result<T, api::Error>>,
) -> Result<T, Failure> {
    if session.json {
        return Ok(work.await?);
    }
    let mut signals = daemon.receive_progress().await?;
    let mut work = pin!(work);
    let mut shown = Shown::default();
    let result = loop {
        tokio::select! {
            biased;
            Some(signal) = signals.next() => {
                let Ok(said) = signal.args() else { continue };
                if said.subject == subject {
                    shown.hear(session, said.percent, clean(&said.text))?;
                }
            }
            result = &mut work => break result,
            () = shown.due() => shown.print(session)?,
        }
    };
    shown.clear(session)?;
    Ok(result?)
}

/// How often it is looked how far long work has come.
const LOOK: Duration = Duration::from_millis(500);

/// Waits for `work` while showing on a terminal how many bytes were read or written.
pub async fn watch<T>(
    session: &mut Session,
    subject: &str,
    work: impl Future<Output = Result<T, api::Error>>,
    bytes: impl Fn() -> Option<u64>,
) -> Result<T, Failure> {
    if session.json || !session.terminals.stderr {
        return Ok(work.await?);
    }
    let mut work = pin!(work);
    let mut shown = false;
    let result = loop {
        tokio::select! {
            biased;
            result = &mut work => break result,
            () = tokio::time::sleep(LOOK) => {
                let room = session.width.max(8) - 1;
                let many = bytes().map_or_else(|| "...".to_owned(), size);
                let line: String = format!("{}: {many}", clean(subject)).chars().take(room).collect();
                write!(session.err, "\r{line}\x1b[K")?;
                session.err.flush()?;
                shown = true;
            }
        }
    };
    if shown {
        write!(session.err, "\r\x1b[K")?;
        session.err.flush()?;
    }
    Ok(result?)
}

/// A log gets no more than one line in this time: most steps are over before anybody could read them.
const PACE: Duration = Duration::from_secs(1);

/// What was shown, and what is to be shown.
#[derive(Default)]
struct Shown {
    waiting: Option<(u32, String)>,
    last: Option<Instant>,
}

impl Shown {
    fn hear(&mut self, session: &mut Session, percent: u32, text: String) -> Result<(), Failure> {
        self.waiting = Some((percent.min(100), text));
        let at_once = session.terminals.stderr || self.last.is_none_or(|last| last.elapsed() >= PACE);
        if at_once { self.print(session) } else { Ok(()) }
    }

    /// Comes back when a line waits and its time has come.
    async fn due(&self) {
        match (&self.waiting, self.last) {
            (Some(_), Some(last)) => tokio::time::sleep_until((last + PACE).into()).await,
            _ => std::future::pending().await,
        }
    }

    fn print(&mut self, session: &mut Session) -> Result<(), Failure> {
        let Some((percent, text)) = self.waiting.take() else { return Ok(()) };
        if session.terminals.stderr {
            let room = session.width.max(8) - 1;
            let line: String = format!("{} {text}", bar(percent)).chars().take(room).collect();
            write!(session.err, "\r{line}\x1b[K")?;
        } else {
            writeln!(session.err, "{percent:3} % {text}")?;
        }
        self.last = Some(Instant::now());
        Ok(session.err.flush()?)
    }

    fn clear(&self, session: &mut Session) -> Result<(), Failure> {
        if self.last.is_some() && session.terminals.stderr {
            write!(session.err, "\r\x1b[K")?;
            session.err.flush()?;
        }
        Ok(())
    }
}

/// `[######··············]  30 %`
fn bar(percent: u32) -> String {
    let done = usize::try_from(percent / 5).unwrap_or(0).min(20);
    format!("[{}{}] {percent:3} %", "#".repeat(done), "-".repeat(20 - done))
}
