//! Bounded counting: requests a second, and what is open at once, by address, subject and tenant.
//!
//! Tables hold a line only for whoever is above nothing: a bucket that is full again, or a count of zero, is forgotten. A table that is
//! full of others lets no stranger in, so that a flood of addresses costs a bounded amount of memory.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lines of one part of a table, at most.
const MOST_LINES: usize = 8192;
const PARTS: usize = 8;
/// How often a full part is looked through.
const SWEEP: Duration = Duration::from_millis(100);

/// The address by which a client is counted: an IPv6 host has a whole /64.
#[must_use]
pub fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// How much somebody may.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    every: Duration,
    burst: Duration,
}

impl Quota {
    /// So many in so much time, and at most `burst` at once.
    #[must_use]
    pub fn new(count: u32, per: Duration, burst: u32) -> Self {
        let every = per / count.max(1);
        Self { every, burst: every.saturating_mul(burst.max(1)) }
    }

    /// So many a second, and twice as many at once.
    #[must_use]
    pub fn per_second(count: u32) -> Self {
        Self::new(count, Duration::from_secs(1), count.saturating_mul(2))
    }
}

/// Rates by key (a leaky bucket each, as one point in time).
#[derive(Debug)]
pub struct Rates<K> {
    hasher: RandomState,
    parts: Vec<Mutex<Part<K>>>,
}

#[derive(Debug)]
struct Part<K> {
    /// Until when each is paid for.
    lines: HashMap<K, Instant>,
    swept: Option<Instant>,
}

impl<K: Hash + Eq> Default for Rates<K> {
    fn default() -> Self {
        let part = || Mutex::new(Part { lines: HashMap::new(), swept: None });
        Self { hasher: RandomState::new(), parts: (0..PARTS).map(|_| part()).collect() }
    }
}

impl<K: Hash + Eq> Rates<K> {
    /// Takes one from the bucket of `key`.
    ///
    /// # Errors
    ///
    /// How long to wait until there is one.
    pub fn take(&self, key: K, quota: Quota, now: Instant) -> Result<(), Duration> {
        let mut part = self.part(&key);
        let full = part.lines.len() >= MOST_LINES;
        if full && part.swept.is_none_or(|swept| now.duration_since(swept) >= SWEEP) {
            part.lines.retain(|_, paid| *paid > now);
            part.swept = Some(now);
        }
        let room = part.lines.len() < MOST_LINES;
        let Some(paid) = part.lines.get(&key).copied() else {
            if !room {
                return Err(Duration::from_secs(1));
            }
            part.lines.insert(key, now + quota.every);
            return Ok(());
        };
        let paid = paid.max(now);
        let next = paid + quota.every;
        if let Some(over) = next.duration_since(now).checked_sub(quota.burst).filter(|over| !over.is_zero()) {
            return Err(over);
        }
        part.lines.insert(key, next);
        Ok(())
    }

    /// Whether the bucket of `key` has one, without taking it.
    ///
    /// # Errors
    ///
    /// How long to wait until there is one.
    pub fn look(&self, key: K, quota: Quota, now: Instant) -> Result<(), Duration> {
        let part = self.part(&key);
        let paid = part.lines.get(&key).copied().unwrap_or(now).max(now);
        let over = (paid + quota.every).duration_since(now).checked_sub(quota.burst);
        over.filter(|over| !over.is_zero()).map_or(Ok(()), Err)
    }

    fn part(&self, key: &K) -> MutexGuard<'_, Part<K>> {
        let hash = usize::try_from(self.hasher.hash_one(key) >> 33).unwrap_or(0);
        let [first, ..] = self.parts.as_slice() else { unreachable!("a table has parts") };
        self.parts.get(hash % PARTS).unwrap_or(first).lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is open at once, by key.
#[derive(Debug)]
pub struct Counts<K: Hash + Eq> {
    lines: Mutex<HashMap<K, u32>>,
}

/// A place that is taken; given back when dropped.
#[derive(Debug)]
pub struct Seat<K: Hash + Eq> {
    counts: Arc<Counts<K>>,
    key: K,
}

impl<K: Hash + Eq> Default for Counts<K> {
    fn default() -> Self {
        Self { lines: Mutex::new(HashMap::new()) }
    }
}

impl<K: Hash + Eq + Clone> Counts<K> {
    /// A place of `key`, if fewer than `most` are taken.
    pub fn enter(self: &Arc<Self>, key: &K, most: u32) -> Option<Seat<K>> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        match lines.get_mut(key) {
            Some(count) if *count >= most => return None,
            Some(count) => *count += 1,
            None if most == 0 => return None,
            None => drop(lines.insert(key.clone(), 1)),
        }
        Some(Seat { counts: Arc::clone(self), key: key.clone() })
    }
}

impl<K: Hash + Eq> Counts<K> {
    /// How many are taken altogether.
    pub fn total(&self) -> u64 {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.values().map(|count| u64::from(*count)).sum()
    }
}

impl<K: Hash + Eq> Drop for Seat<K> {
    fn drop(&mut self) {
        let mut lines = self.counts.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = lines.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                lines.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let (rates, quota, start) =
            (Rates::default(), Quota::new(10, Duration::from_secs(1), 5), Instant::now());
        let passed = (0..20).filter(|_| rates.take("a", quota, start).is_ok()).count();
        assert_eq!(passed, 5);
        assert!(rates.take("b", quota, start).is_ok());
        assert!(rates.look("a", quota, start).is_err());
        let later = start + Duration::from_millis(200);
        assert!(rates.look("a", quota, later).is_ok());
        assert_eq!((0..20).filter(|_| rates.take("a", quota, later).is_ok()).count(), 2);
    }

    #[test]
    fn a_flood_of_addresses_is_bounded_and_forgotten() {
        let (rates, quota, start) =
            (Rates::default(), Quota::new(10, Duration::from_secs(1), 5), Instant::now());
        let passed = (0..200_000_u32).filter(|key| rates.take(*key, quota, start).is_ok()).count();
        assert!(passed <= MOST_LINES * PARTS, "{passed}");
        assert!(rates.take(u32::MAX, quota, start + Duration::from_secs(1)).is_ok());
    }

    #[test]
    fn seats_are_given_back() {
        let counts = Arc::new(Counts::default());
        let seats: Vec<_> = (0..3).filter_map(|_| counts.enter(&"a", 2)).collect();
        assert_eq!((seats.len(), counts.total()), (2, 2));
        assert!(counts.enter(&"b", 2).is_some());
        drop(seats);
        assert_eq!(counts.total(), 0);
        assert!(counts.lines.lock().unwrap().is_empty());
    }

    #[test]
    fn an_ipv6_host_is_its_64_and_a_mapped_address_its_ipv4() {
        let address = |text: &str| counted(text.parse().unwrap());
        assert_eq!(address("2001:db8:1:2:3::4"), address("2001:db8:1:2::9"));
        assert_ne!(address("2001:db8:1:2:3::4"), address("2001:db8:1:3::4"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
    }
}
