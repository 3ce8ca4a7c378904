//! To the gateway and back: an ordinary request.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use model::edge::Route;
use model::{Role, TenantId};

use crate::answer::{self, Failure, STOPPED};
use crate::auth::Identity;
use crate::body::{Body, BodyError, EnrollBox, Held, Outgoing, Relayed};
use crate::edge::unix_now;
use crate::headers::{self, Said};
use crate::limits::Seat;
use crate::relay::Visit;
use crate::tenants::Tenant;
use crate::upstream::{self, Lease, UpstreamError};
use crate::wake::Woken;

/// How long a browser waits before it sees a page that waits.
const SHOW_WAITING: Duration = Duration::from_secs(1);
/// How long a request waits for a tenant to wake up.
const WAKE: Duration = Duration::from_secs(120);
/// How long to wait before each further connection to a gateway that should listen.
const AGAIN: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(300), Duration::from_millis(600)];
/// An answer that took longer than this is checked against revocations made meanwhile.
const LONG: Duration = Duration::from_millis(500);

/// Relays a request and its answer.
///
/// # Errors
///
/// What the client is told instead.
pub async fn forward(
    visit: &mut Visit,
    tenant: &Arc<Tenant>,
    identity: &Arc<Identity>,
    request: Request<Incoming>,
    seat: Seat<TenantId>,
) -> Result<Response<Body>, Failure> {
    let lease = match lease(visit, tenant, false).await? {
        Reached::Gateway(lease) => lease,
        Reached::Page(page) => return Ok(page),
    };
    let (head, body) = request.into_parts();
    let (most, patience) = (visit.file().limits.body_bytes, visit.edge().options.patience.body);
    let body = Outgoing::new(body, most, patience);
    let request = toward_gateway(visit, tenant, identity, head, body, false).await?;
    let is_head = *request.method() == Method::HEAD;
    let (response, lease) = send(visit, tenant, lease, request).await?;
    let late = visit.record.as_ref().is_some_and(|record| record.started().elapsed() > LONG);
    if late && !visit.edge().auth.is_alive(identity, unix_now()) {
        return Err(Failure::new(StatusCode::UNAUTHORIZED, "the credential is not accepted")
            .because("it ended meanwhile"));
    }
    toward_client(visit, identity, response, lease, seat, is_head)
}

/// Sends a request. A gateway that breaks the connection may be another soon, with another proof header.
///
/// # Errors
///
/// What the client is told instead.
pub async fn send(
    visit: &Visit,
    tenant: &Tenant,
    lease: Lease,
    request: Request<Outgoing>,
) -> Result<(Response<Incoming>, Lease), Failure> {
    match upstream::send(lease, request).await {
        Ok(sent) => Ok(sent),
        Err(error) => {
            if !matches!(error, UpstreamError::Body(_)) {
                tenant.proof.forget().await;
            }
            Err(failed(visit, tenant, &error))
        }
    }
}

/// The role's scopes as the gateway reads them. Without the header it would give every scope, so a role without any gets an empty one.
fn scopes(route: &Route, role: Role) -> Option<(&str, String)> {
    let header = route.scopes_header.as_deref()?;
    Some((header, Tenant::rights(route, role).map(|rights| rights.scopes.join(",")).unwrap_or_default()))
}

/// The request as the gateway gets it.
///
/// # Errors
///
/// If the gateway's proof header cannot be had.
pub async fn toward_gateway(
    visit: &Visit,
    tenant: &Tenant,
    identity: &Identity,
    head: http::request::Parts,
    body: Outgoing,
    upgrade: bool,
) -> Result<Request<Outgoing>, Failure> {
    let route = tenant.route();
    let proof = if route.proof {
        Some(tenant.proof.header(&tenant.id).await.map_err(|error| {
            tracing::error!(tenant = %tenant.id, request = visit.id(), "{error}");
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, "this agent cannot be reached now")
                .because("the proof header cannot be had")
                .again_in(Duration::from_secs(1))
        })?)
    } else {
        None
    };
    let host = head.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
    let authority = head.uri.authority().map(http::uri::Authority::as_str);
    let host = host.or(authority).unwrap_or(&visit.name).to_owned();
    let said = Said {
        host: &host,
        port: visit.file().public_port,
        client: visit.connection.client.ip(),
        request_id: visit.id(),
        subject: &identity.subject,
        identity: (&route.identity_header, identity.role.name()),
        scopes: scopes(&route, identity.role),
        origin: &route.origin,
        proof,
    };
    let mut request = Request::new(body);
    *request.method_mut() = if upgrade { Method::GET } else { head.method };
    // Origin form, whatever form it came in.
    *request.uri_mut() = head.uri.path_and_query().cloned().map_or(Uri::from_static("/"), Uri::from);
    *request.headers_mut() = headers::toward_gateway(head.headers, &said, upgrade);
    Ok(request)
}

/// The answer as the client gets it.
///
/// # Errors
///
/// If the gateway answers what was not asked for.
pub fn toward_client(
    visit: &mut Visit,
    identity: &Arc<Identity>,
    response: Response<Incoming>,
    lease: Lease,
    seat: Seat<TenantId>,
    is_head: bool,
) -> Result<Response<Body>, Failure> {
    if response.status().is_informational() {
        return Err(Failure::new(StatusCode::BAD_GATEWAY, "the agent's answer is malformed")
            .because("an upgrade that nobody asked for"));
    }
    let edge = Arc::clone(visit.edge());
    let Some(mut record) = visit.record.take() else {
        return Err(Failure::new(StatusCode::BAD_GATEWAY, "answered twice"));
    };
    record.status(response.status().as_u16(), None);
    let (mut head, incoming) = response.into_parts();
    headers::toward_client(&mut head.headers, is_head || head.status == StatusCode::NOT_MODIFIED);
    head.version = http::Version::default();
    head.extensions.clear();
    let who = Arc::clone(identity);
    let enroll = EnrollBox(Box::new(move || edge.streams.enroll(&who, false)));
    let held = Held(Box::new((seat, visit.busy.take(), Arc::clone(&visit.connection))));
    let relayed = Relayed { incoming, stream: None, enroll, lease: Some(lease), record, frames: 0, held };
    Ok(Response::from_parts(head, Body::Relayed(Box::new(relayed))))
}

/// A way to the gateway, or a page that waits for one.
#[derive(Debug)]
pub enum Reached {
    /// A connection.
    Gateway(Lease),
    /// A page.
    Page(Response<Body>),
}

/// A connection to the gateway; wakes the tenant if nobody listens.
///
/// # Errors
///
/// What the client is told instead.
pub async fn lease(visit: &Visit, tenant: &Arc<Tenant>, tunnel: bool) -> Result<Reached, Failure> {
    match upstream::lease(tenant, tunnel).await {
        Ok(lease) => return Ok(Reached::Gateway(lease)),
        Err(UpstreamError::Connect(..)) => {}
        Err(error) => return Err(failed(visit, tenant, &error)),
    }
    tenant.proof.forget().await;
    let limit = if visit.html { SHOW_WAITING } else { WAKE };
    let unavailable = |message, why| Failure::new(StatusCode::SERVICE_UNAVAILABLE, message).because(why);
    let soon = Duration::from_secs(2);
    match tenant.wake.wake(&tenant.id, limit).await {
        Woken::Ready => awake(visit, tenant, tunnel).await.map(Reached::Gateway),
        Woken::Stopped => Err(unavailable(STOPPED, "stopped by its administrator")),
        Woken::Failed => {
            Err(unavailable("this agent could not be started", "it did not wake up").again_in(soon))
        }
        Woken::Late if visit.html => Ok(Reached::Page(answer::waiting(visit.id()))),
        Woken::Late => Err(unavailable("this agent is still starting", "it is waking up").again_in(soon)),
        Woken::Crowded => {
            Err(unavailable("too many wait for this agent to start", "too many wait for it to wake up")
                .again_in(soon))
        }
    }
}

/// A connection to a gateway that is said to listen; it may be in the midst of a restart.
async fn awake(visit: &Visit, tenant: &Arc<Tenant>, tunnel: bool) -> Result<Lease, Failure> {
    for pause in AGAIN {
        match upstream::lease(tenant, tunnel).await {
            Err(UpstreamError::Connect(..)) => tokio::time::sleep(pause).await,
            leased => return leased.map_err(|error| failed(visit, tenant, &error)),
        }
    }
    upstream::lease(tenant, tunnel).await.map_err(|error| failed(visit, tenant, &error))
}

/// What the client is told of a fault on the way, and the journal.
fn failed(visit: &Visit, tenant: &Tenant, error: &UpstreamError) -> Failure {
    let close = |status, message| Failure { close: true, ..Failure::new(status, message) };
    let id = &tenant.id;
    match error {
        UpstreamError::Body(BodyError::TooLarge) => {
            close(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large")
        }
        UpstreamError::Body(BodyError::Slow) => {
            close(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")
        }
        UpstreamError::Body(_) => close(StatusCode::BAD_REQUEST, "the body is malformed, or ended early"),
        UpstreamError::Late => {
            tracing::warn!(tenant = %id, request = visit.id(), "tenant {id}: {error}");
            Failure::new(StatusCode::GATEWAY_TIMEOUT, "the agent did not answer in time")
        }
        UpstreamError::Connect(..) => {
            tracing::warn!(tenant = %id, request = visit.id(), "tenant {id}: {error} (see \"journalctl -u {}\")", id.unit());
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, "this agent cannot be reached now")
                .because("nobody listens at the gateway's address")
                .again_in(Duration::from_secs(2))
        }
        UpstreamError::Broken(_) => {
            tracing::warn!(tenant = %id, request = visit.id(), "tenant {id}: {error} (see \"journalctl -u {}\")", id.unit());
            let (status, message) = (StatusCode::BAD_GATEWAY, "the agent broke the connection");
            Failure::new(status, message).because("the gateway broke the connection")
        }
    }
}
