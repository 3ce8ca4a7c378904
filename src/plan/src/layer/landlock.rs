//! Landlock: the compiled ruleset, and the file it is proven on.

use model::Facts;

use super::{Layer, etc};
use crate::draft::Part;
use crate::{Draft, Refusal, Tenant};

/// ABI below which tenantd refuses: 2 (Linux 5.19) is the first that controls renames and links across directories.
const FLOOR: u32 = 2;

/// The ruleset `tenant-exec` puts on itself.
pub(super) struct Landlock;

impl Layer for Landlock {
    fn name(&self) -> &'static str {
        "landlock"
    }

    fn draft(&self, tenant: &Tenant, facts: &Facts, out: &mut Draft) -> Result<(), Refusal> {
        if facts.landlock_abi < FLOOR {
            return Err(Refusal::Kernel {
                tenant: tenant.id().clone(),
                layer: "landlock",
                needed: format!("Landlock ABI {FLOOR} (Linux 5.19)"),
                found: format!("ABI {} on kernel {}", facts.landlock_abi, facts.kernel),
                remedy:
                    "boot a newer kernel, and if it is new enough add \"landlock\" to the lsm= boot option"
                        .to_owned(),
            });
        }
        out.ask(Part::Landlock(tenant.landlock.clone()));
        out.resource(etc::canary(tenant));
        Ok(())
    }
}
