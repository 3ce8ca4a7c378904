//! Units that exist as files: starting, stopping, and what they say of themselves.

use std::collections::BTreeMap;

use model::Exit;
use plan::HostError;
use zbus::zvariant::OwnedObjectPath;

use super::bus::{BusError, Link, Systemd};
use crate::error::sentence;

const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";

/// One row of `ListUnitsByPatterns`.
type Row = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

/// A unit in the words of `systemctl show`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitStatus {
    /// `LoadState`: `loaded`, `not-found`, `bad-setting`, `masked`, …
    pub load_state: String,
    /// `ActiveState`: `active`, `inactive`, `activating`, `deactivating`, `reloading`, `failed`.
    pub active_state: String,
    /// `SubState`: `running`, `dead`, `start-post`, `auto-restart`, …
    pub sub_state: String,
    /// `Result` of the service: `success`, `exit-code`, `timeout`, `oom-kill`, `start-limit-hit`, …; empty for others.
    pub result: String,
    /// `ExecMainStatus`: exit status or signal number of the last main process.
    pub exec_main_status: i32,
    /// `MainPID`, where there is one.
    pub main_pid: Option<u32>,
    /// `ActiveEnterTimestamp` in seconds since the epoch.
    pub active_since: Option<u64>,
    /// `InactiveEnterTimestamp` in microseconds since the epoch: when it last went down; 0 where systemd does not know.
    pub inactive_since_usec: u64,
    /// `ExecMainStartTimestamp` in seconds since the epoch: what was written later, the process has not read.
    pub started: Option<u64>,
    /// `NRestarts`: how often systemd has restarted it by itself since it was last started by hand.
    pub restarts: u32,
    /// `NeedDaemonReload`: its files changed on disk since they were read.
    pub needs_daemon_reload: bool,
}

impl UnitStatus {
    /// Whether it runs, or is on its way up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        is_up(&self.active_state)
    }
}

/// A line of a list of units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brief {
    /// `ActiveState`.
    pub active_state: String,
    /// `SubState`.
    pub sub_state: String,
}

impl Brief {
    /// Whether it runs, or is on its way up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        is_up(&self.active_state)
    }
}

impl Systemd {
    /// Starts a unit and waits until it is up or has failed. A start limit that was hit before is forgotten.
    pub fn start(&self, unit: &str) -> Result<(), HostError> {
        self.reset_failed(unit)?;
        self.job("start", "StartUnit", unit)
    }

    /// Asks for a start and does not wait for it.
    pub fn queue_start(&self, unit: &str) -> Result<(), HostError> {
        self.reset_failed(unit)?;
        let (act, name) = (format!("start {unit}"), unit.to_owned());
        self.run(&act, move |link| async move { queue(&link, "StartUnit", &name).await.map(drop) })
    }

    /// Stops a unit and waits until it is down. A unit that is not there is down.
    pub fn stop(&self, unit: &str) -> Result<(), HostError> {
        self.job("stop", "StopUnit", unit)
    }

    /// Restarts a unit, or starts it, and waits until it is up or has failed.
    pub fn restart(&self, unit: &str) -> Result<(), HostError> {
        self.reset_failed(unit)?;
        self.job("restart", "RestartUnit", unit)
    }

    /// Kills every process of a unit at once.
    pub fn kill(&self, unit: &str) -> Result<(), HostError> {
        let (act, name) = (format!("kill {unit}"), unit.to_owned());
        self.run(&act, move |link| async move {
            ignore_missing(link.manager("KillUnit", &(name.as_str(), "all", libc::SIGKILL)).await)
        })
    }

    /// Forgets that a unit failed, and how often it was started.
    pub fn reset_failed(&self, unit: &str) -> Result<(), HostError> {
        let (act, name) = (format!("reset {unit}"), unit.to_owned());
        self.run(&act, move |link| async move {
            ignore_missing(link.manager("ResetFailedUnit", &(name.as_str(),)).await)
        })
    }

    /// Has systemd remove the state directories of a unit that does not run; does not wait for it.
    pub(crate) fn clean_state(&self, unit: &str) -> Result<(), HostError> {
        let (act, name) = (format!("clean {unit}"), unit.to_owned());
        self.run(&act, move |link| async move {
            link.manager("CleanUnit", &(name.as_str(), ["state"].as_slice())).await.map(drop)
        })
    }

    /// What a unit says of itself.
    pub fn unit(&self, unit: &str) -> Result<UnitStatus, HostError> {
        let (act, name) = (format!("ask systemd for {unit}"), unit.to_owned());
        self.run(&act, move |link| async move { link.status(&name).await })
    }

    /// Units whose name fits a pattern and that are loaded, in one call; one that is not in the map is inactive.
    pub fn list(&self, pattern: &str) -> Result<BTreeMap<String, Brief>, HostError> {
        self.list_any(&[pattern.to_owned()])
    }

    /// The same for units whose name fits any of some patterns.
    pub(crate) fn list_any(&self, patterns: &[String]) -> Result<BTreeMap<String, Brief>, HostError> {
        let patterns = patterns.to_vec();
        let rows = self.run("list units", move |link| async move {
            let any: [&str; 0] = [];
            let reply = link.manager("ListUnitsByPatterns", &(&any[..], &patterns)).await?;
            Ok(reply.body().deserialize::<Vec<Row>>()?)
        })?;
        let brief = |row: Row| (row.0, Brief { active_state: row.3, sub_state: row.4 });
        Ok(rows.into_iter().map(brief).collect())
    }

    /// Stops units together and forgets that they failed.
    pub(crate) fn stop_all(&self, units: &[String]) -> Result<(), HostError> {
        let (act, units) = (format!("stop {}", units.join(", ")), units.to_vec());
        self.run(&act, move |link| async move {
            let mut jobs = Vec::new();
            for unit in &units {
                jobs.push((unit, queue(&link, "StopUnit", unit).await?));
            }
            let mut first_failure = Ok(());
            for (unit, job) in jobs {
                let (result, status) = outcome(&link, unit, job).await?;
                ignore_missing(link.manager("ResetFailedUnit", &(unit.as_str(),)).await)?;
                first_failure = first_failure.and(judge("stop", unit, &result, status));
            }
            Ok(first_failure)
        })?
    }

    /// systemd's major version.
    pub fn version(&self) -> Result<u32, HostError> {
        let text = self.run("ask systemd for its version", |link| async move {
            let manager = link.properties(super::bus::MANAGER_PATH, super::bus::MANAGER).await?;
            Ok(manager.text("Version"))
        })?;
        let digits: String =
            text.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
        digits.parse().map_err(|_| {
            sentence(
                Exit::Os,
                format!("systemd calls itself {text:?}, which holds no version number: report this"),
            )
        })
    }

    fn job(&self, verb: &'static str, method: &'static str, unit: &str) -> Result<(), HostError> {
        let (act, name) = (format!("{verb} {unit}"), unit.to_owned());
        let (result, status) = self.run(&act, move |link| async move {
            let job = queue(&link, method, &name).await?;
            outcome(&link, &name, job).await
        })?;
        judge(verb, unit, &result, status)
    }
}

/// Queues a job; nothing where there is no such unit.
async fn queue(link: &Link, method: &str, unit: &str) -> Result<Option<OwnedObjectPath>, BusError> {
    match link.manager(method, &(unit, "replace")).await {
        Err(error) if error.is_no_such_unit() => Ok(None),
        other => Ok(Some(other?.body().deserialize()?)),
    }
}

/// Stops a unit, whatever becomes of it, and forgets how it ended.
pub(super) async fn end(link: &Link, unit: &str) -> Result<(), BusError> {
    let job = queue(link, "StopUnit", unit).await?;
    outcome(link, unit, job).await?;
    ignore_missing(link.manager("ResetFailedUnit", &(unit,)).await)
}

/// How a job ended, and the unit's state unless that was well.
async fn outcome(
    link: &Link,
    unit: &str,
    job: Option<OwnedObjectPath>,
) -> Result<(String, Option<UnitStatus>), BusError> {
    let Some(job) = job else {
        let missing = UnitStatus { load_state: "not-found".to_owned(), ..UnitStatus::default() };
        return Ok(("missing".to_owned(), Some(missing)));
    };
    let result = link.jobs.wait(link, &job).await?;
    let status = if result == "done" { None } else { Some(link.status(unit).await?) };
    Ok((result, status))
}

fn judge(verb: &str, unit: &str, result: &str, status: Option<UnitStatus>) -> Result<(), HostError> {
    let stopping = verb == "stop";
    match status {
        None => Ok(()),
        Some(_) if stopping && result == "missing" => Ok(()),
        Some(status) if result == "gone" && status.is_up() != stopping => Ok(()),
        Some(status) => Err(failed(verb, unit, result, &status)),
    }
}

fn is_up(active_state: &str) -> bool {
    ["active", "activating", "reloading", "refreshing"].contains(&active_state)
}

impl Link {
    /// What a unit says of itself.
    pub(super) async fn status(&self, unit: &str) -> Result<UnitStatus, BusError> {
        let path = object_path(unit);
        let general = self.properties(&path, UNIT).await?;
        let mut status = UnitStatus {
            load_state: general.text("LoadState"),
            active_state: general.text("ActiveState"),
            sub_state: general.text("SubState"),
            active_since: general.seconds("ActiveEnterTimestamp"),
            inactive_since_usec: general.get("InactiveEnterTimestamp").unwrap_or_default(),
            needs_daemon_reload: general.get("NeedDaemonReload").unwrap_or_default(),
            ..UnitStatus::default()
        };
        if unit.ends_with(".service") {
            let service = self.properties(&path, SERVICE).await?;
            status.result = service.text("Result");
            status.exec_main_status = service.get("ExecMainStatus").unwrap_or_default();
            status.main_pid = service.get::<u32>("MainPID").filter(|pid| *pid != 0);
            status.started = service.seconds("ExecMainStartTimestamp");
            status.restarts = service.get("NRestarts").unwrap_or_default();
        }
        Ok(status)
    }
}

/// Object path of a unit; PID 1 loads the unit when the object is asked for (`bus_label_escape` in systemd's source).
pub(super) fn object_path(unit: &str) -> String {
    let mut path = "/org/freedesktop/systemd1/unit/".to_owned();
    for (index, byte) in unit.bytes().enumerate() {
        if byte.is_ascii_alphabetic() || (index > 0 && byte.is_ascii_digit()) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("_{byte:02x}"));
        }
    }
    path
}

/// A unit that PID 1 does not know needs neither stopping nor forgetting.
pub(super) fn ignore_missing(called: Result<zbus::Message, BusError>) -> Result<(), BusError> {
    match called {
        Err(error) if !error.is_no_such_unit() => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn failed(verb: &str, unit: &str, result: &str, status: &UnitStatus) -> HostError {
    let log = format!("see \"journalctl -u {unit} -n 50\"");
    let text = if status.load_state == "not-found" {
        format!("cannot {verb} {unit}: there is no such unit file: reinstall the package tenantd")
    } else if result == "dependency" {
        let net = unit.replacen("tenant@", "tenant-net@", 1);
        format!(
            "cannot {verb} {unit}: a unit it requires failed: see \"systemctl list-dependencies {unit}\" and \"journalctl -u {net} -n 50\""
        )
    } else if result == "canceled" {
        format!("cannot {verb} {unit}: another request for the same unit came in between: try again")
    } else {
        let how =
            if status.result.is_empty() { String::new() } else { format!(", Result={}", status.result) };
        let code = if status.exec_main_status == 0 {
            String::new()
        } else {
            format!(", status {}", status.exec_main_status)
        };
        format!(
            "cannot {verb} {unit}: the job ended as {result:?} (state {}{how}{code}): {log}",
            status.active_state
        )
    };
    let exit = if result == "canceled" { Exit::TempFail } else { Exit::Os };
    sentence(exit, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_paths_are_escaped_as_systemd_does() {
        assert_eq!(
            object_path("tenant@acme_corp2.service"),
            "/org/freedesktop/systemd1/unit/tenant_40acme_5fcorp2_2eservice"
        );
        assert!(object_path("7x").ends_with("/_37x"));
    }
}
