//! Which tokens and sessions are revoked, asked on every request.

use std::collections::{HashMap, HashSet};

use model::TenantId;
use model::edge::{Revocations, RevokedBy};

/// What is asked about: a token, or a session that came from one.
#[derive(Clone, Copy, Debug)]
pub struct Bearer<'a> {
    /// Its own `jti`.
    pub jti: &'a str,
    /// The `jti` of the ticket that it came from.
    pub from: Option<&'a str>,
    /// Whose.
    pub subject: &'a str,
    /// For which tenant.
    pub tenant: &'a TenantId,
    /// When it was issued, Unix seconds.
    pub issued: i64,
}

/// `revoked.json`, ready for use. The latest of several revocations of one subject or tenant counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revoked {
    jtis: HashSet<String>,
    subjects: HashMap<String, i64>,
    tenants: HashMap<String, i64>,
}

impl Revoked {
    /// From the compiled list. An entry applies for as long as it is listed: `until` is for who keeps the list.
    #[must_use]
    pub fn new(list: &Revocations) -> Self {
        let mut revoked = Self::default();
        for entry in &list.entries {
            let by_time = match entry.by {
                RevokedBy::Jti => {
                    revoked.jtis.insert(entry.value.clone());
                    continue;
                }
                RevokedBy::Subject => &mut revoked.subjects,
                RevokedBy::Tenant => &mut revoked.tenants,
            };
            let before = by_time.entry(entry.value.clone()).or_insert(entry.before);
            *before = entry.before.max(*before);
        }
        revoked
    }

    /// Whether it is revoked.
    #[must_use]
    pub fn has(&self, bearer: &Bearer<'_>) -> bool {
        let until = |before: Option<&i64>| before.is_some_and(|before| bearer.issued <= *before);
        self.jtis.contains(bearer.jti)
            || bearer.from.is_some_and(|from| self.jtis.contains(from))
            || until(self.subjects.get(bearer.subject))
            || until(self.tenants.get(bearer.tenant.as_str()))
    }
}

#[cfg(test)]
mod tests;
