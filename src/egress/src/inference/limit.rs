//! Sums of tokens and money, and the limits that they are held against.

use http::StatusCode;
use model::egress::Used;

use super::answer::Refusal;
use super::clock::{DAY, Day};

/// Tokens and money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) tokens: u64,
    /// Millionths of a dollar.
    pub(super) money: u64,
}

impl Sum {
    pub(super) fn of(used: &Used) -> Self {
        Self { tokens: used.input.saturating_add(used.output), money: used.money }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_add(other.tokens),
            money: self.money.saturating_add(other.money),
        }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_sub(other.tokens),
            money: self.money.saturating_sub(other.money),
        }
    }

    pub(super) fn max(self, other: Self) -> Self {
        Self { tokens: self.tokens.max(other.tokens), money: self.money.max(other.money) }
    }
}

/// A limit of a day or month.
pub(super) struct Limit {
    pub(super) name: &'static str,
    pub(super) most: u64,
    pub(super) spent: u64,
    pub(super) held: u64,
    pub(super) running: u64,
    pub(super) want: u64,
    pub(super) unit: &'static str,
    /// The day on which it renews.
    pub(super) renews: Day,
    /// Which day or month it is.
    pub(super) period: u64,
}

impl Limit {
    pub(super) fn refusal(&self, unix: u64) -> Refusal {
        let Limit { name, most, spent, held, want, unit, .. } = self;
        let renews = self.renews.text();
        let used = if spent >= most {
            format!("is used up ({spent} spent)")
        } else {
            format!(
                "does not suffice: {spent} are spent, {held} are held for requests under way, and this one may take {want} (set a lower limit of tokens)"
            )
        };
        let message = format!(
            "the budget {name} of this tenant, {most} {unit}, {used}; it renews on {renews} at 00:00 UTC"
        );
        let seconds = self.renews.0.saturating_mul(DAY).saturating_sub(unix).max(1);
        Refusal {
            retry_after: Some(seconds),
            ..Refusal::new(StatusCode::TOO_MANY_REQUESTS, "budget_exceeded", message)
        }
    }
}
