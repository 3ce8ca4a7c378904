//! How many a minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);
/// Entries that are counted at once, at most: there are never more in a policy that has limits.
const MOST: usize = 4096;

/// Counts for each entry of a policy.
#[derive(Debug, Default)]
pub struct Rates {
    counts: Mutex<HashMap<String, (Instant, u64)>>,
}

impl Rates {
    /// Whether so many more may go on by this entry.
    pub fn enter(&self, entry: Option<&str>, most: Option<u64>, more: usize) -> bool {
        let (Some(entry), Some(most)) = (entry, most) else { return true };
        let now = Instant::now();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|_, (since, _)| now.duration_since(*since) < MINUTE);
        if counts.len() >= MOST {
            return false;
        }
        let (_, count) = counts.entry(entry.to_owned()).or_insert((now, 0));
        *count = count.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
        *count <= most
    }
}
