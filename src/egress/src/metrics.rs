//! Counts, written to the journal as one line once a minute and at the end.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Counts by kind; the kinds are written in this program, so there are few.
#[derive(Debug, Default)]
pub struct Numbers {
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

impl Numbers {
    /// One more.
    pub fn count(&self, kind: &'static str) {
        self.add(kind, 1);
    }

    /// So many more.
    pub fn add(&self, kind: &'static str, count: u64) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let own = counts.entry(kind).or_default();
        *own = own.saturating_add(count);
    }

    /// How many there were.
    #[must_use]
    pub fn get(&self, kind: &'static str) -> u64 {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).get(kind).copied().unwrap_or(0)
    }

    /// Writes all since the start.
    pub fn write(&self) {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if !counts.is_empty() {
            let line: Vec<_> = counts.iter().map(|(kind, count)| format!("{kind}={count}")).collect();
            tracing::info!(METRICS = "egress", "counts since the start: {}", line.join(" "));
        }
    }
}
