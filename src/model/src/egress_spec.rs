//! `[egress]` of a spec: what the tenant may reach, as its operator wrote it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::egress::{Api, SecretUse, WhenSpent};

/// The section, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EgressSpec {
    /// Name of a profile in `policies/profiles`. Left out: `customers`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// What becomes of a destination that no rule names; left out: as the profile says.
    #[serde(rename = "default", skip_serializing_if = "Option::is_none")]
    pub unlisted: Option<UnlistedSpec>,
    /// Presets, of those that the profile offers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub presets: Vec<String>,
    /// The tenant's own policy document: YAML, OpenShell's version 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Where secrets may go.
    #[serde(rename = "secret", skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretUse>,
    /// Model providers, in the order in which they are tried.
    #[serde(rename = "provider", skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<ProviderSpec>,
    /// Names that stand for models.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub aliases: BTreeMap<String, String>,
    /// What may be spent on models.
    #[serde(skip_serializing_if = "BudgetSpec::is_empty")]
    pub budget: BudgetSpec,
}

/// What becomes of a destination that no rule names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnlistedSpec {
    /// Refused.
    Deny,
    /// Held until somebody has answered.
    Ask,
}

/// A model provider, as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSpec {
    /// Name: one of `policies/inference/providers.toml`, or any with `api` and `url`.
    pub name: String,
    /// What it speaks; left out: as known by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Api>,
    /// Address up to what comes before `/v1`; left out: as known by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Name of the secret with its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Models that may be used, with `*` for any characters.
    pub models: Vec<String>,
    /// Prices, in US dollars for a million tokens: `{ model = "claude-*", input = "3", output = "15" }`. They come before those known by the
    /// provider's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prices: Vec<PriceSpec>,
}

/// A price, as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceSpec {
    /// Model, with `*` for any characters.
    pub model: String,
    /// US dollars for a million tokens of a prompt, up to six decimals.
    pub input: Dollars,
    /// US dollars for a million tokens of an answer.
    pub output: Dollars,
    /// US dollars for a million tokens that the provider read from its cache; left out: as `input`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<Dollars>,
    /// US dollars for a million tokens that the provider wrote to its cache; left out: twice `input`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<Dollars>,
}

/// A budget, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetSpec {
    /// Tokens a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_day: Option<u64>,
    /// Tokens a month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_month: Option<u64>,
    /// Money a day: `"5usd"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub money_day: Option<Dollars>,
    /// Money a month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub money_month: Option<Dollars>,
    /// Requests a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_minute: Option<u32>,
    /// Tokens a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_minute: Option<u64>,
    /// What happens when a day's or a month's is used up; left out: `stop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_spent: Option<WhenSpent>,
}

impl BudgetSpec {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// US dollars, exact to a millionth; written `"5usd"`, `"0.25usd"` or `"5"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Dollars(u64);

impl Dollars {
    /// Millionths of a dollar.
    pub fn millionths(self) -> u64 {
        self.0
    }

    /// Of so many millionths.
    pub fn of_millionths(millionths: u64) -> Self {
        Self(millionths)
    }
}

impl std::str::FromStr for Dollars {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no amount of money: write it as \"5usd\" or \"0.25usd\"");
        let digits = text.strip_suffix("usd").unwrap_or(text);
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !plain(whole) || !plain(part) || part.len() > 6 || digits.ends_with('.') {
            return Err(wrong());
        }
        let whole: u64 = whole.parse().map_err(|_| wrong())?;
        let part: u64 = format!("{part:0<6}").parse().map_err(|_| wrong())?;
        let all = whole.checked_mul(1_000_000).and_then(|whole| whole.checked_add(part));
        all.filter(|all| *all <= 1_000_000_000_000).map(Self).ok_or_else(wrong)
    }
}

impl TryFrom<String> for Dollars {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl std::fmt::Display for Dollars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, part) = (self.0 / 1_000_000, self.0 % 1_000_000);
        let part = format!("{part:06}");
        match part.trim_end_matches('0') {
            "" => write!(f, "{whole}usd"),
            part => write!(f, "{whole}.{part}usd"),
        }
    }
}

impl From<Dollars> for String {
    fn from(dollars: Dollars) -> Self {
        dollars.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_read_to_the_millionth_and_written_as_it_is_read() {
        for (text, millionths, again) in [
            ("5usd", 5_000_000, "5usd"),
            ("0.25usd", 250_000, "0.25usd"),
            ("3", 3_000_000, "3usd"),
            ("0.000001usd", 1, "0.000001usd"),
        ] {
            let dollars: Dollars = text.parse().unwrap();
            assert_eq!((dollars.millionths(), dollars.to_string().as_str()), (millionths, again));
        }
        for text in
            ["", "usd", "5eur", "-1usd", "1.usd", ".5usd", "1.0000001usd", "1e3", "9999999999999usd", "５usd"]
        {
            assert!(text.parse::<Dollars>().is_err(), "{text}");
        }
    }
}
