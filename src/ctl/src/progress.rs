//! Progress of long work: a bar on a terminal, plain lines elsewhere, nothing with `--json`.

use std::future::Future;
use std::io::Write;
use std::pin::pin;

use api::Manager1Proxy;
use futures_util::StreamExt;

use crate::failure::Failure;
use crate::output::clean;
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
                    shown.show(session, said.percent, &clean(&said.text))?;
                }
            }
            result = &mut work => break result,
        }
    };
    shown.clear(session)?;
    Ok(result?)
}

/// What was shown last.
#[derive(Default)]
struct Shown {
    text: String,
    percent: u32,
    any: bool,
}

impl Shown {
    fn show(&mut self, session: &mut Session, percent: u32, text: &str) -> Result<(), Failure> {
        let percent = percent.min(100);
        if session.terminals.stderr {
            let line: String =
                format!("{} {text}", bar(percent)).chars().take(session.width.max(8) - 1).collect();
            write!(session.err, "\r{line}\x1b[K")?;
        } else if text != self.text || percent >= self.percent + 10 {
            // Not every per cent of a download deserves a line in a log.
            writeln!(session.err, "{percent:3} % {text}")?;
            self.percent = percent;
        }
        self.text = text.to_owned();
        self.any = true;
        Ok(session.err.flush()?)
    }

    fn clear(&self, session: &mut Session) -> Result<(), Failure> {
        if self.any && session.terminals.stderr {
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
