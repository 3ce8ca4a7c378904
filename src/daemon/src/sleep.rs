//! Tenants that sleep: stopped, to be started by the next request through the edge. One that its administrator stopped is not.
//!
//! The note is in `state.db`. It is void as soon as anybody starts or stops the tenant, by tenantd or, as far as systemd remembers,
//! without it.

use std::collections::BTreeSet;

use host::UnitStatus;
use model::{Exit, TenantId};
use rusqlite::{OptionalExtension, params};

use crate::failure::Failure;
use crate::journal::lock;
use crate::service::Service;
use crate::state::{Database, StateError};

/// A note of a tenant that is still on its way down.
const FALLING: i64 = -1;

/// What becomes of a request to wake a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// Its gateway answers.
    Ready,
    /// Its administrator stopped it.
    Stopped,
    /// There is no such tenant.
    Unknown,
    /// It did not start.
    Failed,
}

impl Service {
    /// Stops a tenant until somebody needs it.
    pub fn sleep(&self, id: &TenantId) -> Result<(), Failure> {
        self.existing(id)?;
        self.refuse_meanwhile(id)?;
        let unit = self.systemd.unit(&id.unit())?;
        if !unit.is_up() {
            if self.is_asleep(id, &unit)? {
                return Ok(());
            }
            let text = format!(
                "tenant {id} does not run, and no request wakes one that its administrator stopped: start it first with \"tenantctl start {id}\""
            );
            return Err(Failure::new(Exit::TempFail, text));
        }
        // Noted before and confirmed after: an administrator's stop in between takes the note away.
        lock(&self.database).note_sleep(id, FALLING)?;
        self.systemd.stop(&id.unit())?;
        let since = self.systemd.unit(&id.unit())?.inactive_since_usec;
        lock(&self.database).confirm_sleep(id, i64::try_from(since).unwrap_or(0))?;
        tracing::info!(tenant = %id, "sleeps");
        Ok(())
    }

    /// Whether a request may start it. `unit` is what systemd says of it now.
    pub(crate) fn is_asleep(&self, id: &TenantId, unit: &UnitStatus) -> Result<bool, Failure> {
        let noted = lock(&self.database).sleep_note(id)?;
        let known = i64::try_from(unit.inactive_since_usec).unwrap_or(0);
        // systemd forgets a unit that is down and that nothing names; one that it knows went down by somebody else's hand since.
        Ok(noted.is_some_and(|noted| {
            noted != FALLING && !unit.is_up() && (known == 0 || noted == 0 || known == noted)
        }))
    }

    /// Nobody's request starts it from now on: somebody decided otherwise.
    pub(crate) fn end_sleep(&self, id: &TenantId) -> Result<(), Failure> {
        Ok(lock(&self.database).forget_sleep(id)?)
    }

    /// Starts a tenant that sleeps, or says why not. Returns when its gateway answers, or does not.
    pub(crate) fn wake(&self, id: &TenantId) -> Result<Woken, Failure> {
        match self.existing(id) {
            Ok(_) => {}
            Err(failure) if failure.exit == Exit::NoInput => return Ok(Woken::Unknown),
            Err(failure) => return Err(failure),
        }
        let unit = self.systemd.unit(&id.unit())?;
        if unit.active_state == "active" {
            self.end_sleep(id)?;
            return Ok(Woken::Ready);
        }
        if !unit.is_up() && !self.is_asleep(id, &unit)? {
            return Ok(if unit.active_state == "failed" { Woken::Failed } else { Woken::Stopped });
        }
        self.refuse_meanwhile(id)?;
        // One that is on its way up is waited for by the same call.
        self.systemd.start(&id.unit())?;
        self.end_sleep(id)?;
        tracing::info!(tenant = %id, "woken");
        Ok(Woken::Ready)
    }
}

impl Database {
    fn note_sleep(&mut self, id: &TenantId, since: i64) -> Result<(), StateError> {
        let statement = "INSERT INTO sleeping (tenant, since) VALUES (?1, ?2) ON CONFLICT (tenant) DO UPDATE SET since = excluded.since";
        self.connection.execute(statement, params![id.as_str(), since])?;
        Ok(())
    }

    /// Only what was noted meanwhile and is noted still.
    fn confirm_sleep(&mut self, id: &TenantId, since: i64) -> Result<(), StateError> {
        let statement = "UPDATE sleeping SET since = ?2 WHERE tenant = ?1 AND since = ?3";
        self.connection.execute(statement, params![id.as_str(), since, FALLING])?;
        Ok(())
    }

    fn sleep_note(&self, id: &TenantId) -> Result<Option<i64>, StateError> {
        let mut query = self.connection.prepare_cached("SELECT since FROM sleeping WHERE tenant = ?1")?;
        Ok(query.query_row([id.as_str()], |row| row.get(0)).optional()?)
    }

    /// Nothing is noted of it any more.
    pub(crate) fn forget_sleep(&mut self, id: &TenantId) -> Result<(), StateError> {
        self.connection.execute("DELETE FROM sleeping WHERE tenant = ?1", [id.as_str()])?;
        Ok(())
    }

    /// Names of all tenants of which it is noted.
    pub(crate) fn sleepers(&self) -> Result<BTreeSet<String>, StateError> {
        let mut query = self.connection.prepare_cached("SELECT tenant FROM sleeping WHERE since != ?1")?;
        let rows = query.query_map([FALLING], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_counts_once_it_is_confirmed_and_not_when_it_was_taken_away_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let mut database = Database::open(&dir.path().join("state.db")).unwrap();
        let id = TenantId::parse("acme").unwrap();
        database.note_sleep(&id, FALLING).unwrap();
        assert!(database.sleepers().unwrap().is_empty());
        database.confirm_sleep(&id, 7).unwrap();
        assert_eq!((database.sleep_note(&id).unwrap(), database.sleepers().unwrap().len()), (Some(7), 1));
        database.note_sleep(&id, FALLING).unwrap();
        database.forget_sleep(&id).unwrap();
        database.confirm_sleep(&id, 8).unwrap();
        assert_eq!(database.sleep_note(&id).unwrap(), None);
    }
}
