//! Properties of an object as `GetAll` gives them.

use std::collections::HashMap;

use zbus::zvariant::{OwnedValue, Value};

/// Property name → value.
#[derive(Debug)]
pub(crate) struct Properties(pub(super) HashMap<String, OwnedValue>);

impl Properties {
    /// A string; empty where there is none.
    pub(crate) fn text(&self, name: &str) -> String {
        self.get::<String>(name).unwrap_or_default()
    }

    /// A number of type `t`, unless it is infinity (`u64::MAX`).
    pub(crate) fn finite(&self, name: &str) -> Option<u64> {
        self.get::<u64>(name).filter(|value| *value != u64::MAX)
    }

    /// A time in microseconds, as seconds; 0 is "never".
    pub(crate) fn seconds(&self, name: &str) -> Option<u64> {
        self.get::<u64>(name).filter(|usec| *usec > 0).map(|usec| usec / 1_000_000)
    }

    /// A value of another basic type.
    pub(crate) fn get<T>(&self, name: &str) -> Option<T>
    where
        T: TryFrom<Value<'static>>,
    {
        let value: Value<'static> = self.0.get(name)?.try_clone().ok()?.into();
        T::try_from(value).ok()
    }
}
