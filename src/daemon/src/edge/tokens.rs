//! Tokens and login links: issued for tenants that exist, in roles that their gateways let in, and revoked.

use std::time::Duration;

use api::{IssuedLogin, IssuedToken};
use host::files;
use model::edge::{EdgeFile, REVOCATION_KEPT_SEC, Revocation, RevokedBy, Route};
use model::{Exit, Role, TenantId};
use token::{Claims, Kind};

use super::files::{Files, nothing_revoked};
use super::{Inner, now};
use crate::allocate::random_bytes;
use crate::failure::Failure;
use crate::service::Service;

/// Seconds that a token lives if nothing is said.
const DEFAULT_SECONDS: u32 = 3600;
/// Revocations at most. Those of subjects and tenants are one each, however often they are repeated.
const MOST_REVOCATIONS: usize = 50_000;
/// Bytes of a route, at most.
const ROUTE_BYTES: usize = 64 * 1024;

/// What a token is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// For which tenant.
    pub(crate) tenant: TenantId,
    /// As what.
    pub(crate) role: String,
    /// To whom; empty: to who asks.
    pub(crate) subject: String,
    /// uid of who asks.
    pub(crate) caller: u32,
}

impl Service {
    /// A token.
    pub fn issue_token(&self, wish: &Wish, seconds: u32) -> Result<IssuedToken, Failure> {
        let seconds = i64::from(if seconds == 0 { DEFAULT_SECONDS } else { seconds });
        if seconds > token::MAX_SECONDS {
            let text = "a token lives for 24 hours at most: give a shorter --ttl, and issue another when it has expired";
            return Err(Failure::new(Exit::Data, text));
        }
        let (settings, claims, token) = self.issue(wish, seconds, Kind::Access)?;
        let port =
            if settings.public_port == 443 { String::new() } else { format!(":{}", settings.public_port) };
        Ok(IssuedToken {
            token,
            jti: claims.jti,
            subject: claims.sub,
            role: claims.role.to_string(),
            tenant: wish.tenant.to_string(),
            url: format!("{}{port}/", claims.aud),
            expires: claims.exp,
        })
    }

    /// A link that signs a browser in, once.
    pub fn issue_login(&self, wish: &Wish) -> Result<IssuedLogin, Failure> {
        let (settings, claims, ticket) = self.issue(wish, token::MAX_LOGIN_SECONDS, Kind::Login)?;
        Ok(IssuedLogin {
            url: token::login_address(&wish.tenant, &settings.domain, settings.public_port, &ticket),
            jti: claims.jti,
            subject: claims.sub,
            role: claims.role.to_string(),
            tenant: wish.tenant.to_string(),
            expires: claims.exp,
        })
    }

    fn issue(&self, wish: &Wish, seconds: i64, kind: Kind) -> Result<(EdgeFile, Claims, String), Failure> {
        let Wish { tenant, caller, .. } = wish;
        self.existing(tenant)?;
        let role: Role = wish
            .role
            .parse()
            .map_err(|error: model::RoleError| Failure::new(Exit::Data, error.to_string()))?;
        self.refuse_role(tenant, role)?;
        let subject = match wish.subject.as_str() {
            "" => host::user_name(*caller).unwrap_or_else(|| format!("uid-{caller}")),
            subject => subject.to_owned(),
        };
        token::check_subject(&subject).map_err(|error| Failure::new(Exit::Data, error.to_string()))?;
        let mut inner = self.edge.hold();
        let settings = Files::of(&self.paths).edge()?.ok_or_else(super::settings::disabled)?;
        let iat = self.after_revocations(tenant, &subject)?;
        let claims = Claims {
            iss: token::issuer(&settings.domain),
            aud: token::audience(tenant, &settings.domain),
            sub: subject,
            role,
            jti: random_bytes()?.iter().map(|byte| format!("{byte:02x}")).collect(),
            iat,
            nbf: iat,
            exp: iat + seconds,
        };
        let token = self.signer(&mut inner)?.issue(&claims, kind)?;
        tracing::info!(%tenant, %role, subject = claims.sub, jti = claims.jti, seconds, caller, typ = kind.typ(), "token issued");
        Ok((settings, claims, token))
    }

    /// A role that the gateway does not know opens nothing: better said now.
    fn refuse_role(&self, tenant: &TenantId, role: Role) -> Result<(), Failure> {
        let repair = || format!("run \"tenantctl repair {tenant}\"");
        let route = files::read_bounded(&self.paths.route(tenant), ROUTE_BYTES)?.ok_or_else(|| {
            let text = format!(
                "tenant {tenant} was made by an older tenantd and has no route for the edge: {}",
                repair()
            );
            Failure::new(Exit::Config, text)
        })?;
        let route: Route = serde_json::from_slice(&route).map_err(|error| {
            Failure::new(
                Exit::OsFile,
                format!("the route of tenant {tenant} is damaged ({error}): {}", repair()),
            )
        })?;
        if route.roles.iter().any(|rights| rights.role == role) {
            return Ok(());
        }
        let text = format!("tenant {tenant}: its runtime lets no {role} in: see \"tenantctl roles\"");
        Err(Failure::new(Exit::Data, text))
    }

    /// The time. A revocation kills what was issued in its own second: what is issued after it comes in the next one.
    fn after_revocations(&self, tenant: &TenantId, subject: &str) -> Result<i64, Failure> {
        let list = Files::of(&self.paths).revocations()?.unwrap_or_else(nothing_revoked);
        let concerns = |entry: &&Revocation| match entry.by {
            RevokedBy::Jti => false,
            RevokedBy::Subject => entry.value == subject,
            RevokedBy::Tenant => entry.value == tenant.as_str(),
        };
        let last = list.entries.iter().filter(concerns).map(|entry| entry.before).max();
        for _ in 0..30 {
            let now = now()?;
            if last.is_none_or(|last| last < now) {
                return Ok(now);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let text = "a revocation lies in the future: was the clock of this host set back? Set it right and try again";
        Err(Failure::new(Exit::TempFail, text))
    }

    /// Revokes what was issued until now.
    pub fn revoke_tokens(&self, by: &str, value: &str) -> Result<Revocation, Failure> {
        let wrong = |why: &str| Failure::new(Exit::Data, format!("cannot revoke {by} {value:?}: {why}"));
        let by = match by {
            "jti" => RevokedBy::Jti,
            "subject" => RevokedBy::Subject,
            "tenant" => {
                TenantId::parse(value)?;
                RevokedBy::Tenant
            }
            _ => return Err(wrong("tokens are revoked by jti, by subject or by tenant")),
        };
        token::check_subject(value)
            .map_err(|_| wrong("it has 1 to 256 characters, and no control characters"))?;
        self.revoke(&mut self.edge.hold(), by, value)
    }

    /// Revokes everything for a tenant that is deleted: the next one of its name is another.
    pub(crate) fn revoke_tenant(&self, tenant: &TenantId) -> Result<(), Failure> {
        let mut inner = self.edge.hold();
        if Files::of(&self.paths).keys()?.keys.is_empty() {
            // The edge was never enabled: nobody has anything.
            return Ok(());
        }
        self.revoke(&mut inner, RevokedBy::Tenant, tenant.as_str()).map(drop)
    }

    fn revoke(&self, _inner: &mut Inner, by: RevokedBy, value: &str) -> Result<Revocation, Failure> {
        let files = Files::of(&self.paths);
        let now = now()?;
        let mut list = files.revocations()?.unwrap_or_else(nothing_revoked);
        let made = Revocation { by, value: value.to_owned(), before: now, until: now + REVOCATION_KEPT_SEC };
        add(&mut list.entries, made.clone()).map_err(|why| Failure::new(Exit::CantCreate, why))?;
        files.write_revocations(&list)?;
        tracing::info!(?by, value, "revoked");
        Ok(made)
    }
}

/// Adds one, in the place of an older one of the same, and forgets what kills nothing any more.
fn add(entries: &mut Vec<Revocation>, made: Revocation) -> Result<(), String> {
    let now = made.before;
    entries.retain(|entry| entry.until > now && (entry.by, &entry.value) != (made.by, &made.value));
    if entries.len() >= MOST_REVOCATIONS {
        return Err(format!(
            "{MOST_REVOCATIONS} revocations are in force: revoke by subject or by tenant, or make all tokens void with \"tenantctl edge rotate-key --now\""
        ));
    }
    entries.push(made);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(by: RevokedBy, value: &str, before: i64) -> Revocation {
        Revocation { by, value: value.to_owned(), before, until: before + REVOCATION_KEPT_SEC }
    }

    #[test]
    fn a_revocation_replaces_the_older_one_and_forgets_what_has_ended() {
        let mut entries = vec![
            entry(RevokedBy::Tenant, "acme", 1_000),
            entry(RevokedBy::Subject, "acme", 1_000),
            entry(RevokedBy::Jti, "x", 2_000 - REVOCATION_KEPT_SEC),
        ];
        add(&mut entries, entry(RevokedBy::Tenant, "acme", 2_000)).unwrap();
        assert_eq!(
            entries,
            [entry(RevokedBy::Subject, "acme", 1_000), entry(RevokedBy::Tenant, "acme", 2_000)]
        );
    }

    #[test]
    fn the_list_has_an_end() {
        let mut entries: Vec<_> =
            (0..MOST_REVOCATIONS).map(|n| entry(RevokedBy::Jti, &n.to_string(), 1_000)).collect();
        assert!(add(&mut entries, entry(RevokedBy::Jti, "more", 1_001)).unwrap_err().contains("by tenant"));
        add(&mut entries, entry(RevokedBy::Jti, "7", 1_001)).unwrap();
    }
}
