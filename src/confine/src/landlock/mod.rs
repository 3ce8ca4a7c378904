//! Landlock: a ruleset pinned at one ABI, compiled by tenantd, put in force by the launcher and proven there.

#[cfg(feature = "compile")]
mod compile;
mod held;
mod restrict;
mod rights;

#[cfg(feature = "compile")]
pub use compile::{CompileError, Places, compile};
pub use held::{FLOOR, Held, held_elsewhere, kernel_of};
pub use restrict::{LandlockError, restrict};

/// Landlock's ABI on this kernel; 0 when it is absent or not enabled.
pub fn abi() -> u32 {
    // SAFETY: with this flag the kernel takes no attribute and only answers its version.
    let answer =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0, VERSION) };
    u32::try_from(answer).unwrap_or(0)
}

/// `LANDLOCK_CREATE_RULESET_VERSION`
const VERSION: libc::c_uint = 1;
