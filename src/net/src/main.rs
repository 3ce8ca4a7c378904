//! `tenant-net`: one tenant's network, up and down.
//!
//! `up` makes it and then holds its namespace, without a capability, until PID 1 ends it.
//!
//! Promises: the fence is in place before the first link exists and is the last thing to go; a tenant's network costs
//! the same for the first tenant and the ten-thousandth (links are looked up by name, nothing is dumped); every verb may
//! be repeated and may follow a run that was killed half-way. Reads one compiled file and its own record, nothing else.
#![forbid(unsafe_code)]

mod alarm;
mod check;
mod down;
mod element;
mod error;
mod file;
mod intercept;
mod message;
mod namespace;
mod nft;
mod record;
mod route;
mod selftest;
mod socket;
mod sysctl;
mod up;
mod verb;
mod watch;

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    match verb::run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if standard error is gone.
            drop(writeln!(std::io::stderr(), "{}", error::sentence(&error)));
            error.exit().into()
        }
    }
}
