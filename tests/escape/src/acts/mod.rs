//! The acts, by area. Each file ends in its table: one entry an act.

pub mod abi;
pub mod descriptors;
pub mod exec;
pub mod files;
pub mod forge;
pub mod identity;
pub mod ipc;
pub mod kernel;
pub mod load;
pub mod modes;
pub mod mounts;
pub mod names;
pub mod namespaces;
pub mod network;
pub mod processes;
pub mod resources;
pub mod sockets;
pub mod tracing;
pub mod walls;

use nix::errno::Errno;

use crate::act::Verdict;
use crate::sys::{self, Word};

/// A system call that is the act. Errors in `past` come after the kernel's permission check, so the caller *was*
/// allowed and only the deliberately harmless arguments were refused: that counts as success.
pub fn reach<const N: usize>(number: libc::c_long, words: [Word<'_>; N], past: &[Errno]) -> Verdict {
    match sys::call(number, words) {
        Ok(value) => Ok(format!("returned {value}")),
        Err(errno) if past.contains(&errno) => {
            Ok(format!("past the permission check: only the harmless arguments were refused ({errno:?})"))
        }
        Err(errno) => Err(errno.into()),
    }
}
