//! Providers that are known by their names (`policies/inference/providers.toml`).

use std::collections::BTreeMap;

use model::egress::Api;
use model::{Dollars, PriceSpec};
use serde::Deserialize;

use super::{InferenceError, ProviderUrl, is_model, is_name};

/// The providers of a file, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownProviders(BTreeMap<String, Known>);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) api: Api,
    pub(super) url: String,
    pub(super) prices: Vec<PriceSpec>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    provider: BTreeMap<String, Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    api: Api,
    url: String,
    /// For people.
    why: String,
    #[serde(default)]
    prices: Vec<WrittenPrice>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPrice {
    model: String,
    input: Dollars,
    output: Dollars,
    cache_read: Option<Dollars>,
    cache_write: Option<Dollars>,
    /// Who says so.
    source: String,
    /// Since when it is known, a date.
    as_of: String,
}

impl KnownProviders {
    /// Reads the file; `file` is its name, for messages.
    pub fn parse(file: &str, text: &str) -> Result<KnownProviders, InferenceError> {
        let refuse = |why: String| InferenceError::File { file: file.to_owned(), why };
        let read: File = toml::from_str(text).map_err(|error| refuse(error.to_string()))?;
        let mut known = BTreeMap::new();
        for (name, written) in read.provider {
            let provider =
                checked(&name, written).map_err(|why| refuse(format!("provider.{name}: {why}")))?;
            known.insert(name, provider);
        }
        Ok(KnownProviders(known))
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Known> {
        self.0.get(name)
    }
}

fn checked(name: &str, written: Written) -> Result<Known, String> {
    is_name(name)?;
    ProviderUrl::parse(&written.url).map_err(|why| format!("url {:?}: {why}", written.url))?;
    if written.why.is_empty() {
        return Err("why is empty: say what it is".to_owned());
    }
    let prices = written.prices.into_iter().map(checked_price).collect::<Result<_, _>>()?;
    Ok(Known { api: written.api, url: written.url, prices })
}

fn checked_price(written: WrittenPrice) -> Result<PriceSpec, String> {
    is_model(&written.model)?;
    if written.source.is_empty() {
        return Err(format!("the price of {:?} has no source: say who names it", written.model));
    }
    if crate::time::parse(&written.as_of).is_err() {
        return Err(format!("as_of of {:?} is a date, as 2026-11-27", written.model));
    }
    Ok(PriceSpec {
        model: written.model,
        input: written.input,
        output: written.output,
        cache_read: written.cache_read,
        cache_write: written.cache_write,
    })
}
