//! The life of a request: whose it is, who sends it, whether they may, and then to the gateway.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, UPGRADE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use model::edge::{EdgeFile, Methods, Route};
use model::{Role, TenantId};

use crate::answer::{self, Failure};
use crate::auth::{Authentication, Identity, RequestId, Source};
use crate::body::Body;
use crate::edge::{Edge, unix_now};
use crate::host::{self, Place};
use crate::limits::{self, Quota, Seat};
use crate::log::Record;
use crate::strict::{REFUSED, Refusal};
use crate::tenants::{NoRoute, Tenant};
use crate::{forward, headers, origin, paths, websocket};

/// Bytes of a body for one of the edge's own pages, at most.
const PAGE_BODY: usize = 16 << 10;
/// Bytes of a refused request's body that are read, and for how long.
const REFUSED_BYTES: usize = 1 << 20;
const REFUSED_TIME: Duration = Duration::from_millis(500);
/// What is never relayed.
pub const RESERVED: &str = "/.tenantd/";

/// One connection.
#[derive(Debug)]
pub struct Connection {
    /// What all share.
    pub edge: Arc<Edge>,
    /// From where.
    pub client: SocketAddr,
    /// The name that TLS was told.
    pub server_name: Option<String>,
    /// Whether it speaks HTTP/2.
    pub http2: bool,
    /// Requests under way.
    pub busy: Arc<AtomicUsize>,
    /// Its places among all connections, and those of its address.
    pub seats: (Seat<()>, Seat<std::net::IpAddr>),
}

/// One request on its way.
#[derive(Debug)]
pub struct Visit {
    /// By which connection.
    pub connection: Arc<Connection>,
    /// The settings when it came.
    pub settings: Arc<crate::live::Files>,
    /// The name it is for, in lower case.
    pub name: String,
    /// Its line of the access log, until somebody else writes it.
    pub record: Option<Record>,
    /// Whether a browser shows the answer.
    pub html: bool,
    /// Whether the tenant was named by a path.
    pub by_path: bool,
    /// As long as it is there, the client owes nothing.
    pub busy: Option<Busy>,
}

/// A request under way.
#[derive(Debug)]
pub struct Busy(Arc<AtomicUsize>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Visit {
    /// What all share.
    #[must_use]
    pub fn edge(&self) -> &Arc<Edge> {
        &self.connection.edge
    }

    /// The settings of the edge.
    #[must_use]
    pub fn file(&self) -> &EdgeFile {
        &self.settings.edge
    }

    /// The number of the request.
    #[must_use]
    pub fn id(&self) -> &str {
        self.record.as_ref().map_or("", Record::id)
    }

    /// Says something in the line of the log.
    pub fn note(&mut self, note: impl FnOnce(&mut Record)) {
        if let Some(record) = &mut self.record {
            note(record);
        }
    }
}

/// Answers one request.
pub async fn answer(connection: Arc<Connection>, request: Request<Incoming>) -> Response<Body> {
    connection.busy.fetch_add(1, Ordering::Relaxed);
    let busy = Some(Busy(Arc::clone(&connection.busy)));
    let (edge, client, http2) = (Arc::clone(&connection.edge), connection.client.ip(), connection.http2);
    let mut record =
        Record::begin(&edge, edge.request_id(), client, request.method().clone(), request.uri().path());
    let html = answer::is_navigation(request.method(), request.headers());
    // An upgrade that is not granted leaves nobody who knows what comes next on the connection.
    let upgrade = !http2 && request.headers().contains_key(UPGRADE);
    if !http2 && request.method().as_str() == REFUSED {
        edge.numbers.malformed.up();
        let refusal = Refusal::from_path(request.uri().path());
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
        let failure = Failure { close: true, ..Failure::new(status, refusal.reason) };
        record.status(refusal.status, Some(refusal.reason));
        return answer::failure(&failure, record.id(), false);
    }
    let Some(settings) = edge.live.now() else {
        let failure = Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the edge is not set up yet")
            .because("the edge has no configuration in force");
        record.status(503, Some(failure.why));
        return answer::failure(&failure, record.id(), html);
    };
    let id = record.id().to_owned();
    let name = String::new();
    let mut visit = Visit { connection, settings, name, record: Some(record), html, by_path: false, busy };
    let mut response = match handle(&mut visit, request).await {
        Ok(response) => response,
        Err(failure) => {
            if failure.status == StatusCode::TOO_MANY_REQUESTS {
                edge.numbers.limited.up();
            }
            visit.note(|record| record.status(failure.status.as_u16(), Some(failure.why)));
            let mut response = answer::failure(&failure, &id, html);
            if http2 {
                response.headers_mut().remove(CONNECTION);
            }
            response
        }
    };
    visit.note(|record| record.status(response.status().as_u16(), None));
    if visit.by_path {
        paths::toward_client(response.headers_mut());
    }
    if upgrade && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn handle(visit: &mut Visit, mut request: Request<Incoming>) -> Result<Response<Body>, Failure> {
    let name = name_of(visit, &request)?;
    visit.note(|record| record.host(&name));
    visit.name = name;
    let ip = limits::counted(visit.connection.client.ip());
    let quota = Quota::per_second(visit.file().limits.requests_per_ip);
    limited(visit.edge().limits.ip_requests.take(ip, quota, Instant::now()), "requests of one address")?;
    let id = match host::place(&visit.name, &visit.file().domain) {
        Place::Domain => match paths::tenant(visit, &mut request)? {
            Some(id) => id,
            None => return Ok(answer::domain(visit.id())),
        },
        Place::Tenant(id) => id,
        Place::Elsewhere => {
            return Err(Failure::new(StatusCode::MISDIRECTED_REQUEST, "this name is not served here"));
        }
    };
    if !visit.by_path && request.uri().path().starts_with(RESERVED) {
        return page(visit, &id, request).await;
    }
    let found = match who(visit, &id, &request).await {
        Ok(found) => found,
        Err(failure) => return Err(refused(request, failure).await),
    };
    let Some(identity) = found else {
        if visit.html {
            return Ok(answer::redirect(StatusCode::SEE_OTHER, "/.tenantd/login"));
        }
        let failure =
            Failure::new(StatusCode::UNAUTHORIZED, "a credential is needed").because("no credential");
        return Err(refused(request, failure).await);
    };
    let tenant = match visit.edge().tenants.get(&id, Instant::now()) {
        Ok(tenant) => tenant,
        Err(NoRoute::Unknown) => return Err(Failure::new(StatusCode::NOT_FOUND, "there is no such agent")),
        Err(NoRoute::Broken) => {
            return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "this agent cannot be reached now")
                .because("its route cannot be read"));
        }
    };
    visit.note(|record| record.tenant(&tenant));
    admit(visit, &tenant, &identity, request).await
}

/// Reads what a client sends along with a request that is refused, up to a bound: one that is still sending when the answer comes may
/// take the answer for a broken connection (curl below 8 does with HTTP/2).
async fn refused(request: Request<Incoming>, failure: Failure) -> Failure {
    let mut body = Limited::new(request.into_body(), REFUSED_BYTES);
    let read = async { while body.frame().await.is_some_and(|frame| frame.is_ok()) {} };
    // What is not read by then is not waited for.
    tokio::time::timeout(REFUSED_TIME, read).await.ok();
    failure
}

/// Somebody known, at a tenant that exists: whether they may, and how much.
async fn admit(
    visit: &mut Visit,
    tenant: &Arc<Tenant>,
    identity: &Arc<Identity>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Failure> {
    let websocket = websocket::is_asked_for(&request);
    let method = (!websocket).then(|| request.method());
    let own = host::origin(&visit.name, visit.file().public_port);
    let allowed = may(&tenant.route(), identity.role, method, websocket)
        .and_then(|()| origin::check(&request, &own, identity.source == Source::Cookie, websocket));
    if let Err(why) = allowed {
        return Err(refused(request, Failure::new(StatusCode::FORBIDDEN, why)).await);
    }
    let (edge, now, most) = (visit.edge(), Instant::now(), &visit.file().limits);
    let by_subject = Quota::per_second(most.requests_per_subject);
    limited(
        edge.limits.subject_requests.take(identity.subject.clone(), by_subject, now),
        "requests of one person",
    )?;
    let by_tenant = Quota::per_second(most.requests_per_tenant);
    limited(edge.limits.tenant_requests.take(tenant.id.clone(), by_tenant, now), "requests to this agent")?;
    let seat = edge.limits.tenant_seats.enter(&tenant.id, most.connections_per_tenant);
    let seat = seat.ok_or_else(|| too_many("connections to this agent", Duration::from_secs(1)))?;
    if request.headers().get(CONTENT_LENGTH).is_some_and(|length| is_over(length, most.body_bytes)) {
        let failure =
            Failure { close: true, ..Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large") };
        return Err(refused(request, failure).await);
    }
    if websocket {
        websocket::open(visit, tenant, identity, request, seat).await
    } else {
        forward::forward(visit, tenant, identity, request, seat).await
    }
}

/// Whether a role may; a `method` of nothing is one that was allowed before.
///
/// # Errors
///
/// Why not.
pub fn may(route: &Route, role: Role, method: Option<&Method>, websocket: bool) -> Result<(), &'static str> {
    let Some(rights) = Tenant::rights(route, role) else { return Err("your role may not use this agent") };
    if websocket && !rights.websocket {
        return Err("your role may not open a WebSocket");
    }
    // TRACE is safe, but not here.
    let safe = |method: &Method| matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    match (rights.methods, method) {
        (Methods::Safe, Some(method)) if !safe(method) => Err("your role may only read"),
        (Methods::Safe | Methods::All, _) => Ok(()),
    }
}

/// The one name that a request is for: whatever says it, says the same.
fn name_of(visit: &Visit, request: &Request<Incoming>) -> Result<String, Failure> {
    const BAD: Failure = Failure {
        close: true,
        ..Failure::new(
            StatusCode::BAD_REQUEST,
            "Host is malformed, or names another host than the rest of the request",
        )
    };
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().map(|host| host.to_str().map_err(|_| BAD)).transpose()?;
    let target = request.uri().authority().map(http::uri::Authority::as_str);
    if hosts.next().is_some()
        || matches!((host, target), (Some(host), Some(target)) if !host.eq_ignore_ascii_case(target))
    {
        return Err(BAD);
    }
    let name = host.or(target).and_then(host::name).ok_or(BAD)?;
    if visit.connection.http2
        && matches!(*request.method(), Method::TRACE | Method::CONNECT)
        && !websocket::is_asked_for(request)
    {
        return Err(Failure::new(StatusCode::BAD_REQUEST, "the method is not supported"));
    }
    match &visit.connection.server_name {
        Some(told) if !told.eq_ignore_ascii_case(&name) => {
            Err(Failure::new(StatusCode::MISDIRECTED_REQUEST, "this connection was opened for another name"))
        }
        Some(_) | None => Ok(name),
    }
}

/// Who sends it; nobody if there is no credential.
async fn who(
    visit: &mut Visit,
    id: &TenantId,
    request: &Request<Incoming>,
) -> Result<Option<Arc<Identity>>, Failure> {
    let ip = limits::counted(visit.connection.client.ip());
    let most = visit.file().limits.failures_per_ip;
    let quota = Quota::new(most, Duration::from_secs(60), most);
    if request.headers().contains_key(http::header::AUTHORIZATION) {
        // Sessions of other people behind the same address go on.
        limited(
            visit.edge().limits.ip_failures.look(ip, quota, Instant::now()),
            "bad credentials from this address",
        )?;
    }
    match visit.edge().auth.authenticate_or_fetch(id, request.headers(), unix_now()).await {
        Authentication::Absent => Ok(None),
        Authentication::Known(identity) => {
            visit.note(|record| record.who(&identity));
            Ok(Some(identity))
        }
        Authentication::Refused(why) => {
            visit.edge().numbers.unauthorized.up();
            // Counted; whether it was the last one is the next request's matter.
            visit.edge().limits.ip_failures.take(ip, quota, Instant::now()).ok();
            if visit.html && !request.headers().contains_key(http::header::AUTHORIZATION) {
                visit.note(|record| record.status(303, Some(why)));
                return Ok(None);
            }
            Err(Failure::new(StatusCode::UNAUTHORIZED, "the credential is not accepted").because(why))
        }
    }
}

/// One of the edge's own pages at a tenant's origin.
async fn page(
    visit: &mut Visit,
    id: &TenantId,
    request: Request<Incoming>,
) -> Result<Response<Body>, Failure> {
    let ip = limits::counted(visit.connection.client.ip());
    let most = visit.file().limits.failures_per_ip;
    let quota = Quota::new(most, Duration::from_secs(60), most);
    let post = *request.method() == Method::POST;
    if post {
        limited(
            visit.edge().limits.ip_failures.look(ip, quota, Instant::now()),
            "bad credentials from this address",
        )?;
    }
    let (mut head, body) = request.into_parts();
    head.extensions.insert(RequestId(visit.id().to_owned()));
    let patience = visit.edge().options.patience.body;
    let body = tokio::time::timeout(patience, Limited::new(body, PAGE_BODY).collect()).await;
    let body: Bytes = match body {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => {
            return Err(Failure {
                close: true,
                ..Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large")
            });
        }
        Err(_) => {
            return Err(Failure {
                close: true,
                ..Failure::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")
            });
        }
    };
    let response = visit.edge().auth.page(id, Request::from_parts(head, body)).await;
    if post && matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        // Counted; whether it was the last one is the next request's matter.
        visit.edge().limits.ip_failures.take(ip, quota, Instant::now()).ok();
    }
    let mut response = response.map(Body::from);
    headers::drop_framing(response.headers_mut());
    Ok(response)
}

fn limited(taken: Result<(), Duration>, of: &'static str) -> Result<(), Failure> {
    taken.map_err(|wait| too_many(of, wait))
}

/// A limit was reached.
#[must_use]
pub fn too_many(of: &'static str, wait: Duration) -> Failure {
    Failure::new(StatusCode::TOO_MANY_REQUESTS, "too much at once: try again later")
        .because(of)
        .again_in(wait)
}

fn is_over(length: &HeaderValue, most: u64) -> bool {
    length.to_str().ok().and_then(|length| length.parse::<u64>().ok()).is_none_or(|length| length > most)
}
