//! Freezing every process of a tenant, and thawing them: the freezer of the kernel's control groups, by systemd.

use plan::HostError;

use super::bus::Systemd;

impl Systemd {
    /// Freezes a unit, or every unit of a slice, and returns when nothing in it runs any more.
    pub fn freeze(&self, unit: &str) -> Result<(), HostError> {
        let (act, name) = (format!("freeze {unit}"), unit.to_owned());
        self.run(&act, move |link| async move {
            link.manager("FreezeUnit", &(name.as_str(),)).await?;
            Ok(())
        })
    }

    /// Lets it run again; one that is not frozen, or gone, stays as it is.
    pub fn thaw(&self, unit: &str) -> Result<(), HostError> {
        let (act, name) = (format!("thaw {unit}"), unit.to_owned());
        self.run(&act, move |link| async move {
            super::unit::ignore_missing(link.manager("ThawUnit", &(name.as_str(),)).await)
        })
    }
}
