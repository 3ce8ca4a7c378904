//! What is remembered of backups: which key the last one of a tenant needs, and whether that key was ever copied away.

use model::TenantId;
use rusqlite::{OptionalExtension, params};
use vault::KekId;

use crate::state::{Database, OperationKind, StateError};

impl Database {
    /// A backup was made.
    pub(crate) fn note_backup(&mut self, id: &TenantId, made: u64, kek: KekId) -> Result<(), StateError> {
        self.connection.execute(
            "INSERT INTO backup (tenant, made, kek) VALUES (?1, ?2, ?3)
             ON CONFLICT (tenant) DO UPDATE SET made = excluded.made, kek = excluded.kek",
            params![id.as_str(), i64::try_from(made).unwrap_or(i64::MAX), kek.to_string()],
        )?;
        Ok(())
    }

    /// When the last backup of a tenant was made, in seconds since the epoch.
    pub(crate) fn last_backup(&self, id: &TenantId) -> Result<Option<u64>, StateError> {
        let mut query = self.connection.prepare_cached("SELECT made FROM backup WHERE tenant = ?1")?;
        let made: Option<i64> = query.query_row([id.as_str()], |row| row.get(0)).optional()?;
        Ok(made.and_then(|made| u64::try_from(made).ok()))
    }

    /// A recovery copy of a KEK was given out.
    pub(crate) fn note_recovery(&mut self, kek: KekId) -> Result<(), StateError> {
        self.connection.execute("INSERT OR IGNORE INTO recovery (kek) VALUES (?1)", [kek.to_string()])?;
        Ok(())
    }

    /// The backups of a tenant are destroyed.
    pub(crate) fn forget_backups(&mut self, id: &TenantId) -> Result<(), StateError> {
        self.connection.execute("DELETE FROM backup WHERE tenant = ?1", [id.as_str()])?;
        Ok(())
    }

    /// Whether a backup of any tenant is being made.
    pub(crate) fn backup_under_way(&self) -> Result<bool, StateError> {
        let mut query = self.connection.prepare("SELECT 1 FROM operation WHERE kind IN (?1, ?2)")?;
        Ok(query.exists([OperationKind::Backup.word(), OperationKind::BackupStopped.word()])?)
    }

    /// How many tenants' last backups would be lost with a KEK that no recovery copy was made of.
    pub(crate) fn backups_lost_with(&self, kek: KekId) -> Result<u64, StateError> {
        Ok(self.connection.query_row(
            "SELECT count(*) FROM backup WHERE kek = ?1 AND kek NOT IN (SELECT kek FROM recovery)",
            [kek.to_string()],
            |row| row.get(0),
        )?)
    }
}
