//! Keeping what this process has in memory there.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use crate::error::Error;

/// From now on nothing of this process is swapped out (pages count once they are used), and it writes no core file, whoever takes
/// those on this host. The same as tenantd does for itself, without the crate that speaks D-Bus.
pub fn lock() -> Result<(), Error> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|errno| Error::Kernel("forbid core files", errno.into()))?;
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)
        .map_err(|errno| Error::Memory(errno.into()))
}
