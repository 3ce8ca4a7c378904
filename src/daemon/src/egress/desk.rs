//! Questions that wait for somebody, and those for which nobody came in time: bounded for each tenant and in all. No clock, no I/O.

use std::collections::{BTreeMap, VecDeque};

use api::AskedRequest;
use model::TenantId;
use model::egress::{Answer, Asking, Destination};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::destination::key;

/// Questions of one tenant that are listed, those included that nobody waits for any more.
const LISTED: usize = 64;
/// Seconds for which one is listed after it was asked last.
const KEPT: u64 = 86_400;
/// Questions of all tenants that wait.
const WAITING: usize = 512;
/// Most of one tenant's, whatever its profile says: all of them are listed.
const WAITING_EACH: u32 = 32;

/// Seconds between two times that the same is told of a question, and that a refusal of a tenant's is.
const APART: u64 = 10;
const REFUSALS_APART: u64 = 60;

/// Where an answer will come.
pub(crate) type Answers = watch::Receiver<Option<Answer>>;

/// All questions.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    last: u64,
    tenants: BTreeMap<TenantId, Asked>,
}

/// Those of one tenant.
#[derive(Debug, Default)]
struct Asked {
    questions: Vec<Question>,
    /// When it was last told that one was not raised.
    refusal_told: Option<u64>,
    /// When the newest ones were raised.
    raised: VecDeque<u64>,
}

#[derive(Debug)]
struct Question {
    number: u64,
    destination: Destination,
    first: u64,
    last: u64,
    count: u64,
    waiting: u32,
    /// Seconds that a connection waits.
    hold: u64,
    /// When it was last told that it waits, and that it does not any more.
    raised_told: Option<u64>,
    left_told: Option<u64>,
    answers: watch::Sender<Option<Answer>>,
}

/// What became of a question that was put.
#[derive(Debug)]
pub(crate) enum Put {
    /// It waits under this number; `raised` if nobody waited for it before, and that is to be told.
    Waits { number: u64, answers: Answers, raised: bool },
    /// It was not raised, and why.
    Refused(&'static str),
}

/// A question that is about to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) tenant: TenantId,
    pub(crate) destination: Destination,
    pub(crate) waiting: u32,
}

impl Desk {
    /// Takes a question in its normal form. One that is listed already is joined.
    pub(crate) fn put(&mut self, tenant: &TenantId, normal: Destination, asking: &Asking, now: u64) -> Put {
        let waits = |question: &&Question| question.waiting > 0;
        let all: usize =
            self.tenants.values().map(|asked| asked.questions.iter().filter(waits).count()).sum();
        let asked = self.tenants.entry(tenant.clone()).or_default();
        let own = asked.questions.iter().filter(waits).count();
        let most = usize::try_from(asking.waiting.min(WAITING_EACH)).unwrap_or(0);
        let full = match (own >= most, all >= WAITING) {
            (true, _) => Some("as many questions of this tenant wait as may"),
            (_, true) => Some("as many questions of all tenants wait as may"),
            _ => None,
        };
        let known = key(&normal);
        if let Some(question) = asked.questions.iter_mut().find(|one| key(&one.destination) == known) {
            if let Some(why) = full.filter(|_| question.waiting == 0) {
                return Put::Refused(why);
            }
            return question.join(normal, now);
        }
        if let Some(why) = full {
            return Put::Refused(why);
        }
        asked.raised.retain(|at| now.saturating_sub(*at) < 3600);
        if asked.raised.len() >= usize::try_from(asking.per_hour).unwrap_or(usize::MAX) {
            return Put::Refused("this tenant has raised as many questions in an hour as it may");
        }
        asked.make_room();
        asked.raised.push_back(now);
        self.last += 1;
        let (answers, _) = watch::channel(None);
        let mut question = Question {
            number: self.last,
            destination: normal.clone(),
            first: now,
            last: now,
            count: 0,
            waiting: 0,
            hold: asking.hold_sec,
            raised_told: None,
            left_told: None,
            answers,
        };
        let put = question.join(normal, now);
        asked.questions.push(question);
        put
    }

    /// Whether a question that was not raised is told to the operator: not each of a flood.
    pub(crate) fn tells_refusal(&mut self, tenant: &TenantId, now: u64) -> bool {
        let asked = self.tenants.entry(tenant.clone()).or_default();
        let tells = asked.refusal_told.is_none_or(|told| now.saturating_sub(told) >= REFUSALS_APART);
        if tells {
            asked.refusal_told = Some(now);
        }
        tells
    }

    /// One connection does not wait any more. Says whether it was the last, and that is told: not each time of one that comes and goes.
    pub(crate) fn leave(&mut self, tenant: &TenantId, number: u64, now: u64) -> bool {
        let asked = self.tenants.get_mut(tenant);
        let question = asked.and_then(|asked| asked.questions.iter_mut().find(|one| one.number == number));
        question.is_some_and(|question| {
            question.waiting = question.waiting.saturating_sub(1);
            question.waiting == 0 && tells(&mut question.left_told, now)
        })
    }

    /// Those of one tenant, or of all.
    pub(crate) fn list(&self, tenant: Option<&TenantId>) -> Vec<AskedRequest> {
        let mine = self.tenants.iter().filter(|(id, _)| tenant.is_none_or(|wanted| wanted == *id));
        let mut list: Vec<AskedRequest> =
            mine.flat_map(|(id, asked)| asked.questions.iter().map(|one| one.shown(id))).collect();
        list.sort_by_key(|one| one.number);
        list
    }

    /// The question of a number, if it is still what was shown.
    pub(crate) fn find(&self, number: u64, digest: &str) -> Result<Found, &'static str> {
        let all =
            self.tenants.iter().flat_map(|(id, asked)| asked.questions.iter().map(move |one| (id, one)));
        let mut all = all;
        let (id, question) = all
            .find(|(_, one)| one.number == number)
            .ok_or("there is no such question, or it was answered")?;
        if question.digest(id) != digest {
            return Err("the question has changed since it was shown");
        }
        Ok(Found { tenant: id.clone(), destination: question.destination.clone(), waiting: question.waiting })
    }

    /// Tells everybody who waits, and forgets the question. Says how many were told.
    pub(crate) fn close(&mut self, tenant: &TenantId, number: u64, answer: Answer) -> u32 {
        let Some(asked) = self.tenants.get_mut(tenant) else { return 0 };
        let Some(place) = asked.questions.iter().position(|one| one.number == number) else { return 0 };
        let question = asked.questions.swap_remove(place);
        question.answers.send_replace(Some(answer));
        question.waiting
    }

    /// Forgets what was asked long ago.
    pub(crate) fn prune(&mut self, now: u64) {
        for asked in self.tenants.values_mut() {
            asked.questions.retain(|one| one.waiting > 0 || now.saturating_sub(one.last) < KEPT);
            asked.raised.retain(|at| now.saturating_sub(*at) < 3600);
        }
        self.tenants.retain(|_, asked| !asked.questions.is_empty() || !asked.raised.is_empty());
    }

    /// The tenant is gone. Whoever waits is told that nobody will come.
    pub(crate) fn forget(&mut self, tenant: &TenantId) {
        self.tenants.remove(tenant);
    }
}

/// Whether something is told again.
fn tells(told: &mut Option<u64>, now: u64) -> bool {
    let tells = told.is_none_or(|told| now.saturating_sub(told) >= APART);
    if tells {
        *told = Some(now);
    }
    tells
}

impl Asked {
    /// Forgets the oldest that nobody waits for, where the list is full.
    fn make_room(&mut self) {
        while self.questions.len() >= LISTED {
            let oldest =
                self.questions.iter().filter(|one| one.waiting == 0).map(|one| (one.last, one.number)).min();
            let Some((_, number)) = oldest else { return };
            self.questions.retain(|one| one.number != number);
        }
    }
}

impl Question {
    fn join(&mut self, normal: Destination, now: u64) -> Put {
        let raised = self.waiting == 0 && tells(&mut self.raised_told, now);
        self.destination = normal;
        self.last = now;
        self.count = self.count.saturating_add(1);
        self.waiting = self.waiting.saturating_add(1);
        Put::Waits { number: self.number, answers: self.answers.subscribe(), raised }
    }

    /// Of everything that an answer is about. How often it was asked does not count, or nobody could answer one that is repeated; nor does the
    /// address, which changes with each look-up of some names: an approval is for the name.
    fn digest(&self, tenant: &TenantId) -> String {
        let text = format!("{}\n{tenant}\n{}\n{:?}", self.number, self.first, key(&self.destination));
        Sha256::digest(text.as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }

    fn shown(&self, tenant: &TenantId) -> AskedRequest {
        AskedRequest {
            number: self.number,
            digest: self.digest(tenant),
            tenant: tenant.to_string(),
            destination: self.destination.clone(),
            state: if self.waiting > 0 { "waiting" } else { "expired" }.to_owned(),
            first: self.first,
            last: self.last,
            count: self.count,
            waiting: self.waiting,
            expires: self.last.saturating_add(self.hold),
        }
    }
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
