//! Seccomp: filters are compiled by tenantd and only installed here.
//!
//! [`install`] proves itself: seccomp(2) must answer before the first filter and must be refused after the last, which
//! is the one that closes it. The filters hold for this thread and all it becomes; a launcher has one thread.

#[cfg(feature = "compile")]
mod compile;
#[cfg(feature = "compile")]
mod condition;
#[cfg(feature = "compile")]
mod dispatch;
#[cfg(all(test, feature = "compile"))]
mod interpreter;
#[cfg(feature = "compile")]
pub mod names;
#[cfg(feature = "compile")]
mod policy;

use std::io;

use libc::{sock_filter, sock_fprog};
use model::BpfFilter;
use thiserror::Error;

#[cfg(feature = "compile")]
pub use compile::compile;

/// Longest program the kernel takes (`BPF_MAXINSNS`).
const LONGEST: usize = 4096;

/// A filter is not in force.
#[derive(Debug, Error)]
pub enum SeccompError {
    /// The kernel has no seccomp filters.
    #[error("seccomp: this kernel has no filters: {0} (boot a kernel with CONFIG_SECCOMP_FILTER)")]
    Absent(#[source] io::Error),
    /// There is nothing to install.
    #[error("seccomp: the confinement file holds no filter (run \"tenantctl repair\" for this tenant)")]
    Empty,
    /// A program is longer than the kernel takes, or empty.
    #[error(
        "seccomp: filter \"{name}\" has {length} instructions, 1 to {LONGEST} are possible (run \"tenantctl repair\" for this tenant)"
    )]
    Length {
        /// Which filter.
        name: String,
        /// Its instructions.
        length: usize,
    },
    /// The kernel refused a filter.
    #[error("seccomp: cannot install filter \"{name}\": {source} (run \"tenantctl repair\" for this tenant)")]
    Install {
        /// Which filter.
        name: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The filters were accepted but do not refuse what they must.
    #[error("seccomp: the filters were installed, but seccomp(2) still answers ({0}); refusing to go on")]
    Unproven(String),
}

/// Whether this kernel has seccomp filters that can answer errors and kill.
pub fn available() -> bool {
    ask_kernel().is_ok()
}

/// Installs the filters in order, for this thread and everything it starts; there is no way back.
pub fn install(filters: &[BpfFilter]) -> Result<(), SeccompError> {
    if filters.is_empty() {
        return Err(SeccompError::Empty);
    }
    ask_kernel().map_err(SeccompError::Absent)?;
    // Unpacked first: after the first filter is in, fewer system calls are left for the allocator.
    let programs = filters.iter().map(unpack).collect::<Result<Vec<_>, _>>()?;
    for (filter, program) in filters.iter().zip(&programs) {
        install_one(program, filter.log)
            .map_err(|source| SeccompError::Install { name: filter.name.clone(), source })?;
    }
    match ask_kernel() {
        Err(refused) if refused.raw_os_error() == Some(libc::EPERM) => Ok(()),
        Err(other) => Err(SeccompError::Unproven(other.to_string())),
        Ok(()) => Err(SeccompError::Unproven("it succeeded".to_owned())),
    }
}

fn unpack(filter: &BpfFilter) -> Result<Vec<sock_filter>, SeccompError> {
    let length = filter.program.len();
    if length == 0 || length > LONGEST {
        return Err(SeccompError::Length { name: filter.name.clone(), length });
    }
    Ok(filter.program.iter().map(|packed| instruction(*packed)).collect())
}

/// `code << 48 | jt << 40 | jf << 32 | k`.
fn instruction(packed: u64) -> sock_filter {
    let [c1, c0, jt, jf, k3, k2, k1, k0] = packed.to_be_bytes();
    sock_filter { code: u16::from_be_bytes([c1, c0]), jt, jf, k: u32::from_be_bytes([k3, k2, k1, k0]) }
}

/// `seccomp(SECCOMP_GET_ACTION_AVAIL, 0, KILL_PROCESS)`: changes nothing, and every stack of ours refuses it.
fn ask_kernel() -> io::Result<()> {
    let action: u32 = libc::SECCOMP_RET_KILL_PROCESS;
    // SAFETY: the kernel reads four bytes from a live u32 and writes nothing.
    let answer =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn install_one(program: &[sock_filter], log: bool) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let described = sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    let flags = if log { libc::SECCOMP_FILTER_FLAG_LOG } else { 0 };
    // SAFETY: the kernel copies `len` instructions from a live slice, verifies them, and writes nothing;
    // no_new_privs was set before (or it answers EACCES).
    let answer = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const described)
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_survives_packing() {
        let read = instruction(0x0015_0201_c000_003e);
        assert_eq!((read.code, read.jt, read.jf, read.k), (0x15, 2, 1, 0xc000_003e));
    }
}
