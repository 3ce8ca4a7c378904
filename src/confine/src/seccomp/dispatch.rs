//! One filter out of one small program per call: a binary search for the call's number.
//!
//! seccompiler asks for one number after the other: with 250 calls up to 500 steps for each call that depends on
//! arguments, 2,000 instructions for the kernel to compile, and as many steps again for each of its 460 calls, which it
//! tries on a new filter to learn which it may skip. That took 3 ms at every start; this takes a tenth.

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
    let mut ranges: Vec<Range<'_>> = Vec::new();
    for (number, program) in programs {
        match ranges.last_mut() {
            Some(range) if range.last + 1 == *number && is_same_return(range.program, program) => {
                range.last = *number
            }
            Some(_) | None => ranges.push(Range { first: *number, last: *number, program }),
        }
    }
    let mut filter = vec![
        instruction(LOAD, 0, 0, ARCH_AT),
        instruction(IF_EQUAL, 1, 0, ARCH),
        returning(libc::SECCOMP_RET_KILL_PROCESS),
        instruction(LOAD, 0, 0, NUMBER_AT),
    ];
    filter.extend(search(&ranges, default));
    filter
}

/// Calls with consecutive numbers and the same answer.
struct Range<'a> {
    first: u32,
    last: u32,
    program: &'a [sock_filter],
}

/// Whether both do nothing but return the same action.
fn is_same_return(one: &[sock_filter], other: &[sock_filter]) -> bool {
    matches!((one, other), ([one], [other]) if one.k == other.k)
}

/// A program that only returns `action`.
pub fn returning(action: u32) -> sock_filter {
    instruction(RETURN, 0, 0, action)
}

fn search(ranges: &[Range<'_>], default: u32) -> BpfProgram {
    let (lower, upper) = ranges.split_at(ranges.len() / 2);
    match upper.first() {
        Some(middle) if ranges.len() > LEAF => {
            let (lower, upper) = (search(lower, default), search(upper, default));
            // From the middle on: over the lower half, however long that is.
            let mut both = vec![instruction(IF_AT_LEAST, 0, 1, middle.first), skip(&lower)];
            both.extend(lower);
            both.extend(upper);
            both
        }
        Some(_) | None => compare_each(ranges, default),
    }
}

fn compare_each(ranges: &[Range<'_>], default: u32) -> BpfProgram {
    let mut leaf = Vec::new();
    for Range { first, last, program } in ranges {
        match program {
            [_] if first == last => leaf.push(instruction(IF_EQUAL, 0, 1, *first)),
            [_] => leaf
                .extend([instruction(IF_AT_LEAST, 0, 2, *first), instruction(IF_AT_LEAST, 1, 0, last + 1)]),
            _ => leaf.extend([instruction(IF_EQUAL, 1, 0, *first), skip(program)]),
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
