//! Kernel services that no gateway needs: key rings, bpf, perf, io_uring, modules, clocks, swap, ports.
//!
//! Where a real success would harm the machine, the arguments are ones that the kernel refuses only after it has
//! checked the caller's rights, and that refusal counts as success (`reach`).

use std::fs::File;
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;

use crate::act::{Act, Args, Control, Prepare as _, Verdict};
use crate::acts::reach;
use crate::bytes::Bytes;
use crate::sys::{self, NULL, Word};

const NOWHERE: Word<'static> = Word::Text(c"/nonexistent/escape-probe");

fn add_key(_: &Args<'_>) -> Verdict {
    const PROCESS_RING: i64 = -2;
    let words =
        [Word::Text(c"user"), Word::Text(c"escape"), Word::In(b"x"), Word::N(1), Word::N(PROCESS_RING)];
    reach(libc::SYS_add_key, words, &[])
}

/// KEYCTL_GET_KEYRING_ID of the session ring.
fn keyctl(_: &Args<'_>) -> Verdict {
    reach(libc::SYS_keyctl, [NULL, Word::N(-3), NULL, NULL, NULL], &[])
}

/// The user ring is shared by every process of one uid, in and out of a unit.
fn user_ring(_: &Args<'_>) -> Verdict {
    reach(libc::SYS_keyctl, [NULL, Word::N(-4), Word::N(1), NULL, NULL], &[])
}

fn request_key(_: &Args<'_>) -> Verdict {
    let words = [Word::Text(c"user"), Word::Text(c"escape"), NULL, NULL];
    reach(libc::SYS_request_key, words, &[Errno::ENOKEY])
}

/// BPF_MAP_CREATE, an array of one word.
fn bpf_map(_: &Args<'_>) -> Verdict {
    let attr = Bytes::new().u32(2).u32(4).u32(8).u32(1).u32(0).upto(128).done();
    reach(libc::SYS_bpf, [NULL, Word::In(&attr), Word::N(128)], &[])
}

/// BPF_PROG_LOAD of a socket filter that returns 0.
fn bpf_program(_: &Args<'_>) -> Verdict {
    let program = Bytes::new().u64(0x0000_0000_0000_00b7).u64(0x0000_0000_0000_0095).done();
    let (code, license) = (address(&program), address(b"GPL\0"));
    let attr = Bytes::new().u32(1).u32(2).u64(code).u64(license).upto(128).done();
    let done = reach(libc::SYS_bpf, [Word::N(5), Word::In(&attr), Word::N(128)], &[]);
    std::hint::black_box(&program);
    done
}

fn address(bytes: &[u8]) -> u64 {
    bytes.as_ptr().expose_provenance() as u64
}

/// `struct perf_event_attr`: the task clock, in user space only, which asks for the least right.
pub fn perf_attributes() -> Vec<u8> {
    const DISABLED_EXCLUDE_KERNEL_AND_HV: u64 = 1 | 1 << 5 | 1 << 6;
    Bytes::new()
        .u32(1)
        .u32(128)
        .u64(1)
        .u64(0)
        .u64(0)
        .u64(0)
        .u64(DISABLED_EXCLUDE_KERNEL_AND_HV)
        .upto(128)
        .done()
}

fn perf(_: &Args<'_>) -> Verdict {
    let attr = perf_attributes();
    reach(libc::SYS_perf_event_open, [Word::In(&attr), NULL, Word::N(-1), Word::N(-1), NULL], &[])
}

fn io_uring(_: &Args<'_>) -> Verdict {
    let mut parameters = [0; 120];
    reach(libc::SYS_io_uring_setup, [Word::N(1), Word::Out(&mut parameters)], &[])
}

fn kexec_file(_: &Args<'_>) -> Verdict {
    let words = [Word::N(-1), Word::N(-1), NULL, NULL, Word::N(0x0fff_0000)];
    reach(libc::SYS_kexec_file_load, words, &[Errno::EINVAL, Errno::EBADF])
}

/// Magic numbers that are wrong on purpose.
fn reboot(_: &Args<'_>) -> Verdict {
    reach(libc::SYS_reboot, [NULL, NULL, NULL, NULL], &[Errno::EINVAL])
}

fn kernel_log(_: &Args<'_>) -> Verdict {
    let mut text = [0; 4096];
    reach(libc::SYS_syslog, [Word::N(3), Word::Out(&mut text), Word::N(4096)], &[])
}

/// Reads the clock's state, then sets the status bits to what they are.
fn adjtimex(number: libc::c_long) -> Verdict {
    const ADJ_STATUS: u32 = 0x10;
    let mut timex = vec![0; 208];
    sys::call(libc::SYS_adjtimex, [Word::Out(&mut timex)])?;
    for (slot, byte) in timex.iter_mut().zip(ADJ_STATUS.to_ne_bytes()) {
        *slot = byte;
    }
    if number == libc::SYS_clock_adjtime {
        return reach(number, [NULL, Word::Out(&mut timex)], &[]);
    }
    reach(number, [Word::Out(&mut timex)], &[])
}

/// Sets the clock to what it says: a step of a microsecond at most.
fn clock_settime(_: &Args<'_>) -> Verdict {
    let mut now = [0; 16];
    sys::call(libc::SYS_clock_gettime, [NULL, Word::Out(&mut now)]).prepared("reading the clock")?;
    reach(libc::SYS_clock_settime, [NULL, Word::In(&now)], &[])
}

fn host_name(number: libc::c_long) -> Verdict {
    let mut names = [0; 6 * 65];
    sys::call(libc::SYS_uname, [Word::Out(&mut names)]).prepared("uname")?;
    let at = if number == libc::SYS_sethostname { 65 } else { 325 };
    let name = names.get(at..at + 65).unwrap_or_default();
    let length = name.iter().position(|byte| *byte == 0).unwrap_or(0);
    reach(number, [Word::In(name), Word::N(i64::try_from(length).prepared("length")?)], &[])
}

/// One writable data segment, in this process only.
fn modify_ldt(_: &Args<'_>) -> Verdict {
    let entry = Bytes::new().u32(0).u32(0).u32(0xfffff).u32(0x51).done();
    reach(libc::SYS_modify_ldt, [Word::N(1), Word::In(&entry), Word::N(16)], &[])
}

/// RNDADDTOENTCNT with zero bits.
fn entropy(_: &Args<'_>) -> Verdict {
    let file = File::open("/dev/random")?;
    let zero = [0; 4];
    let words = [Word::N(i64::from(file.as_raw_fd())), Word::N(0x4004_5201), Word::In(&zero)];
    reach(libc::SYS_ioctl, words, &[])
}

/// An ioctl on a device that is there (BLKGETSIZE64 or any other number).
fn device_ioctl(args: &Args<'_>) -> Verdict {
    let file = File::open(args.text(0))?;
    let number = args.text_or(1, "0x80081272").trim_start_matches("0x");
    let number = i64::from_str_radix(number, 16).prepared("the ioctl's number")?;
    let mut room = [0; 256];
    reach(libc::SYS_ioctl, [Word::N(i64::from(file.as_raw_fd())), Word::N(number), Word::Out(&mut room)], &[])
}

fn memory_secret(_: &Args<'_>) -> Verdict {
    reach(libc::SYS_memfd_secret, [NULL], &[])
}

fn mempolicy(_: &Args<'_>) -> Verdict {
    reach(libc::SYS_set_mempolicy, [NULL, NULL, NULL], &[])
}

const ADMIN: &str = "capabilities seccomp";
const CALL: &str = "seccomp";

/// This area's acts.
#[rustfmt::skip]
pub const ACTS: &[Act] = &[
    Act { id: "add-key", about: "put a key into a kernel key ring", layers: CALL, args: "", control: Control::User, run: add_key },
    Act { id: "keyctl", about: "look at its session key ring", layers: CALL, args: "", control: Control::User, run: keyctl },
    Act { id: "keyctl-user", about: "open the key ring that all processes of the uid share", layers: CALL, args: "", control: Control::User, run: user_ring },
    Act { id: "request-key", about: "ask the kernel for a key", layers: CALL, args: "", control: Control::User, run: request_key },
    Act { id: "bpf-map", about: "make a BPF map", layers: ADMIN, args: "", control: Control::Root, run: bpf_map },
    Act { id: "bpf-program", about: "load a BPF program", layers: ADMIN, args: "", control: Control::Root, run: bpf_program },
    Act { id: "perf", about: "open a performance counter", layers: CALL, args: "", control: Control::Root, run: perf },
    Act { id: "io-uring", about: "set up an io_uring, whose calls no filter sees", layers: CALL, args: "", control: Control::User, run: io_uring },
    Act { id: "userfaultfd", about: "handle page faults (kernel faults too)", layers: CALL, args: "", control: Control::Root, run: |_| reach(libc::SYS_userfaultfd, [NULL], &[]) },
    Act { id: "userfaultfd-user", about: "handle page faults of user space", layers: CALL, args: "", control: Control::User, run: |_| reach(libc::SYS_userfaultfd, [Word::N(1)], &[]) },
    Act { id: "init-module", about: "load a kernel module from memory", layers: ADMIN, args: "", control: Control::Root, run: |_| reach(libc::SYS_init_module, [Word::In(&[0; 16]), Word::N(16), Word::Text(c"")], &[Errno::ENOEXEC]) },
    Act { id: "finit-module", about: "load a kernel module from a file", layers: ADMIN, args: "", control: Control::Root, run: |_| reach(libc::SYS_finit_module, [Word::N(-1), Word::Text(c""), NULL], &[Errno::EBADF]) },
    Act { id: "delete-module", about: "unload a kernel module", layers: ADMIN, args: "", control: Control::Root, run: |_| reach(libc::SYS_delete_module, [Word::Text(c"escape_no_such"), Word::N(i64::from(libc::O_NONBLOCK))], &[Errno::ENOENT]) },
    Act { id: "kexec-load", about: "load another kernel", layers: ADMIN, args: "", control: Control::Root, run: |_| reach(libc::SYS_kexec_load, [NULL, NULL, NULL, Word::N(0xfff)], &[Errno::EINVAL]) },
    Act { id: "kexec-file-load", about: "load another kernel from a file", layers: ADMIN, args: "", control: Control::Root, run: kexec_file },
    Act { id: "reboot", about: "restart the machine (wrong magic numbers)", layers: ADMIN, args: "", control: Control::Root, run: reboot },
    Act { id: "swapon", about: "swap to a file (which is not there)", layers: ADMIN, args: "", control: Control::Root, run: |_| reach(libc::SYS_swapon, [NOWHERE, NULL], &[Errno::ENOENT]) },
    Act { id: "swapoff", about: "stop swapping to a file (which is not there)", layers: ADMIN, args: "", control: Control::Root, run: |_| reach(libc::SYS_swapoff, [NOWHERE], &[Errno::ENOENT]) },
    Act { id: "kernel-log", about: "read the kernel's log by syslog(2)", layers: ADMIN, args: "", control: Control::Root, run: kernel_log },
    Act { id: "acct", about: "turn on process accounting (into a folder that is not there)", layers: ADMIN, args: "", control: Control::Root, run: |_| reach(libc::SYS_acct, [NOWHERE], &[Errno::ENOENT]) },
    Act { id: "quotactl", about: "speak to the quota system (Q_SYNC)", layers: CALL, args: "", control: Control::Root, run: |_| reach(libc::SYS_quotactl, [Word::N(0x8000_0100), NULL, NULL, NULL], &[]) },
    Act { id: "settimeofday", about: "set the clock (to nothing)", layers: ADMIN, args: "", control: Control::Root, run: |_| reach(libc::SYS_settimeofday, [NULL, NULL], &[]) },
    Act { id: "clock-settime", about: "set the clock (to what it says)", layers: ADMIN, args: "", control: Control::Root, run: clock_settime },
    Act { id: "adjtimex", about: "adjust the clock (its status, to what it is)", layers: ADMIN, args: "", control: Control::Root, run: |_| adjtimex(libc::SYS_adjtimex) },
    Act { id: "clock-adjtime", about: "adjust the clock by clock_adjtime", layers: ADMIN, args: "", control: Control::Root, run: |_| adjtimex(libc::SYS_clock_adjtime) },
    Act { id: "sethostname", about: "rename the host (to its name)", layers: ADMIN, args: "", control: Control::Root, run: |_| host_name(libc::SYS_sethostname) },
    Act { id: "setdomainname", about: "set the domain name (to what it is)", layers: ADMIN, args: "", control: Control::Root, run: |_| host_name(libc::SYS_setdomainname) },
    Act { id: "ioperm", about: "reach a hardware port", layers: ADMIN, args: "", control: Control::Root, run: |_| reach(libc::SYS_ioperm, [Word::N(0x80), Word::N(1), Word::N(1)], &[]) },
    Act { id: "iopl", about: "reach all hardware ports", layers: ADMIN, args: "", control: Control::Root, run: |_| reach(libc::SYS_iopl, [Word::N(3)], &[]) },
    Act { id: "modify-ldt", about: "change its local descriptor table", layers: CALL, args: "", control: Control::User, run: modify_ldt },
    Act { id: "personality", about: "turn off the randomisation of its addresses", layers: CALL, args: "", control: Control::User, run: |_| reach(libc::SYS_personality, [Word::N(0x0004_0000)], &[]) },
    Act { id: "entropy", about: "claim entropy for the random number generator", layers: "capabilities landlock", args: "", control: Control::Root, run: entropy },
    Act { id: "device-ioctl", about: "steer a device", layers: "devices landlock", args: "DEVICE [HEX]", control: Control::Root, run: device_ioctl },
    Act { id: "memfd-secret", about: "hold memory that not even the kernel maps", layers: CALL, args: "", control: Control::User, run: memory_secret },
    Act { id: "set-mempolicy", about: "choose memory nodes", layers: CALL, args: "", control: Control::User, run: mempolicy },
    Act { id: "lookup-sysfs", about: "ask the obsolete sysfs(2) call", layers: CALL, args: "", control: Control::User, run: |_| reach(libc::SYS_sysfs, [Word::N(3), NULL, NULL], &[]) },
    Act { id: "ustat", about: "ask the obsolete ustat(2) call", layers: CALL, args: "", control: Control::User, run: |_| reach(libc::SYS_ustat, [NULL, NULL], &[Errno::EINVAL, Errno::EFAULT]) },
];
