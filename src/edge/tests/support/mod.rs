//! An edge on loopback, gateways behind it, and clients in front of it.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a panic is a failed test; each test file uses a part of this"
)]

mod client;
mod gateway;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use client::*;
pub use gateway::*;
use model::edge::{EdgeLimits, Methods, RoleRights};
use model::{Paths, Role, TenantId};
use serde_json::json;
use tenant_edge::edge::{Edge, Options, Patience};
use tenant_edge::{serve, tls};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub const DOMAIN: &str = "agents.example.org";
/// The proof header's secret.
pub const SECRET: &str = "00112233445566778899aabbccddeeff";

/// One edge.
pub struct Host {
    pub root: tempfile::TempDir,
    pub paths: Paths,
    pub edge: Arc<Edge>,
    pub https: SocketAddr,
    pub http: SocketAddr,
    pub key: token::SigningKey,
    pub trust: Arc<rustls::ClientConfig>,
    pub served: tokio::task::JoinHandle<()>,
}

/// What differs between tests.
#[derive(Clone, Debug)]
pub struct Setup {
    pub paths: bool,
    pub limits: EdgeLimits,
    pub patience: Patience,
}

impl Default for Setup {
    fn default() -> Self {
        let most = 100_000;
        let limits = EdgeLimits {
            connections_per_ip: most,
            requests_per_ip: most,
            requests_per_subject: most,
            requests_per_tenant: most,
            ..EdgeLimits::default()
        };
        let second = Duration::from_secs(1);
        let patience =
            Patience { handshake: second, head: second, body: second, idle: second * 3, drain: second * 2 };
        Self { paths: false, limits, patience }
    }
}

pub fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}

pub fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

impl Host {
    pub async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    pub async fn with(setup: Setup) -> Self {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::below(root.path());
        let state = root.path().join("state");
        for directory in [
            paths.edge().join("tls"),
            paths.edge().join("routes"),
            state.clone(),
            root.path().join("run/tenantd"),
        ] {
            std::fs::create_dir_all(directory).unwrap();
        }
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o700)).unwrap();
        let (document, kid, x) = token::SigningKey::generate().unwrap();
        let key = token::SigningKey::from_pkcs8(&kid, &document).unwrap();
        let edge = json!({"format": model::edge::EDGE_FORMAT, "domain": DOMAIN, "public_port": 443, "paths": setup.paths, "session_sec": 3600, "limits": setup.limits, "issuers": []});
        put(&paths.edge().join("edge.json"), &edge.to_string());
        let keys = json!({"format": 1, "issuer": token::issuer(DOMAIN), "keys": [{"kid": kid, "x": x, "retired": null}]});
        put(&paths.edge().join("keys.json"), &keys.to_string());
        put(&paths.edge().join("revoked.json"), &json!({"format": 1, "entries": []}).to_string());
        let trust = certificate(&paths.edge().join("tls"));
        let options = Options { state, paths: paths.clone(), patience: setup.patience };
        let edge = Edge::new(options).unwrap();
        let acceptor = TlsAcceptor::from(tls::config(edge.resolver()).unwrap());
        let listen = || async { TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap() };
        let (https, http) = (listen().await, listen().await);
        let (at, plain) = (https.local_addr().unwrap(), http.local_addr().unwrap());
        let served = tokio::spawn(serve::serve(Arc::clone(&edge), vec![https], vec![http], acceptor));
        Self { root, paths, edge, https: at, http: plain, key, trust, served }
    }

    /// A tenant whose gateway listens there.
    pub fn route(&self, id: &str, gateway: SocketAddr) {
        let rights = |role, methods, websocket| RoleRights { role, methods, websocket, scopes: Vec::new() };
        let roles = vec![
            rights(Role::Viewer, Methods::Safe, false),
            rights(Role::Operator, Methods::All, true),
            rights(Role::Owner, Methods::All, true),
        ];
        self.route_with(id, gateway, false, &roles);
    }

    pub fn route_with(&self, id: &str, gateway: SocketAddr, proof: bool, roles: &[RoleRights]) {
        let tenant = tenant(id);
        let route = json!({
            "format": model::edge::ROUTE_FORMAT, "tenant": id, "address": gateway.ip(), "port": gateway.port(), "proof": proof,
            "identity_header": "x-forwarded-user", "scopes_header": "x-openclaw-scopes", "origin": model::edge::internal_origin(&tenant), "roles": roles,
        });
        put(&self.paths.route(&tenant), &route.to_string());
    }

    pub fn token(&self, id: &str, role: Role) -> String {
        self.token_of(id, role, "alice", now() + 300)
    }

    pub fn token_of(&self, id: &str, role: Role, subject: &str, expires: i64) -> String {
        self.key.issue(&self.claims(id, role, subject, expires), token::Kind::Access).unwrap()
    }

    pub fn claims(&self, id: &str, role: Role, subject: &str, expires: i64) -> token::Claims {
        token::Claims {
            iss: token::issuer(DOMAIN),
            aud: token::audience(&tenant(id), DOMAIN),
            sub: subject.to_owned(),
            role,
            jti: format!("{:032x}", rand()),
            iat: now() - 1,
            nbf: now() - 1,
            exp: expires,
        }
    }

    pub fn revoke(&self, by: &str, value: &str) {
        let entries = json!([{"by": by, "value": value, "before": now() + 10, "until": now() + 86400}]);
        put(&self.paths.edge().join("revoked.json"), &json!({"format": 1, "entries": entries}).to_string());
    }
}

fn rand() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::hash::RandomState::new().build_hasher().finish()
}

/// As tenantd writes: whole, and renamed.
pub fn put(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// A certificate for the domain and all its tenants, and a client that trusts it.
fn certificate(directory: &Path) -> Arc<rustls::ClientConfig> {
    let names = vec![DOMAIN.to_owned(), format!("*.{DOMAIN}")];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    put(&directory.join("cert.pem"), &made.cert.pem());
    put(&directory.join("key.pem"), &made.signing_key.serialize_pem());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}
