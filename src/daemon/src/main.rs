//! tenantd: keeps tenants on this host as their specs say. See ARCHITECTURE.md.
#![forbid(unsafe_code)]

mod allocate;
mod backup;
mod bus;
mod edge;
mod egress;
mod failure;
#[cfg(feature = "fault-injection")]
mod fault;
mod journal;
mod polkit;
mod recover;
mod run;
mod runtimes;
mod service;
mod sleep;
#[cfg(test)]
#[path = "staged_tests.rs"]
mod staged;
mod state;
mod status;
mod supervise;
mod tenants;
mod vault;
mod wake;

use std::process::ExitCode;

fn main() -> ExitCode {
    run::run()
}
