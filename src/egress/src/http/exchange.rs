//! One request and its answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use http::header::{CONTENT_LENGTH, HOST, HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use policy::{Calls, Content, Exchange, Kind, Target};
use tokio::sync::watch;

use super::calls::Read;
use super::route::{self, Fault};
use super::stream::{Counted, Guarded, Placed};
use super::upstream::{Failed, Lease};
use super::{brokered, calls, headers, page, serve};
use crate::body::{Body, BodyError};
use crate::dial::{DialError, Server};
use crate::gate::{self, Admitted, Granted, Place, Refusal, Seen, Who};
use crate::proxy::Proxy;

/// A client's connection.
pub(super) struct Session {
    pub(super) proxy: Arc<Proxy>,
    pub(super) who: Arc<Who>,
    /// Where every request on it goes; nothing: each says it (explicit proxy).
    pub(super) place: Option<Place>,
    /// The address to which the client connected.
    pub(super) address: Option<IpAddr>,
    /// Whether TLS ends here, and begins anew toward the server.
    pub(super) tls: bool,
    /// Whether somebody allowed the connection.
    pub(super) granted: Granted,
    /// Bytes of bodies that the client sent.
    pub(super) sent: Arc<AtomicU64>,
}

/// A request that was read.
pub(super) struct Asked {
    pub(super) place: Place,
    pub(super) kind: Kind,
    pub(super) method: Method,
    pub(super) target: Target,
    pub(super) raw: String,
    pub(super) read: Read,
    /// The address that it goes to, once that is known.
    reached: watch::Sender<Option<IpAddr>>,
}

impl Asked {
    pub(super) fn exchange(&self, kind: Kind) -> Exchange<'_> {
        let content = match &self.read {
            Read::Empty => Content::None,
            Read::Not(_) => Content::Unknown,
            Read::Said(said, bytes) => Content::Calls(Calls { list: &said.calls, bytes: *bytes }),
        };
        let content = if kind == Kind::Request { content } else { Content::None };
        Exchange { content, ..Exchange::new(kind, self.method.as_str(), &self.target) }
    }

    /// The address by which it is decided: the one that the client chose, or the one that it goes to.
    pub(super) fn address(&self, session: &Session) -> Option<IpAddr> {
        session.address.or(*self.reached.borrow())
    }
}

/// Answers a request, if it finds a place among those of all connections; the place is free when the answer has ended.
pub(super) async fn answer(session: Arc<Session>, request: Request<Incoming>) -> Response<Body> {
    let Ok(place) = Arc::clone(&session.proxy.requests).try_acquire_owned() else {
        session.proxy.events.happened("requests-refused", &"too many requests at once");
        let refusal =
            Refusal::new("too many requests of this tenant are open: try again when some have ended");
        let mut busy = page::response(StatusCode::SERVICE_UNAVAILABLE, "too_many", &refusal, None);
        busy.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        return busy;
    };
    answer_one(session, request).await.map(|body| Placed { body, _place: place }.boxed_unsync())
}

async fn answer_one(session: Arc<Session>, request: Request<Incoming>) -> Response<Body> {
    let read = read(&session, &request);
    let place = read.as_ref().ok().map(|asked| asked.place.clone());
    let answered = match read {
        Ok(asked) => carry(&session, asked, request).await,
        Err(fault) => {
            session.proxy.events.happened("malformed", &fault.2.message);
            Err(fault)
        }
    };
    answered.unwrap_or_else(|(status, code, refusal)| page::response(status, code, &refusal, place.as_ref()))
}

fn read(session: &Session, request: &Request<Incoming>) -> Result<Asked, Fault> {
    if *request.method() == Method::CONNECT {
        return Err((
            StatusCode::METHOD_NOT_ALLOWED,
            "malformed",
            Refusal::new("a tunnel is asked for on a connection of its own"),
        ));
    }
    let place = route::place_of(request, session.place.as_ref())?;
    let (raw, target) = route::target_of(request)?;
    let upgrade = request.version() == Version::HTTP_11 && headers::asks_for_websocket(request.headers());
    let kind = if upgrade { Kind::Upgrade } else { Kind::Request };
    let read = if request.body().is_end_stream() { Read::Empty } else { Read::Not(None) };
    Ok(Asked {
        read,
        place,
        kind,
        method: request.method().clone(),
        target,
        raw,
        reached: watch::Sender::new(None),
    })
}

async fn carry(
    session: &Arc<Session>,
    mut asked: Asked,
    request: Request<Incoming>,
) -> Result<Response<Body>, Fault> {
    let proxy = &session.proxy;
    if serve::is_inference(&asked.place) {
        return brokered::models(session, request).await;
    }
    let mut request = request.map(|body| body.map_err(|_| BodyError::Program).boxed_unsync());
    if asked.kind == Kind::Request {
        // What is decided is what goes on.
        headers::take_hop_by_hop(request.headers_mut());
    }
    let told = |fault: Fault| {
        proxy.events.happened(fault.1, &fault.2.message);
        fault
    };
    let request = calls::read(session, &mut asked, request).await.map_err(told)?;
    let seen = Seen { exchange: asked.exchange(asked.kind), raw: &asked.raw };
    let admitted =
        proxy.admit(&session.who, &asked.place, session.address, Some(seen), &session.granted).await;
    let admitted = match admitted {
        Ok(admitted) => admitted,
        Err(refusal) => return calls::refused(&asked, refusal),
    };
    calls::is_stream(&asked, &admitted, request.headers()).map_err(told)?;
    if asked.kind == Kind::Upgrade {
        return super::websocket::open(session, asked, admitted, request).await;
    }
    let asked = Arc::new(asked);
    let forbidden = || Box::pin(forbidden(Arc::clone(session), Arc::clone(&asked), admitted.asked.clone()));
    // A server may answer before it was told everything: what is still sent is held back by itself.
    let outgoing = toward_server(session, &asked, &admitted, request)?;
    let outgoing = outgoing.map(|body| match body.is_end_stream() {
        true => body,
        false => Guarded { body, forbidden: forbidden() }.boxed_unsync(),
    });
    let (outgoing, searched) = brokered::fill(session, &asked, &admitted, outgoing).await?.split();
    let response = tokio::select! {
        response = send(session, &asked, &admitted, outgoing) => response?,
        () = forbidden() => return Err(no_longer()),
    };
    let response = brokered::scan(session, &asked, (&searched.0, searched.1), response)?;
    Ok(response.map(|body| Guarded { body, forbidden: forbidden() }.boxed_unsync()))
}

/// The request as the proxy's own.
pub(super) fn toward_server(
    session: &Session,
    asked: &Asked,
    admitted: &Admitted,
    request: Request<Body>,
) -> Result<Request<Body>, Fault> {
    let (mut head, body) = request.into_parts();
    headers::take_hop_by_hop(&mut head.headers);
    headers::take_steering(&mut head.headers);
    headers::join_cookies(&mut head.headers);
    let Place { host, port } = &asked.place;
    let default = if session.tls { 443 } else { 80 };
    let host = if *port == default { host.to_string() } else { format!("{host}:{port}") };
    let malformed = || (StatusCode::BAD_REQUEST, "malformed", Refusal::new("its host or path is malformed"));
    head.headers.insert(HOST, HeaderValue::from_str(&host).map_err(|_| malformed())?);
    let uri: Uri = asked.raw.parse().map_err(|_| malformed())?;
    let most = admitted.ruling.terms.max_bytes;
    let declared = body.size_hint().exact().unwrap_or(0);
    if most.is_some_and(|most| declared > most) {
        return Err((
            StatusCode::PAYLOAD_TOO_LARGE,
            "egress_denied",
            Refusal::new("the body is larger than the policy allows"),
        ));
    }
    if body.is_end_stream() && head.method.is_safe() {
        head.headers.remove(CONTENT_LENGTH);
    }
    let body = Counted { body, sent: Arc::clone(&session.sent), most }.boxed_unsync();
    let mut outgoing = Request::new(body);
    *outgoing.method_mut() = head.method;
    *outgoing.uri_mut() = uri;
    *outgoing.headers_mut() = head.headers;
    Ok(outgoing)
}

async fn send(
    session: &Session,
    asked: &Asked,
    admitted: &Admitted,
    request: Request<Body>,
) -> Result<Response<Body>, Fault> {
    let upstream = &session.proxy.upstream;
    let lease = match kept(session, asked, admitted).await {
        Some(lease) => {
            asked.reached.send_replace(Some(lease.address()));
            lease
        }
        None => connect(session, asked, admitted, false).await?,
    };
    let (response, lease) = match upstream.exchange(lease, request).await {
        Ok(done) => done,
        Err(Failed { unsent: Some(request), .. }) => {
            let lease = connect(session, asked, admitted, false).await?;
            upstream.exchange(lease, *request).await.map_err(|failed| failure(&failed.error))?
        }
        Err(Failed { error, .. }) => return Err(failure(&error)),
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let refusal =
            Refusal::new(format!("{} changed the protocol, and nobody asked it to", asked.place.host));
        return Err((StatusCode::BAD_GATEWAY, "unreachable", refusal));
    }
    Ok(from_server(session, response, lease))
}

/// An answer as the proxy's own.
pub(super) fn from_server(session: &Session, response: Response<Incoming>, lease: Lease) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    headers::take_hop_by_hop(&mut head.headers);
    if matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        // They have no body, whatever length they tell.
        head.headers.remove(CONTENT_LENGTH);
    }
    head.extensions.clear();
    head.version = Version::HTTP_11;
    Response::from_parts(head, session.proxy.upstream.returning(body, lease).boxed_unsync())
}

fn server(session: &Session, place: &Place) -> Server {
    Server { tls: session.tls, host: place.host.to_string(), port: place.port, named_by_operator: false }
}

async fn kept(session: &Session, asked: &Asked, admitted: &Admitted) -> Option<Lease> {
    let proxy = &session.proxy;
    let snapshot = proxy.live.now()?;
    let programs = session.who.programs(proxy, &snapshot, &asked.place.host).await.ok()?;
    let exchange = Some(asked.exchange(asked.kind));
    let open = |address: IpAddr| match session.address {
        Some(own) => own == address,
        None => admitted
            .asked
            .goes_on(gate::rule(&snapshot, programs, &asked.place, Some(address), exchange).verdict),
    };
    proxy.upstream.kept(&server(session, &asked.place), &open)
}

/// A new connection, to addresses that the request was decided on.
pub(super) async fn connect(
    session: &Session,
    asked: &Asked,
    admitted: &Admitted,
    upgrade: bool,
) -> Result<Lease, Fault> {
    let proxy = &session.proxy;
    let refused = |refusal| (StatusCode::FORBIDDEN, "egress_denied", refusal);
    let addresses = match session.address {
        Some(address) => vec![SocketAddr::new(address, asked.place.port)],
        None => {
            let found = proxy.look_up(&asked.place).await;
            let found = found.map_err(|refusal| (StatusCode::BAD_GATEWAY, "unresolved", refusal))?;
            let snapshot = proxy.live.now().ok_or_else(|| refused(Refusal::new("there is no policy")))?;
            let programs = session.who.programs(proxy, &snapshot, &asked.place.host).await;
            let programs =
                programs.map_err(|_| refused(Refusal::new("which program connects cannot be told")))?;
            let exchange = Some(asked.exchange(asked.kind));
            let verdict = |ip| gate::rule(&snapshot, programs, &asked.place, Some(ip), exchange).verdict;
            let open = found.into_iter().filter(|ip| admitted.asked.goes_on(verdict(*ip)));
            open.map(|ip| SocketAddr::new(ip, asked.place.port)).collect()
        }
    };
    if addresses.is_empty() {
        return Err(refused(Refusal::new(format!(
            "{} has no address that may be reached",
            asked.place.host
        ))));
    }
    let connected = proxy.upstream.connect(&server(session, &asked.place), &addresses, upgrade).await;
    let lease = connected.map_err(|error| failure(&error))?;
    asked.reached.send_replace(Some(lease.address()));
    Ok(lease)
}

pub(super) fn failure(error: &DialError) -> Fault {
    let (status, code) = match error {
        DialError::Closed(..) => (StatusCode::FORBIDDEN, "egress_denied"),
        DialError::Late(_) => (StatusCode::GATEWAY_TIMEOUT, "late"),
        DialError::Unresolved(..) | DialError::Connect(..) | DialError::Tls(..) | DialError::Broken(..) => {
            (StatusCode::BAD_GATEWAY, "unreachable")
        }
    };
    (status, code, Refusal::new(error.to_string()))
}

/// What a request is answered that the policy no longer allows.
pub(super) fn no_longer() -> Fault {
    (StatusCode::FORBIDDEN, "egress_denied", Refusal::new("the policy no longer allows this"))
}

/// Comes when the policy no longer allows the request, at the address that it goes to.
pub(super) async fn forbidden(session: Arc<Session>, asked: Arc<Asked>, granted: Granted) {
    let proxy = &session.proxy;
    let (mut changes, mut reached) = (proxy.live.changes(), asked.reached.subscribe());
    // What changed since the request was decided counts, too.
    changes.mark_changed();
    loop {
        let changed = tokio::select! {
            changed = changes.changed() => changed,
            changed = reached.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
        let Some(snapshot) = proxy.live.now() else { return };
        let Ok(programs) = session.who.programs(proxy, &snapshot, &asked.place.host).await else { return };
        let exchange = Some(asked.exchange(asked.kind));
        let address = asked.address(&session);
        let verdict = gate::rule(&snapshot, programs, &asked.place, address, exchange).verdict;
        if !granted.goes_on(verdict) {
            return proxy.events.happened(
                "cut",
                &format_args!("the policy no longer allows a request to {}", asked.place.host),
            );
        }
    }
}
