//! External issuers as they are now: their endpoints (OpenID Connect Discovery, 4) and their keys, fetched when needed,
//! kept fresh, and fetched again when a token names a key that is not among them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use model::edge::Issuer;
use serde::Deserialize;
use thiserror::Error;
use token::{JwksError, KeySet};
use tokio::sync::Mutex;

use crate::fetch::{Client, FetchError, checked};
use crate::live::Live;

/// Between two attempts to fetch, whoever asks.
const MIN_INTERVAL: Duration = Duration::from_secs(5);
/// After which it is fetched anew, if it is used at all.
const FRESH: Duration = Duration::from_secs(600);
/// After which what was fetched is believed no more, if the issuer cannot be reached.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// An issuer that cannot be asked.
#[derive(Debug, Error)]
#[error("external issuer {name}: {cause}")]
pub(super) struct ProviderError {
    name: String,
    #[source]
    pub(super) cause: Cause,
}

#[derive(Debug, Error)]
pub(super) enum Cause {
    #[error("cannot fetch {address}: {source}")]
    Fetch { address: String, source: FetchError },
    #[error("its discovery document is malformed: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("its discovery document is of another issuer, {0:?}")]
    OtherIssuer(String),
    #[error("its discovery document names an address that is not https: {0:?}")]
    Endpoint(String),
    #[error("its keys: {0}")]
    Keys(#[from] JwksError),
    #[error("asked a moment ago already")]
    TooSoon,
}

/// What a discovery document says, as far as it is used.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Discovery {
    issuer: String,
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    pub(super) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// RFC 9207.
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
}

#[derive(Clone, Debug)]
struct Fetched {
    at: Instant,
    discovery: Arc<Discovery>,
    keys: Arc<KeySet>,
}

/// One issuer.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) issuer: Issuer,
    client: OnceLock<Client>,
    fetched: RwLock<Option<Fetched>>,
    /// When it was tried last; held while it is being tried, so that all wait for one.
    attempt: Mutex<Option<Instant>>,
    interval: Duration,
    epoch: Arc<AtomicU64>,
}

/// All issuers, by name.
#[derive(Debug)]
pub(super) struct Providers {
    known: RwLock<HashMap<String, Arc<Provider>>>,
    interval: Duration,
    epoch: Arc<AtomicU64>,
}

impl Providers {
    /// Within a tokio runtime, keeps the keys fresh of those issuers whose access tokens are taken.
    pub(super) fn start(live: Arc<Live>) -> Arc<Self> {
        let providers = Arc::new(Self::new(MIN_INTERVAL));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(keep_fresh(live, Arc::downgrade(&providers)));
        }
        providers
    }

    pub(super) fn new(interval: Duration) -> Self {
        Self { known: RwLock::default(), interval, epoch: Arc::default() }
    }

    /// Number of the keys that are known; it grows with every change.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The one that `issuer` describes. One whose description changed starts anew.
    pub(super) fn of(&self, issuer: &Issuer) -> Arc<Provider> {
        if let Some(provider) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&issuer.name) {
            if provider.issuer == *issuer {
                return Arc::clone(provider);
            }
        }
        let provider = Arc::new(Provider {
            issuer: issuer.clone(),
            client: OnceLock::new(),
            fetched: RwLock::default(),
            attempt: Mutex::default(),
            interval: self.interval,
            epoch: Arc::clone(&self.epoch),
        });
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(issuer.name.clone(), Arc::clone(&provider));
        provider
    }
}

impl Provider {
    /// Its keys, if they were fetched and are not stale.
    pub(super) fn keys(&self) -> Option<Arc<KeySet>> {
        self.fetched(STALE).map(|fetched| fetched.keys)
    }

    /// Its endpoints; fetches them if need be.
    pub(super) async fn discovery(&self) -> Result<Arc<Discovery>, ProviderError> {
        if let Some(fetched) = self.fetched(FRESH) {
            return Ok(fetched.discovery);
        }
        let refreshed = self.refresh().await;
        match (self.fetched(STALE), refreshed) {
            (Some(fetched), _) => Ok(fetched.discovery),
            (None, Err(error)) => Err(error),
            (None, Ok(())) => Err(self.error(Cause::TooSoon)),
        }
    }

    /// Fetches in the background, for the next request.
    pub(super) fn refresh_later(self: &Arc<Self>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        // Somebody is at it already.
        if self.attempt.try_lock().is_err() {
            return;
        }
        let provider = Arc::clone(self);
        runtime.spawn(async move { provider.refresh_or_tell().await });
    }

    /// Fetches, and tells the journal if that fails; not that it was asked too often, which anybody can bring about.
    pub(super) async fn refresh_or_tell(&self) {
        match self.refresh().await {
            Ok(()) | Err(ProviderError { cause: Cause::TooSoon, .. }) => {}
            Err(error) => tracing::warn!("{error}"),
        }
    }

    /// Fetches endpoints and keys, unless somebody did since this was called, or a moment ago.
    pub(super) async fn refresh(&self) -> Result<(), ProviderError> {
        let asked = Instant::now();
        let mut attempt = self.attempt.lock().await;
        if self.fetched(STALE).is_some_and(|fetched| fetched.at >= asked) {
            return Ok(());
        }
        if attempt.is_some_and(|last| last.elapsed() < self.interval) {
            return Err(self.error(Cause::TooSoon));
        }
        *attempt = Some(Instant::now());
        let (discovery, keys) = self.fetch().await.map_err(|cause| self.error(cause))?;
        let fetched = Fetched { at: Instant::now(), discovery: Arc::new(discovery), keys: Arc::new(keys) };
        let mut slot = self.fetched.write().unwrap_or_else(PoisonError::into_inner);
        let same = slot.as_ref().is_some_and(|old| old.keys == fetched.keys);
        *slot = Some(fetched);
        if !same {
            self.epoch.fetch_add(1, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Speaks with it.
    pub(super) async fn client(&self) -> Result<&Client, ProviderError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let (pem, plain) = (self.issuer.ca_pem.clone(), self.plain());
        // Reads the authorities of the system.
        let made = tokio::task::spawn_blocking(move || Client::new(pem.as_deref(), plain)).await;
        let made = made.unwrap_or(Err(FetchError::Interrupted));
        let client =
            made.map_err(|source| self.error(Cause::Fetch { address: self.issuer.issuer.clone(), source }))?;
        Ok(self.client.get_or_init(|| client))
    }

    pub(super) fn error(&self, cause: Cause) -> ProviderError {
        ProviderError { name: self.issuer.name.clone(), cause }
    }

    fn fetched(&self, within: Duration) -> Option<Fetched> {
        let fetched = self.fetched.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        (fetched.at.elapsed() < within).then_some(fetched)
    }

    /// Plain HTTP is for issuers that are themselves at a plain address.
    fn plain(&self) -> bool {
        self.issuer.issuer.starts_with("http://")
    }

    async fn fetch(&self) -> Result<(Discovery, KeySet), Cause> {
        let client = self.client().await.map_err(|error| error.cause)?;
        let get = async |address: &str| {
            client.get(address).await.map_err(|source| Cause::Fetch { address: address.to_owned(), source })
        };
        let base = self.issuer.issuer.trim_end_matches('/');
        let text = get(&format!("{base}/.well-known/openid-configuration")).await?;
        let discovery: Discovery = serde_json::from_slice(&text)?;
        // Discovery, 4.3: otherwise one issuer could speak for another.
        if discovery.issuer != self.issuer.issuer {
            return Err(Cause::OtherIssuer(discovery.issuer.chars().take(200).collect()));
        }
        for endpoint in [&discovery.authorization_endpoint, &discovery.token_endpoint, &discovery.jwks_uri] {
            if checked(endpoint, self.plain()).is_none() {
                return Err(Cause::Endpoint(endpoint.chars().take(200).collect()));
            }
        }
        let keys = KeySet::parse(&get(&discovery.jwks_uri).await?)?;
        Ok((discovery, keys))
    }
}

async fn keep_fresh(live: Arc<Live>, providers: Weak<Providers>) {
    let mut changes = live.changes();
    loop {
        let issuers = live.now().map(|files| files.edge.issuers.clone()).unwrap_or_default();
        for issuer in issuers.iter().filter(|issuer| issuer.audience.is_some()) {
            let Some(providers) = providers.upgrade() else { return };
            let provider = providers.of(issuer);
            if provider.fetched(FRESH).is_none() {
                provider.refresh_later();
            }
        }
        if providers.strong_count() == 0 {
            return;
        }
        // A minute, or a change of the configuration. A sender that is gone brings none.
        if let Ok(Err(_)) = tokio::time::timeout(Duration::from_secs(60), changes.changed()).await {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
