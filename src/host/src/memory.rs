//! Keeping what this process has in memory there.

use model::Exit;
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::prctl::set_dumpable;
use plan::HostError;

use crate::error::sentence;

/// From now on nothing of this process is swapped out (pages count once they are used), and it writes no core file, whoever takes
/// those on this host.
pub fn lock_memory() -> Result<(), HostError> {
    set_dumpable(false).map_err(|errno| sentence(Exit::Os, format!("cannot forbid core files: {errno}")))?;
    let on_fault = MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT);
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | on_fault).map_err(|errno| {
        let text = format!(
            "cannot lock the memory of this process: {errno}: raise LimitMEMLOCK= of tenantd.service"
        );
        sentence(Exit::Os, text)
    })
}
