//! Providers as requests need them.

use std::collections::BTreeMap;

use http::HeaderValue;
use model::egress::{Api, Budget, Inference, Price, Provider};
use policy::{ProviderUrl, model_matches};
use zeroize::Zeroizing;

use crate::dial::Server;
use crate::secrets::{Scanner, Secrets};

/// What is in force.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) providers: Vec<Upstream>,
    pub(super) aliases: BTreeMap<String, String>,
    pub(super) budget: Budget,
}

/// One provider.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) name: String,
    pub(super) api: Api,
    pub(super) server: Server,
    /// Value of `Host`.
    pub(super) host: HeaderValue,
    /// What comes before `/v1`.
    pub(super) base: String,
    pub(super) models: Vec<String>,
    prices: Vec<Price>,
    /// `Authorization` or `x-api-key`; marked, so that nothing prints it.
    pub(super) key: Option<HeaderValue>,
    /// Looks for the key in what comes back.
    pub(super) scanner: Scanner,
}

impl Settings {
    /// Of what was compiled; providers that cannot be used are left out, with a sentence about each.
    pub(super) fn new(inference: &Inference, secrets: &Secrets) -> (Self, Vec<String>) {
        let (mut providers, mut unusable) = (Vec::new(), Vec::new());
        for provider in &inference.providers {
            match Upstream::new(provider, secrets) {
                Ok(upstream) => providers.push(upstream),
                Err(why) => unusable.push(format!("provider {:?} is not used: {why}", provider.name)),
            }
        }
        let (aliases, budget) = (inference.aliases.clone(), inference.budget.clone());
        (Self { providers, aliases, budget }, unusable)
    }

    /// What a name stands for.
    pub(super) fn model<'a>(&'a self, name: &'a str) -> &'a str {
        self.aliases.get(name).map_or(name, String::as_str)
    }
}

impl Upstream {
    fn new(provider: &Provider, secrets: &Secrets) -> Result<Self, String> {
        let url =
            ProviderUrl::parse(&provider.url).map_err(|why| format!("url {:?}: {why}", provider.url))?;
        let usual = if url.tls { 443 } else { 80 };
        let host =
            if url.port == usual { url.host.to_string() } else { format!("{}:{}", url.host, url.port) };
        let host = HeaderValue::try_from(host).map_err(|error| error.to_string())?;
        let (key, scanner) = match &provider.secret {
            None => (None, Scanner::of(b"")),
            Some(name) => {
                let value = secrets.value(name).ok_or_else(|| {
                    format!(
                        "its key, the secret {name:?}, was not given to this proxy: set it, of the kind proxy"
                    )
                })?;
                (Some(key(provider.api, value)?), Scanner::of(value.trim_ascii()))
            }
        };
        Ok(Self {
            name: provider.name.clone(),
            api: provider.api,
            server: Server {
                tls: url.tls,
                host: url.host.to_string(),
                port: url.port,
                named_by_operator: true,
            },
            host,
            base: url.path,
            models: provider.models.clone(),
            prices: provider.prices.clone(),
            key,
            scanner,
        })
    }

    pub(super) fn offers(&self, model: &str) -> bool {
        self.models.iter().any(|pattern| model_matches(pattern, model))
    }

    pub(super) fn price(&self, model: &str) -> Option<&Price> {
        self.prices.iter().find(|price| model_matches(&price.model, model))
    }
}

fn key(api: Api, value: &[u8]) -> Result<HeaderValue, String> {
    let value = value.trim_ascii();
    let text = match api {
        Api::Openai => Zeroizing::new([b"Bearer ".as_slice(), value].concat()),
        Api::Anthropic => Zeroizing::new(value.to_vec()),
    };
    if value.is_empty() || !value.iter().all(u8::is_ascii_graphic) {
        return Err("its key is empty or holds what no key holds: set it anew".to_owned());
    }
    let mut header = HeaderValue::from_bytes(&text).map_err(|error| error.to_string())?;
    header.set_sensitive(true);
    Ok(header)
}
