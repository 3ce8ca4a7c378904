//! Freezing a slice, and thawing it: the freezer of the kernel's control groups, by systemd.

use plan::HostError;

use super::bus::{BusError, Systemd};

impl Systemd {
    /// Freezes every unit of a slice, and returns when nothing in it runs any more.
    pub(crate) fn freeze(&self, slice: &str) -> Result<(), HostError> {
        let (act, name) = (format!("freeze {slice}"), slice.to_owned());
        self.run(&act, move |link| async move {
            link.manager("FreezeUnit", &(name.as_str(),)).await?;
            Ok(())
        })
    }

    /// Lets it run again; one that is not frozen, not active, or gone stays as it is.
    pub(crate) fn thaw(&self, slice: &str) -> Result<(), HostError> {
        let (act, name) = (format!("thaw {slice}"), slice.to_owned());
        self.run(&act, move |link| async move {
            match link.manager("ThawUnit", &(name.as_str(),)).await {
                Err(BusError::Refused { name, .. }) if name.ends_with(".UnitInactive") => Ok(()),
                other => super::unit::ignore_missing(other),
            }
        })
    }
}
