//! Which version each secret has, kept apart from the vault's files: somebody who puts old files back is found out.

use std::collections::BTreeMap;

use model::TenantId;
use rusqlite::params;

use crate::state::{Database, StateError};

/// The newest version that was written, and when (seconds since the epoch).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Head {
    pub(crate) version: u64,
    pub(crate) changed: u64,
}

impl Database {
    /// Notes a version. It never goes down.
    pub(crate) fn note_secret(&mut self, id: &TenantId, name: &str, version: u64) -> Result<(), StateError> {
        self.connection.execute(
            "INSERT INTO secret (tenant, name, version, changed) VALUES (?1, ?2, ?3, (julianday('now') - 2440587.5) * 86400.0)
             ON CONFLICT (tenant, name) DO UPDATE SET version = excluded.version, changed = excluded.changed
             WHERE excluded.version > version",
            params![id.as_str(), name, i64::try_from(version).unwrap_or(i64::MAX)],
        )?;
        Ok(())
    }

    /// A secret was removed.
    pub(crate) fn forget_secret(&mut self, id: &TenantId, name: &str) -> Result<(), StateError> {
        self.connection.execute("DELETE FROM secret WHERE tenant = ?1 AND name = ?2", [id.as_str(), name])?;
        Ok(())
    }

    /// What was noted for a tenant, by the secrets' names.
    pub(crate) fn secret_heads(&self, id: &TenantId) -> Result<BTreeMap<String, Head>, StateError> {
        let mut query =
            self.connection.prepare_cached("SELECT name, version, changed FROM secret WHERE tenant = ?1")?;
        let rows = query.query_map([id.as_str()], |row| {
            let (version, changed): (i64, f64) = (row.get(1)?, row.get(2)?);
            Ok((row.get(0)?, version, changed))
        })?;
        rows.map(|row| {
            let (name, version, changed): (String, i64, f64) = row?;
            let damaged = || StateError::Damaged(format!("the version of secret {name:?}"));
            let version = u64::try_from(version).map_err(|_| damaged())?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a point in time after 1970"
            )]
            let changed = changed.max(0.0) as u64;
            Ok((name, Head { version, changed }))
        })
        .collect()
    }
}
