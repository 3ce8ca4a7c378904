//! Faults for tests: the daemon kills itself before the n-th step it would carry out. Only in builds with the feature
//! `fault-injection`, which no package has.

use std::sync::atomic::{AtomicU64, Ordering};

static STEPS: AtomicU64 = AtomicU64::new(0);

/// Counts a step; at the step named by `TENANTD_DIE_AT` the process ends as if by `kill -9`.
pub fn die_at_step() {
    let now = STEPS.fetch_add(1, Ordering::SeqCst) + 1;
    let wished = std::env::var("TENANTD_DIE_AT").ok().and_then(|text| text.parse::<u64>().ok());
    if wished == Some(now) {
        tracing::warn!("fault injection: dying before step {now}");
        std::process::abort();
    }
}
