//! What happened in the last minute, second by second, in constant memory.

use std::time::Duration;

const SECONDS: u64 = 60;

/// Requests and tokens of the last 60 seconds.
#[derive(Debug, Default)]
pub(super) struct Minute {
    /// Second, requests, tokens; the oldest first.
    slots: std::collections::VecDeque<(u64, u64, u64)>,
}

impl Minute {
    /// Adds what happened now.
    pub(super) fn add(&mut self, now: Duration, requests: u64, tokens: u64) {
        self.forget(now);
        match self.slots.back_mut().filter(|slot| slot.0 == now.as_secs()) {
            Some(slot) => {
                slot.1 = slot.1.saturating_add(requests);
                slot.2 = slot.2.saturating_add(tokens);
            }
            None => self.slots.push_back((now.as_secs(), requests, tokens)),
        }
    }

    /// Takes back tokens that were added and not used.
    pub(super) fn give_back(&mut self, mut tokens: u64) {
        for slot in self.slots.iter_mut().rev() {
            let taken = slot.2.min(tokens);
            (slot.2, tokens) = (slot.2 - taken, tokens - taken);
        }
    }

    /// Requests and tokens.
    pub(super) fn sums(&mut self, now: Duration) -> (u64, u64) {
        self.forget(now);
        self.slots
            .iter()
            .fold((0, 0), |sum, slot| (sum.0.saturating_add(slot.1), sum.1.saturating_add(slot.2)))
    }

    /// Seconds until at most so many requests and tokens are left of what there is.
    pub(super) fn until(&mut self, now: Duration, requests: u64, tokens: u64) -> u64 {
        let mut left = self.sums(now);
        for slot in &self.slots {
            if left.0 <= requests && left.1 <= tokens {
                return slot.0.saturating_add(SECONDS).saturating_sub(now.as_secs()).clamp(1, SECONDS);
            }
            left = (left.0.saturating_sub(slot.1), left.1.saturating_sub(slot.2));
            if left.0 <= requests && left.1 <= tokens {
                return slot.0.saturating_add(SECONDS).saturating_sub(now.as_secs()).clamp(1, SECONDS);
            }
        }
        SECONDS
    }

    fn forget(&mut self, now: Duration) {
        while self.slots.front().is_some_and(|slot| slot.0.saturating_add(SECONDS) <= now.as_secs()) {
            self.slots.pop_front();
        }
    }
}
