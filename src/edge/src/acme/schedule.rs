//! What is ordered when. Neither reads a clock nor does anything: it is told what happened and says what comes next.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

/// Seconds after a name was refused; twice as many each further time.
const REFUSED: u64 = 3600;
/// And at most.
const REFUSED_MOST: u64 = 24 * 3600;
/// Seconds after the authority could not be reached; twice as many each further time.
const UNREACHABLE: u64 = 10;
/// And at most.
const UNREACHABLE_MOST: u64 = 3600;
/// The longest that an authority may send us away for.
const PATIENCE: u64 = 7 * 24 * 3600;
/// Seconds between orders, once the first [`BURST`] have gone out: 290 in three hours, where Let's Encrypt takes 300.
const PACE: u64 = 40;
/// Orders that may follow each other at once.
const BURST: u64 = 20;

/// All names, and how it goes with the authority.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    names: HashMap<String, Name>,
    /// Nothing is ordered before.
    closed_until: u64,
    /// Whether that is because it refuses us, and not because it is away.
    shut: bool,
    /// Times in a row that the authority could not be asked.
    failures: u32,
    /// What the journal knows to be wrong with the authority.
    told: Option<String>,
    /// When the order that goes out next would have its turn at the even pace.
    turn: u64,
}

#[derive(Debug, Default)]
struct Name {
    due: u64,
    failures: u32,
    told: Option<String>,
}

/// What an edge that is restarted has to know, so that restarting is no way around an authority's limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Waits {
    /// Names that were refused: when they may be ordered again, and how often they were refused.
    names: BTreeMap<String, (u64, u32)>,
    closed_until: u64,
    failures: u32,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This name is ordered now.
    Order(String),
    /// Nothing before this time.
    Wait(u64),
    /// Nothing until a name is asked for.
    Idle,
}

/// How long to wait, and whether the journal knows already why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) struct Delay {
    /// Seconds.
    pub(super) seconds: u64,
    /// The same was wrong the last time.
    pub(super) known: bool,
}

impl Schedule {
    /// This name has a certificate, to be renewed then.
    pub(super) fn renew(&mut self, name: &str, at: u64) {
        self.names.insert(name.to_owned(), Name { due: at, ..Name::default() });
    }

    /// This name is wanted. One that is known already keeps its time.
    pub(super) fn want(&mut self, name: &str, now: u64) {
        self.names.entry(name.to_owned()).or_insert_with(|| Name { due: now, ..Name::default() });
    }

    /// What has to outlast a restart.
    pub(super) fn waits(&self) -> Waits {
        let refused = self.names.iter().filter(|(_, entry)| entry.failures > 0);
        let names = refused.map(|(name, entry)| (name.clone(), (entry.due, entry.failures))).collect();
        let (closed_until, failures) = if self.shut { (self.closed_until, self.failures) } else { (0, 0) };
        Waits { names, closed_until, failures }
    }

    /// What was so before a restart; none of it lasts longer than an authority may ask for, whatever the clock was.
    pub(super) fn resume(&mut self, waits: Waits, now: u64) {
        let bounded = |time: u64| time.min(now.saturating_add(PATIENCE));
        for (name, (due, failures)) in waits.names {
            let due = bounded(due);
            self.names.insert(name, Name { due, failures, told: None });
        }
        self.closed_until = bounded(waits.closed_until);
        self.failures = waits.failures;
        self.shut = self.closed_until > 0;
    }

    /// This name is served no more.
    pub(super) fn forget(&mut self, name: &str) {
        self.names.remove(name);
    }

    /// Wherever we are in time: who is next.
    pub(super) fn next(&self, now: u64) -> Next {
        let Some((name, entry)) = self.names.iter().min_by_key(|(name, entry)| (entry.due, *name)) else {
            return Next::Idle;
        };
        let paced = self.turn.saturating_sub(BURST * PACE);
        let at = entry.due.max(self.closed_until).max(paced);
        if at <= now { Next::Order(name.clone()) } else { Next::Wait(at) }
    }

    /// An order goes out.
    pub(super) fn begun(&mut self, now: u64) {
        self.turn = self.turn.max(now) + PACE;
    }

    /// The authority gave it. Whether it was in trouble before.
    pub(super) fn got(&mut self, name: &str, renew_at: u64) -> bool {
        self.renew(name, renew_at);
        self.closed_until = 0;
        self.shut = false;
        self.failures = 0;
        self.told.take().is_some()
    }

    /// The authority refused this name, for a reason of this kind.
    pub(super) fn refused(&mut self, name: &str, kind: &str, now: u64, wait: Option<u64>) -> Delay {
        self.failures = 0;
        self.shut = false;
        self.told = None;
        let entry = self.names.entry(name.to_owned()).or_default();
        entry.failures = entry.failures.saturating_add(1);
        let seconds = delay(REFUSED, REFUSED_MOST, entry.failures, wait);
        entry.due = now.saturating_add(seconds);
        Delay { seconds, known: entry.told.replace(kind.to_owned()).as_deref() == Some(kind) }
    }

    /// The authority could not be asked, for a reason of this kind, which has nothing to do with the name.
    pub(super) fn closed(&mut self, kind: &str, now: u64, wait: Option<u64>, long: bool) -> Delay {
        self.failures = self.failures.saturating_add(1);
        let (first, most) = if long { (REFUSED, REFUSED_MOST) } else { (UNREACHABLE, UNREACHABLE_MOST) };
        let seconds = delay(first, most, self.failures, wait);
        self.closed_until = now.saturating_add(seconds);
        self.shut = long;
        Delay { seconds, known: self.told.replace(kind.to_owned()).as_deref() == Some(kind) }
    }
}

/// Twice as long each time, and never less than we were told.
fn delay(first: u64, most: u64, failures: u32, told: Option<u64>) -> u64 {
    let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(20));
    doubled.min(most).max(told.unwrap_or_default().min(PATIENCE))
}

/// When a certificate is renewed: after two thirds of its life, and up to a twentieth of it later, so that those that were ordered
/// together do not stay together. `chance` is any number.
pub(super) fn renewal(begin: u64, end: u64, chance: u64) -> u64 {
    let life = end.saturating_sub(begin);
    let jitter = (life / 20).max(1);
    begin.saturating_add(life / 3 * 2).saturating_add(chance % jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const DAY: u64 = 24 * 3600;

    fn order(name: &str) -> Next {
        Next::Order(name.to_owned())
    }

    #[test]
    fn a_name_that_is_wanted_is_ordered_once_and_renewed_in_time() {
        let mut schedule = Schedule::default();
        assert_eq!(schedule.next(NOW), Next::Idle);
        schedule.want("a", NOW);
        schedule.want("a", NOW + 5);
        assert_eq!(schedule.next(NOW), order("a"));
        schedule.begun(NOW);
        assert!(!schedule.got("a", NOW + 60 * DAY));
        schedule.want("a", NOW + 10);
        assert_eq!(schedule.next(NOW + 10), Next::Wait(NOW + 60 * DAY));
        assert_eq!(schedule.next(NOW + 60 * DAY), order("a"));
        schedule.forget("a");
        assert_eq!(schedule.next(NOW + 60 * DAY), Next::Idle);
    }

    #[test]
    fn a_refused_name_waits_longer_each_time_and_holds_nobody_up() {
        let mut schedule = Schedule::default();
        schedule.want("a", NOW);
        schedule.want("b", NOW + 1);
        assert_eq!(schedule.refused("a", "dns", NOW, None), Delay { seconds: 3600, known: false });
        // Being asked for again does not shorten it.
        schedule.want("a", NOW + 2);
        assert_eq!(schedule.next(NOW + 2), order("b"));
        schedule.forget("b");
        assert_eq!(schedule.next(NOW + 2), Next::Wait(NOW + 3600));
        assert_eq!(schedule.refused("a", "dns", NOW, None), Delay { seconds: 7200, known: true });
        assert_eq!(schedule.refused("a", "caa", NOW, None), Delay { seconds: 14_400, known: false });
        for _ in 0..40 {
            assert!(schedule.refused("a", "caa", NOW, None).seconds <= DAY);
        }
        assert_eq!(schedule.refused("a", "caa", NOW, Some(2 * DAY)).seconds, 2 * DAY);
        assert_eq!(schedule.refused("a", "caa", NOW, Some(u64::MAX)).seconds, PATIENCE);
        assert!(!schedule.got("a", NOW + DAY));
        assert_eq!(schedule.refused("a", "caa", NOW, None), Delay { seconds: 3600, known: false });
    }

    #[test]
    fn an_authority_that_is_away_is_asked_soon_again_and_costs_no_name_its_turn() {
        let mut schedule = Schedule::default();
        schedule.want("a", NOW);
        schedule.want("b", NOW);
        assert_eq!(schedule.closed("refused", NOW, None, false), Delay { seconds: 10, known: false });
        assert_eq!(schedule.next(NOW), Next::Wait(NOW + 10));
        assert_eq!(schedule.closed("refused", NOW + 10, None, false), Delay { seconds: 20, known: true });
        assert_eq!(schedule.closed("refused", NOW, Some(120), false), Delay { seconds: 120, known: true });
        assert_eq!(schedule.next(NOW + 120), order("a"));
        assert!(schedule.got("a", NOW + DAY), "the journal is told that it is back");
        assert_eq!(schedule.next(NOW + 121), order("b"));
        for _ in 0..40 {
            assert!(schedule.closed("x", NOW, None, false).seconds <= 3600);
        }
        // Too many orders: an hour at least.
        let mut schedule = Schedule::default();
        assert_eq!(schedule.closed("rateLimited", NOW, None, true).seconds, 3600);
    }

    #[test]
    fn what_was_refused_waits_over_a_restart_and_what_was_away_does_not() {
        let mut before = Schedule::default();
        assert_eq!(before.refused("a", "dns", NOW, None).seconds, 3600);
        before.want("b", NOW);
        before.renew("c", NOW + DAY);
        assert_eq!(before.closed("unreachable", NOW, None, false).seconds, 10);
        let mut after = Schedule::default();
        after.renew("c", NOW + DAY);
        after.resume(before.waits(), NOW + 1);
        after.want("a", NOW + 1);
        assert_eq!(after.next(NOW + 1), Next::Wait(NOW + 3600));
        assert_eq!(after.refused("a", "dns", NOW, None).seconds, 7200);
        assert!(!after.got("a", NOW + DAY));
        assert_eq!(after.waits(), Waits::default());
        // An authority that refuses us, too; and a clock that was wrong ends some day.
        assert_eq!(before.closed("rateLimited", NOW, Some(2 * DAY), true).seconds, 2 * DAY);
        let mut after = Schedule::default();
        after.resume(before.waits(), NOW - 100 * DAY);
        after.want("x", 0);
        assert_eq!(after.next(NOW - 100 * DAY), Next::Wait(NOW - 100 * DAY + PATIENCE));
    }

    #[test]
    fn orders_keep_a_pace_that_the_authority_bears() {
        let mut schedule = Schedule::default();
        for number in 0..2000 {
            schedule.want(&format!("{number:04}"), NOW);
        }
        let (mut now, mut begun) = (NOW, Vec::new());
        while now < NOW + 6 * 3600 {
            match schedule.next(now) {
                Next::Order(name) => {
                    schedule.begun(now);
                    begun.push(now);
                    assert!(!schedule.got(&name, NOW + 60 * DAY));
                }
                Next::Wait(until) => now = until,
                Next::Idle => panic!("there are more"),
            }
        }
        assert!(begun[19] == NOW && begun[25] > NOW, "some may go out at once");
        for start in &begun {
            let window = begun.iter().filter(|at| (*start..start + 3 * 3600).contains(at)).count();
            assert!(window <= 300, "{window} orders in three hours");
        }
        assert!(begun.len() > 500);
    }

    #[test]
    fn renewal_is_after_two_thirds_of_the_life_and_spread() {
        let life = 90 * DAY;
        let at = |chance| renewal(NOW, NOW + life, chance) - NOW;
        assert_eq!(at(0), 60 * DAY);
        assert!((0..10_000).map(|chance| at(chance * 977)).all(|at| (60 * DAY..65 * DAY).contains(&at)));
        assert_ne!(at(12_345), at(54_321));
        // A life of no length, as of a damaged file, is over at once.
        assert_eq!(renewal(NOW, NOW, 7), NOW);
        assert_eq!(renewal(NOW, 0, 7), NOW);
    }
}
