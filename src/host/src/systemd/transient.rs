//! Units made for one piece of work: started, waited for, read, forgotten.
//!
//! They are `Type=oneshot`: the start job lasts as long as the process, so its end is one signal. The unit is held with
//! `AddRef` until its exit status has been read.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use plan::HostError;
use zbus::zvariant::{Fd, OwnedObjectPath, Value as Variant};

use super::bus::{BusError, Link, Systemd};
use crate::Cancel;

/// A property value of a transient unit.
#[derive(Debug)]
pub(crate) enum Value {
    /// `s`.
    Text(String),
    /// `as`.
    Texts(Vec<String>),
    /// `b`.
    Flag(bool),
    /// `t`.
    Number(u64),
    /// `u`.
    Bits(u32),
    /// `i`.
    Signed(i32),
    /// `a(ssbt)`: source, destination, ignore what is missing, flags.
    Binds(Vec<(String, String, bool, u64)>),
    /// `(bas)`: allow list?, names.
    Filter(bool, Vec<String>),
    /// `a(ss)`: path and options, or credential and path.
    Pairs(Vec<(String, String)>),
    /// `h`.
    Descriptor(OwnedFd),
}

/// A unit to be made.
#[derive(Debug)]
pub(crate) struct Transient {
    /// Unit name.
    pub(crate) unit: String,
    /// Program and arguments.
    pub(crate) argv: Vec<String>,
    /// Environment.
    pub(crate) environment: BTreeMap<String, String>,
    /// Everything else.
    pub(crate) properties: Vec<(&'static str, Value)>,
}

/// How a transient unit ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// `Result`: `success`, `exit-code`, `signal`, `timeout`, `oom-kill`, `resources`, …
    pub(crate) result: String,
    /// `ExecMainCode`: 1 exited, 2 killed, 3 dumped, 0 never ran.
    pub(crate) code: i32,
    /// Exit status or signal number.
    pub(crate) status: i32,
}

impl Systemd {
    /// Starts a transient unit and waits until its process has ended, or until `cancel`, which kills it.
    pub(crate) fn run_transient(&self, transient: Transient, cancel: &Cancel) -> Result<Ended, HostError> {
        let (act, cancel) = (format!("run {}", transient.unit), cancel.clone());
        self.run(&act, move |link| async move { work(&link, transient, &cancel).await })
    }
}

async fn work(link: &Link, transient: Transient, cancel: &Cancel) -> Result<Ended, BusError> {
    let unit = transient.unit.clone();
    let properties = variants(transient);
    let job = match start(link, &unit, &properties).await {
        // Work of a daemon that was killed may still run under the same name: it ends, and the work begins anew.
        Err(BusError::Refused { name, .. }) if name.ends_with(".UnitExists") => {
            super::unit::end(link, &unit).await?;
            start(link, &unit, &properties).await?
        }
        other => other?,
    };
    tokio::select! {
        ended = link.jobs.wait(link, &job) => { ended?; }
        () = cancel.cancelled() => {
            super::unit::ignore_missing(link.manager("KillUnit", &(unit.as_str(), "all", libc::SIGKILL)).await)?;
            link.jobs.wait(link, &job).await?;
        }
    }
    let service =
        link.properties(&super::unit::object_path(&unit), "org.freedesktop.systemd1.Service").await?;
    let ended = Ended {
        result: service.text("Result"),
        code: service.get("ExecMainCode").unwrap_or_default(),
        status: service.get("ExecMainStatus").unwrap_or_default(),
    };
    super::unit::ignore_missing(link.manager("ResetFailedUnit", &(unit.as_str(),)).await)?;
    super::unit::ignore_missing(link.manager("UnrefUnit", &(unit.as_str(),)).await)?;
    Ok(ended)
}

async fn start(
    link: &Link,
    unit: &str,
    properties: &[(String, Variant<'static>)],
) -> Result<OwnedObjectPath, BusError> {
    let auxiliary: [(&str, Vec<(&str, Variant<'_>)>); 0] = [];
    // "replace": a tenant's network that is on its way down, because the last one who needed it ended, comes up again.
    let reply = link.manager("StartTransientUnit", &(unit, "replace", properties, &auxiliary[..])).await?;
    Ok(reply.body().deserialize()?)
}

fn variants(transient: Transient) -> Vec<(String, Variant<'static>)> {
    let program = transient.argv.first().cloned().unwrap_or_default();
    let environment: Vec<String> =
        transient.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut list: Vec<(String, Variant<'static>)> = vec![
        ("Type".to_owned(), Variant::from("oneshot")),
        ("AddRef".to_owned(), Variant::from(true)),
        ("CollectMode".to_owned(), Variant::from("inactive-or-failed")),
        // Without the flag PID 1 would put its own variables in the place of `$NAME` in somebody's arguments.
        ("ExecStartEx".to_owned(), Variant::from(vec![(program, transient.argv, vec!["no-env-expand"])])),
        ("Environment".to_owned(), Variant::from(environment)),
    ];
    list.extend(transient.properties.into_iter().map(|(name, value)| (name.to_owned(), variant(value))));
    list
}

fn variant(value: Value) -> Variant<'static> {
    match value {
        Value::Text(text) => Variant::from(text),
        Value::Texts(texts) => Variant::from(texts),
        Value::Flag(flag) => Variant::from(flag),
        Value::Number(number) => Variant::from(number),
        Value::Bits(bits) => Variant::from(bits),
        Value::Signed(number) => Variant::from(number),
        Value::Binds(binds) => Variant::from(binds),
        Value::Filter(allow, names) => Variant::from((allow, names)),
        Value::Pairs(pairs) => Variant::from(pairs),
        Value::Descriptor(fd) => Variant::Fd(Fd::from(fd)),
    }
}
