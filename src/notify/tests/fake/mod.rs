//! A receiver that behaves as it is told, and a tenantd that lists what it is told.
#![allow(clippy::unwrap_used, reason = "a fake that cannot be made is a failed test")]

use std::sync::{Arc, Mutex};

use api::{AskedRequest, Error};
use model::egress::Destination;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use zbus::object_server::SignalEmitter;

/// What a receiver does with a request.
#[derive(Clone, Copy, Debug)]
pub enum Behaviour {
    /// Answers this.
    Says(&'static str),
    /// Answers nothing, and keeps the connection.
    Silent,
    /// Answers with headers for ever.
    EndlessHead,
    /// Answers 500 so many times, and 200 then.
    FailsThenTakes(usize),
}

/// A receiver.
pub struct Receiver {
    /// Its address.
    pub url: String,
    requests: mpsc::UnboundedReceiver<String>,
}

impl Receiver {
    /// What it got so far.
    pub fn taken(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.requests.try_recv().ok()).collect()
    }

    /// What it gets next.
    pub async fn next(&mut self) -> String {
        self.requests.recv().await.unwrap()
    }
}

/// One on this host.
pub async fn receiver(behaviour: Behaviour) -> Receiver {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?x=1", listener.local_addr().unwrap());
    let (sender, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut count = 0;
        while let Ok((stream, _)) = listener.accept().await {
            count += 1;
            tokio::spawn(serve(stream, behaviour, count, sender.clone()));
        }
    });
    Receiver { url, requests }
}

/// One over TLS, with a certificate for this name, and the authority behind it.
pub async fn certified(name: &str) -> (Receiver, CertificateDer<'static>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], private)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/hook", listener.local_addr().unwrap());
    let (sender, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let answer = Behaviour::Says("HTTP/1.1 200 OK\r\n\r\n");
            tokio::spawn(serve(stream, answer, 1, sender.clone()));
        }
    });
    (Receiver { url, requests }, issuer.der().clone())
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    behaviour: Behaviour,
    count: usize,
    requests: mpsc::UnboundedSender<String>,
) {
    let request = request(&mut stream).await;
    if requests.send(request).is_err() {
        return;
    }
    let answer = match behaviour {
        Behaviour::Says(text) => text,
        Behaviour::FailsThenTakes(failures) if count <= failures => "HTTP/1.1 500 No\r\n\r\n",
        Behaviour::FailsThenTakes(_) => "HTTP/1.1 200 OK\r\n\r\n",
        Behaviour::Silent => return std::future::pending().await,
        Behaviour::EndlessHead => {
            let mut begun = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
            while begun.is_ok() {
                begun = stream.write_all(&[b'x'; 4096]).await;
            }
            return;
        }
    };
    // A client may hang up before the end.
    drop(stream.write_all(answer.as_bytes()).await);
    drop(stream.shutdown().await);
}

/// A whole request with its body.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).await.unwrap_or(0);
        text += std::str::from_utf8(buffer.get(..read).unwrap()).unwrap();
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head.lines().filter_map(|line| line.split_once(": "));
            let mut length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            length.next().is_some_and(|(_, length)| body.len() >= length.parse::<usize>().unwrap())
        });
        if read == 0 || whole {
            return text;
        }
    }
}

/// A question that waits.
pub fn asked(number: u64, tenant: &str) -> AskedRequest {
    AskedRequest {
        number,
        digest: "3f9a2b1c4d5e".into(),
        tenant: tenant.into(),
        destination: Destination {
            host: "a.example.org".into(),
            port: 443,
            address: None,
            binary: Some("/usr/bin/curl".into()),
            exchange: None,
        },
        state: "waiting".into(),
        first: 100,
        last: 100,
        count: 1,
        waiting: 1,
        expires: 120,
    }
}

/// A tenantd on a bus of its own.
pub struct Daemon {
    /// The connection of who watches.
    pub client: zbus::Connection,
    server: zbus::Connection,
    listed: Arc<Mutex<Vec<AskedRequest>>>,
}

struct Object(Arc<Mutex<Vec<AskedRequest>>>);

#[zbus::interface(name = "org.tenantd.Egress1")]
impl Object {
    fn list_requests(&self, tenant: &str) -> Result<String, Error> {
        assert_eq!(tenant, "", "all tenants are asked for");
        Ok(serde_json::to_string(&*self.0.lock().unwrap()).unwrap())
    }
    #[zbus(signal)]
    async fn requests_changed(emitter: &SignalEmitter<'_>, number: u64) -> zbus::Result<()>;
}

impl Daemon {
    /// One that lists these.
    pub async fn start(list: Vec<AskedRequest>) -> Self {
        let listed = Arc::new(Mutex::new(list));
        let (ours, theirs) = tokio::net::UnixStream::pair().unwrap();
        let server = zbus::connection::Builder::unix_stream(theirs)
            .server(zbus::Guid::generate())
            .unwrap()
            .p2p()
            .serve_at(api::OBJECT_PATH, Object(listed.clone()))
            .unwrap()
            .build();
        let client = zbus::connection::Builder::unix_stream(ours).p2p().build();
        let (server, client) = tokio::try_join!(server, client).unwrap();
        Daemon { client, server, listed }
    }

    /// Lists others from now on, and says so.
    pub async fn list(&self, list: Vec<AskedRequest>) {
        *self.listed.lock().unwrap() = list;
        let emitter = SignalEmitter::new(&self.server, api::OBJECT_PATH).unwrap();
        Object::requests_changed(&emitter, 0).await.unwrap();
    }
}
