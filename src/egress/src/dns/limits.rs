//! How many names are looked up: names below a pattern could carry data out.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use policy::Host;

/// Look-ups a second, and at once.
const RATE: f64 = 50.0;
const BURST: f64 = 100.0;
/// Names below one pattern in a minute.
const NAMES: usize = 60;
const MINUTE: Duration = Duration::from_secs(60);
/// Patterns whose names are counted, at most.
const PATTERNS: usize = 1024;

/// Counts.
#[derive(Debug)]
pub struct Limits {
    bucket: Mutex<(Instant, f64)>,
    below: Mutex<HashMap<String, (Instant, HashSet<String>)>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bucket: Mutex::new((Instant::now(), BURST)), below: Mutex::default() }
    }
}

impl Limits {
    /// Whether one more name may be looked up now.
    pub fn may_look_up(&self) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, tokens) = *bucket;
        let now = Instant::now();
        let tokens = (tokens + now.duration_since(last).as_secs_f64() * RATE).min(BURST);
        let may = tokens >= 1.0;
        *bucket = (now, if may { tokens - 1.0 } else { tokens });
        may
    }

    /// Whether one more name below a pattern may be.
    pub fn may_name(&self, suffix: &str, host: &Host) -> bool {
        let mut below = self.below.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        below.retain(|_, (since, _)| now.duration_since(*since) < MINUTE);
        if below.len() >= PATTERNS {
            return false;
        }
        let (_, names) = below.entry(suffix.to_owned()).or_insert_with(|| (now, HashSet::new()));
        let name = host.to_string();
        names.contains(&name) || names.len() < NAMES && names.insert(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_below_a_pattern_are_few_in_a_minute() {
        let limits = Limits::default();
        let name = |number: usize| Host::parse(&format!("n{number}.example.com")).unwrap();
        assert!((0..NAMES).all(|number| limits.may_name("example.com", &name(number))));
        assert!(!limits.may_name("example.com", &name(NAMES)));
        assert!(limits.may_name("example.com", &name(0)) && limits.may_name("example.org", &name(NAMES)));
    }

    #[test]
    fn look_ups_are_few_in_a_second() {
        let limits = Limits::default();
        let made = (0..10_000).filter(|_| limits.may_look_up()).count();
        assert!((100..5000).contains(&made), "{made}");
    }
}
