//! A browser's session: a sealed cookie that says who it is.

use model::{Role, TenantId};
use serde::{Deserialize, Serialize};

use super::sealed::{Purpose, Sealer};
use super::{COOKIE, Identity, IssuedBy, Source};

/// What the cookie holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Session {
    pub(super) sub: String,
    pub(super) role: Role,
    pub(super) jti: String,
    pub(super) iat: i64,
    pub(super) exp: i64,
    pub(super) by: IssuedBy,
    /// `jti` of the ticket or of the ID token that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<String>,
}

impl Session {
    /// Who holds `cookie` at `tenant`. Whether it is still alive is another question.
    pub(super) fn open(sealer: &Sealer, tenant: &TenantId, cookie: &str) -> Option<Identity> {
        let session: Session = sealer.open(Purpose::Session, tenant.as_str(), cookie)?;
        Some(Identity {
            tenant: tenant.clone(),
            role: session.role,
            subject: session.sub,
            jti: session.jti,
            from: session.from,
            issued: session.iat,
            expires: session.exp,
            source: Source::Cookie,
            issuer: session.by,
        })
    }

    /// The `Set-Cookie` that makes a browser hold it.
    pub(super) fn set_cookie(&self, sealer: &Sealer, tenant: &TenantId) -> Option<String> {
        let value = sealer.seal(Purpose::Session, tenant.as_str(), self)?;
        let seconds = self.exp.saturating_sub(self.iat);
        Some(format!("{COOKIE}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Strict"))
    }

    /// The `Set-Cookie` that makes it forget.
    pub(super) fn unset_cookie() -> String {
        format!("{COOKIE}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict")
    }
}
