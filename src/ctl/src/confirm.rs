//! Asking before something is allowed.

use std::io::{BufRead, BufReader, Write};

use model::Exit;

use crate::failure::Failure;
use crate::session::Session;

/// Lets a person at a terminal say yes.
pub(crate) fn confirm(session: &mut Session, what: &str) -> Result<(), Failure> {
    write!(session.err, "{what} Go on? [y/N] ")?;
    session.err.flush()?;
    let mut answer = String::new();
    BufReader::new(&mut session.input).read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::new(Exit::Usage, "nothing was changed")),
    }
}
