//! Model providers: those that are known by name, and `model::egress::Inference` made of what an operator wrote.
//!
//! Everything that the proxy relies on is checked here, so that a mistake is told when the spec is read and not when a tenant asks.

mod known;
mod url;

use std::collections::BTreeSet;

use model::EgressSpec;
use model::egress::{AUTHORITY_SECRET, Budget, Inference, Price, Provider};
use model::{BudgetSpec, Dollars, PriceSpec, ProviderSpec};
use thiserror::Error;

pub use known::KnownProviders;
pub use url::ProviderUrl;

/// Providers of one tenant, at most.
const MOST_PROVIDERS: usize = 32;
/// Patterns, prices or aliases in one list, at most.
const MOST_ENTRIES: usize = 256;
/// Bytes of a model's name, at most.
const MOST_NAME: usize = 128;

/// Why what was written is no inference route. Each is a sentence for the operator.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InferenceError {
    /// The file of known providers is not one.
    #[error("{file}: {why}")]
    File {
        /// Its name.
        file: String,
        /// Cause, with line and column where the reader knows them.
        why: String,
    },
    /// A provider cannot be used.
    #[error("provider {name:?}: {why}")]
    Provider {
        /// Its name.
        name: String,
        /// Cause and remedy.
        why: String,
    },
    /// An alias cannot be used.
    #[error("alias {name:?}: {why}")]
    Alias {
        /// Its name.
        name: String,
        /// Cause and remedy.
        why: String,
    },
    /// There are too many of something.
    #[error("{what}: {count} are more than {most}: take some out")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
}

/// Whether a model is one of these: `*` stands for any characters, everything else for itself.
///
/// Costs at most the length of the pattern times that of the name; both are short.
#[must_use]
pub fn model_matches(pattern: &str, model: &str) -> bool {
    let (mut pattern, mut model) = (pattern.as_bytes(), model.as_bytes());
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern.split_first(), model.split_first()) {
            (Some((b'*', rest)), _) => {
                retry = Some((rest, model));
                pattern = rest;
            }
            (Some((wanted, rest)), Some((found, after))) if wanted == found => {
                (pattern, model) = (rest, after);
            }
            (None, None) => return true,
            (Some(_) | None, _) => {
                let Some((after_star, from)) = retry else { return false };
                let Some((_, from)) = from.split_first() else { return false };
                retry = Some((after_star, from));
                (pattern, model) = (after_star, from);
            }
        }
    }
}

/// What the proxy is given, of what the operator wrote and what is known.
pub fn inference(spec: &EgressSpec, known: &KnownProviders) -> Result<Inference, InferenceError> {
    few("providers", spec.providers.len(), MOST_PROVIDERS)?;
    few("aliases", spec.aliases.len(), MOST_ENTRIES)?;
    let mut names = BTreeSet::new();
    let mut providers = Vec::new();
    for written in &spec.providers {
        let provider = provider(written, known)
            .map_err(|why| InferenceError::Provider { name: written.name.clone(), why })?;
        if !names.insert(provider.name.clone()) {
            let why = "is written twice: give one of them another name, with api and url".to_owned();
            return Err(InferenceError::Provider { name: provider.name, why });
        }
        providers.push(provider);
    }
    for (alias, target) in &spec.aliases {
        let refuse = |why: String| Err(InferenceError::Alias { name: alias.clone(), why });
        if let Err(why) = is_model(alias).and_then(|()| is_model(target)) {
            return refuse(why);
        }
        if spec.aliases.contains_key(target) {
            return refuse(format!("{target:?} is an alias, too: name the model itself"));
        }
        let offered = |provider: &Provider| provider.models.iter().any(|model| model_matches(model, target));
        if !providers.iter().any(offered) {
            return refuse(format!("no provider has the model {target:?}: add it to its models"));
        }
    }
    Ok(Inference { providers, aliases: spec.aliases.clone(), budget: budget(&spec.budget) })
}

fn provider(written: &ProviderSpec, known: &KnownProviders) -> Result<Provider, String> {
    is_name(&written.name)?;
    let found = known.get(&written.name);
    let unknown = |field: &str| {
        let names: Vec<&str> = known.names().collect();
        format!(
            "{field} is not written and the name is not known: write {field}, or take one of {}",
            names.join(", ")
        )
    };
    let api = written.api.or(found.map(|found| found.api)).ok_or_else(|| unknown("api"))?;
    let url =
        written.url.as_deref().or(found.map(|found| found.url.as_str())).ok_or_else(|| unknown("url"))?;
    ProviderUrl::parse(url).map_err(|why| format!("url {url:?}: {why}"))?;
    if written.secret.as_deref() == Some(AUTHORITY_SECRET) {
        return Err(format!(
            "the secret {AUTHORITY_SECRET:?} is the proxy's own: name the one that holds the key"
        ));
    }
    if written.models.is_empty() {
        return Err("has no models: name those that may be used, or \"*\"".to_owned());
    }
    if written.models.len() > MOST_ENTRIES || written.prices.len() > MOST_ENTRIES {
        return Err(format!("models and prices are at most {MOST_ENTRIES} each: use patterns"));
    }
    written.models.iter().try_for_each(|model| is_model(model))?;
    written.prices.iter().try_for_each(|price| is_model(&price.model))?;
    let mut prices: Vec<Price> = written.prices.iter().map(price).collect();
    // The known prices are those of the known address, not of whoever serves under its name elsewhere.
    prices.extend(
        found.filter(|found| found.url == url).iter().flat_map(|found| found.prices.iter().map(price)),
    );
    Ok(Provider {
        name: written.name.clone(),
        api,
        url: url.to_owned(),
        secret: written.secret.clone(),
        models: written.models.clone(),
        prices,
    })
}

fn price(spec: &PriceSpec) -> Price {
    Price {
        model: spec.model.clone(),
        input: spec.input.millionths(),
        output: spec.output.millionths(),
        cache_read: spec.cache_read.map(Dollars::millionths),
        cache_write: spec.cache_write.map(Dollars::millionths),
    }
}

fn budget(spec: &BudgetSpec) -> Budget {
    Budget {
        tokens_day: spec.tokens_day,
        tokens_month: spec.tokens_month,
        money_day: spec.money_day.map(Dollars::millionths),
        money_month: spec.money_month.map(Dollars::millionths),
        requests_minute: spec.requests_minute,
        tokens_minute: spec.tokens_minute,
        when_spent: spec.when_spent.unwrap_or_default(),
    }
}

fn few(what: &'static str, count: usize, most: usize) -> Result<(), InferenceError> {
    if count > most { Err(InferenceError::TooMany { what, count, most }) } else { Ok(()) }
}

fn is_name(name: &str) -> Result<(), String> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
    if (1..=64).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    Err("a provider's name has 1 to 64 small letters, digits, dots, - and _".to_owned())
}

fn is_model(name: &str) -> Result<(), String> {
    if (1..=MOST_NAME).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    Err(format!("{name:?} is no model: a name has 1 to {MOST_NAME} visible ASCII characters"))
}

#[cfg(test)]
mod tests;
