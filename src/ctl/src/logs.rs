//! `logs`: becomes journalctl for the tenant's units. journalctl itself keeps a tenant's bytes from steering the terminal.

use std::convert::Infallible;
use std::ffi::CString;

use model::{Exit, TenantId};
use nix::errno::Errno;
use nix::unistd::execvp;

use crate::failure::{Ended, Failure};

/// Becomes journalctl.
pub(crate) fn logs(tenant: &TenantId, arguments: Vec<String>) -> Ended {
    let words = command_line(tenant, arguments);
    let words: Result<Vec<CString>, _> = words.into_iter().map(CString::new).collect();
    let words =
        words.map_err(|_| Failure::new(Exit::Usage, "an argument for journalctl holds a NUL byte"))?;
    let program = words.first().ok_or_else(|| Failure::new(Exit::Software, "no program to run"))?;
    let became: Result<Infallible, Errno> = execvp(program, &words);
    match became {
        Ok(never) => match never {},
        Err(error) => Err(Failure::new(
            Exit::Os,
            format!("cannot run journalctl: {error}: it belongs to the package systemd and must be in PATH"),
        )),
    }
}

fn command_line(tenant: &TenantId, arguments: Vec<String>) -> Vec<String> {
    let mut words = vec![
        "journalctl".to_owned(),
        format!("--unit={}", tenant.unit()),
        format!("--unit={}", tenant.net_unit()),
    ];
    words.extend(arguments);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_units_come_first_and_the_arguments_untouched() {
        let words =
            command_line(&TenantId::parse("acme-corp").unwrap(), vec!["-f".into(), "-n".into(), "5".into()]);
        assert_eq!(
            words.join(" "),
            "journalctl --unit=tenant@acme_corp.service --unit=tenant-net@acme_corp.service -f -n 5"
        );
    }
}
