//! One question after the other to the receiver, with pauses that grow while it fails.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::post::{Poster, Sent};
use crate::queue::Shared;

/// How long and how often it is tried.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The first pause after a failure; each further one is twice as long.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
    /// Attempts to post one question.
    pub attempts: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(60), attempts: 8 }
    }
}

/// Posts what is in the queue, for ever.
pub async fn deliver(poster: &Poster, shared: &Shared, patience: Patience) {
    // Failures in a row, whatever was posted: a receiver that is down is not asked faster because there is more to say.
    let mut failures: u32 = 0;
    let mut attempts: u32 = 0;
    let mut last = String::new();
    loop {
        let next = shared.lock().next();
        let Some(next) = next else {
            shared.changed().await;
            continue;
        };
        if next.delivery != last {
            attempts = 0;
            last.clone_from(&next.delivery);
        }
        attempts += 1;
        let delivery = &next.delivery;
        match poster.post(delivery, &next.body, now()).await {
            Sent::Taken => {
                failures = 0;
                tracing::info!(delivery, "question posted");
                shared.lock().done(delivery, true);
            }
            Sent::Refused(why) => {
                failures = 0;
                tracing::error!(delivery, "the webhook does not take a question: {why}");
                shared.lock().done(delivery, false);
                tokio::time::sleep(patience.first).await;
            }
            Sent::Lost(why) => {
                failures = failures.saturating_add(1);
                if attempts >= patience.attempts {
                    tracing::error!(delivery, "a question is given up after {attempts} attempts: {why}");
                    shared.lock().done(delivery, false);
                } else {
                    tracing::warn!(delivery, "the webhook cannot be reached: {why}");
                }
                tokio::time::sleep(pause(patience, failures)).await;
            }
        }
    }
}

fn pause(patience: Patience, failures: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
    patience.first.saturating_mul(doubled).min(patience.longest)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        let of = |failures| pause(Patience::default(), failures).as_secs();
        assert_eq!([1, 2, 3, 6, 7, 8, 1000, u32::MAX].map(of), [1, 2, 4, 32, 60, 60, 60, 60]);
    }
}
