//! The checks themselves: pure, from what was gathered to verdicts with remedies.

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
    report.extend([
        fence(found),
        self_test(found),
        daemon(found),
        tiocsti(found),
        user_namespaces(found),
        core_scheduling(found),
    ]);
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
mod tests {
    use std::collections::BTreeSet;

    use model::Settings;

    use super::*;

    type Change = Box<dyn FnOnce(&mut Evidence)>;

    fn sound() -> Evidence {
        Evidence {
            facts: Ok(Facts {
                kernel: "6.12.0".into(),
                systemd: 257,
                landlock_abi: 6,
                seccomp: true,
                controllers: BTreeSet::from(["cpu", "io", "memory", "pids"].map(String::from)),
                project_quota: true,
                nft: true,
                memory_bytes: 64 << 30,
                cpus: 8,
            }),
            settings: Ok(Settings::default()),
            nsswitch: "passwd: files systemd\ngroup:\t\tfiles systemd\n".into(),
            nss_systemd: true,
            polkit: true,
            fence: Ok("active".into()),
            self_test: Ok("inactive".into()),
            daemon: Ok("active".into()),
            uid_conflicts: Ok(Vec::new()),
            address_conflicts: Ok(Vec::new()),
            legacy_tiocsti: "0".into(),
            max_user_namespaces: "0".into(),
            unprivileged_userns_clone: String::new(),
            kernel_config: "CONFIG_SCHED_CORE=y".into(),
        }
    }

    /// Verdict and remedy of the check `name` once the sound host is changed.
    fn after(name: &str, change: impl FnOnce(&mut Evidence)) -> (String, String) {
        let mut found = sound();
        change(&mut found);
        let report = checks(&found);
        let check = report.into_iter().find(|check| check.name == name).unwrap();
        (check.verdict, check.remedy)
    }

    fn facts(found: &mut Evidence) -> &mut Facts {
        found.facts.as_mut().unwrap()
    }

    #[test]
    fn a_sound_host_has_nothing_to_repair() {
        for check in checks(&sound()) {
            assert_eq!((check.verdict.as_str(), check.remedy.as_str()), (OK, ""), "{check:?}");
        }
    }

    #[test]
    fn each_lack_is_found_by_its_check_and_has_a_remedy() {
        let lacks: Vec<(&str, &str, Change)> = vec![
            ("Landlock", MISSING, Box::new(|e| facts(e).landlock_abi = 0)),
            ("Landlock", MISSING, Box::new(|e| facts(e).landlock_abi = 1)),
            ("seccomp", MISSING, Box::new(|e| facts(e).seccomp = false)),
            ("systemd", MISSING, Box::new(|e| facts(e).systemd = 251)),
            ("nftables", MISSING, Box::new(|e| facts(e).nft = false)),
            ("cgroup-memory", MISSING, Box::new(|e| facts(e).controllers.clear())),
            ("disk-quota", WARNING, Box::new(|e| facts(e).project_quota = false)),
            ("host", MISSING, Box::new(|e| e.facts = Err("no".into()))),
            ("accounts", MISSING, Box::new(|e| e.nss_systemd = false)),
            ("accounts", MISSING, Box::new(|e| e.nsswitch = "passwd: files\ngroup: files systemd".into())),
            ("polkit", WARNING, Box::new(|e| e.polkit = false)),
            ("settings", MISSING, Box::new(|e| e.settings = Err("bad".into()))),
            ("fence", MISSING, Box::new(|e| e.fence = Ok("inactive".into()))),
            ("self-test", MISSING, Box::new(|e| e.self_test = Ok("failed".into()))),
            ("tenantd", WARNING, Box::new(|e| e.daemon = Ok("failed".into()))),
            ("TIOCSTI", WARNING, Box::new(|e| e.legacy_tiocsti = "1".into())),
            (
                "core scheduling",
                WARNING,
                Box::new(|e| e.kernel_config = "# CONFIG_SCHED_CORE is not set".into()),
            ),
        ];
        for (name, verdict, change) in lacks {
            let (found, remedy) = after(name, change);
            assert_eq!(found, verdict, "{name}");
            assert!(!remedy.is_empty(), "{name}");
        }
    }

    #[test]
    fn a_missing_controller_that_the_settings_accept_is_a_warning() {
        let (verdict, _) = after("cgroup-io", |e| {
            facts(e).controllers.clear();
            e.settings.as_mut().unwrap().defaults.accept_missing.push(Feature::CgroupIo);
        });
        assert_eq!(verdict, WARNING);
    }

    #[test]
    fn rights_that_the_kernel_lacks_are_named_with_who_holds_them() {
        let mut found = sound();
        facts(&mut found).landlock_abi = 2;
        let report = checks(&found);
        let landlock = report.iter().find(|check| check.name == "Landlock").unwrap();
        assert_eq!(landlock.verdict, OK);
        assert!(
            landlock.found.contains("held elsewhere: ") && landlock.found.contains(" by "),
            "{}",
            landlock.found
        );
    }

    #[test]
    fn pool_conflicts_are_told_as_the_host_tells_them() {
        let mut found = sound();
        found.uid_conflicts = Ok(vec!["uid pool 1-2: it meets x: choose another".into()]);
        let report = checks(&found);
        assert!(report.iter().any(|check| check.verdict == MISSING && check.found.contains("it meets x")));
    }
}
