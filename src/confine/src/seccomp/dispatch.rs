//! One filter out of one small program per call: a binary search for the call's number.
//!
//! seccompiler asks for one number after the other. With 250 calls that is up to 500 steps for each call that depends on
//! arguments, and the kernel, which runs a new filter once for each of its 460 calls to learn which it may skip, takes
//! 1.5 ms for it at every start. Sixteen steps are enough.

use std::collections::BTreeMap;

use seccompiler::{BpfProgram, sock_filter};

/// `AUDIT_ARCH_X86_64` of linux/audit.h.
const ARCH: u32 = 0xc000_003e;
/// Where `struct seccomp_data` has the call's number.
const NUMBER_AT: u32 = 0;
/// Where it has the architecture.
const ARCH_AT: u32 = 4;
/// So few numbers are compared one after the other.
const LEAF: usize = 3;

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
const SKIP: u32 = libc::BPF_JMP | libc::BPF_JA;
const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const IF_AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;

/// Runs the program of the call, or answers `default` for a call without one; kills on a foreign architecture. Every
/// program must end in a return on each of its ways.
pub fn dispatch(programs: &BTreeMap<u32, BpfProgram>, default: u32) -> BpfProgram {
    let programs: Vec<_> = programs.iter().map(|(number, program)| (*number, program)).collect();
    let mut filter = vec![
        instruction(LOAD, 0, 0, ARCH_AT),
        instruction(IF_EQUAL, 1, 0, ARCH),
        returning(libc::SECCOMP_RET_KILL_PROCESS),
        instruction(LOAD, 0, 0, NUMBER_AT),
    ];
    filter.extend(search(&programs, default));
    filter
}

/// A program that only returns `action`.
pub fn returning(action: u32) -> sock_filter {
    instruction(RETURN, 0, 0, action)
}

fn search(programs: &[(u32, &BpfProgram)], default: u32) -> BpfProgram {
    let (lower, upper) = programs.split_at(programs.len() / 2);
    match upper.first() {
        Some((middle, _)) if programs.len() > LEAF => {
            let (lower, upper) = (search(lower, default), search(upper, default));
            // At least the middle: over the lower half, however long that is.
            let mut both = vec![instruction(IF_AT_LEAST, 0, 1, *middle), skip(&lower)];
            both.extend(lower);
            both.extend(upper);
            both
        }
        Some(_) | None => compare_each(programs, default),
    }
}

fn compare_each(programs: &[(u32, &BpfProgram)], default: u32) -> BpfProgram {
    let mut leaf = Vec::new();
    for (number, program) in programs {
        if program.len() == 1 {
            leaf.push(instruction(IF_EQUAL, 0, 1, *number));
        } else {
            leaf.extend([instruction(IF_EQUAL, 1, 0, *number), skip(program)]);
        }
        leaf.extend_from_slice(program);
    }
    leaf.push(returning(default));
    leaf
}

fn skip(program: &[sock_filter]) -> sock_filter {
    // A program too long for this is too long for the kernel as well, and refused there.
    instruction(SKIP, 0, 0, u32::try_from(program.len()).unwrap_or(u32::MAX))
}

fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    // Every code is below 256.
    sock_filter { code: u16::try_from(code).unwrap_or(u16::MAX), jt, jf, k }
}
