//! What tenantd compiles for the edge: JSON, strict, root-owned, one direction. The edge reads these files and no other.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::{Role, TenantId};

/// Format number of a route.
pub const ROUTE_FORMAT: u32 = 1;
/// Format number of `edge.json`.
pub const EDGE_FORMAT: u32 = 1;
/// Format number of `keys.json`.
pub const KEYS_FORMAT: u32 = 1;
/// Format number of `revoked.json`.
pub const REVOCATIONS_FORMAT: u32 = 1;
/// Seconds for which a revocation is kept. Nothing that lives longer is taken as a credential, or it would be good again. Tokens and sessions
/// of ours live for a day and a week at most; access tokens of an identity provider for as long as it says, which is hardly more than a year.
pub const REVOCATION_KEPT_SEC: i64 = 400 * 24 * 3600;

/// The way to one tenant's gateway, `routes/<system name>.json`. Holds no secret: the name of the proof header is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// [`ROUTE_FORMAT`].
    pub format: u32,
    /// Whose.
    pub tenant: TenantId,
    /// The tenant's address.
    pub address: Ipv4Addr,
    /// Port of the gateway.
    pub port: u16,
    /// Whether the gateway has a secret of its own, whose proof header it requires.
    pub proof: bool,
    /// Name of the request header that tells the gateway who comes.
    pub identity_header: String,
    /// Name of the request header that carries the role's scopes, comma-separated, with every request and upgrade; nothing for a gateway
    /// without scopes. The edge drops the client's own and sets this one: without it OpenClaw's HTTP interfaces give every role everything.
    pub scopes_header: Option<String>,
    /// What stands in the place of an accepted `Origin` toward the gateway: always among those it allows.
    pub origin: String,
    /// Who may come in. A role that is not named may not.
    pub roles: Vec<RoleRights>,
}

/// What the edge lets a role do; the gateway's own scopes come on top.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleRights {
    /// The role.
    pub role: Role,
    /// Which request methods.
    pub methods: Methods,
    /// Whether WebSockets.
    pub websocket: bool,
    /// Scopes of the gateway that go with it: in the gateway's own configuration, and in the header that carries them.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// Request methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Methods {
    /// GET, HEAD, OPTIONS (RFC 9110, 9.2.1).
    Safe,
    /// Any.
    All,
}

/// The origin by which a gateway knows its edge, whatever the edge's domain is: enabling the edge restarts no gateway. Nobody
/// has such a name (RFC 2606).
pub fn internal_origin(tenant: &TenantId) -> String {
    format!("https://{tenant}.tenant.invalid")
}

/// `edge.json`: `/etc/tenantd/edge.toml`, checked, with every default written out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeFile {
    /// [`EDGE_FORMAT`].
    pub format: u32,
    /// Tenants are at `https://<id>.<domain>/`.
    pub domain: String,
    /// Port in the addresses that people see; 443 is left out of them.
    pub public_port: u16,
    /// Whether programs reach tenants at `https://<domain>/t/<id>/`, too.
    #[serde(default)]
    pub paths: bool,
    /// How long a browser's session lasts, seconds.
    pub session_sec: u32,
    /// Limits.
    pub limits: EdgeLimits,
    /// Identity providers whose users may come in.
    pub issuers: Vec<Issuer>,
    /// Who certifies names; nothing: the certificate that was given is the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acme: Option<Acme>,
}

/// A certificate authority that is asked by ACME (RFC 8555). Its terms were agreed to, or there is none of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acme {
    /// Address of its directory, `https`.
    pub directory: String,
    /// Mail address at which it reaches whoever runs this host.
    pub contact: String,
    /// Text of the PEM file with the authority behind its own address, if the system's do not know it.
    #[serde(default)]
    pub ca_pem: Option<String>,
}

/// Limits of the edge. Rates are requests a second; a burst is what may come at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EdgeLimits {
    /// Connections from one address. Default 256.
    pub connections_per_ip: u32,
    /// Requests a second from one address. Default 100.
    pub requests_per_ip: u32,
    /// Requests a second of one subject. Default 100.
    pub requests_per_subject: u32,
    /// Requests a second to one tenant. Default 1000.
    pub requests_per_tenant: u32,
    /// Connections to one tenant's gateway, WebSockets included. Default 512.
    pub connections_per_tenant: u32,
    /// WebSockets of one subject. Default 64.
    pub sockets_per_subject: u32,
    /// Bytes of a request's body. Default 64 MiB.
    pub body_bytes: u64,
    /// Bytes of a request's header. Default 32 KiB.
    pub header_bytes: u32,
    /// Connections altogether. Default 20000.
    pub connections: u32,
    /// Failed authentications of one address in a minute before it has to wait. Default 20.
    pub failures_per_ip: u32,
}

impl Default for EdgeLimits {
    fn default() -> Self {
        Self {
            connections_per_ip: 256,
            requests_per_ip: 100,
            requests_per_subject: 100,
            requests_per_tenant: 1000,
            connections_per_tenant: 512,
            sockets_per_subject: 64,
            body_bytes: 64 << 20,
            header_bytes: 32 << 10,
            connections: 20_000,
            failures_per_ip: 20,
        }
    }
}

/// An OpenID Connect provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// Name in the edge's own addresses and on its sign-in page.
    pub name: String,
    /// Issuer identifier, exactly as in its tokens; `https`, or `http` to a loopback address.
    pub issuer: String,
    /// Our client identifier there.
    pub client_id: String,
    /// Our secret there; nothing for a public client (PKCE is used in any case).
    #[serde(default)]
    pub client_secret: Option<String>,
    /// Audience of access tokens that are taken as bearer tokens; nothing: only logins.
    #[serde(default)]
    pub audience: Option<String>,
    /// PEM file with the certificate authority of a provider that the system's own do not know; the text of it.
    #[serde(default)]
    pub ca_pem: Option<String>,
    /// Who may do what. The first that fits counts; nobody else may come in.
    pub rules: Vec<ClaimRule>,
}

/// A rule from a claim to a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimRule {
    /// Name of the claim: a string, or a list of strings of which one has to fit.
    pub claim: String,
    /// Its value.
    pub value: String,
    /// For which tenant.
    pub tenant: TenantId,
    /// As what.
    pub role: Role,
}

/// `keys.json`: by whose signature tenantd's own tokens are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// [`KEYS_FORMAT`].
    pub format: u32,
    /// `iss` of tenantd's tokens.
    pub issuer: String,
    /// Public Ed25519 keys, the one that signs first.
    pub keys: Vec<SigningKey>,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningKey {
    /// `kid`.
    pub kid: String,
    /// The 32 bytes of an Ed25519 public key, base64url without padding (RFC 8037, `x`).
    pub x: String,
    /// Unix seconds after which it verifies nothing any more; nothing while it signs.
    pub retired: Option<i64>,
}

/// `revoked.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocations {
    /// [`REVOCATIONS_FORMAT`].
    pub format: u32,
    /// All of them.
    pub entries: Vec<Revocation>,
}

/// One revocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// What it names.
    pub by: RevokedBy,
    /// The `jti`, the subject or the tenant.
    pub value: String,
    /// What was issued until then is dead, Unix seconds.
    pub before: i64,
    /// When nothing that it kills can be alive any more, and it may be forgotten, Unix seconds.
    pub until: i64,
}

/// What a revocation names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RevokedBy {
    /// One token, by its `jti`.
    Jti,
    /// Everything of one subject, at every tenant.
    Subject,
    /// Everything for one tenant.
    Tenant,
}
