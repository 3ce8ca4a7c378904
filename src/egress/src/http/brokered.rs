//! Secrets on their way out, and kept from coming back.

use std::sync::Arc;

use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::exchange::{Asked, Session};
use super::route::Fault;
use crate::body::{Body, BodyError};
use crate::gate::{Admitted, Place, Refusal};
use crate::proxy::Proxy;
use crate::secrets::{self, BodyFault, Filled, Misplaced, SecretTable};

/// A request in which secrets are in the place of their placeholders, and what its answer is searched by.
pub(super) struct Brokered {
    pub(super) request: Request<Body>,
    table: Arc<SecretTable>,
    filled: bool,
}

/// Puts secrets in the place of their placeholders, in a request that was decided and goes to `asked.place`; its server is verified if
/// `session.tls`.
pub(super) async fn fill(
    session: &Session,
    asked: &Asked,
    admitted: &Admitted,
    request: Request<Body>,
) -> Result<Brokered, Fault> {
    let proxy = &session.proxy;
    let none = || (StatusCode::FORBIDDEN, "egress_denied", Refusal::new("there is no policy"));
    let table = proxy.broker.table(&proxy.live.now().ok_or_else(none)?);
    let host = asked.place.host.to_string();
    let place = secrets::Place { host: &host, port: asked.place.port, tls: session.tls };
    let (mut head, body) = request.into_parts();
    let events = Arc::clone(&session.proxy);
    let heard = move |misplaced: Misplaced| events.events.happened("secret-misplaced", &misplaced);
    // Calls go on as they were decided.
    let rewrites =
        admitted.ruling.rewrites_bodies && !(asked.read.is_said() && admitted.ruling.looks_at_calls);
    let body = table.body(place, &mut head, body, rewrites, heard).await;
    let (body, in_body) = body.map_err(|fault| match fault {
        BodyFault::Misplaced(why) => misplaced(session, &why),
        BodyFault::Body(error) => (StatusCode::BAD_REQUEST, "malformed", Refusal::new(error.to_string())),
    })?;
    let in_head = table.fill(place, &mut head).map_err(|why| misplaced(session, &why))?;
    let filled = noted(session, asked, &in_body, &in_head);
    Ok(Brokered { request: Request::from_parts(head, body), table, filled })
}

fn misplaced(session: &Session, why: &Misplaced) -> Fault {
    session.proxy.events.happened("secret-misplaced", why);
    (StatusCode::FORBIDDEN, "secret_misplaced", Refusal::new(why.to_string()))
}

fn noted(session: &Session, asked: &Asked, in_body: &Filled, in_head: &Filled) -> bool {
    let names: Vec<&str> = in_body.secrets.iter().chain(&in_head.secrets).map(String::as_str).collect();
    if !names.is_empty() {
        let (names, place) = (names.join(", "), &asked.place);
        session.proxy.events.noted(
            "secret-used",
            &format_args!("{names} was put into a request to {}:{}", place.host, place.port),
        );
    }
    !names.is_empty()
}

/// What an answer is searched by, and whether its request holds a secret.
pub(super) type Searched<'a> = (&'a SecretTable, bool);

/// Searches an answer for secrets, as it streams.
pub(super) fn scan(
    session: &Session,
    asked: &Asked,
    searched: Searched<'_>,
    response: Response<Body>,
) -> Result<Response<Body>, Fault> {
    scan_head(session, asked, searched, response.headers())?;
    let (proxy, place) = (Arc::clone(&session.proxy), asked.place.clone());
    let echoed = move || echo(&proxy, &place, &"it sends a secret back");
    Ok(response.map(|body| searched.0.scanner().body(body, echoed)))
}

/// Searches the head of an answer.
pub(super) fn scan_head(
    session: &Session,
    asked: &Asked,
    (table, filled): Searched<'_>,
    headers: &HeaderMap,
) -> Result<(), Fault> {
    table.scanner().head(headers, filled).map_err(|echoed| {
        echo(&session.proxy, &asked.place, &echoed);
        (StatusCode::BAD_GATEWAY, "secret_echoed", Refusal::new(echoed.to_string()))
    })
}

pub(super) fn echo(proxy: &Proxy, place: &Place, why: &dyn std::fmt::Display) {
    let Place { host, port } = place;
    proxy.events.happened("secret-echoed", &format_args!("the answer of {host}:{port} was ended: {why}"));
}

impl Brokered {
    /// The request, and what its answer is searched by.
    pub(super) fn split(self) -> (Request<Body>, (Arc<SecretTable>, bool)) {
        (self.request, (self.table, self.filled))
    }
}

/// Serves a request to the tenant's models.
pub(super) async fn models(session: &Session, request: Request<Incoming>) -> Result<Response<Body>, Fault> {
    let none = || (StatusCode::NOT_FOUND, "no_inference", Refusal::new("this tenant has no model provider"));
    let proxy = &session.proxy;
    let snapshot = proxy.live.now().ok_or_else(none)?;
    let request = request.map(|body| body.map_err(|_| BodyError::Program).boxed_unsync());
    proxy.broker.models(&snapshot, request, &proxy.upstream).await.ok_or_else(none)
}
