//! The steps, in the only order that works: prove, limit, close, Landlock, seccomp, execve.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use confine::{capabilities, landlock, process, rlimits, seccomp};
use model::{Confinement, cell, delivery};

use crate::authorities;
use crate::command::{Command, Request, is_credentials_directory};
use crate::confinement;
use crate::failure::{Cause, Failure};
use crate::sealed::{self, Header};
use crate::secrets;

const ROOT: u32 = 0;

/// Becomes the gateway or the command after `--`; returns only to say why not.
pub fn run(arguments: impl Iterator<Item = OsString>) -> Failure {
    let read = Request::parse(arguments)
        .and_then(|request| Ok((request, confinement::read(Path::new(cell::CONFINEMENT), ROOT)?)));
    let (request, mut confinement) = match read {
        Ok(read) => read,
        Err(cause) => return Failure { tenant: None, cause },
    };
    let cause = match confine_and_execute(request, &mut confinement) {
        Err(cause) => cause,
        Ok(never) => match never {},
    };
    Failure { tenant: Some(confinement.tenant), cause }
}

fn confine_and_execute(
    request: Request,
    confinement: &mut Confinement,
) -> Result<std::convert::Infallible, Cause> {
    let is_gateway = request == Request::Gateway;
    deliver(is_gateway, confinement)?;
    let command = Command::new(request, confinement, |name| std::env::var(name).ok())?;
    // The gid of a tenant is its uid.
    capabilities::prove_empty(confinement.uid, confinement.uid)?;
    rlimits::set(&confinement.rlimits)?;
    process::private_umask();
    let directory = Path::new(&confinement.directory);
    process::change_directory(directory).map_err(step(&format!("cannot enter {}", directory.display())))?;
    process::close_descriptors().map_err(step("cannot close inherited descriptors"))?;
    if !is_gateway {
        process::take_terminal();
    }
    process::reset_signals().map_err(step("cannot reset signals"))?;
    let rules = landlock::restrict(&confinement.landlock, Path::new(cell::CANARY))?;
    seccomp::install(&confinement.seccomp)?;
    if is_gateway {
        let line = format!(
            "tenant {}: confined: landlock ABI {} ({rules} rules), seccomp {} filters, no capability, no_new_privs\n",
            confinement.tenant,
            confinement.landlock.abi,
            confinement.seccomp.len(),
        );
        io::stderr().write_all(line.as_bytes()).map_err(step("cannot write to the journal"))?;
    }
    Err(execute(&command))
}

/// Secrets and configuration, to where the gateway looks for them. A command gets the configuration without the secret.
fn deliver(is_gateway: bool, confinement: &mut Confinement) -> Result<(), Cause> {
    let (source, place) = (Path::new(cell::CONFIG), Path::new(delivery::CONFIG));
    let (host, both) = (Path::new(authorities::HOST), Path::new(delivery::AUTHORITIES));
    let gathered = authorities::gather(Path::new(cell::AUTHORITY), host, both)?;
    authorities::fill(Path::new(authorities::STORE), host, gathered.then_some(both))?;
    if !is_gateway {
        return sealed::copy(source, place, Header::Unneeded);
    }
    let directory = std::env::var("CREDENTIALS_DIRECTORY").ok().filter(|path| is_credentials_directory(path));
    let own =
        secrets::deliver(directory.as_deref(), Path::new(delivery::DIRECTORY), &mut confinement.environment)?;
    let header = own.as_deref().map_or(Header::Missing, Header::Secret);
    let copied = sealed::copy(source, place, header);
    own.into_iter().for_each(|mut secret| secret.fill(0));
    copied
}

/// Tries each path, as a shell does: a directory that Landlock hides is no reason to stop.
fn execute(command: &Command) -> Cause {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for program in &command.programs {
        let error = process::execve(program, &command.arguments, &command.environment);
        let missing = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
        let hidden = error.kind() == io::ErrorKind::PermissionDenied;
        if !missing {
            last = error;
        }
        if !missing && !hidden {
            break;
        }
    }
    let program = command.arguments.first().map(|name| name.to_string_lossy().into_owned());
    Cause::Program { program: program.unwrap_or_default(), source: last }
}

fn step(what: &str) -> impl FnOnce(io::Error) -> Cause {
    let step = what.to_owned();
    move |source| Cause::Step { step, source }
}
