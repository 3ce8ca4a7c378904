//! A connection from its first bytes to its end, however it came: what it is, whether it may go on, and how.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use model::egress::SecretUse;
use policy::{Host, Verdict};
use tokio::io::AsyncWriteExt as _;

use crate::connect;
use crate::gate::{Admitted, Granted, Place, Refusal, Who};
use crate::hello::{self, ACCESS_DENIED, Hello, Read};
use crate::http;
use crate::proxy::Proxy;
use crate::relay;
use crate::rewind::Rewind;

/// What the first bytes are.
#[derive(Debug, PartialEq, Eq)]
pub enum First {
    /// TLS.
    Tls(Hello),
    /// The beginning of an HTTP request.
    Http,
    /// Something else.
    Other,
    /// The client waits for the server.
    Silent,
}

/// Reads the first bytes, and says what they are.
///
/// # Errors
///
/// Why nothing can be done with them.
pub async fn first(client: &mut Rewind, port: u16, proxy: &Proxy) -> Result<First, Refusal> {
    let speaks = matches!(port, 80 | 443);
    let mut limit = if speaks { proxy.patience.head } else { proxy.patience.silence };
    loop {
        match judge(&client.ahead)? {
            Some(first) => return Ok(first),
            None if !client.ahead.is_empty() => limit = proxy.patience.head,
            None => {}
        }
        match tokio::time::timeout(limit, client.more()).await {
            Ok(Ok(0)) => return Err(Refusal::new("the connection ended before it began")),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(Refusal::new(error.to_string())),
            Err(_) if client.ahead.is_empty() && !speaks => return Ok(First::Silent),
            Err(_) => return Err(Refusal::new("the first bytes took too long")),
        }
    }
}

/// What they are; nothing as long as that is not known.
fn judge(bytes: &[u8]) -> Result<Option<First>, Refusal> {
    if hello::is_tls(bytes) {
        return match hello::read(bytes) {
            Read::Hello(hello) => Ok(Some(First::Tls(hello))),
            Read::More => Ok(None),
            Read::No(why) => Err(Refusal::new(why)),
        };
    }
    match bytes {
        [] => Ok(None),
        _ => {
            Ok(crate::head::looks_like_http(bytes).map(|http| if http { First::Http } else { First::Other }))
        }
    }
}

/// A connection that goes to a place.
#[derive(Debug)]
pub struct Passage {
    /// Who opened it.
    pub who: Arc<Who>,
    /// Where it goes.
    pub place: Place,
    /// The address to which the client connected; nothing: the proxy looks the name up.
    pub address: Option<IpAddr>,
    /// Where it may go on to, once that was decided.
    pub admitted: Option<(Admitted, Vec<SocketAddr>)>,
}

impl Passage {
    /// Carries it to its end.
    pub async fn carry(self, proxy: &Arc<Proxy>, client: Rewind, first: First) {
        match first {
            First::Http => http::plain(proxy, client, self).await,
            First::Tls(hello) => self.tls(proxy, client, hello).await,
            First::Other | First::Silent => self.other(proxy, client).await,
        }
    }

    async fn tls(mut self, proxy: &Arc<Proxy>, mut client: Rewind, hello: Hello) {
        if !names_same(hello.name.as_deref(), &self.place.host) {
            proxy.events.happened(
                "sni-differs",
                &format_args!("a connection to {} names another server in TLS", self.place.host),
            );
            return refuse_tls(&mut client).await;
        }
        if http::is_inference(&self.place) {
            return http::terminated(proxy, client, self).await;
        }
        let Ok((admitted, addresses)) = self.admit(proxy, &client).await else {
            return refuse_tls(&mut client).await;
        };
        // Where a secret belongs, requests are looked at, or its placeholder would go out.
        if admitted.ruling.verdict == Verdict::Inspect || has_secrets(proxy, &self.place) {
            self.admitted = Some((admitted, addresses));
            return http::terminated(proxy, client, self).await;
        }
        if hello.encrypted {
            proxy.events.happened(
                "ech-refused",
                &format_args!("a connection to {} hides the name of its server (ECH)", self.place.host),
            );
            return refuse_tls(&mut client).await;
        }
        self.pass(proxy, client, admitted, &addresses).await;
    }

    async fn other(mut self, proxy: &Arc<Proxy>, client: Rewind) {
        match self.admit(proxy, &client).await {
            Ok((admitted, addresses)) if admitted.ruling.verdict != Verdict::Inspect => {
                self.pass(proxy, client, admitted, &addresses).await;
            }
            Ok(_) => {
                proxy.events.happened(
                    "not-http",
                    &format_args!("requests to {} are looked at, and this is none", self.place.host),
                );
                relay::cut(&client.io);
            }
            Err(_) => relay::cut(&client.io),
        }
    }

    /// Whether it may go on, and to which addresses.
    ///
    /// # Errors
    ///
    /// Why it may not.
    pub async fn admit(
        &mut self,
        proxy: &Proxy,
        client: &Rewind,
    ) -> Result<(Admitted, Vec<SocketAddr>), Refusal> {
        if let Some(known) = self.admitted.take() {
            return Ok(known);
        }
        let granted = Granted::default();
        let admitted = tokio::select! {
            admitted = proxy.admit(&self.who, &self.place, self.address, None, &granted) => admitted?,
            () = gone(client) => return Err(Refusal::new("the client went away")),
        };
        let addresses = match self.address {
            Some(address) => vec![SocketAddr::new(address, self.place.port)],
            None => {
                let found = proxy.look_up(&self.place).await?;
                proxy.reachable(&self.who, &self.place, &admitted, &found).await?
            }
        };
        Ok((admitted, addresses))
    }

    async fn pass(
        self,
        proxy: &Arc<Proxy>,
        mut client: Rewind,
        admitted: Admitted,
        addresses: &[SocketAddr],
    ) {
        let mut changes = proxy.live.changes();
        let connected = connect::reach(&*proxy.network, addresses, proxy.patience.connect).await;
        let mut server = match connected {
            Ok(server) => server,
            Err(error) => {
                proxy.events.happened(
                    "unreachable",
                    &format_args!("cannot connect to {}:{}: {error}", self.place.host, self.place.port),
                );
                return relay::cut(&client.io);
            }
        };
        let reached = match addresses {
            [only] => Some(only.ip()),
            all => {
                let reached = server.peer_addr().ok().map(|address| address.ip());
                let reached = reached.filter(|reached| all.iter().any(|address| address.ip() == *reached));
                reached.or(all.first().map(SocketAddr::ip))
            }
        };
        let forbidden = async {
            loop {
                if !proxy.still(&self.who, &self.place, reached, &admitted).await
                    || changes.changed().await.is_err()
                {
                    return;
                }
            }
        };
        let (sent, received) = (AtomicU64::new(0), AtomicU64::new(0));
        let most = admitted.ruling.terms.max_bytes;
        let ended = tokio::select! {
            ended = relay::run(&mut client, &mut server, most, (&sent, &received)) => ended,
            () = forbidden => {
                proxy.events.happened("cut", &format_args!("the policy no longer allows the connection to {}:{}", self.place.host, self.place.port));
                Err(std::io::ErrorKind::ConnectionAborted.into())
            }
        };
        proxy.events.numbers.add("bytes-sent", sent.into_inner());
        proxy.events.numbers.add("bytes-received", received.into_inner());
        if let Err(error) = ended {
            if error.kind() == std::io::ErrorKind::QuotaExceeded {
                proxy
                    .events
                    .happened("max-bytes", &format_args!("{}:{}: {error}", self.place.host, self.place.port));
            }
            relay::cut(&client.io);
            relay::cut(&server);
        }
    }
}

fn has_secrets(proxy: &Proxy, place: &Place) -> bool {
    let here = |one: &SecretUse| one.port == place.port && Host::parse(&one.host).as_ref() == Ok(&place.host);
    proxy.live.now().is_some_and(|snapshot| snapshot.file.secrets.iter().any(here))
}

/// Whether the name in TLS is the host's; an address has none.
fn names_same(name: Option<&str>, host: &Host) -> bool {
    match (name, host) {
        (Some(name), Host::Name(_)) => Host::parse(name).as_ref() == Ok(host),
        (None, Host::Address(_)) => true,
        (None, Host::Name(_)) | (Some(_), Host::Address(_)) => false,
    }
}

/// Tells a client of TLS that it may not.
pub async fn refuse_tls(client: &mut Rewind) {
    const GONE: Duration = Duration::from_secs(1);
    // It may be gone already.
    drop(tokio::time::timeout(GONE, client.io.write_all(&ACCESS_DENIED)).await);
    relay::finish(&client.io).await;
}

/// Comes when the client has hung up.
pub async fn gone(client: &Rewind) {
    const LOOK: Duration = Duration::from_millis(200);
    loop {
        match client.io.ready(tokio::io::Interest::READABLE).await {
            Ok(ready) if ready.is_read_closed() => return,
            Ok(_) => tokio::time::sleep(LOOK).await,
            Err(_) => return,
        }
    }
}
