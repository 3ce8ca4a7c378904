//! Models for a tenant that has no key: `http://inference.internal/v1/…` inside its namespace.
//!
//! A request reaches only the providers, models and paths that the operator named, with the operator's key in the place of whatever
//! the tenant sent. Budgets are held before a request, while its answer streams, and over restarts. Prompts, answers and keys are never
//! logged.

mod answer;
mod charge;
mod clock;
mod counting;
mod file;
mod forward;
mod ledger;
mod limit;
mod minute;
mod models;
mod request;
mod settings;
mod sse;
mod tally;

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use model::egress::Inference;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use clock::{Clock, SystemClock};
pub use sse::fuzz_sse;

use crate::body::Body;
use crate::dial::Dial;
use crate::secrets::Secrets;
use answer::Refusal;
use charge::{Charge, cost};
use counting::{Reading, counted};
use forward::{Circuit, Passing};
use ledger::Ledger;
use limit::Sum;
use request::{Asked, Call};
use settings::{Settings, Upstream};
use tally::Tokens;

/// Bytes of a request, at most.
const MOST_BODY: usize = 32 << 20;
/// KiB of requests that are held at once.
const MOST_HELD: usize = 64 << 10;
/// Requests of a tenant under way at once.
const MOST_REQUESTS: usize = 64;
/// The longest pause of a request on its way in.
const PATIENCE: Duration = Duration::from_secs(60);

/// The route.
#[derive(Debug)]
pub struct InferenceRoute {
    secrets: Arc<Secrets>,
    settings: RwLock<Arc<Settings>>,
    ledger: Arc<Ledger>,
    circuit: Circuit,
    places: Arc<Semaphore>,
    memory: Arc<Semaphore>,
}

impl InferenceRoute {
    /// With its usage in this directory; serves nothing before [`InferenceRoute::settings`].
    #[must_use]
    pub fn new(state: &Path, clock: Arc<dyn Clock>, secrets: Arc<Secrets>) -> Self {
        Self {
            secrets,
            settings: RwLock::default(),
            ledger: Ledger::open(state, clock),
            circuit: Circuit::default(),
            places: Arc::new(Semaphore::new(MOST_REQUESTS)),
            memory: Arc::new(Semaphore::new(MOST_HELD)),
        }
    }

    /// What holds from now on; answers under way end by what held when they began. Comes back: a sentence about each provider that
    /// cannot be used, for the log.
    pub fn settings(&self, inference: &Inference) -> Vec<String> {
        let (settings, mut unusable) = Settings::new(inference, &self.secrets);
        if let Err(error) = self.ledger.budget(&settings.budget) {
            unusable.push(error.to_string());
        }
        let names: Vec<&str> = settings.providers.iter().map(|upstream| upstream.name.as_str()).collect();
        self.circuit.keep(&names);
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
        unusable
    }

    /// Answers a request to `inference.internal`.
    pub async fn serve(&self, request: Request<Body>, dial: &dyn Dial) -> Response<Body> {
        let api = request::shape(request.uri().path(), request.headers());
        let Some(call) = Call::of(request.method(), request.uri().path(), request.headers()) else {
            let message = "there is no such path here: POST /v1/chat/completions, /v1/responses, /v1/completions, /v1/embeddings, /v1/messages, /v1/messages/count_tokens, GET /v1/models";
            return Refusal::new(StatusCode::NOT_FOUND, "unknown_url", message).response(api);
        };
        match self.answer(call, request, dial).await {
            Ok(response) => response,
            Err(refusal) => {
                tracing::info!(target: "inference", call = call.path(), status = refusal.status.as_u16(), code = refusal.code, "a request to {} is refused: {}", call.path(), refusal.code);
                refusal.response(call.api())
            }
        }
    }

    /// Writes usage within two seconds of a change, for as long as this is polled.
    pub async fn keep(&self) {
        loop {
            self.ledger.changed().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            let ledger = Arc::clone(&self.ledger);
            while let Ok(Err(error)) = tokio::task::spawn_blocking({
                let ledger = Arc::clone(&ledger);
                move || ledger.flush()
            })
            .await
            {
                tracing::error!(target: "inference", "{error}");
                tokio::time::sleep(Duration::from_secs(10)).await;
            }
        }
    }

    /// Writes usage now, before the end.
    pub fn flush(&self) -> std::io::Result<()> {
        self.ledger.flush().map_err(std::io::Error::other)
    }

    async fn answer(
        &self,
        call: Call,
        request: Request<Body>,
        dial: &dyn Dial,
    ) -> Result<Response<Body>, Refusal> {
        let settings = Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner));
        let busy = |_| Refusal {
            retry_after: Some(1),
            ..Refusal::new(
                StatusCode::TOO_MANY_REQUESTS,
                "busy",
                format!("{MOST_REQUESTS} requests of this tenant are under way: wait for one to end"),
            )
        };
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(busy)?;
        let (parts, body) = request.into_parts();
        let passing = Passing::of(call.api(), &parts.headers, parts.uri.query());
        if let Call::Models(api) = call {
            let reservation = self.ledger.admit(0, Sum::default())?;
            let response = models::list(&settings, api, &passing, dial).await;
            drop(reservation);
            return Ok(response);
        }
        if parts.headers.contains_key(CONTENT_ENCODING) {
            return Err(Refusal::wrong("a request is not compressed here: leave Content-Encoding out"));
        }
        let told =
            parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if told.is_some_and(|told| told > u64::try_from(MOST_BODY).unwrap_or(u64::MAX)) {
            return Err(too_large());
        }
        let (body, held) = self.gather(body).await?;
        let asked = Asked::read(call, &body, &settings)?;
        drop(body);
        let upstreams = may_answer(&settings, &asked)?;
        let mut charge = self.admit(&asked, &upstreams)?;
        let upstreams = self.circuit.order(upstreams, self.ledger.clock().elapsed());
        let now = || self.ledger.clock().elapsed();
        let answer =
            forward::first_answer(&upstreams, &asked, &passing, dial, &mut charge, &self.circuit, now).await;
        drop(held);
        let (upstream, response) = answer?;
        charge.answered(response.status().as_u16());
        passed_on(upstream, &asked, response, charge, place)
    }

    fn admit(&self, asked: &Asked, upstreams: &[&Upstream]) -> Result<Charge, Refusal> {
        let (prompt, output) =
            if asked.call == Call::CountTokens { (0, 0) } else { (asked.prompt, asked.output) };
        let tokens = Tokens { input: prompt, output, ..Tokens::default() };
        let prices = upstreams.iter().filter_map(|upstream| upstream.price(&asked.model));
        let money = prices.map(|price| cost(price, tokens)).max().unwrap_or(0);
        let want = Sum { tokens: prompt.saturating_add(output), money };
        let reservation = self.ledger.admit(prompt, want)?;
        Ok(Charge::new(reservation, asked, Arc::clone(&self.ledger)))
    }

    /// The whole of a body, and its share of what may be held.
    async fn gather(&self, mut body: Body) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Refusal> {
        let (mut gathered, mut held): (_, Option<OwnedSemaphorePermit>) = (BytesMut::new(), None);
        let mut kib = 0;
        loop {
            let frame = tokio::time::timeout(PATIENCE, body.frame()).await;
            let frame = frame.map_err(|_| {
                Refusal::new(StatusCode::REQUEST_TIMEOUT, "slow", "the request did not arrive in time")
            })?;
            let Some(frame) = frame else { return Ok((gathered.freeze(), held)) };
            let frame =
                frame.map_err(|error| Refusal::wrong(format!("the request did not arrive: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            if gathered.len() + data.len() > MOST_BODY {
                return Err(too_large());
            }
            gathered.extend_from_slice(&data);
            let more = gathered.len().div_ceil(1024) - kib;
            let more = u32::try_from(more).unwrap_or(u32::MAX);
            let Ok(permit) = Arc::clone(&self.memory).try_acquire_many_owned(more) else {
                let message = "requests of this tenant fill the proxy's memory: wait for one to be sent";
                let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "busy", message);
                return Err(Refusal { retry_after: Some(1), ..refusal });
            };
            kib = gathered.len().div_ceil(1024);
            match &mut held {
                None => held = Some(permit),
                Some(held) => held.merge(permit),
            }
        }
    }
}

fn too_large() -> Refusal {
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "a request has at most 32 MiB here")
}

/// Providers that speak this API, have this model, and can be paid.
fn may_answer<'a>(settings: &'a Settings, asked: &Asked) -> Result<Vec<&'a Upstream>, Refusal> {
    let model = &asked.model;
    let offers = |upstream: &&Upstream| upstream.api == asked.call.api() && upstream.offers(model);
    let offering: Vec<&Upstream> = settings.providers.iter().filter(offers).collect();
    if offering.is_empty() {
        let message = format!(
            "the model {model:?} is not among those that this tenant may use (GET /v1/models tells which)"
        );
        return Err(Refusal::new(StatusCode::NOT_FOUND, "model_not_found", message));
    }
    if settings.budget.money_day.is_none() && settings.budget.money_month.is_none() {
        return Ok(offering);
    }
    let priced: Vec<&Upstream> =
        offering.into_iter().filter(|upstream| upstream.price(model).is_some()).collect();
    if priced.is_empty() {
        let message = format!(
            "the model {model:?} has no price, and this tenant has a budget of money: its operator adds one to prices of the provider"
        );
        return Err(Refusal::new(StatusCode::FORBIDDEN, "model_without_price", message));
    }
    Ok(priced)
}

fn passed_on(
    upstream: &Upstream,
    asked: &Asked,
    response: Response<Body>,
    charge: Charge,
    place: OwnedSemaphorePermit,
) -> Result<Response<Body>, Refusal> {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let events =
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"));
    let reading = match response.status().is_success() {
        false => Reading::Nothing,
        true if events => Reading::Events { hide: asked.hide_usage },
        true => Reading::Whole,
    };
    let builder = forward::head(&response);
    let name = upstream.name.clone();
    let searched = upstream.scanner.again().body(response.into_body(), move || {
        tracing::error!(target: "inference", provider = name, "the provider sent its key back: the answer is ended");
    });
    let body = counted(searched, charge, &reading, place);
    let failed = |error: http::Error| Refusal::new(StatusCode::BAD_GATEWAY, "no_provider", error.to_string());
    builder.body(body).map_err(failed)
}

#[cfg(test)]
mod tests;
