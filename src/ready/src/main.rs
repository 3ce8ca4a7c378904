//! `tenant-ready`: ExecStartPost of `tenant@.service`. Returns when the gateway answers, or says why it never will. With
//! `--once` (`tenant-health@.service`): whether it answers now.
//!
//! Promises: it needs no privilege and has none (it runs as the tenant, inside the cell, beside the gateway); it ends at
//! once when the gateway's main process has ended; it reads at most 64 KiB of an answer and trusts none of it.
#![forbid(unsafe_code)]

mod answer;
mod error;
mod main_process;
mod poll;
mod question;

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => poll::until_ready(),
        ["--once"] => poll::once(),
        _ => Err(error::Error::Usage),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if standard error is gone.
            drop(writeln!(std::io::stderr(), "{error}"));
            error.exit().into()
        }
    }
}
