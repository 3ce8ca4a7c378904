//! `logs`: becomes journalctl for the tenant's units. journalctl itself keeps a tenant's bytes from steering the terminal.

use std::os::unix::process::CommandExt;
use std::process::Command;

use model::{Exit, TenantId};

use crate::failure::{Ended, Failure};

/// Becomes journalctl.
pub(crate) fn logs(tenant: &TenantId, arguments: &[String]) -> Ended {
    #[expect(
        clippy::disallowed_methods,
        reason = "the rule is for programs with privilege; this one has the caller's, and is as if he had typed journalctl"
    )]
    let mut journalctl = Command::new("journalctl");
    // Also gives journalctl back the SIGPIPE that Rust's runtime ignores, so that "| head" ends it in silence.
    let error = journalctl.args(units(tenant)).args(arguments).exec();
    Err(Failure::new(
        Exit::Os,
        format!("cannot run journalctl: {error}: it belongs to the package systemd and must be in PATH"),
    ))
}

fn units(tenant: &TenantId) -> [String; 2] {
    [tenant.unit(), tenant.net_unit()].map(|unit| format!("--unit={unit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_and_its_network_are_asked_for_by_system_name() {
        assert_eq!(
            units(&TenantId::parse("acme-corp").unwrap()),
            ["--unit=tenant@acme_corp.service", "--unit=tenant-net@acme_corp.service"]
        );
    }
}
