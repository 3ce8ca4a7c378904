//! One request and what it costs, from its admission to its end; also if that comes early.

use std::sync::Arc;
use std::time::Duration;

use model::egress::{Price, Used};

use super::answer::Refusal;
use super::ledger::{Ledger, Reservation};
use super::limit::Sum;
use super::request::{Asked, Call};
use super::tally::{Tally, Tokens};

/// Tokens that a model makes in a second, at most: what an answer may have cost whose reader went away before its end was told.
const A_SECOND: u64 = 200;

/// The account of one request.
#[derive(Debug)]
pub(super) struct Charge {
    /// Nothing once it is settled.
    reservation: Option<Reservation>,
    pub(super) call: Call,
    pub(super) model: String,
    /// Estimated tokens of the prompt.
    prompt: u64,
    /// Tokens of the answer that were held.
    output: u64,
    /// Who answers; nothing as long as nobody was asked.
    provider: Option<(String, Option<Price>)>,
    status: u16,
    pub(super) tally: Tally,
    begun: Duration,
    ledger: Arc<Ledger>,
}

impl Charge {
    pub(super) fn new(reservation: Reservation, asked: &Asked, ledger: Arc<Ledger>) -> Self {
        Self {
            reservation: Some(reservation),
            call: asked.call,
            model: asked.model.clone(),
            prompt: if asked.call == Call::CountTokens { 0 } else { asked.prompt },
            output: asked.output,
            provider: None,
            status: 0,
            tally: Tally::default(),
            begun: ledger.clock().elapsed(),
            ledger,
        }
    }

    /// The request is on its way to this one.
    pub(super) fn asks(&mut self, provider: &str, price: Option<&Price>) {
        self.provider = Some((provider.to_owned(), price.cloned()));
        self.begun = self.ledger.clock().elapsed();
    }

    /// It did not answer.
    pub(super) fn failed(&mut self) {
        self.provider = None;
    }

    pub(super) fn answered(&mut self, status: u16) {
        self.status = status;
    }

    /// More of the answer passed; refused if a budget is crossed.
    pub(super) fn progress(&mut self) -> Result<(), Refusal> {
        let (tokens, _) = self.tally.tokens(self.prompt, self.tally.passed_tokens());
        // What passed counts although a provider tells less.
        let tokens = Tokens { output: tokens.output.max(self.tally.passed_tokens()), ..tokens };
        let sum = Sum { tokens: tokens.prompt().saturating_add(tokens.output), money: self.money(tokens) };
        self.reservation.as_mut().map_or(Ok(()), |reservation| reservation.progress(sum))
    }

    /// The answer is over. `whole`: the provider ended it. Otherwise nobody told what it cost, and a provider goes on for a while.
    pub(super) fn settle(&mut self, whole: bool) {
        let Some(reservation) = self.reservation.take() else { return };
        let Some((provider, _)) = &self.provider else { return };
        let took = self.ledger.clock().elapsed().saturating_sub(self.begun);
        let passed = self.tally.passed_tokens();
        let possible = self.output.min(took.as_secs().saturating_add(1).saturating_mul(A_SECOND));
        let output = if whole { passed } else { passed.max(possible) };
        let error = self.status >= 300;
        let free = error || self.call == Call::CountTokens;
        let (tokens, estimated) =
            if free { (Tokens::default(), false) } else { self.tally.tokens(self.prompt, output) };
        let used =
            Used { requests: 1, input: tokens.prompt(), output: tokens.output, money: self.money(tokens) };
        tracing::info!(
            target: "inference",
            provider, model = self.model, call = self.call.path(), status = self.status, input = used.input, output = used.output,
            money = used.money, estimated, whole, milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "the model {} of {provider} answered with status {}: {} tokens in, {} out", self.model, self.status, used.input, used.output
        );
        reservation.settle(provider, &self.model, used);
    }

    fn money(&self, tokens: Tokens) -> u64 {
        let price = self.provider.as_ref().and_then(|(_, price)| price.as_ref());
        price.map_or(0, |price| cost(price, tokens))
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.settle(false);
    }
}

/// Millionths of a dollar, rounded up.
pub(super) fn cost(price: &Price, tokens: Tokens) -> u64 {
    let read = price.cache_read.unwrap_or(price.input);
    let write = price.cache_write.unwrap_or(price.input.saturating_mul(2));
    let parts = [
        (tokens.input, price.input),
        (tokens.cache_read, read),
        (tokens.cache_write, write),
        (tokens.output, price.output),
    ];
    let sum = parts.iter().map(|(tokens, price)| u128::from(*tokens) * u128::from(*price));
    let sum = sum.fold(0, u128::saturating_add);
    u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
