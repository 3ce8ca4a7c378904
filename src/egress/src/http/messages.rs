//! Messages of a WebSocket to a server to which a secret may go: those of the client are filled, those of the server are searched.

use std::sync::Arc;

use http::request::Parts;
use rustls::crypto::ring;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use zeroize::Zeroizing;

use super::brokered;
use super::echoes::{Echoes, Ended};
use super::exchange::{Asked, Session};
use super::frames::{self, Frames};
use super::texts::{Sent, Texts, Wrong};
use super::websocket::{CHUNK, FromClient, FromServer, POLICY, PROTOCOL, ToClient, ToServer, Way, write_to};
use crate::gate::{self, Admitted};
use crate::secrets::{self, Misplaced, SecretTable};

/// Status codes with which a WebSocket is closed (RFC 6455, 7.4.1).
const NOT_TEXT: u16 = 1007;
const TOO_LARGE: u16 = 1009;
const BROKEN: u16 = 1011;

/// By what messages are filled and searched.
pub(super) struct Filling {
    table: Arc<SecretTable>,
    /// The request that opened it, with placeholders in it.
    upgrade: Parts,
    host: String,
}

impl Filling {
    /// Nothing where no secret may go there, and messages are not to be filled.
    pub(super) fn new(
        session: &Session,
        asked: &Asked,
        admitted: &Admitted,
        upgrade: Parts,
        table: &Arc<SecretTable>,
    ) -> Option<Self> {
        let own = Self { table: Arc::clone(table), upgrade, host: asked.place.host.to_string() };
        (admitted.ruling.rewrites_messages || table.binds(own.place(session, asked))).then_some(own)
    }

    fn place(&self, session: &Session, asked: &Asked) -> secrets::Place<'_> {
        secrets::Place { host: &self.host, port: asked.place.port, tls: session.tls }
    }

    /// The message to send. A value is put into it if both the policy under which the WebSocket was opened and the newest one allow it:
    /// what the server sends is searched by the first.
    async fn fill(&self, way: &Way<'_>, text: String) -> Result<Zeroizing<String>, Option<Misplaced>> {
        let Way { session, asked, admitted } = way;
        let place = self.place(session, asked);
        let message = |table: &SecretTable, rewrite| table.message(place, &self.upgrade, &text, rewrite);
        if message(&self.table, admitted.ruling.rewrites_messages)?.map(Zeroizing::new).is_none() {
            return Ok(Zeroizing::new(text));
        }
        let proxy = &session.proxy;
        let snapshot = proxy.live.now().ok_or(None)?;
        let programs = session.who.programs(proxy, &snapshot, &asked.place.host).await.map_err(|_| None)?;
        let exchange = Some(asked.exchange(asked.kind));
        let ruling = gate::rule(&snapshot, programs, &asked.place, asked.address(session), exchange);
        let new = message(&proxy.broker.table(&snapshot), ruling.rewrites_messages)?;
        let new = new.map(Zeroizing::new).ok_or(None)?;
        proxy.events.noted(
            "secret-used",
            &format_args!("a secret was put into a message to {}:{}", asked.place.host, asked.place.port),
        );
        Ok(new)
    }
}

/// From the client to the server; with what the WebSocket is closed, if that is ours to say.
pub(super) async fn up(
    way: &Way<'_>,
    filling: &Filling,
    client: &mut FromClient,
    mut server: ToServer,
) -> Option<u16> {
    let mut texts = Texts::new();
    let mut buffer = vec![0; CHUNK];
    let mut sum = 0;
    loop {
        let length = client.read(&mut buffer).await.ok().filter(|length| *length > 0)?;
        let mut bytes = buffer.get(..length)?;
        if way.is_too_much(&mut sum, length) {
            return Some(POLICY);
        }
        loop {
            match texts.next(&mut bytes) {
                Err(wrong) => return Some(way.wrong(wrong)),
                Ok(None) => break,
                Ok(Some(Sent::Begun)) if way.admitted.ruling.messages => {
                    if !way.is_message_admitted().await {
                        return Some(POLICY);
                    }
                }
                Ok(Some(Sent::Begun)) => {}
                Ok(Some(Sent::Head(head))) => {
                    // A binary message is decided as a text message is.
                    let begins = head.first().is_some_and(|first| first & 0x0f == 2);
                    if begins && way.admitted.ruling.messages && !way.is_message_admitted().await {
                        return Some(POLICY);
                    }
                    server.write_all(&head).await.ok()?;
                }
                Ok(Some(Sent::Payload(payload))) => server.write_all(payload).await.ok()?,
                Ok(Some(Sent::Text(text))) => match filling.fill(way, text).await {
                    Ok(text) => {
                        let Some(frame) = masked(text.as_bytes()) else { return Some(BROKEN) };
                        server.write_all(&frame).await.ok()?;
                    }
                    Err(why) => return Some(way.misplaced(why)),
                },
            }
        }
        server.flush().await.ok()?;
    }
}

impl Way<'_> {
    fn wrong(&self, wrong: Wrong) -> u16 {
        let host = &self.asked.place.host;
        let (code, why) = match wrong {
            Wrong::Frames(why) => (PROTOCOL, why),
            Wrong::NotText => (NOT_TEXT, "a text message is no UTF-8"),
            Wrong::TooLarge => (TOO_LARGE, "a text message is larger than 1 MiB, and may hold placeholders"),
        };
        self.session.proxy.events.happened("malformed", &format_args!("a WebSocket to {host}: {why}"));
        code
    }

    fn misplaced(&self, why: Option<Misplaced>) -> u16 {
        let events = &self.session.proxy.events;
        match why {
            Some(why) => events.happened("secret-misplaced", &why),
            None => events.happened(
                "secret-misplaced",
                &format_args!(
                    "the policy changed, and no secret goes into a message to {} any more",
                    self.asked.place.host
                ),
            ),
        }
        POLICY
    }
}

/// A text message in one frame. Its mask is random, as a client's has to be.
fn masked(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut mask = [0; 4];
    ring::default_provider().secure_random.fill(&mut mask).ok()?;
    let mut frame = Zeroizing::new(Vec::with_capacity(text.len().saturating_add(14)));
    frames::write(&mut frame, 1, true, Some(mask), text);
    Some(frame)
}

/// From the server to the client.
pub(super) async fn down(
    way: &Way<'_>,
    filling: &Filling,
    mut server: FromServer,
    client: &mut ToClient,
    sent: &mut Frames,
) -> Option<u16> {
    let mut echoes = Echoes::new(filling.table.scanner());
    let mut buffer = vec![0; CHUNK];
    let mut out = Vec::new();
    loop {
        let length = server.read(&mut buffer).await.ok().filter(|length| *length > 0)?;
        let pushed = echoes.push(buffer.get(..length)?, &mut out);
        write_to(client, &out, Some(&mut *sent)).await?;
        out.clear();
        out.shrink_to(CHUNK);
        match pushed {
            Ok(()) => client.flush().await.ok()?,
            Err(Ended::Frames(why)) => {
                way.session.proxy.events.happened("malformed", &why);
                return Some(PROTOCOL);
            }
            Err(Ended::Echoed) => {
                brokered::echo(
                    &way.session.proxy,
                    &way.asked.place,
                    &"a message on a WebSocket sends a secret back",
                );
                return Some(POLICY);
            }
        }
    }
}
