//! Limits of a slice: in PID 1's memory and, as drop-ins, on disk.
//!
//! `SetUnitProperties` writes `/etc/systemd/system.control/<slice>.d/50-<Name>.conf` and changes the loaded unit in the
//! same call; a unit that is loaded later reads them from there. No reload is needed for either.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use model::{Paths, PropertyValue};
use plan::HostError;
use zbus::zvariant::Value;

use super::bus::Systemd;
use super::unit::object_path;
use crate::{files, tree};

/// D-Bus property, and the directive that its drop-in holds.
pub(crate) const LIMITS: [(&str, &str); 7] = [
    ("MemoryMax", "MemoryMax"),
    ("MemoryHigh", "MemoryHigh"),
    ("MemorySwapMax", "MemorySwapMax"),
    ("CPUQuotaPerSecUSec", "CPUQuota"),
    ("CPUWeight", "CPUWeight"),
    ("TasksMax", "TasksMax"),
    ("IOWeight", "IOWeight"),
];
/// Most bytes of a drop-in.
const BOUND: usize = 4096;

impl Systemd {
    /// Limits in force of a slice; infinity is left out.
    pub fn slice_limits(&self, slice: &str) -> Result<BTreeMap<String, u64>, HostError> {
        let (act, name) = (format!("ask systemd for {slice}"), slice.to_owned());
        self.run(&act, move |link| async move {
            let own = link.properties(&object_path(&name), "org.freedesktop.systemd1.Slice").await?;
            let finite = |(property, _): (&str, &str)| Some((property.to_owned(), own.finite(property)?));
            Ok(LIMITS.into_iter().filter_map(finite).collect())
        })
    }

    /// Sets limits, in force at once and after a reboot; `u64::MAX` takes one away.
    pub(crate) fn set_limits(
        &self,
        slice: &str,
        limits: &BTreeMap<String, PropertyValue>,
    ) -> Result<(), HostError> {
        if limits.is_empty() {
            return Ok(());
        }
        let (act, name, limits) = (format!("set limits of {slice}"), slice.to_owned(), limits.clone());
        self.run(&act, move |link| async move {
            let value = |(property, PropertyValue::U64(value)): (String, PropertyValue)| {
                (property, Value::U64(value))
            };
            let properties: Vec<(String, Value<'_>)> = limits.into_iter().map(value).collect();
            link.manager("SetUnitProperties", &(name.as_str(), false, properties)).await.map(drop)
        })
    }
}

/// Where the drop-ins of a slice lie.
pub(crate) fn dropins(paths: &Paths, slice: &str) -> PathBuf {
    paths.unit_control().join(format!("{slice}.d"))
}

/// Properties that a drop-in limits; nothing where there is no drop-in directory at all.
pub(crate) fn persisted(paths: &Paths, slice: &str) -> Result<Option<BTreeSet<String>>, HostError> {
    let directory = dropins(paths, slice);
    if crate::anchor::Anchor::find(&directory)?.is_none() {
        return Ok(None);
    }
    let mut found = BTreeSet::new();
    for (property, directive) in LIMITS {
        let file = directory.join(format!("50-{directive}.conf"));
        let text = files::read_bounded(&file, BOUND)?.unwrap_or_default();
        if limits(&String::from_utf8_lossy(&text), directive) {
            found.insert(property.to_owned());
        }
    }
    Ok(Some(found))
}

/// Removes every drop-in of a slice from disk.
pub(crate) fn forget(paths: &Paths, slice: &str) -> Result<(), HostError> {
    let directory = dropins(paths, slice);
    if let Some(anchor) = crate::anchor::Anchor::find(&directory)? {
        for name in anchor.names(100)? {
            files::remove(&directory.join(name))?;
        }
    }
    if tree::remove_empty(&directory)? { Ok(()) } else { Err(tree::not_empty(&directory)) }
}

/// Whether a drop-in gives the directive a value; the last assignment counts, empty and `infinity` are none.
fn limits(text: &str, directive: &str) -> bool {
    let mut assigned = text.lines().filter_map(|line| line.trim().strip_prefix(directive)?.strip_prefix('='));
    assigned.next_back().is_some_and(|value| !value.is_empty() && value != "infinity")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_or_infinite_assignment_is_no_limit() {
        let header = "# This is a drop-in unit file extension\n[Slice]\n";
        assert!(limits(&format!("{header}MemoryMax=1073741824\n"), "MemoryMax"));
        assert!(!limits(&format!("{header}MemoryMax=infinity\n"), "MemoryMax"));
        assert!(!limits(&format!("{header}CPUQuota=\n"), "CPUQuota"));
        assert!(!limits(&format!("{header}MemoryMaxOther=1\n"), "MemoryMax"));
    }

    #[test]
    fn drop_ins_on_disk_are_seen_and_forgotten() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::below(root.path());
        let slice = "tenants-acme.slice";
        assert_eq!(persisted(&paths, slice).unwrap(), None);
        let file = dropins(&paths, slice).join("50-CPUQuota.conf");
        files::write_atomic(&file, model::Owner::ROOT, 0o644, b"[Slice]\nCPUQuota=150%\n").unwrap();
        assert_eq!(
            persisted(&paths, slice).unwrap(),
            Some(BTreeSet::from(["CPUQuotaPerSecUSec".to_owned()]))
        );
        forget(&paths, slice).unwrap();
        forget(&paths, slice).unwrap();
        assert_eq!(persisted(&paths, slice).unwrap(), None);
    }
}
