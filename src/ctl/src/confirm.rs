//! Asking before something is allowed, where there is someone to ask.

use std::io::{BufRead, BufReader, Write};

use model::Exit;

use crate::failure::Failure;
use crate::session::Session;

/// Lets a person say yes; refuses where there is no terminal.
pub(crate) fn confirm(session: &mut Session, what: &str) -> Result<(), Failure> {
    if !(session.terminals.stdin && session.terminals.stderr) {
        let text = format!("{what} Nothing was changed: say --yes to do so");
        return Err(Failure::new(Exit::Usage, text));
    }
    write!(session.err, "{what} Go on? [y/N] ")?;
    session.err.flush()?;
    let mut answer = String::new();
    BufReader::new(&mut session.input).read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::new(Exit::Usage, "nothing was changed")),
    }
}
