//! A proxy over real sockets of 127.0.0.1, and a world outside that is at the same place under public addresses.
#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_debug_implementations,
    reason = "tests; each uses a part"
)]

pub mod http2;
pub mod rpc;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::delivery::{self, Delivered, Form};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use rcgen::{CertificateParams, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tenant_egress::authority::{Authority, new_authority};
use tenant_egress::broker::Broker;
use tenant_egress::identity::Identity;
use tenant_egress::network::{Coming, Network};
use tenant_egress::proxy::{Parts, Patience, Proxy};
use tenant_egress::secrets::Secrets;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Names, and where public addresses are really.
#[derive(Default)]
pub struct Outside {
    pub names: Mutex<HashMap<String, Vec<IpAddr>>>,
    pub places: Mutex<HashMap<SocketAddr, SocketAddr>>,
    pub looked_up: Mutex<Vec<String>>,
}

impl Network for Outside {
    fn resolve<'a>(&'a self, name: &'a str) -> Coming<'a, Vec<IpAddr>> {
        self.looked_up.lock().unwrap().push(name.to_owned());
        let found = self.names.lock().unwrap().get(name).cloned();
        Box::pin(async move { found.ok_or_else(|| std::io::ErrorKind::NotFound.into()) })
    }

    fn connect(&self, address: SocketAddr) -> Coming<'_, TcpStream> {
        let place = self.places.lock().unwrap().get(&address).copied();
        Box::pin(async move { TcpStream::connect(place.ok_or(std::io::ErrorKind::ConnectionRefused)?).await })
    }
}

pub struct World {
    pub proxy: Arc<Proxy>,
    pub explicit: SocketAddr,
    pub outside: Arc<Outside>,
    pub directory: tempfile::TempDir,
    pub ca: CertificateDer<'static>,
    pub server: Arc<rustls::ServerConfig>,
    pub server_ca: CertificateDer<'static>,
    pub asked: Arc<Mutex<Vec<String>>>,
}

pub const PUBLIC: [u8; 4] = [93, 184, 215, 14];

pub fn policy(default: &str, endpoints: &str) -> String {
    let rest = if endpoints.is_empty() {
        "{}".to_owned()
    } else {
        format!("\n  all:\n    name: all\n    endpoints:\n{endpoints}")
    };
    format!("version: 1\nx-tenantd:\n  default: {default}\nnetwork_policies: {rest}\n")
}

fn netlink() -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkSockDiag).unwrap()
}

/// One secret, `token`, which goes to a.example:443.
pub const TOKEN: &str = "s3cret-of-the-operator";

fn secrets() -> Secrets {
    let mut bytes = Vec::new();
    delivery::begin(&mut bytes);
    let secret = Delivered { name: "token", form: Form::Proxy, value: TOKEN.as_bytes() };
    delivery::add(&mut bytes, secret).unwrap();
    Secrets::read(&bytes).unwrap()
}

impl World {
    /// With this policy; questions are answered by `verdict`, or not at all.
    pub async fn new(text: &str, verdict: Option<&'static str>) -> World {
        Self::with(text, verdict, |_| {}).await
    }

    /// The same, with changes to `egress.json`.
    pub async fn with(
        text: &str,
        verdict: Option<&'static str>,
        change: impl FnOnce(&mut serde_json::Value),
    ) -> World {
        let directory = tempfile::tempdir().unwrap();
        let mut file = file(text);
        change(&mut file);
        put(&directory, "egress.json", &file);
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let ask = directory.path().join("ask.sock");
        fake_tenantd(&ask, verdict, Arc::clone(&asked));
        let names =
            ["a.example", "b.example", "other.example"].map(|name| (name.to_owned(), vec![PUBLIC.into()]));
        let mut names: HashMap<String, Vec<IpAddr>> = names.into();
        names.insert("rebound.example".to_owned(), vec![[127, 0, 0, 1].into()]);
        let outside = Arc::new(Outside { names: Mutex::new(names), ..Outside::default() });
        let pem = new_authority("acme").unwrap();
        let ca = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let (server, server_ca) = server_config();
        let mut roots = RootCertStore::empty();
        roots.add(server_ca.clone()).unwrap();
        let proxy = Proxy::new(Parts {
            files: directory.path().to_owned(),
            ask,
            identity: Identity::new(netlink(), directory.path().join("identify.sock")),
            network: Arc::clone(&outside) as Arc<dyn Network>,
            roots,
            authority: Some(Authority::read(pem.as_bytes()).unwrap()),
            broker: Broker::new(secrets(), directory.path()),
            patience: Patience {
                silence: Duration::from_millis(100),
                head: Duration::from_secs(2),
                // Each look-up is counted.
                answer: Duration::ZERO,
                ..Patience::default()
            },
        })
        .unwrap();
        let live = Arc::clone(&proxy.live);
        tokio::spawn(async move { live.watch().await });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let explicit = listener.local_addr().unwrap();
        let own = Arc::clone(&proxy);
        tokio::spawn(async move {
            loop {
                let (stream, from) = listener.accept().await.unwrap();
                tokio::spawn(tenant_egress::explicit::serve(Arc::clone(&own), stream, from));
            }
        });
        World { proxy, explicit, outside, directory, ca, server, server_ca, asked }
    }

    pub fn write(&self, text: &str) {
        put(&self.directory, "egress.json", &file(text));
    }

    /// What is approved, and until when it learns.
    pub fn approve(&self, document: Option<&str>, learn_until: Option<u64>) {
        let file = serde_json::json!({
            "format": 1, "tenant": "acme", "document": document, "learn_until": learn_until,
        });
        put(&self.directory, "approvals.json", &file);
    }

    /// What a name leads to from now on.
    pub fn name(&self, name: &str, addresses: &[IpAddr]) {
        self.outside.names.lock().unwrap().insert(name.to_owned(), addresses.to_vec());
    }

    /// What was looked up outside so far.
    pub fn looked_up(&self) -> Vec<String> {
        self.outside.looked_up.lock().unwrap().clone()
    }

    /// Waits until something has happened.
    pub async fn until(&self, happened: impl Fn(&World) -> bool) {
        let wait = async {
            while !happened(self) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap();
    }

    /// How often something happened.
    pub fn count(&self, kind: &'static str) -> u64 {
        self.proxy.events.numbers.get(kind)
    }

    /// A server of TLS at the public address, which speaks these protocols.
    pub async fn serve_tls<F, Fut>(&self, protocols: &[&str], handle: F)
    where
        F: Fn(ServerStream) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let mut config = rustls::ServerConfig::clone(&self.server);
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        self.serve(443, move |stream| {
            let (acceptor, handle) = (acceptor.clone(), handle.clone());
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    handle(stream).await;
                }
            }
        })
        .await;
    }

    /// A tunnel to port 443 in which TLS was opened with the proxy's own certificate.
    pub async fn secure(&self, host: &'static str, protocols: &[&str]) -> ClientStream {
        let (stream, said) = self.connect(&format!("{host}:443")).await;
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
        let mut config = rustls::ClientConfig::clone(&client_config(&self.ca));
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsConnector::from(Arc::new(config)).connect(host.try_into().unwrap(), stream).await.unwrap()
    }

    /// A server at the public address and this port.
    pub async fn serve<F, Fut>(&self, port: u16, handle: F)
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = listener.local_addr().unwrap();
        self.outside.places.lock().unwrap().insert(SocketAddr::from((PUBLIC, port)), place);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(handle(stream));
            }
        });
    }

    /// Sends text to the explicit proxy and reads until `until` or the end.
    pub async fn say(&self, text: &str) -> String {
        let mut stream = TcpStream::connect(self.explicit).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        drop(tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A tunnel, and what the proxy said to it.
    pub async fn connect(&self, to: &str) -> (TcpStream, String) {
        let mut stream = TcpStream::connect(self.explicit).await.unwrap();
        stream.write_all(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        (stream, String::from_utf8_lossy(&head).into_owned())
    }
}

pub type ServerStream = tokio_rustls::server::TlsStream<TcpStream>;
pub type ClientStream = tokio_rustls::client::TlsStream<TcpStream>;

fn file(text: &str) -> serde_json::Value {
    let uid = nix::unistd::getuid().as_raw();
    let token =
        serde_json::json!({"name": "token", "host": "a.example", "in": ["header", "body", "websocket"]});
    // A host that a secret is bound to is looked into, whatever the policy says.
    let secrets = if text.contains("protocol") { vec![token] } else { Vec::new() };
    serde_json::json!({
        "format": 1, "tenant": "acme", "uid": uid,
        "layers": [{"level": "profile", "name": "test", "text": text}],
        "hosts": {}, "closed": [], "asking": {"hold_sec": 1, "waiting": 4, "per_hour": 100}, "inference": {},
        "secrets": secrets,
    })
}

fn put(directory: &tempfile::TempDir, name: &str, file: &serde_json::Value) {
    let new = directory.path().join("new");
    std::fs::File::create(&new)
        .and_then(|mut out| std::io::Write::write_all(&mut out, file.to_string().as_bytes()))
        .unwrap();
    std::fs::rename(new, directory.path().join(name)).unwrap();
}

fn fake_tenantd(path: &std::path::Path, verdict: Option<&'static str>, asked: Arc<Mutex<Vec<String>>>) {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let asked = Arc::clone(&asked);
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                stream.read_line(&mut line).await.unwrap();
                asked.lock().unwrap().push(line);
                match verdict {
                    Some(verdict) => {
                        let answer =
                            format!("{{\"verdict\":\"{verdict}\",\"request\":7,\"why\":\"test\"}}\n");
                        drop(stream.write_all(answer.as_bytes()).await);
                    }
                    None => std::future::pending().await,
                }
            });
        }
    });
}

fn server_config() -> (Arc<rustls::ServerConfig>, CertificateDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["a.example".to_owned(), "b.example".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let config =
        config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key.into()).unwrap();
    (Arc::new(config), certificate.der().clone())
}

/// A client of TLS that trusts this authority.
pub fn client_config(ca: &CertificateDer<'static>) -> Arc<rustls::ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

/// Answers every request of HTTP/1.1 with its own head.
pub async fn mirror(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
    let mut head = Vec::new();
    while let Ok(byte) = stream.read_u8().await {
        head.push(byte);
        if head.ends_with(b"\r\n\r\n") {
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", head.len());
            stream.write_all(&[answer.as_bytes(), &head].concat()).await.unwrap();
            stream.flush().await.unwrap();
            head.clear();
        }
    }
}
