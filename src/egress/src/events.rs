//! Decisions, in the journal: with fields, and never more of a kind than a person can read.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::gate::{Place, Ruling, Seen};
use crate::live::Snapshot;
use crate::metrics::Numbers;

/// Lines of each kind, at most, in [`WINDOW`].
const MOST: u32 = 60;
const WINDOW: Duration = Duration::from_secs(60);

/// A decision.
#[derive(Debug)]
pub struct Event<'a> {
    /// `allow`, `ask` or `deny`.
    pub decision: &'static str,
    /// About what.
    pub place: &'a Place,
    /// The request.
    pub seen: Option<&'a Seen<'a>>,
    /// By what.
    pub ruling: &'a Ruling,
}

/// The calls of a body that has several, each once.
fn several(seen: &Seen<'_>) -> String {
    const MOST: usize = 2048;
    if seen.calls().len() < 2 {
        return String::new();
    }
    let each: BTreeSet<String> = seen.calls().iter().map(ToString::to_string).collect();
    let text = each.into_iter().collect::<Vec<_>>().join(", ");
    if text.len() > MOST { text.chars().take(MOST).chain(['…']).collect() } else { text }
}

/// Writes them.
#[derive(Debug, Default)]
pub struct Events {
    kinds: Mutex<HashMap<&'static str, (Instant, u32)>>,
    /// Counts of everything.
    pub numbers: Numbers,
}

impl Events {
    /// A decision was made.
    pub fn decided(&self, snapshot: &Snapshot, event: &Event<'_>) {
        self.numbers.count(event.decision);
        if !self.may_write(event.decision) {
            return;
        }
        let Event { decision, place, seen, ruling } = event;
        tracing::info!(
            TENANT = %snapshot.file.tenant,
            DECISION = decision,
            HOST = %place.host,
            PORT = place.port,
            BINARY = ruling.binary.as_deref().unwrap_or_default(),
            METHOD = seen.map_or("", |seen| seen.exchange.method),
            CALL = ruling.call.as_deref().unwrap_or_default(),
            CALLS = seen.map_or_else(String::new, several),
            RULE = ruling.rule.as_deref().unwrap_or_default(),
            "{decision} {}:{}{}",
            place.host,
            place.port,
            ruling.rule.as_deref().map(|rule| format!(" by {rule}")).unwrap_or_default(),
        );
    }

    /// Something else happened: counted, and written once in a while.
    pub fn happened(&self, kind: &'static str, what: &dyn std::fmt::Display) {
        self.numbers.count(kind);
        if self.may_write(kind) {
            tracing::warn!(KIND = kind, "{what}");
        }
    }

    /// The same, of something that is as it should be.
    pub fn noted(&self, kind: &'static str, what: &dyn std::fmt::Display) {
        self.numbers.count(kind);
        if self.may_write(kind) {
            tracing::info!(KIND = kind, "{what}");
        }
    }

    fn may_write(&self, kind: &'static str) -> bool {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, count) = kinds.entry(kind).or_insert((Instant::now(), 0));
        if since.elapsed() >= WINDOW {
            if *count > MOST {
                tracing::warn!(
                    KIND = kind,
                    "{} more events of the kind {kind} were not written",
                    *count - MOST
                );
            }
            (*since, *count) = (Instant::now(), 0);
        }
        *count = count.saturating_add(1);
        *count <= MOST
    }
}
