//! tenant-notify: see the library of the same name.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    tenant_notify::run().into()
}
