//! `tenant-archive`: a tenant's data tree as one stream, and back. Run by tenantd as the tenant, confined, between pipes.
//!
//! Promises: no entry of a tree and no byte of a stream leads outside DIRECTORY; memory does not grow with either; a
//! stream that is not whole is refused, and what was made of it is removed.
#![forbid(unsafe_code)]

mod at;
mod block;
mod check;
mod entry;
mod error;
mod manifest;
mod pack;
mod path;
mod pax;
mod read;
mod report;
mod source;
mod undo;
mod unpack;

#[cfg(test)]
mod attack_tests;
#[cfg(test)]
mod race_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tree_tests;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use error::Error;
use manifest::Summary;
use path::Tops;
use report::Report;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut last = match run(&arguments) {
        Ok(summary) => (summary.line(), ExitCode::SUCCESS),
        Err(error) => (error.to_string(), error.exit().into()),
    };
    last.0.push('\n');
    // Nobody is left to tell if standard error is gone.
    drop(io::stderr().write_all(last.0.as_bytes()));
    last.1
}

fn run(arguments: &[OsString]) -> Result<Summary, Error> {
    let (verb, rest) = arguments.split_first().ok_or(Error::Usage)?;
    match (verb.to_str(), rest) {
        (Some("pack"), [directory, names @ ..]) => {
            let tops = Tops::of_arguments(names)?;
            let output = File::from(io::stdout().as_fd().try_clone_to_owned().map_err(Error::Output)?);
            pack::pack(directory, &tops, output, &mut Report::new(io::stderr()))
        }
        (Some("unpack"), [directory]) => unpack::unpack(directory, input()?),
        (Some("check"), []) => check::check(input()?),
        _ => Err(Error::Usage),
    }
}

fn input() -> Result<File, Error> {
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned().map_err(Error::Input)?))
}
