//! From a policy to the stack of filters that the launcher installs.
//!
//! The kernel runs every filter and takes the most restrictive action; between equal actions, the one of the filter
//! installed last (seccomp(2), "Return values"). Hence the order:
//! 1. `kill`: nothing overrules it;
//! 2. `allow`: whatever it does not name answers ENOSYS, as on a kernel that lacks the call, so that programs fall back;
//! 3. `arguments`: an allowed call whose arguments are not answers its `otherwise`;
//! 4. `deny`: known calls that must not look absent. Last, because it closes seccomp(2) itself, which the filters before
//!    it leave open for the launcher.
//!
//! Every filter kills on a foreign architecture (i386); x32 numbers are in no table and answer ENOSYS.

use std::collections::BTreeMap;

use model::BpfFilter;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompFilter, SeccompRule, TargetArch, sock_filter,
};

use super::condition::{self, Alternative};
use super::dispatch::{dispatch, returning};
use super::policy::Policy;
use super::{LONGEST, names};
use crate::sources::{Place, PolicyError, Sources};

/// The programs of one filter, by call.
type Programs = BTreeMap<u32, BpfProgram>;

/// Compiles the policy `name` (a file `name.toml` of `sources`) for x86_64.
pub fn compile(sources: &Sources, name: &str) -> Result<Vec<BpfFilter>, PolicyError> {
    let mut policy = Policy::read(sources, name)?;
    let place = Place::root(&format!("{name}.toml"));
    close_seccomp(&mut policy, &place)?;
    let backend = |error: BackendError| place.error(error.to_string());

    let (mut kill, mut allow, mut arguments, mut deny) =
        <(Programs, Programs, Programs, Programs)>::default();
    for (call, when) in &policy.kill {
        kill.insert(
            *call,
            program(*call, when, SeccompAction::KillProcess, SeccompAction::Allow).map_err(backend)?,
        );
    }
    for (call, allowed) in &policy.allow {
        allow.insert(*call, vec![returning(libc::SECCOMP_RET_ALLOW)]);
        if let Some(errno) = allowed.otherwise {
            let error = SeccompAction::Errno(errno);
            arguments
                .insert(*call, program(*call, &allowed.when, SeccompAction::Allow, error).map_err(backend)?);
        }
    }
    for (call, denied) in &policy.deny {
        let error = SeccompAction::Errno(denied.errno);
        deny.insert(*call, program(*call, &denied.when, error, SeccompAction::Allow).map_err(backend)?);
    }

    let absent = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
    let pass = libc::SECCOMP_RET_ALLOW;
    let stack = [
        ("kill", kill, pass),
        ("allow", allow, absent),
        ("arguments", arguments, pass),
        ("deny", deny, pass),
    ];
    let mut filters = Vec::new();
    for (name, programs, default) in stack {
        if programs.is_empty() && default == pass {
            continue;
        }
        let filter = dispatch(&programs, default);
        if filter.len() > LONGEST {
            let length = filter.len();
            return Err(place.error(format!(
                "the filter \"{name}\" has {length} instructions, the kernel takes {LONGEST}"
            )));
        }
        filters.push(BpfFilter {
            name: name.to_owned(),
            program: filter.iter().map(pack).collect(),
            log: policy.log,
        });
    }
    Ok(filters)
}

/// The launcher installs the whole stack; what runs afterwards installs nothing.
fn close_seccomp(policy: &mut Policy, place: &Place) -> Result<(), PolicyError> {
    let eperm = libc::EPERM.unsigned_abs();
    let seccomp = names::call("seccomp").unwrap_or_default();
    let denied =
        policy.deny.get(&seccomp).is_some_and(|denied| denied.when.is_empty() && denied.errno == eperm);
    if !denied || policy.allow.contains_key(&seccomp) {
        return Err(place.error(
            "seccomp must be denied with errno = \"EPERM\": the launcher proves by it that the whole stack is in force",
        ));
    }
    policy.open_for_launcher(seccomp, place);
    Ok(())
}

/// seccompiler's whole filter for one call: `matched` when any of `when` holds, or always when it is empty.
fn program(
    call: u32,
    when: &[Alternative],
    matched: SeccompAction,
    mismatched: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    if when.is_empty() {
        return Ok(vec![returning(u32::from(matched))]);
    }
    // One of these values: the opposite of none of them, which takes two instructions each instead of five.
    let (rules, matched, mismatched) = match condition::none_of(when) {
        Some(none) => (vec![condition::rule(&none)?], mismatched, matched),
        None => {
            (when.iter().map(condition::rule).collect::<Result<Vec<SeccompRule>, _>>()?, matched, mismatched)
        }
    };
    let rules = BTreeMap::from([(i64::from(call), rules)]);
    SeccompFilter::new(rules, mismatched, matched, TargetArch::x86_64)?.try_into()
}

fn pack(instruction: &sock_filter) -> u64 {
    u64::from(instruction.code) << 48
        | u64::from(instruction.jt) << 40
        | u64::from(instruction.jf) << 32
        | u64::from(instruction.k)
}
