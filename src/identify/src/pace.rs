//! What one tenant's questions may cost: one look at its processes at a time, and a share of a core. The work is done outside of the
//! tenant's own limits, and how much it is, the tenant decides. Nobody else's questions count for it, and a busy host does not, either.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::TenantId;
use nix::time::{ClockId, clock_gettime};

/// How long a question may take, its turn included: half as long as a proxy waits, so that no question is asked anew while it is answered.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
/// For each second of processor time so many have to pass: a quarter of a core.
const SHARE: u32 = 4;
/// So much may be used ahead of that: four seconds of processor time.
const AHEAD: Duration = Duration::from_secs(16);

static TENANTS: Mutex<BTreeMap<TenantId, Arc<Pace>>> = Mutex::new(BTreeMap::new());

/// What a tenant used.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    state: Mutex<State>,
    free: Condvar,
}

#[derive(Debug, Default)]
struct State {
    looking: bool,
    /// When what was used will be the tenant's share of the time that has passed.
    due: Option<Instant>,
}

/// The right to look now.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    pace: &'a Pace,
    begun: Duration,
}

impl Pace {
    /// That of a tenant.
    pub(crate) fn of(tenant: &TenantId) -> Arc<Self> {
        let mut all = TENANTS.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(tenant) {
            // A tenant that owes nothing is as one that never asked.
            all.retain(|_, pace| Arc::strong_count(pace) > 1 || !pace.ahead(Instant::now()).is_zero());
        }
        Arc::clone(all.entry(tenant.clone()).or_default())
    }

    /// Waits for it no longer than this.
    ///
    /// # Errors
    ///
    /// If the tenant used too much, or others of its questions take too long.
    pub(crate) fn turn(&self, until: Instant) -> io::Result<Turn<'_>> {
        let begun = spent()?;
        let mut state = self.state();
        loop {
            let now = Instant::now();
            let over = state.ahead(now).saturating_sub(AHEAD);
            if !over.is_zero() {
                let (share, wait) = (100 / SHARE, over.as_secs() + 1);
                return Err(io::Error::other(format!(
                    "looking through the open files of the tenant's processes took more than {share} % of a core of late: it is done \
                     again in {wait} s (fewer open files and processes take less)"
                )));
            }
            if !state.looking {
                state.looking = true;
                return Ok(Turn { pace: self, begun });
            }
            let left = until.saturating_duration_since(now);
            if left.is_zero() {
                return Err(io::Error::other(
                    "other questions about the tenant's programs took all the time there is (fewer open files and processes \
                     take less)",
                ));
            }
            (state, _) = self.free.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Counts it.
    pub(crate) fn pay(&self, cost: Duration) {
        let (mut state, now) = (self.state(), Instant::now());
        state.due = Some(state.due.map_or(now, |due| due.max(now)) + cost * SHARE);
    }

    fn ahead(&self, now: Instant) -> Duration {
        self.state().ahead(now)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ahead(&self, now: Instant) -> Duration {
        self.due.map_or(Duration::ZERO, |due| due.saturating_duration_since(now))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.pace.pay(spent().map_or(PATIENCE, |now| now.saturating_sub(self.begun)));
        self.pace.state().looking = false;
        // All: one that has just stopped waiting would let it pass.
        self.pace.free.notify_all();
    }
}

/// Processor time of this thread: that of others, and waiting for them, is nothing that a tenant is to pay for.
fn spent() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_looks_at_a_time() {
        let pace = &Pace::default();
        let first = pace.turn(Instant::now()).unwrap();
        let error = pace.turn(Instant::now()).unwrap_err().to_string();
        assert!(error.contains("other questions"), "{error}");
        drop(first);
        drop(pace.turn(Instant::now()).unwrap());
        // Whoever has time left waits for its turn.
        let first = pace.turn(Instant::now()).unwrap();
        std::thread::scope(|threads| {
            let late = Instant::now() + Duration::from_secs(600);
            let waits = threads.spawn(move || pace.turn(late).map(drop));
            drop(first);
            waits.join().unwrap().unwrap();
        });
    }

    #[test]
    fn who_used_too_much_is_refused_and_nobody_else() {
        let [acme, beta] = ["pace-acme", "pace-beta"].map(|name| TenantId::parse(name).unwrap());
        Pace::of(&acme).pay(AHEAD / SHARE);
        drop(Pace::of(&acme).turn(Instant::now()).unwrap());
        Pace::of(&acme).pay(Duration::from_secs(600));
        // It is not forgotten when its connections end, nor for time to wait.
        for until in [Instant::now(), Instant::now() + Duration::from_secs(600)] {
            drop(Pace::of(&beta).turn(until).unwrap());
            let error = Pace::of(&acme).turn(until).unwrap_err().to_string();
            assert!(error.contains("25 % of a core"), "{error}");
        }
    }

    #[test]
    fn who_owes_nothing_is_forgotten() {
        let [acme, beta] = ["pace-gone", "pace-other"].map(|name| TenantId::parse(name).unwrap());
        Pace::of(&acme).pay(Duration::ZERO);
        drop(Pace::of(&beta));
        assert!(!TENANTS.lock().unwrap().contains_key(&acme));
    }

    #[test]
    fn what_a_look_costs_is_counted() {
        let pace = Pace::default();
        let before = Instant::now();
        let turn = pace.turn(before).unwrap();
        let used = Duration::from_millis(20);
        while spent().unwrap().saturating_sub(turn.begun) < used {
            std::hint::black_box(std::fs::metadata("/proc/self").unwrap());
        }
        drop(turn);
        assert!(pace.state().due.unwrap() >= before + used * SHARE);
    }
}
