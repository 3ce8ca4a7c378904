//! The checks themselves: pure, from what was gathered to verdicts with remedies.

mod egress;

use api::Check;
use confine::landlock::{FLOOR, held_elsewhere, kernel_of};
use model::{Facts, Feature};

use super::evidence::Evidence;

/// As it should be.
pub(super) const OK: &str = "ok";
/// Tenants run, but look at it.
pub(super) const WARNING: &str = "warning";
/// Tenants do not run, or not as they should.
pub(super) const MISSING: &str = "missing";

/// The oldest systemd whose behaviour the units rely on (credentials, `ProtectProc=`, `OnSuccess=`; Debian 12).
const SYSTEMD: u32 = 252;

/// Every check, in the order in which one would repair things.
pub(super) fn checks(found: &Evidence) -> Vec<Check> {
    let mut report = match &found.facts {
        Ok(facts) => of_facts(facts, found),
        Err(why) => vec![check(
            MISSING,
            "host",
            format!("cannot be looked at: {why}"),
            "run it on a host that booted with systemd",
        )],
    };
    report.extend([accounts(found), polkit(found), settings(found)]);
    report.push(pool("uid pool", &found.uid_conflicts));
    report.push(pool("address pools", &found.address_conflicts));
    report.extend([fence(found), self_test(found), daemon(found), credentials(found), identify(found)]);
    report.extend(egress::egress(found));
    report.extend(vault(found));
    report.extend(edge(found));
    report.extend([tiocsti(found), user_namespaces(found), core_scheduling(found)]);
    report
}

fn check(verdict: &str, name: &str, found: impl Into<String>, remedy: impl Into<String>) -> Check {
    Check { name: name.into(), verdict: verdict.into(), found: found.into(), remedy: remedy.into() }
}

fn of_facts(facts: &Facts, found: &Evidence) -> Vec<Check> {
    let mut report = vec![check(OK, "kernel", facts.kernel.clone(), ""), landlock(facts.landlock_abi)];
    report.push(match facts.seccomp {
        true => check(OK, "seccomp", "filters can be installed", ""),
        false => check(MISSING, "seccomp", "no filters", "boot a kernel with CONFIG_SECCOMP_FILTER"),
    });
    report.push(match facts.systemd >= SYSTEMD {
        true => check(OK, "systemd", format!("version {}", facts.systemd), ""),
        false => check(
            MISSING,
            "systemd",
            format!("version {} is older than {SYSTEMD}", facts.systemd),
            "upgrade to Debian 12 or newer",
        ),
    });
    report.push(match facts.nft {
        true => check(OK, "nftables", "the kernel takes the fence", ""),
        false => check(
            MISSING,
            "nftables",
            "the fence cannot be loaded",
            "apt install nftables, and boot a kernel with nf_tables",
        ),
    });
    let accepted =
        found.settings.as_ref().map(|settings| settings.defaults.accept_missing.clone()).unwrap_or_default();
    report.extend(
        Feature::ALL.map(|feature| of_feature(feature, facts.has(feature), accepted.contains(&feature))),
    );
    report
}

fn of_feature(feature: Feature, there: bool, accepted: bool) -> Check {
    let absent = "this host lacks it";
    match (there, feature, accepted) {
        (true, ..) => check(OK, feature.name(), "there", ""),
        // Only tenants with limits.disk_max need it.
        (false, Feature::DiskQuota, _) => check(WARNING, feature.name(), absent, feature.remedy()),
        (false, _, true) => check(
            WARNING,
            feature.name(),
            format!("{absent}; /etc/tenantd/tenantd.toml accepts that"),
            feature.remedy(),
        ),
        (false, _, false) => {
            let remedy = format!(
                "{}; or accept it for all tenants: defaults.accept_missing = [\"{feature}\"] in /etc/tenantd/tenantd.toml",
                feature.remedy()
            );
            check(MISSING, feature.name(), absent, remedy)
        }
    }
}

fn landlock(abi: u32) -> Check {
    let remedy = "boot Linux 5.19 or newer; if it is, add \"landlock\" to the lsm= boot option";
    match abi {
        0 => return check(MISSING, "Landlock", "absent or not enabled", remedy),
        _ if abi < FLOOR => return check(MISSING, "Landlock", format!("ABI {abi}, below {FLOOR}"), remedy),
        _ => {}
    }
    let elsewhere: Vec<_> =
        held_elsewhere(abi).map(|held| format!("{} by {}", held.right, held.by)).collect();
    let kernel = kernel_of(abi).map(|kernel| format!(" (Linux {kernel})")).unwrap_or_default();
    match elsewhere.is_empty() {
        true => check(OK, "Landlock", format!("ABI {abi}{kernel}"), ""),
        false => {
            check(OK, "Landlock", format!("ABI {abi}{kernel}; held elsewhere: {}", elsewhere.join("; ")), "")
        }
    }
}

/// Accounts are userdb records; programs see them only through nss-systemd.
fn accounts(found: &Evidence) -> Check {
    let named = |database: &str| {
        found
            .nsswitch
            .lines()
            .filter_map(|line| line.trim().strip_prefix(database)?.strip_prefix(':'))
            .any(|services| services.split_whitespace().any(|service| service == "systemd"))
    };
    match (found.nss_systemd, named("passwd") && named("group")) {
        (true, true) => check(OK, "accounts", "nss-systemd is asked for users and groups", ""),
        (false, _) => {
            check(MISSING, "accounts", "nss-systemd is not installed", "apt install libnss-systemd")
        }
        (true, false) => check(
            MISSING,
            "accounts",
            "nss-systemd is not asked for users and groups",
            "add \"systemd\" to the lines passwd and group of /etc/nsswitch.conf",
        ),
    }
}

fn polkit(found: &Evidence) -> Check {
    match found.polkit {
        true => check(OK, "polkit", "installed", ""),
        false => {
            check(WARNING, "polkit", "not installed: only root may use tenantctl", "apt install polkitd")
        }
    }
}

fn settings(found: &Evidence) -> Check {
    match &found.settings {
        Ok(_) => check(OK, "settings", "/etc/tenantd/tenantd.toml is sound, or left at its defaults", ""),
        Err(why) => check(MISSING, "settings", why.clone(), "correct the file; \"tenantctl check\" reads it"),
    }
}

/// The sentences of `host::pools` hold their remedies already.
fn pool(name: &str, conflicts: &Result<Vec<String>, String>) -> Check {
    match conflicts {
        Ok(none) if none.is_empty() => check(OK, name, "meets nothing on this host", ""),
        Ok(some) => check(MISSING, name, some.join("; "), ""),
        Err(why) => check(WARNING, name, format!("cannot be looked at: {why}"), "run it as root"),
    }
}

fn fence(found: &Evidence) -> Check {
    let remedy = "systemctl start tenantd-fence, and see \"journalctl -u tenantd-fence\"";
    match &found.fence {
        Ok(state) if state == "active" => check(OK, "fence", "loaded", ""),
        Ok(state) => check(MISSING, "fence", format!("tenantd-fence.service is {state}"), remedy),
        Err(why) => check(WARNING, "fence", format!("cannot be asked about: {why}"), remedy),
    }
}

/// The self-test fails for as long as a tenant is cut off.
fn self_test(found: &Evidence) -> Check {
    let remedy = "see \"journalctl -u tenantd-selftest -p crit\"; systemctl reload tenantd-fence, then start the tenants that \"tenantctl list\" shows as cut off";
    match &found.self_test {
        Ok(state) if state == "failed" => {
            check(MISSING, "self-test", "the fence was seen not to hold, or could not be tried", remedy)
        }
        Ok(_) => check(OK, "self-test", "of the fence: no tenant is cut off", ""),
        Err(why) => check(WARNING, "self-test", format!("cannot be asked about: {why}"), remedy),
    }
}

fn daemon(found: &Evidence) -> Check {
    let remedy = "systemctl start tenantd, and see \"journalctl -u tenantd\"";
    match &found.daemon {
        Ok(state) if state == "active" => check(OK, "tenantd", "runs", ""),
        Ok(state) => {
            check(WARNING, "tenantd", format!("is {state}: tenants run, but cannot be changed"), remedy)
        }
        Err(why) => check(WARNING, "tenantd", format!("cannot be asked about: {why}"), remedy),
    }
}

/// PID 1 asks there for the secrets of every gateway, also of one that has none.
fn credentials(found: &Evidence) -> Check {
    let name = "credentials";
    let remedy =
        "systemctl enable --now tenantd-credentials.socket, and see \"journalctl -u tenantd-credentials\"";
    match &found.credentials {
        Ok(state) if state == "active" => check(OK, name, "tenantd-credentials.socket listens", ""),
        Ok(state) => {
            let found = format!("tenantd-credentials.socket is {state}: no tenant starts");
            check(MISSING, name, found, remedy)
        }
        Err(why) => check(WARNING, name, format!("cannot be asked about: {why}"), remedy),
    }
}

/// Egress proxies ask there which program a connection belongs to.
fn identify(found: &Evidence) -> Check {
    let name = "identify";
    let remedy = "systemctl enable --now tenantd-identify.socket, and see \"journalctl -u tenantd-identify\"";
    match &found.identify {
        Ok(state) if state == "active" => check(OK, name, "tenantd-identify.socket listens", ""),
        Ok(state) => {
            let found = format!(
                "tenantd-identify.socket is {state}: what an egress policy allows by program is refused"
            );
            check(WARNING, name, found, remedy)
        }
        Err(why) => check(WARNING, name, format!("cannot be asked about: {why}"), remedy),
    }
}

/// The state of the vault, then whatever else is the matter with it.
fn vault(found: &Evidence) -> Vec<Check> {
    let name = "vault";
    let status = match &found.vault {
        None => {
            let why = "cannot be looked at: tenantd does not run";
            return vec![check(WARNING, name, why, "systemctl start tenantd")];
        }
        Some(Err(why)) => {
            let why = format!("cannot be looked at: {why}");
            return vec![check(WARNING, name, why, "run it as root")];
        }
        Some(Ok(status)) => status,
    };
    let mut report = Vec::new();
    if status.state == "locked" {
        let why = status.problem.clone().unwrap_or_else(|| "its key does not open".to_owned());
        let found = format!("locked, and tenants that have secrets do not start: {why}");
        report.push(check(MISSING, name, found, "tenantctl vault recovery import"));
    }
    if status.rotating {
        let found = "a rotation of the KEK is under way or was interrupted";
        report.push(check(WARNING, name, found, "tenantctl vault rotate-kek ends it"));
    }
    // The sentences of the vault hold their remedies already, and name the tenant.
    report.extend(status.damaged.iter().map(|why| {
        let remedy = "tenantctl secret list TENANT; give a damaged secret its value again";
        check(MISSING, name, format!("damaged: {why}"), remedy)
    }));
    if report.is_empty() {
        let found = match status.state.as_str() {
            "empty" => "empty: no secret was ever set".to_owned(),
            state => format!("{state}; all {} secrets in it open", status.secrets),
        };
        report.push(check(OK, name, found, ""));
    }
    report
}

/// Only what tenantd told; that it told nothing is said of the vault already.
fn edge(found: &Evidence) -> Vec<Check> {
    let Some(status) = &found.edge else { return Vec::new() };
    let remedy = "tenantctl edge status";
    let mut report: Vec<_> =
        status.problems.iter().map(|problem| check(WARNING, "edge", problem, remedy)).collect();
    if report.is_empty() {
        let text = match &status.domain {
            Some(domain) => format!("open, for the names below {domain}"),
            None => "not enabled: nobody reaches a tenant from outside".to_owned(),
        };
        report.push(check(OK, "edge", text, ""));
    }
    report
}

/// `TIOCSTI` is refused to tenants by seccomp; the switch (Linux 6.2) takes it from everyone else's terminals too.
fn tiocsti(found: &Evidence) -> Check {
    match found.legacy_tiocsti.as_str() {
        "0" => check(OK, "TIOCSTI", "off for everyone (dev.tty.legacy_tiocsti = 0)", ""),
        "" => check(OK, "TIOCSTI", "no switch in this kernel; seccomp refuses it to tenants", ""),
        _ => check(
            WARNING,
            "TIOCSTI",
            "on for programs outside tenants; seccomp refuses it to tenants",
            "sysctl dev.tty.legacy_tiocsti=0",
        ),
    }
}

/// Tenants cannot make user namespaces (seccomp); other accounts of the host may, and reach much kernel code by them.
fn user_namespaces(found: &Evidence) -> Check {
    let off = found.max_user_namespaces == "0" || found.unprivileged_userns_clone == "0";
    match off {
        true => check(OK, "user namespaces", "not for unprivileged users", ""),
        false => check(
            OK,
            "user namespaces",
            "any user of this host may make them; seccomp refuses them to tenants. If nothing else needs them: sysctl user.max_user_namespaces=0",
            "",
        ),
    }
}

fn core_scheduling(found: &Evidence) -> Check {
    let name = "core scheduling";
    if found.kernel_config.is_empty() {
        return check(OK, name, "unknown: the kernel's configuration cannot be read", "");
    }
    match found.kernel_config.lines().any(|line| line == "CONFIG_SCHED_CORE=y") {
        true => check(OK, name, "in this kernel", ""),
        false => check(
            WARNING,
            name,
            "not in this kernel: tenants may share a processor core",
            "boot a kernel with CONFIG_SCHED_CORE, or with nosmt",
        ),
    }
}

#[cfg(test)]
mod tests;
