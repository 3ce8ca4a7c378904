//! Keeping what this process has in memory there.

use model::Exit;
use nix::sys::mman::{MlockAllFlags, mlockall};
use plan::HostError;

use crate::error::sentence;

/// From now on nothing of this process is swapped out. Pages count once they are used.
pub fn lock_memory() -> Result<(), HostError> {
    let on_fault = MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT);
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | on_fault).map_err(|errno| {
        let text = format!(
            "cannot lock the memory of this process: {errno}: raise LimitMEMLOCK= of tenantd.service"
        );
        sentence(Exit::Os, text)
    })
}
