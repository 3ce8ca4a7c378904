//! What was used and what may be: budgets of days, months and minutes, held against every request before it goes and while its answer comes.
//!
//! What requests under way may still take is held for them, so that many at once cannot take together what one may not. A clock that
//! goes back gives nothing back: the latest day that was counted on stays today until time has caught up.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use model::egress::{Budget, UsageFile, Used, WhenSpent};
use tokio::sync::Notify;

use super::answer::Refusal;
use super::clock::{Clock, Day};
use super::file::{self, FileError};
use super::limit::{Limit, Sum};
use super::minute::Minute;

/// Days that are kept.
const KEPT: u64 = 62;
/// Models of one provider that are told apart in a day; others are counted together.
const MOST_MODELS: usize = 100;
const OTHERS: &str = "(others)";

/// The account of one tenant.
#[derive(Debug)]
pub(super) struct Ledger {
    directory: PathBuf,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    file: UsageFile,
    budget: Budget,
    today: Day,
    day: Sum,
    month: Sum,
    /// Held for requests under way.
    held: Sum,
    /// Of that, what has passed already.
    running: Sum,
    minute: Minute,
    /// By limit, the day or month about which an alert was given.
    alerted: BTreeMap<&'static str, u64>,
    /// Why it is not known what was used.
    unknown: Option<String>,
    unwritten: bool,
    /// Why what was used could not be written last time.
    unwritable: Option<String>,
}

impl Ledger {
    pub(super) fn open(directory: &Path, clock: Arc<dyn Clock>) -> Arc<Self> {
        let mut state = State { today: Day::of(clock.unix()), ..State::default() };
        match file::read(directory) {
            Ok(file) => state.file = file,
            Err(error) => {
                tracing::error!(target: "inference", "{error}");
                state.unknown = Some(error.to_string());
                state.file.format = file::FORMAT;
            }
        }
        if let Some(latest) = state.file.days.keys().next_back().and_then(|day| Day::parse(day)) {
            if latest > state.today {
                let latest = latest.text();
                tracing::error!(target: "inference", "the clock is behind the last day of usage, {latest}: budgets count on that day until then");
            }
            state.today = state.today.max(latest);
        }
        state.sum();
        Arc::new(Self {
            directory: directory.to_owned(),
            clock,
            state: Mutex::new(state),
            changed: Notify::new(),
        })
    }

    /// What may be spent from now on. What was used is started anew if it is not known and nothing depends on it.
    pub(super) fn budget(&self, budget: &Budget) -> Result<(), FileError> {
        let mut state = self.state();
        state.budget = budget.clone();
        state.already_over();
        if state.unknown.is_some() && !has_period(budget) {
            file::set_aside(&self.directory)?;
            state.unknown = None;
        }
        Ok(())
    }

    /// Holds for a request what it may take; `output` with the tokens of the prompt is in `want`.
    pub(super) fn admit(self: &Arc<Self>, prompt: u64, want: Sum) -> Result<Reservation, Refusal> {
        let now = self.clock.elapsed();
        let mut state = self.state();
        state.turn(Day::of(self.clock.unix()));
        if let Some(why) = state.unknown.as_ref().filter(|_| has_period(&state.budget)) {
            let message = format!(
                "the budget cannot be held, because what was used is not known: {why}. Restore the file, or move it away to count from nothing, and restart tenant-egress"
            );
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "usage_unknown", message));
        }
        if let Some(why) = state.unwritable.as_ref().filter(|_| has_period(&state.budget)) {
            let message =
                format!("the budget cannot be held, because what is used cannot be written down: {why}");
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "usage_unknown", message));
        }
        state.minute_allows(now, prompt)?;
        if state.budget.when_spent == WhenSpent::Stop {
            let over = |limit: &Limit| {
                limit.spent.saturating_add(limit.held).saturating_add(limit.want) > limit.most
            };
            let unix = self.clock.unix();
            if let Some(limit) =
                state.limits(want).into_iter().find(|limit| limit.spent >= limit.most || over(limit))
            {
                return Err(limit.refusal(unix));
            }
        }
        state.minute.add(now, 1, prompt);
        state.held = state.held.plus(want);
        Ok(Reservation { ledger: Arc::clone(self), reserved: want, so_far: Sum::default(), prompt })
    }

    /// Writes what changed, if anything did.
    pub(super) fn flush(&self) -> Result<(), FileError> {
        let text = {
            let mut state = self.state();
            if !std::mem::take(&mut state.unwritten) || state.unknown.is_some() {
                return Ok(());
            }
            serde_json::to_vec(&state.file)
        };
        let text = text
            .map_err(|error| FileError::Damaged { path: self.directory.clone(), why: error.to_string() })?;
        let written = file::write(&self.directory, &text);
        let mut state = self.state();
        state.unwritten |= written.is_err();
        state.unwritable = written.as_ref().err().map(ToString::to_string);
        written
    }

    /// Waits until there is something to write.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn has_period(budget: &Budget) -> bool {
    [budget.tokens_day, budget.tokens_month, budget.money_day, budget.money_month].iter().any(Option::is_some)
}

impl State {
    /// A new day, if it is one.
    fn turn(&mut self, now: Day) {
        if now > self.today {
            self.today = now;
            self.sum();
        }
    }

    fn sum(&mut self) {
        let oldest = Day(self.today.0.saturating_sub(KEPT)).text();
        self.file.days.retain(|day, _| *day > oldest);
        let today = self.today.text();
        let month = today.get(..7).unwrap_or_default();
        (self.day, self.month) = (Sum::default(), Sum::default());
        for (day, providers) in self.file.days.iter().filter(|(day, _)| day.starts_with(month)) {
            let used = providers.values().flat_map(BTreeMap::values).map(Sum::of);
            let sum = used.fold(Sum::default(), Sum::plus);
            self.month = self.month.plus(sum);
            if *day == today {
                self.day = sum;
            }
        }
    }

    fn limits(&self, want: Sum) -> Vec<Limit> {
        let (year, month) = self.today.month();
        let tomorrow = (Day(self.today.0 + 1), self.today.0);
        let next_month = (self.today.next_month(), year * 12 + month);
        let budget = &self.budget;
        let sums = |sum: Sum| (sum.tokens, self.held.tokens, self.running.tokens, want.tokens, "tokens");
        let money = |sum: Sum| {
            (sum.money, self.held.money, self.running.money, want.money, "millionths of a US dollar")
        };
        let all = [
            ("tokens_day", budget.tokens_day, sums(self.day), tomorrow),
            ("tokens_month", budget.tokens_month, sums(self.month), next_month),
            ("money_day", budget.money_day, money(self.day), tomorrow),
            ("money_month", budget.money_month, money(self.month), next_month),
        ];
        let limit = |(name, most, (spent, held, running, want, unit), (renews, period))| {
            let most: Option<u64> = most;
            most.map(|most| Limit { name, most, spent, held, running, want, unit, renews, period })
        };
        all.into_iter().filter_map(limit).collect()
    }

    fn minute_allows(&mut self, now: std::time::Duration, prompt: u64) -> Result<(), Refusal> {
        let (requests, tokens) = self.minute.sums(now);
        let most = self.budget.requests_minute.map(u64::from);
        let refuse = |name: &str, most: u64, unit: &str, seconds: u64| {
            let message = format!(
                "the budget {name} of this tenant ({most} {unit} a minute) is used up: try again in {seconds} s"
            );
            Err(Refusal {
                retry_after: Some(seconds),
                ..Refusal::new(StatusCode::TOO_MANY_REQUESTS, "budget_exceeded", message)
            })
        };
        if let Some(most) = most.filter(|most| requests >= *most) {
            let seconds = self.minute.until(now, most.saturating_sub(1), u64::MAX);
            return refuse("requests_minute", most, "requests", seconds);
        }
        if let Some(most) = self.budget.tokens_minute {
            if prompt > most {
                let message = format!(
                    "the prompt has about {prompt} tokens, and tokens_minute of this tenant is {most}: shorten it"
                );
                return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "budget_exceeded", message));
            }
            if tokens >= most || tokens.saturating_add(prompt) > most {
                let seconds = self.minute.until(now, u64::MAX, most.saturating_sub(prompt.max(1)));
                return refuse("tokens_minute", most, "tokens", seconds);
            }
        }
        Ok(())
    }

    fn record(&mut self, provider: &str, model: &str, used: Used) {
        let models =
            self.file.days.entry(self.today.text()).or_default().entry(provider.to_owned()).or_default();
        let model = if models.len() < MOST_MODELS || models.contains_key(model) { model } else { OTHERS };
        let own = models.entry(model.to_owned()).or_default();
        own.requests = own.requests.saturating_add(used.requests);
        own.input = own.input.saturating_add(used.input);
        own.output = own.output.saturating_add(used.output);
        own.money = own.money.saturating_add(used.money);
        self.day = self.day.plus(Sum::of(&used));
        self.month = self.month.plus(Sum::of(&used));
        self.unwritten = true;
    }

    /// Limits that were crossed before are not told again.
    fn already_over(&mut self) {
        for limit in self.limits(Sum::default()).iter().filter(|limit| limit.spent >= limit.most) {
            self.alerted.insert(limit.name, limit.period);
        }
    }

    fn alert(&mut self) {
        for limit in self.limits(Sum::default()).iter().filter(|limit| limit.spent >= limit.most) {
            if self.alerted.insert(limit.name, limit.period) != Some(limit.period) {
                let (budget, most, spent, unit, renews) =
                    (limit.name, limit.most, limit.spent, limit.unit, limit.renews.text());
                tracing::warn!(target: "inference", budget, most, spent, unit, renews, "a budget for models is used up");
            }
        }
    }
}

/// What is held for one request. Dropped, it is given back.
#[derive(Debug)]
pub(super) struct Reservation {
    ledger: Arc<Ledger>,
    reserved: Sum,
    so_far: Sum,
    prompt: u64,
}

impl Reservation {
    /// So much has passed; refused if that crosses a budget at which things stop.
    pub(super) fn progress(&mut self, so_far: Sum) -> Result<(), Refusal> {
        let ledger = Arc::clone(&self.ledger);
        let mut state = ledger.state();
        self.set(&mut state, so_far);
        if state.budget.when_spent != WhenSpent::Stop {
            return Ok(());
        }
        let crossed = |limit: &Limit| limit.spent.saturating_add(limit.running) > limit.most;
        match state.limits(Sum::default()).into_iter().find(crossed) {
            Some(mut limit) => {
                limit.spent = limit.spent.saturating_add(limit.running);
                Err(limit.refusal(ledger.clock.unix()))
            }
            None => Ok(()),
        }
    }

    /// It is over, and took so much.
    pub(super) fn settle(mut self, provider: &str, model: &str, used: Used) {
        {
            let ledger = &self.ledger;
            let mut state = ledger.state();
            state.turn(Day::of(ledger.clock.unix()));
            state.record(provider, model, used);
            let tokens = Sum::of(&used).tokens;
            state.minute.give_back(self.prompt.saturating_sub(tokens));
            state.minute.add(ledger.clock.elapsed(), 0, tokens.saturating_sub(self.prompt));
            state.alert();
            self.prompt = 0;
        }
        self.ledger.changed.notify_one();
    }

    fn set(&mut self, state: &mut State, so_far: Sum) {
        state.running = state.running.minus(self.so_far).plus(so_far);
        state.held = state.held.minus(self.reserved.max(self.so_far)).plus(self.reserved.max(so_far));
        self.so_far = so_far;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let ledger = Arc::clone(&self.ledger);
        let mut state = ledger.state();
        self.set(&mut state, Sum::default());
        state.held = state.held.minus(self.reserved);
        // Of a request that nobody answered.
        state.minute.give_back(self.prompt);
    }
}
