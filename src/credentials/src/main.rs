//! `tenant-credentials`: gives a tenant's gateway and its egress proxy their secrets when they start, and nobody else.
//!
//! PID 1 asks for them (`LoadCredential=` in their units) over `/run/tenantd/credentials.sock`, and the address it asks from names
//! unit and credential. Works with the daemon stopped: reads the vault, writes nothing, and ends when nobody has asked for a while.
//!
//! Promises: an answer begins with a mark, so that no answer is never taken for "no secrets"; whoever asks for anything else gets
//! nothing, and a line in the journal; a value is in memory for as long as it takes to send it, the key of the vault while this runs;
//! that memory is neither swapped out nor dumped.
//!
//! With `--proof`, in a unit of its own, it answers the edge: for a tenant's name the secret by which that tenant's gateway knows the
//! edge, and nothing else (ADR 0062).
#![forbid(unsafe_code)]

mod answer;
mod asker;
mod error;
mod kek;
mod memory;
mod proof;
mod serve;

use std::io::Write;
use std::process::ExitCode;

use model::{Exit, Paths};

fn main() -> ExitCode {
    match asked_for().and_then(|mode| serve::serve(&Paths::host(), mode)) {
        Ok(()) => Exit::Ok.into(),
        Err(error) => {
            // Nobody is left to tell if standard error is gone.
            drop(writeln!(std::io::stderr(), "{error}"));
            error.exit().into()
        }
    }
}

/// Whom it answers, by the command line.
fn asked_for() -> Result<serve::Mode, error::Error> {
    let mut arguments = std::env::args_os().skip(1);
    match (arguments.next(), arguments.next()) {
        (None, _) => Ok(serve::Mode::Starts),
        (Some(argument), None) if argument == "--proof" => Ok(serve::Mode::Proof),
        _ => Err(error::Error::Usage),
    }
}
