//! `state.db`: who was given what, which operations are under way, which runtime versions are pinned.
//!
//! SQLite in WAL mode with `synchronous=FULL`: what this module says is written has survived a power cut. The schema
//! version only moves forward; a database of a newer tenantd is refused.

use std::net::Ipv4Addr;
use std::path::Path;

use model::{Allocation, Exit, TenantId, TenantNetwork};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use thiserror::Error;

/// Schema this program writes.
const SCHEMA: i64 = 6;

/// Why the database does not serve.
#[derive(Debug, Error)]
pub enum StateError {
    /// SQLite failed: disk full, file damaged, permissions.
    #[error("state.db: {0}: free space below /var/lib/tenantd or restore the file from a backup")]
    Sqlite(#[from] rusqlite::Error),
    /// Written by a newer tenantd.
    #[error(
        "state.db has schema {0}, newer than this tenantd understands ({SCHEMA}): install the newer package again"
    )]
    Newer(i64),
    /// A row holds something that cannot be.
    #[error("state.db: {0} is damaged: restore the file from a backup")]
    Damaged(String),
    /// No index, uid or address is left.
    #[error("no {0} is left in the pools of /etc/tenantd/tenantd.toml: widen pools.uids and pools.addresses")]
    Exhausted(&'static str),
    /// An operation on this tenant is already written down.
    #[error(
        "tenant {0}: an interrupted operation is still open: restart tenantd, which ends it, and try again"
    )]
    Open(TenantId),
}

impl StateError {
    /// Exit code of a client that meets this error.
    pub fn exit(&self) -> Exit {
        match self {
            StateError::Sqlite(_) => Exit::Io,
            StateError::Newer(_) | StateError::Damaged(_) => Exit::OsFile,
            StateError::Exhausted(_) => Exit::CantCreate,
            StateError::Open(_) => Exit::TempFail,
        }
    }
}

/// What an operation does; decides which way an interrupted one goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationKind {
    /// Rolls back.
    Create,
    /// Rolls back to the data that was there before.
    CreateOverKeptData,
    /// Rolls forward, to a tenant that runs.
    Change,
    /// Rolls forward, to a tenant that is stopped.
    ChangeStopped,
    /// Rolls forward.
    Delete,
    /// Rolls forward; the data stays.
    DeleteKeepingData,
    /// A backup of a tenant that is frozen meanwhile: it is thawed.
    Backup,
    /// A backup of a tenant that is stopped meanwhile: it is started again.
    BackupStopped,
    /// Rolls back, to a tenant that runs.
    Restore,
    /// Rolls back, to a tenant that is stopped.
    RestoreStopped,
    /// Rolls forward: the restored data is in its place, and what was there before goes.
    Restored,
}

impl OperationKind {
    /// A change of a tenant that runs or does not.
    pub fn change(runs: bool) -> Self {
        if runs { Self::Change } else { Self::ChangeStopped }
    }

    /// The word in the database and in `status`.
    pub fn word(self) -> &'static str {
        match self {
            OperationKind::Create => "create",
            OperationKind::CreateOverKeptData => "create-over-kept-data",
            OperationKind::Change => "change",
            OperationKind::ChangeStopped => "change-stopped",
            OperationKind::Delete => "delete",
            OperationKind::DeleteKeepingData => "delete-keeping-data",
            OperationKind::Backup => "backup",
            OperationKind::BackupStopped => "backup-stopped",
            OperationKind::Restore => "restore",
            OperationKind::RestoreStopped => "restore-stopped",
            OperationKind::Restored => "restored",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        let all = [
            Self::Create,
            Self::CreateOverKeptData,
            Self::Change,
            Self::ChangeStopped,
            Self::Delete,
            Self::DeleteKeepingData,
            Self::Backup,
            Self::BackupStopped,
            Self::Restore,
            Self::RestoreStopped,
            Self::Restored,
        ];
        all.into_iter().find(|kind| kind.word() == word)
    }
}

/// An operation that was written down before it began.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Whose.
    pub tenant: TenantId,
    /// What.
    pub kind: OperationKind,
    /// The spec it leads to, for a change.
    pub spec: String,
}

/// The open database.
#[derive(Debug)]
pub struct Database {
    pub(crate) connection: Connection,
}

impl Database {
    /// Opens or makes the database and brings its schema up to date.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let mut connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // What is deleted is overwritten: older schemas held secrets.
        connection.pragma_update(None, "secure_delete", true)?;
        migrate(&mut connection)?;
        Ok(Self { connection })
    }

    /// The allocation of a tenant that exists, or whose data was kept.
    pub fn allocation(&self, id: &TenantId) -> Result<Option<Allocation>, StateError> {
        let mut query = self
            .connection
            .prepare_cached("SELECT idx, uid, network, machine_id FROM allocation WHERE tenant = ?1")?;
        query.query_row([id.as_str()], read_allocation).optional()?.transpose()
    }

    /// Whether only the data of this tenant is left.
    pub fn is_retained(&self, id: &TenantId) -> Result<bool, StateError> {
        let mut query =
            self.connection.prepare_cached("SELECT retained FROM allocation WHERE tenant = ?1")?;
        Ok(query.query_row([id.as_str()], |row| row.get(0)).optional()?.unwrap_or(false))
    }

    /// Every tenant with an allocation that is not merely retained.
    pub fn tenants(&self) -> Result<Vec<(TenantId, Allocation)>, StateError> {
        let mut query = self.connection.prepare_cached(
            "SELECT idx, uid, network, machine_id, tenant FROM allocation WHERE retained = 0 ORDER BY tenant",
        )?;
        let rows = query.query_map([], |row| Ok((row.get::<_, String>(4)?, read_allocation(row)?)))?;
        rows.map(|row| {
            let (name, allocation) = row?;
            Ok((tenant_id(&name)?, allocation?))
        })
        .collect()
    }

    /// The index after the last one given out: indexes are not reused before the pool has gone round, so a process or a
    /// file left behind by a deleted tenant does not meet its successor.
    pub fn next_index(&self) -> Result<u32, StateError> {
        Ok(self.connection.query_row("SELECT next_index FROM cursor", [], |row| row.get(0))?)
    }

    /// Whether an index is in use or retained.
    pub fn index_taken(&self, index: u32) -> Result<bool, StateError> {
        let mut query = self.connection.prepare_cached("SELECT 1 FROM allocation WHERE idx = ?1")?;
        Ok(query.exists([index])?)
    }

    /// Writes an allocation and the creation it belongs to, both or neither.
    pub fn begin_create(
        &mut self,
        id: &TenantId,
        kind: OperationKind,
        allocation: &Allocation,
    ) -> Result<(), StateError> {
        let transaction = self.connection.transaction()?;
        open_operation(&transaction, id, kind, "")?;
        transaction.execute(
            "INSERT INTO allocation (tenant, idx, uid, network, machine_id, retained)
             VALUES (?1, ?2, ?3, ?4, ?5, 0)
             ON CONFLICT (tenant) DO UPDATE SET retained = 0",
            params![
                id.as_str(),
                allocation.index,
                allocation.uid,
                u32::from(allocation.network.network),
                allocation.machine_id,
            ],
        )?;
        transaction.execute("UPDATE cursor SET next_index = max(next_index, ?1 + 1)", [allocation.index])?;
        Ok(transaction.commit()?)
    }

    /// Lets the next creation begin again at index 0, when the pool has gone round.
    pub fn wrap_index(&mut self) -> Result<(), StateError> {
        self.connection.execute("UPDATE cursor SET next_index = 0", [])?;
        Ok(())
    }

    /// Writes down that an operation on an existing tenant begins.
    pub fn begin(&mut self, id: &TenantId, kind: OperationKind, spec: &str) -> Result<(), StateError> {
        let transaction = self.connection.transaction()?;
        open_operation(&transaction, id, kind, spec)?;
        Ok(transaction.commit()?)
    }

    /// Writes down the step that is about to run.
    pub fn step(&mut self, id: &TenantId, number: usize, total: usize, text: &str) -> Result<(), StateError> {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        let total = i64::try_from(total).unwrap_or(i64::MAX);
        self.connection
            .prepare_cached("UPDATE operation SET step = ?2, total = ?3, text = ?4 WHERE tenant = ?1")?
            .execute(params![id.as_str(), number, total, text])?;
        Ok(())
    }

    /// An operation under way becomes one that goes another way when it is interrupted.
    pub fn become_kind(&mut self, id: &TenantId, kind: OperationKind) -> Result<(), StateError> {
        let word = kind.word();
        self.connection.execute("UPDATE operation SET kind = ?2 WHERE tenant = ?1", [id.as_str(), word])?;
        Ok(())
    }

    /// Ends an operation; what was allocated stays.
    pub fn end(&mut self, id: &TenantId) -> Result<(), StateError> {
        self.connection.execute("DELETE FROM operation WHERE tenant = ?1", [id.as_str()])?;
        Ok(())
    }

    /// Ends an operation after which the tenant is gone. With `retain` its uid and address stay reserved for its data.
    pub fn end_absent(&mut self, id: &TenantId, retain: bool) -> Result<(), StateError> {
        let transaction = self.connection.transaction()?;
        transaction.execute("DELETE FROM operation WHERE tenant = ?1", [id.as_str()])?;
        let statement = if retain {
            "UPDATE allocation SET retained = 1 WHERE tenant = ?1"
        } else {
            "DELETE FROM allocation WHERE tenant = ?1"
        };
        transaction.execute(statement, [id.as_str()])?;
        transaction.execute("DELETE FROM sleeping WHERE tenant = ?1", [id.as_str()])?;
        crate::egress::forget(&transaction, id)?;
        if !retain {
            transaction.execute("DELETE FROM secret WHERE tenant = ?1", [id.as_str()])?;
        }
        Ok(transaction.commit()?)
    }

    /// Operations that were begun and not ended.
    pub fn open_operations(&self) -> Result<Vec<Operation>, StateError> {
        let mut query =
            self.connection.prepare("SELECT tenant, kind, spec FROM operation ORDER BY started")?;
        let rows = query.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
        })?;
        rows.map(|row| {
            let (tenant, kind, spec) = row?;
            let kind =
                OperationKind::from_word(&kind).ok_or(StateError::Damaged(format!("operation {kind:?}")))?;
            Ok(Operation { tenant: tenant_id(&tenant)?, kind, spec })
        })
        .collect()
    }

    /// The open operation of one tenant, by its word.
    pub fn open_operation(&self, id: &TenantId) -> Result<Option<String>, StateError> {
        let mut query = self.connection.prepare_cached("SELECT kind FROM operation WHERE tenant = ?1")?;
        Ok(query.query_row([id.as_str()], |row| row.get(0)).optional()?)
    }

    /// The version of a runtime that new tenants get, where one is pinned.
    pub fn pin(&self, runtime: &str) -> Result<Option<String>, StateError> {
        let mut query = self.connection.prepare_cached("SELECT version FROM pin WHERE runtime = ?1")?;
        Ok(query.query_row([runtime], |row| row.get(0)).optional()?)
    }

    /// Pins a version, or with `None` lifts the pin.
    pub fn set_pin(&mut self, runtime: &str, version: Option<&str>) -> Result<(), StateError> {
        match version {
            Some(version) => self.connection.execute(
                "INSERT INTO pin (runtime, version) VALUES (?1, ?2)
                 ON CONFLICT (runtime) DO UPDATE SET version = excluded.version",
                [runtime, version],
            )?,
            None => self.connection.execute("DELETE FROM pin WHERE runtime = ?1", [runtime])?,
        };
        Ok(())
    }
}

fn open_operation(
    transaction: &Transaction<'_>,
    id: &TenantId,
    kind: OperationKind,
    spec: &str,
) -> Result<(), StateError> {
    let inserted = transaction.execute(
        "INSERT INTO operation (tenant, kind, spec, step, total, text, started)
         VALUES (?1, ?2, ?3, 0, 0, '', (julianday('now') - 2440587.5) * 86400.0) ON CONFLICT (tenant) DO NOTHING",
        [id.as_str(), kind.word(), spec],
    )?;
    if inserted == 0 { Err(StateError::Open(id.clone())) } else { Ok(()) }
}

fn tenant_id(name: &str) -> Result<TenantId, StateError> {
    TenantId::parse(name).map_err(|_| StateError::Damaged(format!("tenant {name:?}")))
}

fn read_allocation(row: &rusqlite::Row<'_>) -> rusqlite::Result<Result<Allocation, StateError>> {
    let (index, uid, network): (u32, u32, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let machine_id: String = row.get(3)?;
    let damaged = || StateError::Damaged(format!("the network of index {index}"));
    Ok(TenantNetwork::new(Ipv4Addr::from(network))
        .map(|network| Allocation { index, uid, network, machine_id })
        .ok_or_else(damaged))
}

fn migrate(connection: &mut Connection) -> Result<(), StateError> {
    let transaction = connection.transaction()?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > SCHEMA {
        return Err(StateError::Newer(found));
    }
    if found == 0 {
        transaction.execute_batch(
            "CREATE TABLE allocation (
                 tenant TEXT PRIMARY KEY, idx INTEGER NOT NULL UNIQUE, uid INTEGER NOT NULL UNIQUE,
                 network INTEGER NOT NULL UNIQUE, machine_id TEXT NOT NULL, retained INTEGER NOT NULL) STRICT;
             CREATE TABLE operation (
                 tenant TEXT PRIMARY KEY, kind TEXT NOT NULL, spec TEXT NOT NULL, step INTEGER NOT NULL,
                 total INTEGER NOT NULL, text TEXT NOT NULL, started REAL NOT NULL) STRICT;
             CREATE TABLE pin (runtime TEXT PRIMARY KEY, version TEXT NOT NULL) STRICT;
             CREATE TABLE cursor (one INTEGER PRIMARY KEY CHECK (one = 1), next_index INTEGER NOT NULL) STRICT;
             INSERT INTO cursor VALUES (1, 0);",
        )?;
    }
    if found < 2 {
        transaction.execute_batch(
            "CREATE TABLE secret (
                 tenant TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, changed REAL NOT NULL,
                 PRIMARY KEY (tenant, name)) STRICT, WITHOUT ROWID;",
        )?;
    }
    if found < 4 {
        transaction.execute_batch(
            "CREATE TABLE backup (tenant TEXT PRIMARY KEY, made INTEGER NOT NULL, kek TEXT NOT NULL) STRICT;
             CREATE TABLE recovery (kek TEXT PRIMARY KEY) STRICT;",
        )?;
    }
    for (schema, tables) in [(5, SLEEPING), (6, crate::egress::TABLES)] {
        if found < schema {
            transaction.execute_batch(tables)?;
        }
    }
    if (1..3).contains(&found) {
        transaction.execute_batch(WITHOUT_PROOF)?;
    }
    transaction.pragma_update(None, "user_version", SCHEMA)?;
    transaction.commit()?;
    if found < SCHEMA {
        // The log holds pages as they were.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    }
    Ok(())
}

const SLEEPING: &str = "CREATE TABLE sleeping (tenant TEXT PRIMARY KEY, since INTEGER NOT NULL) STRICT;";
/// Schema 3: the gateways' own secrets went into the vault.
const WITHOUT_PROOF: &str = "
    CREATE TABLE allocation_new (
        tenant TEXT PRIMARY KEY, idx INTEGER NOT NULL UNIQUE, uid INTEGER NOT NULL UNIQUE,
        network INTEGER NOT NULL UNIQUE, machine_id TEXT NOT NULL, retained INTEGER NOT NULL) STRICT;
    INSERT INTO allocation_new SELECT tenant, idx, uid, network, machine_id, retained FROM allocation;
    DROP TABLE allocation;
    ALTER TABLE allocation_new RENAME TO allocation;";

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
