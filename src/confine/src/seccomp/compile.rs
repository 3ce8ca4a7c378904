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
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompFilter, SeccompRule, TargetArch, sock_filter,
};

use super::condition::{self, Alternative};
use super::dispatch::{dispatch, returning};
use super::policy::Policy;
use super::{LONGEST, names};
use crate::sources::{Place, PolicyError, Sources};

type Rules = BTreeMap<u32, Vec<Alternative>>;

/// What a filter answers.
struct Actions {
    /// A call it names, whose rules hold or that has none.
    matched: SeccompAction,
    /// A call it names, none of whose rules hold.
    mismatched: SeccompAction,
    /// Any other call.
    default: SeccompAction,
}

impl Actions {
    /// `action` for what is named, nothing for the rest.
    fn only(action: SeccompAction) -> Self {
        Self { matched: action, mismatched: SeccompAction::Allow, default: SeccompAction::Allow }
    }

    /// Nothing but what is named.
    fn allow_only(error: SeccompAction) -> Self {
        Self { matched: SeccompAction::Allow, mismatched: error.clone(), default: error }
    }

    /// `error` for what is named but not allowed, nothing for the rest.
    fn unless_allowed(error: SeccompAction) -> Self {
        Self { matched: SeccompAction::Allow, mismatched: error, default: SeccompAction::Allow }
    }
}

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
        let program = build(&policy.kill, &Actions::only(SeccompAction::KillProcess), &place)?;
        add("kill".to_owned(), program, policy.log);
    }
    let allowed = policy.allow.iter().map(|(call, allowed)| (*call, allowed.when.clone())).collect();
    let program = build(&allowed, &Actions::allow_only(error(libc::ENOSYS.unsigned_abs())), &place)?;
    add("allow".to_owned(), program, policy.log);

    let otherwise: BTreeSet<u32> = policy.allow.values().filter_map(|allowed| allowed.otherwise).collect();
    for errno in otherwise {
        let of_errno = policy.allow.iter().filter(|(_, allowed)| allowed.otherwise == Some(errno));
        let rules = of_errno.map(|(call, allowed)| (*call, allowed.when.clone())).collect();
        add(
            format!("otherwise {errno}"),
            build(&rules, &Actions::unless_allowed(error(errno)), &place)?,
            policy.log,
        );
    }
    let mut errnos: Vec<u32> = policy.deny.keys().map(|(errno, _)| *errno).collect();
    errnos.dedup();
    errnos.sort_by_key(|errno| *errno == libc::EPERM.unsigned_abs());
    for errno in errnos {
        let of_errno = policy.deny.iter().filter(|((denied, _), _)| *denied == errno);
        let rules = of_errno.map(|((_, call), when)| (*call, when.clone())).collect();
        add(format!("deny {errno}"), build(&rules, &Actions::only(error(errno)), &place)?, policy.log);
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

/// A filter in which a call whose rules hold answers `matched`, one whose rules do not `mismatched`, and any other
/// `default`.
fn build(rules: &Rules, actions: &Actions, place: &Place) -> Result<BpfProgram, PolicyError> {
    let mut programs = BTreeMap::new();
    for (call, when) in rules {
        let program = match when.is_empty() {
            true => vec![returning(u32::from(actions.matched.clone()))],
            false => conditional(*call, when, actions).map_err(|cause| place.error(cause.to_string()))?,
        };
        programs.insert(*call, program);
    }
    let filter = dispatch(&programs, u32::from(actions.default.clone()));
    if filter.len() > LONGEST {
        return Err(
            place.error(format!("a filter has {} instructions, the kernel takes {LONGEST}", filter.len()))
        );
    }
    Ok(filter)
}

/// seccompiler's whole filter for one call.
fn conditional(call: u32, when: &[Alternative], actions: &Actions) -> Result<BpfProgram, BackendError> {
    let rules = when.iter().map(condition::rule).collect::<Result<Vec<SeccompRule>, _>>()?;
    let rules = BTreeMap::from([(i64::from(call), rules)]);
    let (mismatched, matched) = (actions.mismatched.clone(), actions.matched.clone());
    SeccompFilter::new(rules, mismatched, matched, TargetArch::x86_64)?.try_into()
}

fn pack(instruction: &sock_filter) -> u64 {
    u64::from(instruction.code) << 48
        | u64::from(instruction.jt) << 40
        | u64::from(instruction.jf) << 32
        | u64::from(instruction.k)
}
