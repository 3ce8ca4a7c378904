//! Where tests end the world: before, within and after each change of a file. In other builds it goes on.

use std::io;

/// Fails after as many points as a test has set.
#[cfg(test)]
pub(crate) fn point() -> io::Result<()> {
    crate::tests::may_go_on()
}

/// Ends the process as if by `kill -9` at the point named by `TENANTD_DIE_AT_VAULT`.
#[cfg(all(not(test), feature = "fault-injection"))]
pub(crate) fn point() -> io::Result<()> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static POINTS: AtomicU64 = AtomicU64::new(0);
    let now = POINTS.fetch_add(1, Ordering::SeqCst) + 1;
    let wished = std::env::var("TENANTD_DIE_AT_VAULT").ok().and_then(|text| text.parse::<u64>().ok());
    if wished == Some(now) {
        std::process::abort();
    }
    Ok(())
}

#[cfg(not(any(test, feature = "fault-injection")))]
#[expect(clippy::unnecessary_wraps, reason = "tests fail here")]
pub(crate) const fn point() -> io::Result<()> {
    Ok(())
}
