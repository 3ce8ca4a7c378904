//! Becomes a tenant's gateway: locks itself down as one root-owned file says, then `execve`.
//!
//! Runs as the tenant, inside its unit. Starts no thread, goes on after no error, decides nothing.
#![forbid(unsafe_code)]

mod authorities;
mod command;
mod confinement;
mod failure;
mod launch;
mod sealed;
mod secrets;

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let failure = launch::run(std::env::args_os().skip(1));
    // Nobody is left to tell if standard error is gone; the exit code still says it.
    drop(writeln!(std::io::stderr(), "{failure}"));
    failure.exit().into()
}
