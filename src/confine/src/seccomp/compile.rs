//! From a policy to the stack of filters that the launcher installs.
//!
//! The kernel runs every filter and takes the most restrictive action; between equal actions, the one of the filter
//! installed last (seccomp(2), "Return values"). Hence the order:
//! 1. `kill`: nothing overrules it;
//! 2. `allow`: whatever it does not name answers ENOSYS, as on a kernel that lacks the call, so that programs fall back;
//! 3. `otherwise E`: an allowed call whose arguments are not answers E instead of ENOSYS;
//! 4. `deny E`: known calls that must not look absent; EPERM last, because it closes seccomp(2) itself, which the
//!    filters before it leave open for the launcher.
//!
//! Every filter kills on a foreign architecture (i386); x32 numbers are in no table and answer ENOSYS.

use std::collections::{BTreeMap, BTreeSet};

use model::BpfFilter;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, SeccompRule, TargetArch, sock_filter};

use super::condition::{self, Alternative};
use super::names;
use super::policy::Policy;
use crate::sources::{Place, PolicyError, Sources};

type Rules = BTreeMap<u32, Vec<Alternative>>;

/// Compiles the policy `name` (a file `name.toml` of `sources`) for x86_64.
pub fn compile(sources: &Sources, name: &str) -> Result<Vec<BpfFilter>, PolicyError> {
    let mut policy = Policy::read(sources, name)?;
    let place = Place::root(&format!("{name}.toml"));
    close_seccomp(&mut policy, &place)?;

    let mut filters = Vec::new();
    let mut add = |name: String, program: BpfProgram, log| {
        filters.push(BpfFilter { name, program: program.iter().map(pack).collect(), log });
    };
    if !policy.kill.is_empty() {
        let program = build(&policy.kill, SeccompAction::Allow, SeccompAction::KillProcess, &place)?;
        add("kill".to_owned(), program, policy.log);
    }
    let allowed = policy.allow.iter().map(|(call, allowed)| (*call, allowed.when.clone())).collect();
    let program = build(&allowed, error(libc::ENOSYS.unsigned_abs()), SeccompAction::Allow, &place)?;
    add("allow".to_owned(), program, policy.log);

    let otherwise: BTreeSet<u32> = policy.allow.values().filter_map(|allowed| allowed.otherwise).collect();
    for errno in otherwise {
        let of_errno = policy.allow.iter().filter(|(_, allowed)| allowed.otherwise == Some(errno));
        let rules = of_errno.map(|(call, allowed)| (*call, allowed.when.clone())).collect();
        add(format!("otherwise {errno}"), build_otherwise(&rules, errno, &place)?, policy.log);
    }
    let mut errnos: Vec<u32> = policy.deny.keys().map(|(errno, _)| *errno).collect();
    errnos.dedup();
    errnos.sort_by_key(|errno| *errno == libc::EPERM.unsigned_abs());
    for errno in errnos {
        let of_errno = policy.deny.iter().filter(|((denied, _), _)| *denied == errno);
        let rules = of_errno.map(|((_, call), when)| (*call, when.clone())).collect();
        add(format!("deny {errno}"), build(&rules, SeccompAction::Allow, error(errno), &place)?, policy.log);
    }
    Ok(filters)
}

/// The launcher installs the whole stack; what runs afterwards installs nothing.
fn close_seccomp(policy: &mut Policy, place: &Place) -> Result<(), PolicyError> {
    let eperm = libc::EPERM.unsigned_abs();
    let seccomp = names::call("seccomp").unwrap_or_default();
    let denied = policy.deny.get(&(eperm, seccomp)).is_some_and(Vec::is_empty);
    if !denied || policy.allow.contains_key(&seccomp) {
        return Err(place.error(
            "seccomp must be denied with errno = \"EPERM\": the launcher proves by it that the whole stack is in force",
        ));
    }
    policy.open_for_launcher(seccomp, place);
    Ok(())
}

fn error(errno: u32) -> SeccompAction {
    SeccompAction::Errno(errno)
}

fn build(
    rules: &Rules,
    mismatch: SeccompAction,
    matched: SeccompAction,
    place: &Place,
) -> Result<BpfProgram, PolicyError> {
    let mut compiled = BTreeMap::new();
    for (call, when) in rules {
        let when: Result<Vec<SeccompRule>, _> = when.iter().map(condition::rule).collect();
        compiled.insert(i64::from(*call), when.map_err(|cause| place.error(cause.to_string()))?);
    }
    SeccompFilter::new(compiled, mismatch, matched, TargetArch::x86_64)
        .and_then(BpfProgram::try_from)
        .map_err(|cause| place.error(cause.to_string()))
}

/// `rules` allow, other arguments of the same calls answer `errno`, other calls are none of this filter's business.
///
/// seccompiler has one mismatch action for both cases. It ends each call's rules with it and puts it once more at the
/// very end, for calls that are not named: that last instruction becomes ALLOW. A test interprets the result.
fn build_otherwise(rules: &Rules, errno: u32, place: &Place) -> Result<BpfProgram, PolicyError> {
    let mut program = build(rules, error(errno), SeccompAction::Allow, place)?;
    match program.last_mut() {
        Some(last) if last.k == u32::from(error(errno)) => last.k = u32::from(SeccompAction::Allow),
        Some(_) | None => return Err(place.error("seccompiler laid out its filter in an unknown way")),
    }
    Ok(program)
}

fn pack(instruction: &sock_filter) -> u64 {
    u64::from(instruction.code) << 48
        | u64::from(instruction.jt) << 40
        | u64::from(instruction.jf) << 32
        | u64::from(instruction.k)
}
