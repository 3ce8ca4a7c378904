//! The explicit proxy: tunnels by CONNECT, and requests whose target is a whole URL.

use std::net::SocketAddr;
use std::sync::Arc;

use nix::libc::{MSG_DONTWAIT, MSG_MORE, MSG_NOSIGNAL};
use policy::Verdict;
use socket2::SockRef;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::gate::{self, Granted, Place, Refusal, Who};
use crate::head::{self, Head};
use crate::http;
use crate::passage::{self, Passage};
use crate::proxy::Proxy;
use crate::relay;
use crate::rewind::Rewind;

/// Serves a connection to the explicit proxy.
pub async fn serve(proxy: Arc<Proxy>, stream: TcpStream, from: SocketAddr) {
    let Some(who) = stream.local_addr().ok().and_then(|own| known(&proxy, from, own)) else {
        return relay::cut(&stream);
    };
    let mut client = Rewind::new(stream);
    let head = tokio::time::timeout(proxy.patience.head, head_of(&mut client)).await;
    match head.unwrap_or(Head::No("the head took too long")) {
        Head::Connect(place, length) => {
            client.ahead.drain(..length.min(client.ahead.len()));
            tunnel(&proxy, client, who, place).await;
        }
        Head::Request => http::explicit(&proxy, client, who).await,
        Head::No(why) => {
            proxy.events.happened("malformed", &why);
            answer(&mut client, &http::page(400, "malformed", &Refusal::new(why), None)).await;
        }
        Head::More => {}
    }
}

/// Who is at the other end; nobody else's connections are taken.
pub(crate) fn known(proxy: &Proxy, from: SocketAddr, to: SocketAddr) -> Option<Arc<Who>> {
    let snapshot = proxy.live.now()?;
    match proxy.identity.owner(from, to, snapshot.file.uid) {
        Ok(owner) => Some(Arc::new(Who::new(owner))),
        Err(error) => {
            proxy.events.happened("strangers", &error);
            None
        }
    }
}

async fn head_of(client: &mut Rewind) -> Head {
    loop {
        match head::read(&client.ahead) {
            Head::More => {}
            whole @ (Head::Connect(..) | Head::Request | Head::No(_)) => return whole,
        }
        match client.more().await {
            Ok(0) => return Head::No("the connection ended before its head did"),
            Ok(_) => {}
            Err(_) => return Head::No("the head is too long"),
        }
    }
}

async fn tunnel(proxy: &Arc<Proxy>, mut client: Rewind, who: Arc<Who>, place: Place) {
    let mut passage = Passage { who, place, address: None, admitted: None };
    if !http::is_inference(&passage.place) {
        let admitted = if passage.place.port == 80 {
            not_denied(proxy, &passage).await
        } else {
            passage.admit(proxy, &client).await.map(|admitted| passage.admitted = Some(admitted))
        };
        if let Err(refusal) = admitted {
            return answer(&mut client, &http::page(403, "egress_denied", &refusal, Some(&passage.place)))
                .await;
        }
    }
    if client.io.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.is_err() {
        return;
    }
    match passage::first(&mut client, passage.place.port, proxy).await {
        Ok(first) => passage.carry(proxy, client, first).await,
        Err(refusal) => proxy.events.happened("malformed", &refusal.message),
    }
}

/// A tunnel to port 80 is decided by its requests; what cannot be allowed is refused before.
async fn not_denied(proxy: &Proxy, passage: &Passage) -> Result<(), Refusal> {
    let none = || Refusal::new("there is no policy, and nothing is allowed");
    let snapshot = proxy.live.now().ok_or_else(none)?;
    let programs = passage.who.programs(proxy, &snapshot, &passage.place.host).await;
    let programs = programs.map_err(|_| Refusal::new("which program connects cannot be told"))?;
    if gate::rule(&snapshot, programs, &passage.place, None, None).verdict == Verdict::Deny {
        // The event and the sentence of a refusal.
        return proxy.admit(&passage.who, &passage.place, None, None, &Granted::default()).await.map(|_| ());
    }
    Ok(())
}

async fn answer(client: &mut Rewind, page: &[u8]) {
    // The end goes out with the last bytes, as one packet: they wait for it.
    let sent = SockRef::from(&client.io).send_with_flags(page, MSG_MORE | MSG_DONTWAIT | MSG_NOSIGNAL);
    let sent = sent.unwrap_or(0);
    if let Some(rest) = page.get(sent..).filter(|rest| !rest.is_empty()) {
        // It may be gone already.
        drop(client.io.write_all(rest).await);
    }
    relay::finish(&client.io).await;
}
