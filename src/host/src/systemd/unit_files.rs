//! Enabling units by their own `[Install]`, as `systemctl enable` does, without the reload that costs with each unit of the host.

use plan::HostError;

use super::bus::{BusError, Systemd};

impl Systemd {
    /// Starts units at boot from now on.
    pub fn enable(&self, units: &[&str]) -> Result<(), HostError> {
        self.unit_files("enable", units)
    }

    /// No longer starts units at boot. One that is not there is not started.
    pub fn disable(&self, units: &[&str]) -> Result<(), HostError> {
        self.unit_files("disable", units)
    }

    fn unit_files(&self, verb: &'static str, units: &[&str]) -> Result<(), HostError> {
        let act = format!("{verb} {}", units.join(", "));
        let units: Vec<String> = units.iter().map(|unit| (*unit).to_owned()).collect();
        self.run(&act, move |link| async move {
            // For good, not until the next boot; a link to somewhere else is replaced.
            let called = match verb {
                "enable" => link.manager("EnableUnitFiles", &(&units, false, true)).await,
                _ => link.manager("DisableUnitFiles", &(&units, false)).await,
            };
            match called {
                Err(BusError::Refused { name, .. })
                    if verb == "disable" && name.ends_with(".FileNotFound") =>
                {
                    Ok(())
                }
                other => other.map(drop),
            }
        })
    }
}
