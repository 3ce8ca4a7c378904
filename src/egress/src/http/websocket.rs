//! WebSockets: the handshake is the server's, then frames go through; where the policy says so, each text message of the client is
//! decided before any of it goes on.

use std::sync::Arc;

use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_EXTENSIONS, UPGRADE,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use policy::Kind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};

use super::exchange::{self, Asked, Session};
use super::frames::Frames;
use super::route::Fault;
use super::{brokered, headers};
use crate::body::{self, Body};
use crate::gate::{Admitted, Refusal, Seen};

/// Bytes at once.
const CHUNK: usize = 8 << 10;
/// Status codes with which a WebSocket is closed (RFC 6455, 7.4.1).
const PROTOCOL: u16 = 1002;
const POLICY: u16 = 1008;

/// Opens one that was admitted.
pub(super) async fn open(
    session: &Arc<Session>,
    asked: Asked,
    admitted: Admitted,
    mut request: Request<Incoming>,
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
    let (outgoing, searched) = brokered::fill(session, &asked, &admitted, outgoing).await?.split();
    let lease = exchange::connect(session, &asked, &admitted, true).await?;
    let upstream = &session.proxy.upstream;
    let (mut response, lease) =
        upstream.exchange(lease, outgoing).await.map_err(|failed| exchange::failure(&failed.error))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let (mut head, body) = response.into_parts();
        headers::take_hop_by_hop(&mut head.headers);
        head.extensions.clear();
        let response = Response::from_parts(head, upstream.returning(body, lease).boxed_unsync());
        return brokered::scan(session, &asked, (&searched.0, searched.1), response);
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
        carry(session, Arc::new(asked), admitted, client, server).await;
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

async fn carry(
    session: Arc<Session>,
    asked: Arc<Asked>,
    admitted: Admitted,
    client: OnUpgrade,
    server: OnUpgrade,
) {
    let (Ok(client), Ok(server)) = tokio::join!(client, server) else { return };
    let (mut client_read, mut client_write) = tokio::io::split(TokioIo::new(client));
    let (server_read, server_write) = tokio::io::split(TokioIo::new(server));
    let mut sent = Frames::new(false);
    let messages = admitted.ruling.messages;
    let code = tokio::select! {
        code = up(&session, &asked, &admitted, &mut client_read, server_write) => code,
        code = down(server_read, &mut client_write, messages.then_some(&mut sent)) => code,
        () = exchange::forbidden(Arc::clone(&session), Arc::clone(&asked), admitted.asked.clone()) => Some(POLICY),
    };
    if let Some(code) = code.filter(|_| messages && sent.between()) {
        let [high, low] = code.to_be_bytes();
        // It may be gone already.
        drop(client_write.write_all(&[0x88, 2, high, low]).await);
    }
    drop(client_write.shutdown().await);
}

type Io = TokioIo<Upgraded>;

/// From the client to the server; with what the WebSocket is closed, if that is ours to say.
async fn up(
    session: &Session,
    asked: &Asked,
    admitted: &Admitted,
    client: &mut ReadHalf<Io>,
    mut server: WriteHalf<Io>,
) -> Option<u16> {
    let mut frames = Frames::new(true);
    let mut buffer = vec![0; CHUNK];
    let mut sum: u64 = 0;
    loop {
        let length = client.read(&mut buffer).await.ok().filter(|length| *length > 0)?;
        let bytes = buffer.get(..length)?;
        sum = sum.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        if admitted.ruling.terms.max_bytes.is_some_and(|most| sum > most) {
            session.proxy.events.happened(
                "max-bytes",
                &format_args!("a WebSocket to {} sends more than the policy allows", asked.place.host),
            );
            return Some(POLICY);
        }
        if admitted.ruling.messages {
            let texts = match frames.follow(bytes) {
                Ok(texts) => texts,
                Err(why) => {
                    session.proxy.events.happened("malformed", &why);
                    return Some(PROTOCOL);
                }
            };
            for _ in 0..texts {
                let seen = Seen { exchange: asked.exchange(Kind::Message), raw: &asked.raw };
                let decided = session
                    .proxy
                    .admit(&session.who, &asked.place, session.address, Some(seen), &admitted.asked)
                    .await;
                if decided.is_err() {
                    return Some(POLICY);
                }
            }
        }
        server.write_all(bytes).await.ok()?;
        server.flush().await.ok()?;
    }
}

async fn down(
    mut server: ReadHalf<Io>,
    client: &mut WriteHalf<Io>,
    mut frames: Option<&mut Frames>,
) -> Option<u16> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = server.read(&mut buffer).await.ok().filter(|length| *length > 0)?;
        let mut bytes = buffer.get(..length)?;
        while !bytes.is_empty() {
            let gone = client.write(bytes).await.ok().filter(|gone| *gone > 0)?;
            if let Some(frames) = frames.as_deref_mut() {
                frames.follow(bytes.get(..gone)?).ok()?;
            }
            bytes = bytes.get(gone..)?;
        }
        client.flush().await.ok()?;
    }
}
