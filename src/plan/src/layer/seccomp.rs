//! System calls: the compiled filters.

use model::Facts;

use super::Layer;
use crate::draft::Part;
use crate::{Draft, Refusal, Tenant};

/// The filters `tenant-exec` loads last.
pub(super) struct Seccomp;

impl Layer for Seccomp {
    fn name(&self) -> &'static str {
        "seccomp"
    }

    fn draft(&self, tenant: &Tenant, facts: &Facts, out: &mut Draft) -> Result<(), Refusal> {
        if !facts.seccomp {
            return Err(Refusal::Kernel {
                tenant: tenant.id().clone(),
                layer: "seccomp",
                needed: "CONFIG_SECCOMP_FILTER".to_owned(),
                found: format!("kernel {} without it", facts.kernel),
                remedy: "boot a kernel that has it (every Debian kernel does)".to_owned(),
            });
        }
        out.ask(Part::Seccomp(tenant.seccomp.clone()));
        Ok(())
    }
}
