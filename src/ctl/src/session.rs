//! What a verb works with: streams, the terminal's properties, the places of the host, and the bus.

use std::fmt;
use std::io::{self, IsTerminal, Read, Write};

use api::{Backup1Proxy, Edge1Proxy, Egress1Proxy, Manager1Proxy, Vault1Proxy};
use model::Paths;
use serde::Serialize;

use crate::agent::Agent;
use crate::cli::Cli;
use crate::exec::Streams;
use crate::failure::{Ended, Failure};
use crate::output::{self, Palette};

/// The bus on which tenantd is looked for.
#[derive(Debug)]
pub enum Bus {
    /// The system bus, connected to when first needed.
    System,
    /// A connection that is there already, and who asks for a password when polkit wants one.
    Connected(zbus::Connection, Option<Agent>),
}

/// Which standard streams are terminals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminals {
    /// Standard input.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
}

/// Everything around a verb.
pub struct Session {
    /// Standard output.
    pub out: Box<dyn Write>,
    /// Standard error.
    pub err: Box<dyn Write>,
    /// Standard input.
    pub input: Box<dyn Read>,
    /// The same three for `exec`; without, those of the process.
    pub streams: Option<Streams>,
    /// Which of them are terminals.
    pub terminals: Terminals,
    /// Columns of the terminal; 80 where there is none.
    pub width: usize,
    /// Whether JSON is asked for.
    pub json: bool,
    /// Colours of standard output.
    pub palette: Palette,
    /// Seconds since the epoch.
    pub now: u64,
    /// Places of the host.
    pub paths: Paths,
    /// The bus.
    pub bus: Bus,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("json", &self.json).field("bus", &self.bus).finish_non_exhaustive()
    }
}

impl Session {
    /// The surroundings of the running process.
    pub fn of_process(cli: &Cli) -> Self {
        let terminals = Terminals {
            stdin: io::stdin().is_terminal(),
            stdout: io::stdout().is_terminal(),
            stderr: io::stderr().is_terminal(),
        };
        let no_color = cli.no_color || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let width = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_col));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Session {
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            input: Box::new(io::stdin()),
            streams: None,
            terminals,
            width: if width == 0 { 80 } else { width },
            json: cli.json,
            palette: Palette { on: terminals.stdout && !no_color && !dumb },
            now: now.map_or(0, |passed| passed.as_secs()),
            paths: Paths::host(),
            bus: Bus::System,
        }
    }

    /// tenantd.
    pub async fn daemon(&mut self) -> Result<Manager1Proxy<'static>, Failure> {
        Ok(Manager1Proxy::new(&self.connection().await?).await?)
    }

    /// tenantd's vault.
    pub async fn vault(&mut self) -> Result<Vault1Proxy<'static>, Failure> {
        Ok(Vault1Proxy::new(&self.connection().await?).await?)
    }

    /// tenantd's backups.
    pub async fn backups(&mut self) -> Result<Backup1Proxy<'static>, Failure> {
        Ok(Backup1Proxy::new(&self.connection().await?).await?)
    }

    /// tenantd's edge.
    pub async fn edge(&mut self) -> Result<Edge1Proxy<'static>, Failure> {
        Ok(Edge1Proxy::new(&self.connection().await?).await?)
    }

    /// tenantd's egress.
    pub async fn egress(&mut self) -> Result<Egress1Proxy<'static>, Failure> {
        Ok(Egress1Proxy::new(&self.connection().await?).await?)
    }

    async fn connection(&mut self) -> Result<zbus::Connection, Failure> {
        match &self.bus {
            Bus::Connected(connection, _) => Ok(connection.clone()),
            Bus::System => {
                let connection = zbus::Connection::system().await?;
                self.bus = Bus::Connected(connection.clone(), Agent::start(self.terminals));
                Ok(connection)
            }
        }
    }

    /// Prints a document: as JSON when that is asked for, else as `text` renders it.
    pub fn print<T: Serialize>(
        &mut self,
        document: &T,
        text: impl FnOnce(&Self) -> String,
    ) -> Result<(), Failure> {
        let rendered = if self.json { output::json(document)? } else { text(self) };
        self.out.write_all(rendered.as_bytes())?;
        Ok(self.out.flush()?)
    }

    /// Says something beside the result, on standard error.
    pub fn note(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.err, "{}", output::clean_lines(text))?;
        Ok(self.err.flush()?)
    }

    /// Says how a verb ended, when it failed, and gives the exit status.
    pub fn close(&mut self, ended: Ended) -> u8 {
        match ended {
            Ok(code) => code,
            Err(failure) => {
                // Nobody is left to be told when standard error is gone too.
                drop(self.complain(&failure));
                failure.code()
            }
        }
    }

    /// Prints a failure and goes on.
    pub fn complain(&mut self, failure: &Failure) -> Result<(), Failure> {
        match failure {
            Failure::ReaderGone => Ok(()),
            Failure::Sentence { exit, message } if self.json => {
                let document = serde_json::json!({"error": {"exit": exit.code(), "message": message}});
                writeln!(self.err, "{}", output::escape_controls(&document.to_string()))?;
                Ok(())
            }
            Failure::Wider { message, changes } if self.json => {
                let exit = failure.code();
                let document =
                    serde_json::json!({"error": {"exit": exit, "message": message, "changes": changes}});
                writeln!(self.err, "{}", output::escape_controls(&document.to_string()))?;
                Ok(())
            }
            Failure::Sentence { message, .. } | Failure::Wider { message, .. } => {
                self.note(&format!("tenantctl: {message}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Refusing(io::ErrorKind);

    impl Write for Refusing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn printing_to(out: Refusing) -> u8 {
        let mut session = Session {
            out: Box::new(out),
            err: Box::new(io::sink()),
            input: Box::new(io::empty()),
            streams: None,
            terminals: Terminals::default(),
            width: 80,
            json: true,
            palette: Palette::default(),
            now: 0,
            paths: Paths::host(),
            bus: Bus::System,
        };
        let printed = session.print(&"x", |_| String::new());
        session.close(printed.map(|()| 0))
    }

    #[test]
    fn a_reader_that_is_gone_is_no_failure_but_a_full_disk_is() {
        assert_eq!(printing_to(Refusing(io::ErrorKind::BrokenPipe)), 0);
        assert_eq!(printing_to(Refusing(io::ErrorKind::StorageFull)), 74);
    }
}
