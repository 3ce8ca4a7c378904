//! WebSockets: the handshake is the server's, then frames go through; where the policy says so, each message of the client is
//! decided before any of it goes on. Where secrets may go, messages are filled and searched instead ([`messages`]).

use std::sync::Arc;

use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_EXTENSIONS, UPGRADE,
};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use policy::Kind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};

use super::exchange::{self, Asked, Session};
use super::frames::Frames;
use super::messages::{self, Filling};
use super::route::Fault;
use super::stream::Guarded;
use super::{brokered, headers};
use crate::body::{self, Body};
use crate::gate::{Admitted, Refusal, Seen};

/// Bytes at once.
pub(super) const CHUNK: usize = 8 << 10;
/// Status codes with which a WebSocket is closed (RFC 6455, 7.4.1).
pub(super) const PROTOCOL: u16 = 1002;
pub(super) const POLICY: u16 = 1008;

/// Opens one that was admitted.
pub(super) async fn open(
    session: &Arc<Session>,
    asked: Asked,
    admitted: Admitted,
    mut request: Request<Body>,
) -> Result<Response<Body>, Fault> {
    if *request.method() != Method::GET {
        return Err((StatusCode::BAD_REQUEST, "malformed", Refusal::new("a WebSocket is opened by GET")));
    }
    // What a server would skip as a body, the proxy would follow as frames.
    if !request.body().is_end_stream() || request.headers().contains_key(CONTENT_LENGTH) {
        return Err((
            StatusCode::BAD_REQUEST,
            "malformed",
            Refusal::new("a WebSocket is opened without a body"),
        ));
    }
    // It outlives the connection that it came on, and with it the place that this one had.
    let place = Arc::clone(&session.proxy.websockets).try_acquire_owned().map_err(|_| {
        let refusal = Refusal::new("too many WebSockets are open");
        (StatusCode::SERVICE_UNAVAILABLE, "too_many", refusal)
    })?;
    let client = hyper::upgrade::on(&mut request);
    let mut outgoing = exchange::toward_server(session, &asked, &admitted, request)?;
    *outgoing.body_mut() = body::empty();
    switch(outgoing.headers_mut());
    let upgrade = as_it_was(&outgoing);
    let (outgoing, searched) = brokered::fill(session, &asked, &admitted, outgoing).await?.split();
    let filling = Filling::new(session, &asked, &admitted, upgrade, &searched.0);
    let lease = exchange::connect(session, &asked, &admitted, true).await?;
    let upstream = &session.proxy.upstream;
    let asked = Arc::new(asked);
    let forbidden =
        || Box::pin(exchange::forbidden(Arc::clone(session), Arc::clone(&asked), admitted.asked.clone()));
    let answered = tokio::select! {
        answered = upstream.exchange(lease, outgoing) => answered,
        () = forbidden() => return Err(exchange::no_longer()),
    };
    let (mut response, lease) = answered.map_err(|failed| exchange::failure(&failed.error))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let response = exchange::from_server(session, response, lease);
        let response = brokered::scan(session, &asked, (&searched.0, searched.1), response)?;
        return Ok(response.map(|body| Guarded { body, forbidden: forbidden() }.boxed_unsync()));
    }
    brokered::scan_head(session, &asked, (&searched.0, searched.1), response.headers())?;
    if response.headers().contains_key(SEC_WEBSOCKET_EXTENSIONS)
        || !headers::asks_for_websocket(response.headers())
    {
        return Err((
            StatusCode::BAD_GATEWAY,
            "unreachable",
            Refusal::new("the server agreed to what was not asked of it"),
        ));
    }
    let server = hyper::upgrade::on(&mut response);
    let (mut head, _) = response.into_parts();
    head.extensions.clear();
    switch(&mut head.headers);
    let busy = session.proxy.activity.begin();
    let session = Arc::clone(session);
    tokio::spawn(async move {
        carry(session, asked, (admitted, filling), client, server).await;
        drop((busy, place));
    });
    Ok(Response::from_parts(head, body::empty()))
}

fn switch(headers: &mut HeaderMap) {
    headers::take_hop_by_hop(headers);
    // Frames are followed as they are, so nothing may change their form.
    headers.remove(SEC_WEBSOCKET_EXTENSIONS);
    let websocket: [(HeaderName, &'static str); 2] = [(CONNECTION, "Upgrade"), (UPGRADE, "websocket")];
    for (name, value) in websocket {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// The head of a request, before anything is filled.
fn as_it_was(request: &Request<Body>) -> Parts {
    let mut same = Request::new(());
    *same.method_mut() = request.method().clone();
    *same.uri_mut() = request.uri().clone();
    *same.headers_mut() = request.headers().clone();
    same.into_parts().0
}

async fn carry(
    session: Arc<Session>,
    asked: Arc<Asked>,
    (admitted, filling): (Admitted, Option<Filling>),
    client: OnUpgrade,
    server: OnUpgrade,
) {
    let (Ok(client), Ok(server)) = tokio::join!(client, server) else { return };
    let (mut client_read, mut client_write) = tokio::io::split(TokioIo::new(client));
    let (server_read, server_write) = tokio::io::split(TokioIo::new(server));
    let mut sent = Frames::new(false);
    let way = Way { session: &session, asked: &asked, admitted: &admitted };
    let followed = admitted.ruling.messages || filling.is_some();
    let up = async {
        match &filling {
            Some(filling) => messages::up(&way, filling, &mut client_read, server_write).await,
            None => up(&way, &mut client_read, server_write).await,
        }
    };
    let down = async {
        match &filling {
            Some(filling) => messages::down(&way, filling, server_read, &mut client_write, &mut sent).await,
            None => down(server_read, &mut client_write, followed.then_some(&mut sent)).await,
        }
    };
    let code = tokio::select! {
        code = up => code,
        code = down => code,
        () = exchange::forbidden(Arc::clone(&session), Arc::clone(&asked), admitted.asked.clone()) => Some(POLICY),
    };
    if let Some(code) = code.filter(|_| followed && sent.between()) {
        let [high, low] = code.to_be_bytes();
        // It may be gone already.
        drop(client_write.write_all(&[0x88, 2, high, low]).await);
    }
    drop(client_write.shutdown().await);
}

type Io = TokioIo<Upgraded>;
pub(super) type FromClient = ReadHalf<Io>;
pub(super) type ToClient = WriteHalf<Io>;
pub(super) type FromServer = ReadHalf<Io>;
pub(super) type ToServer = WriteHalf<Io>;

/// A WebSocket that was admitted.
pub(super) struct Way<'a> {
    pub(super) session: &'a Session,
    pub(super) asked: &'a Asked,
    pub(super) admitted: &'a Admitted,
}

impl Way<'_> {
    /// Whether the client sent too much, with so much more.
    pub(super) fn is_too_much(&self, sum: &mut u64, more: usize) -> bool {
        *sum = sum.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
        let over = self.admitted.ruling.terms.max_bytes.is_some_and(|most| *sum > most);
        if over {
            self.session.proxy.events.happened(
                "max-bytes",
                &format_args!("a WebSocket to {} sends more than the policy allows", self.asked.place.host),
            );
        }
        over
    }

    /// Whether a text message may go on.
    pub(super) async fn is_message_admitted(&self) -> bool {
        let Way { session, asked, admitted } = self;
        let seen = Seen { exchange: asked.exchange(Kind::Message), raw: &asked.raw };
        let proxy = &session.proxy;
        let address = asked.address(session);
        proxy.admit(&session.who, &asked.place, address, Some(seen), &admitted.asked).await.is_ok()
    }
}

/// From the client to the server; with what the WebSocket is closed, if that is ours to say.
async fn up(way: &Way<'_>, client: &mut FromClient, mut server: ToServer) -> Option<u16> {
    let mut frames = Frames::new(true);
    let mut buffer = vec![0; CHUNK];
    let mut sum = 0;
    loop {
        let length = client.read(&mut buffer).await.ok().filter(|length| *length > 0)?;
        let bytes = buffer.get(..length)?;
        if way.is_too_much(&mut sum, length) {
            return Some(POLICY);
        }
        if way.admitted.ruling.messages {
            let texts = match frames.follow(bytes) {
                Ok(texts) => texts,
                Err(why) => {
                    way.session.proxy.events.happened("malformed", &why);
                    return Some(PROTOCOL);
                }
            };
            for _ in 0..texts {
                if !way.is_message_admitted().await {
                    return Some(POLICY);
                }
            }
        }
        server.write_all(bytes).await.ok()?;
        server.flush().await.ok()?;
    }
}

async fn down(mut server: FromServer, client: &mut ToClient, mut frames: Option<&mut Frames>) -> Option<u16> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = server.read(&mut buffer).await.ok().filter(|length| *length > 0)?;
        write_to(client, buffer.get(..length)?, frames.as_deref_mut()).await?;
        client.flush().await.ok()?;
    }
}

/// Writes to the client, and follows what has gone.
pub(super) async fn write_to(
    client: &mut ToClient,
    mut bytes: &[u8],
    mut frames: Option<&mut Frames>,
) -> Option<()> {
    while !bytes.is_empty() {
        let gone = client.write(bytes).await.ok().filter(|gone| *gone > 0)?;
        if let Some(frames) = frames.as_deref_mut() {
            frames.follow(bytes.get(..gone)?).ok()?;
        }
        bytes = bytes.get(gone..)?;
    }
    Some(())
}
