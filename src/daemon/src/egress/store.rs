//! Answers, learning, observations and certificates in `state.db`.

use model::TenantId;
use model::egress::Destination;
use rusqlite::{OptionalExtension, Transaction, params};

use super::render::Shape;
use crate::state::{Database, StateError};

/// Answers that hold, of one tenant.
pub(crate) const MOST_APPROVALS: usize = 500;
/// Destinations that are noted while one tenant learns.
pub(crate) const MOST_OBSERVED: u32 = 2000;

/// The tables: schema 6.
pub(crate) const TABLES: &str = "
    CREATE TABLE approval (
        number INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, allow INTEGER NOT NULL, destination TEXT NOT NULL,
        shape TEXT NOT NULL, made INTEGER NOT NULL, until INTEGER, who INTEGER NOT NULL, why TEXT NOT NULL) STRICT;
    CREATE INDEX approval_of ON approval (tenant);
    CREATE TABLE learning (tenant TEXT PRIMARY KEY, until INTEGER NOT NULL) STRICT;
    CREATE TABLE observation (
        tenant TEXT NOT NULL, destination TEXT NOT NULL, PRIMARY KEY (tenant, destination)) STRICT, WITHOUT ROWID;
    CREATE TABLE authority (tenant TEXT PRIMARY KEY, certificate TEXT NOT NULL) STRICT;";

/// What goes with a tenant, its data kept or not.
pub(crate) fn forget(transaction: &Transaction<'_>, id: &TenantId) -> Result<(), StateError> {
    for table in ["approval", "learning", "observation", "authority"] {
        transaction.execute(&format!("DELETE FROM {table} WHERE tenant = ?1"), [id.as_str()])?;
    }
    Ok(())
}

/// An answer that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) number: u64,
    pub(crate) tenant: TenantId,
    pub(crate) allow: bool,
    pub(crate) destination: Destination,
    pub(crate) shape: Shape,
    pub(crate) made: u64,
    pub(crate) until: Option<u64>,
    pub(crate) who: u32,
    pub(crate) why: String,
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn back(number: i64) -> Result<u64, StateError> {
    u64::try_from(number).map_err(|_| StateError::Damaged("the time or number of an approval".to_owned()))
}

impl Database {
    /// Answers for one tenant, the oldest first.
    pub(crate) fn approvals(&self, id: &TenantId) -> Result<Vec<Row>, StateError> {
        type Columns = (i64, bool, String, String, i64, Option<i64>, u32, String);
        let mut query = self.connection.prepare_cached(
            "SELECT number, allow, destination, shape, made, until, who, why FROM approval WHERE tenant = ?1 ORDER BY number",
        )?;
        let rows = query.query_map([id.as_str()], |row| {
            let columns: Columns = (
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
                row.get(6)?,
                row.get(7)?,
            );
            Ok(columns)
        })?;
        rows.map(|row| {
            let (number, allow, destination, shape, made, until, who, why) = row?;
            let damaged = |_| StateError::Damaged(format!("approval {number} of tenant {id}"));
            Ok(Row {
                number: back(number)?,
                tenant: id.clone(),
                allow,
                destination: serde_json::from_str(&destination).map_err(damaged)?,
                shape: serde_json::from_str(&shape).map_err(damaged)?,
                made: back(made)?,
                until: until.map(back).transpose()?,
                who,
                why,
            })
        })
        .collect()
    }

    /// The number that the next answer will have.
    pub(crate) fn next_approval(&self) -> Result<u64, StateError> {
        let last: Option<i64> = self
            .connection
            .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'approval'", [], |row| row.get(0))
            .optional()?;
        Ok(back(last.unwrap_or(0))? + 1)
    }

    /// Notes an answer in the place of others about the same.
    pub(crate) fn note_approval(&mut self, row: &Row, instead_of: &[u64]) -> Result<(), StateError> {
        let json = |error: serde_json::Error| StateError::Damaged(error.to_string());
        let destination = serde_json::to_string(&row.destination).map_err(json)?;
        let shape = serde_json::to_string(&row.shape).map_err(json)?;
        let transaction = self.connection.transaction()?;
        for number in instead_of {
            transaction.execute("DELETE FROM approval WHERE number = ?1", [whole(*number)])?;
        }
        transaction.execute(
            "INSERT INTO approval (number, tenant, allow, destination, shape, made, until, who, why)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                whole(row.number),
                row.tenant.as_str(),
                row.allow,
                destination,
                shape,
                whole(row.made),
                row.until.map(whole),
                row.who,
                row.why
            ],
        )?;
        Ok(transaction.commit()?)
    }

    /// Takes an answer back. Says whether there was one.
    pub(crate) fn remove_approval(&mut self, id: &TenantId, number: u64) -> Result<bool, StateError> {
        let removed = self.connection.execute(
            "DELETE FROM approval WHERE tenant = ?1 AND number = ?2",
            params![id.as_str(), whole(number)],
        )?;
        Ok(removed > 0)
    }

    /// Removes answers and learning that have ended.
    pub(crate) fn prune_egress(&mut self, now: u64) -> Result<(), StateError> {
        self.connection.execute("DELETE FROM approval WHERE until <= ?1", [whole(now)])?;
        self.connection.execute("DELETE FROM learning WHERE until <= ?1", [whole(now)])?;
        Ok(())
    }

    /// Until when a tenant learns.
    pub(crate) fn learn_until(&self, id: &TenantId) -> Result<Option<u64>, StateError> {
        let mut query = self.connection.prepare_cached("SELECT until FROM learning WHERE tenant = ?1")?;
        query.query_row([id.as_str()], |row| row.get(0)).optional()?.map(back).transpose()
    }

    /// Lets a tenant learn until then, from nothing; or ends it, and keeps what was noted.
    pub(crate) fn set_learning(&mut self, id: &TenantId, until: Option<u64>) -> Result<(), StateError> {
        let transaction = self.connection.transaction()?;
        transaction.execute("DELETE FROM learning WHERE tenant = ?1", [id.as_str()])?;
        if let Some(until) = until {
            transaction.execute("DELETE FROM observation WHERE tenant = ?1", [id.as_str()])?;
            transaction.execute(
                "INSERT INTO learning (tenant, until) VALUES (?1, ?2)",
                params![id.as_str(), whole(until)],
            )?;
        }
        Ok(transaction.commit()?)
    }

    /// Notes what was tried. Once a tenant has as much as is kept, or the same, nothing is written.
    pub(crate) fn observe(&mut self, id: &TenantId, destination: &Destination) -> Result<(), StateError> {
        let text =
            serde_json::to_string(destination).map_err(|error| StateError::Damaged(error.to_string()))?;
        self.connection
            .prepare_cached(
                "INSERT INTO observation (tenant, destination) SELECT ?1, ?2
                 WHERE (SELECT count(*) FROM observation WHERE tenant = ?1) < ?3 ON CONFLICT DO NOTHING",
            )?
            .execute(params![id.as_str(), text, MOST_OBSERVED])?;
        Ok(())
    }

    /// What was noted.
    pub(crate) fn observed(&self, id: &TenantId) -> Result<Vec<Destination>, StateError> {
        let mut query =
            self.connection.prepare_cached("SELECT destination FROM observation WHERE tenant = ?1")?;
        let rows = query.query_map([id.as_str()], |row| row.get::<_, String>(0))?;
        rows.map(|row| {
            serde_json::from_str(&row?)
                .map_err(|_| StateError::Damaged(format!("an observation of tenant {id}")))
        })
        .collect()
    }

    /// Forgets everything about a tenant's egress.
    pub(crate) fn forget_egress(&mut self, id: &TenantId) -> Result<(), StateError> {
        let transaction = self.connection.transaction()?;
        forget(&transaction, id)?;
        Ok(transaction.commit()?)
    }

    /// Certificate of a tenant's authority.
    pub(crate) fn authority(&self, id: &TenantId) -> Result<Option<String>, StateError> {
        let mut query =
            self.connection.prepare_cached("SELECT certificate FROM authority WHERE tenant = ?1")?;
        Ok(query.query_row([id.as_str()], |row| row.get(0)).optional()?)
    }

    /// Notes one.
    pub(crate) fn set_authority(&mut self, id: &TenantId, certificate: &str) -> Result<(), StateError> {
        self.connection.execute(
            "INSERT INTO authority (tenant, certificate) VALUES (?1, ?2)
             ON CONFLICT (tenant) DO UPDATE SET certificate = excluded.certificate",
            [id.as_str(), certificate],
        )?;
        Ok(())
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
