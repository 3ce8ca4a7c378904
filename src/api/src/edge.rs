//! `org.tenantd.Edge1`: the client's side, and the documents it answers with.

use serde::{Deserialize, Serialize};
use zbus::zvariant::Fd;

/// The edge: how people reach gateways from outside. Certificates and keys travel through descriptors.
#[zbus::proxy(
    interface = "org.tenantd.Edge1",
    default_service = "org.tenantd.Manager1",
    default_path = "/org/tenantd/Manager1",
    gen_blocking = false
)]
pub trait Edge1 {
    /// Makes these settings (TOML) those of the edge, and opens it: JSON [`EdgeStatus`]. It needs a certificate. (`org.tenantd.edge`)
    #[zbus(allow_interactive_auth)]
    fn enable_edge(&self, settings: &str) -> Result<String, crate::Error>;
    /// Closes the edge; settings, keys and certificate stay: JSON [`EdgeStatus`]. (`org.tenantd.edge`)
    #[zbus(allow_interactive_auth)]
    fn disable_edge(&self) -> Result<String, crate::Error>;
    /// Reads `/etc/tenantd/edge.toml` again: JSON [`EdgeStatus`]. (`org.tenantd.edge`)
    #[zbus(allow_interactive_auth)]
    fn reload_edge(&self) -> Result<String, crate::Error>;
    /// JSON [`EdgeStatus`]. (`org.tenantd.list`)
    #[zbus(allow_interactive_auth)]
    fn get_edge(&self) -> Result<String, crate::Error>;
    /// Takes a certificate chain and its private key, both PEM. (`org.tenantd.edge`)
    #[zbus(allow_interactive_auth)]
    fn set_certificate(&self, certificate: Fd<'_>, key: Fd<'_>) -> Result<(), crate::Error>;
    /// A token for a tenant: JSON [`IssuedToken`]. An empty subject is the caller's user name, no seconds are an hour.
    /// (`org.tenantd.token`)
    #[zbus(allow_interactive_auth)]
    fn issue_token(&self, id: &str, role: &str, subject: &str, ttl_sec: u32) -> Result<String, crate::Error>;
    /// A link that signs a browser in, once: JSON [`IssuedLogin`]. (`org.tenantd.token`)
    #[zbus(allow_interactive_auth)]
    fn issue_login(&self, id: &str, role: &str, subject: &str) -> Result<String, crate::Error>;
    /// Revokes what was issued until now, `by` its `jti`, its `subject` or its `tenant`: JSON [`model::edge::Revocation`].
    /// (`org.tenantd.token`)
    #[zbus(allow_interactive_auth)]
    fn revoke_tokens(&self, by: &str, value: &str) -> Result<String, crate::Error>;
    /// Signs with a new key from now on: JSON [`EdgeStatus`]. What older ones signed stays valid until it expires, or with `now` is
    /// void at once. (`org.tenantd.edge`)
    #[zbus(allow_interactive_auth)]
    fn rotate_signing_key(&self, now: bool) -> Result<String, crate::Error>;
}

/// `tenantctl edge status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeStatus {
    /// Whether it is enabled.
    pub enabled: bool,
    /// Tenants are at `https://<id>.<domain>/`.
    pub domain: Option<String>,
    /// Port in the addresses that people see.
    pub public_port: u16,
    /// `ActiveState` of the sockets at which it listens.
    pub socket: String,
    /// `ActiveState` of its service, which starts with the first connection.
    pub service: String,
    /// `self-signed` or `given`; nothing where there is none.
    pub certificate: Option<String>,
    /// The domain of one that is self-signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_signed_for: Option<String>,
    /// Directory of the authority from which certificates are ordered for each name; nothing without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acme: Option<String>,
    /// Names of the identity providers.
    pub issuers: Vec<String>,
    /// Keys by which tokens are known, the one that signs first.
    pub keys: Vec<EdgeKey>,
    /// Revocations in force.
    pub revocations: usize,
    /// Whether `/etc/tenantd/edge.toml` says something else than is in force.
    pub changed: bool,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// A key that signs tokens, or did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeKey {
    /// Its name.
    pub kid: String,
    /// When what it signed is void, in seconds since the epoch; nothing while it signs.
    pub retired: Option<i64>,
}

/// `tenantctl token issue`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedToken {
    /// The token: whoever has it may do what it says.
    pub token: String,
    /// Its own name, by which it can be revoked.
    pub jti: String,
    /// To whom.
    pub subject: String,
    /// As what.
    pub role: String,
    /// For which tenant.
    pub tenant: String,
    /// Where it is good for something.
    pub url: String,
    /// When it expires, in seconds since the epoch.
    pub expires: i64,
}

/// `tenantctl login`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedLogin {
    /// The link: whoever opens it first is signed in.
    pub url: String,
    /// Name of its ticket, by which it and the session made of it can be revoked.
    pub jti: String,
    /// To whom.
    pub subject: String,
    /// As what.
    pub role: String,
    /// For which tenant.
    pub tenant: String,
    /// When it expires, in seconds since the epoch.
    pub expires: i64,
}
