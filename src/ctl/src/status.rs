//! `status`: what is wanted of a tenant beside what was measured on it, in 80 columns.

use api::{Health, Measured, Status};
use model::{ByteSize, TenantId};

use crate::failure::{Ended, Failure};
use crate::list::tone_of;
use crate::output::{Cell, Tone, clean, fields, size, span};
use crate::session::Session;

/// systemctl's exit status for a unit that does not run.
const NOT_RUNNING: u8 = 3;

/// Prints one tenant.
pub(crate) async fn status(session: &mut Session, tenant: &TenantId) -> Ended {
    let answer = session.daemon().await?.get_status(tenant.as_str()).await?;
    let status: Status =
        serde_json::from_str(&answer).map_err(|error| Failure::foreign_answer(tenant.as_str(), &error))?;
    session.print(&status, |session| render(&status, session))?;
    Ok(if status.health == Health::Ready { 0 } else { NOT_RUNNING })
}

fn render(status: &Status, session: &Session) -> String {
    let palette = session.palette;
    let tone = match (&status.health, status.summary.state.as_str()) {
        (Health::NotReady(_), "active") => Tone::Warning,
        (_, state) => tone_of(state),
    };
    let health = match &status.health {
        Health::Stopped => String::new(),
        Health::Ready => ", ready".to_owned(),
        Health::NotReady(_) => ", not ready".to_owned(),
    };
    let head = format!("{} {}", palette.paint(tone, "●"), clean(&status.summary.id));
    let state = if status.summary.sleeping { "sleeping" } else { status.summary.state.as_str() };
    let state = palette.paint(tone, &format!("{} ({})", clean(state), clean(&status.sub_state)));
    let mut lines = identity(status, session.now);
    if let Some(measured) = &status.measured {
        lines.extend(confinement(measured));
    }
    lines.extend(condition(status, session.now));
    format!("{head}: {state}{health}\n{}", fields(&lines, session.width, palette))
}

/// Who and where.
fn identity(status: &Status, now: u64) -> Vec<(&'static str, Cell)> {
    let summary = &status.summary;
    let mut lines = vec![
        ("unit", format!("{} in {}", status.unit, status.slice).into()),
        ("at boot", if summary.enabled { "started" } else { "not started" }.into()),
        ("runtime", format!("{} {}", summary.runtime, summary.version).trim_end().into()),
    ];
    if let Health::NotReady(why) = &status.health {
        lines.push(("health", Cell::toned(Tone::Warning, why)));
    }
    if status.result != "success" && !status.result.is_empty() {
        lines.push(("last end", Cell::toned(Tone::Bad, &status.result)));
    }
    if let Some(pid) = status.pid {
        let since = status.since.map(|since| format!(", for {}", span(now.saturating_sub(since))));
        lines.push(("process", format!("{pid}{}", since.unwrap_or_default()).into()));
    }
    lines.push(("user", format!("{} (uid {})", status.user, summary.uid).into()));
    lines.push(("network", format!("{} port {} in {}", summary.address, status.port, status.netns).into()));
    lines
}

/// What was read off the running process.
fn confinement(measured: &Measured) -> Vec<(&'static str, Cell)> {
    let told = |good: bool, yes: String, no: String| match good {
        true => Cell::from(yes),
        false => Cell::toned(Tone::Bad, no),
    };
    let not_empty: Vec<_> = measured
        .capabilities
        .iter()
        .filter(|(_, set)| set.chars().any(|digit| digit != '0'))
        .map(|(name, set)| format!("{name}={set}"))
        .collect();
    let landlock = &measured.landlock;
    let mut lines = vec![(
        "Landlock",
        told(
            landlock.proven_at_start,
            format!("ABI {}, seen to hold at start", landlock.abi),
            format!("ABI {}, NOT seen to hold", landlock.abi),
        ),
    )];
    if !landlock.held_elsewhere.is_empty() {
        lines.push(("held elsewhere", landlock.held_elsewhere.join("; ").into()));
    }
    lines.push((
        "seccomp",
        told(
            measured.seccomp_mode == 2 && measured.seccomp_filters > 0,
            format!("mode 2 (filter), {} filters", measured.seccomp_filters),
            format!("mode {}, {} filters: NOT filtered", measured.seccomp_mode, measured.seccomp_filters),
        ),
    ));
    lines.push((
        "capabilities",
        told(
            not_empty.is_empty(),
            "none in any of the five sets".into(),
            format!("NOT EMPTY: {}", not_empty.join(" ")),
        ),
    ));
    lines.push(("no_new_privs", told(measured.no_new_privs, "set".into(), "NOT SET".into())));
    lines.push((
        "inside",
        told(
            measured.in_own_netns && measured.in_own_slice,
            format!("own network namespace, own slice, uid {}", measured.uid),
            format!(
                "network namespace: {}, slice: {}, uid {}",
                if measured.in_own_netns { "own" } else { "NOT OWN" },
                if measured.in_own_slice { "own" } else { "NOT OWN" },
                measured.uid
            ),
        ),
    ));
    lines
}

/// Limits, and what an operator may have to do.
fn condition(status: &Status, now: u64) -> Vec<(&'static str, Cell)> {
    let mut lines = Vec::new();
    if let Some(memory) = status.summary.memory_bytes {
        let most = status.limits.get("MemoryMax").map(|most| format!(" of {}", size(*most)));
        lines.push(("memory", format!("{}{}", size(memory), most.unwrap_or_default()).into()));
    }
    let limits: Vec<_> = status.limits.iter().map(|(name, value)| limit(name, *value)).collect();
    lines.push(("limits", if limits.is_empty() { "none".into() } else { limits.join(" ").into() }));
    if !status.summary.missing.is_empty() {
        let missing: Vec<_> = status.summary.missing.iter().map(|feature| feature.name()).collect();
        let text = format!("{} (accepted)", missing.join(", "));
        lines.push(("missing", Cell::toned(Tone::Warning, text)));
    }
    let ago = |made: u64| format!("{} ago", span(now.saturating_sub(made)));
    lines.push(("last backup", status.last_backup.map_or_else(|| "none".to_owned(), ago).into()));
    if let Some(why) = &status.summary.alarm {
        lines.push(("fence", Cell::toned(Tone::Bad, format!("cut off: {why}"))));
        let text = format!(
            "run \"systemctl reload tenantd-fence\", then \"tenantctl start {}\" and \"systemctl start tenantd-selftest\", which tries it again",
            status.summary.id
        );
        lines.push(("", Cell::toned(Tone::Warning, text)));
    }
    if status.restart_needed {
        let text =
            format!("needed: its files changed since; run \"tenantctl restart {}\"", status.summary.id);
        lines.push(("restart", Cell::toned(Tone::Warning, text)));
    }
    if let Some(kind) = &status.open_operation {
        lines.push((
            "operation",
            Cell::toned(Tone::Warning, format!("{kind} was interrupted and is still open")),
        ));
    }
    for (at, step) in status.drift.iter().enumerate() {
        lines.push((if at == 0 { "drift" } else { "" }, Cell::toned(Tone::Warning, step)));
    }
    if !status.drift.is_empty() {
        let text = format!("run \"tenantctl repair {}\" to take these steps", status.summary.id);
        lines.push(("", Cell::toned(Tone::Warning, text)));
    }
    lines
}

/// A limit as systemd's unit files write it.
fn limit(name: &str, value: u64) -> String {
    match name {
        "CPUQuotaPerSecUSec" => format!("CPUQuota={}%", value / 10_000),
        _ if name.starts_with("Memory") => format!("{name}={}", ByteSize(value)),
        _ => format!("{name}={value}"),
    }
}
