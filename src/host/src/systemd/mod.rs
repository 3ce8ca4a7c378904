//! PID 1 over D-Bus: units, slices, transient units.
//!
//! Nothing here ever asks for a `daemon-reload`: its cost grows with the number of units (4.7 s at 1,000).

mod bus;
mod freezer;
mod jobs;
mod properties;
mod slice;
mod transient;
mod unit;
mod unit_files;

pub use bus::Systemd;
pub use unit::{Brief, UnitStatus};

pub(crate) use properties::Properties;
pub(crate) use slice::{LIMITS, dropins, forget, persisted};
pub(crate) use transient::{Ended, Transient, Value};
