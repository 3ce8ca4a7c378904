//! Restoring: a tenant that is not there is made from the backup; one that is gets its data back ([`super::over`]).

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use api::{Change, RestoreSummary};
use backup::Label;
use host::{ArchiveTask, Cancel};
use model::{Exit, SpecFile, TenantId};

use super::verify::{feed, outcome};
use super::{Opened, summary};
use crate::egress::no_change;
use crate::failure::Failure;
use crate::journal::{lock, may_die};
use crate::service::Service;
use crate::tenants::Creation;

/// What to restore.
#[derive(Debug)]
pub struct RestoreRequest {
    /// The backup, opened by the caller.
    pub archive: OwnedFd,
    /// Another name for the tenant.
    pub rename: Option<TenantId>,
    /// Replace the data of a tenant that is there.
    pub replace: bool,
    /// Start a tenant that is made.
    pub start: bool,
}

/// What becomes of a backup.
#[derive(Debug)]
enum Goal {
    /// A tenant that is not there, made as this spec says.
    New(TenantId, String),
    /// A tenant that is there and keeps its spec.
    Over(TenantId),
}

impl Service {
    /// Restores a backup, if it allows no more than was shown. Whatever fails, a tenant that was there is as it was, and one that was not is not.
    pub fn restore(
        &self,
        request: RestoreRequest,
        shown: Option<&str>,
        cancel: &Cancel,
    ) -> Result<RestoreSummary, Failure> {
        let opened = self.open_backup(File::from(request.archive))?;
        match self.goal(request.rename, request.replace, &opened.head.label)? {
            Goal::New(id, text) => self.restore_new(&id, opened, (&text, shown, request.start), cancel),
            Goal::Over(id) => self.restore_over(&id, opened, shown, cancel),
        }
    }

    /// What restoring a backup would allow beyond the policy in force.
    pub fn check_restore(&self, request: RestoreRequest) -> Result<Change, Failure> {
        let opened = self.open_backup(File::from(request.archive))?;
        self.restored_change(request.rename, request.replace, &opened.head.label)
    }

    /// The same, by what a backup says of itself.
    fn restored_change(
        &self,
        rename: Option<TenantId>,
        replace: bool,
        label: &Label,
    ) -> Result<Change, Failure> {
        match self.goal(rename, replace, label)? {
            Goal::New(id, text) => self.check_change(&id, &text),
            Goal::Over(id) => no_change(&id),
        }
    }

    /// Which tenant gets it, and how.
    fn goal(&self, rename: Option<TenantId>, replace: bool, label: &Label) -> Result<Goal, Failure> {
        let id = rename.unwrap_or_else(|| label.tenant.clone());
        let known = {
            let database = lock(&self.database);
            database.allocation(&id)?.map(|_| database.is_retained(&id)).transpose()?
        };
        match known {
            None => {
                let text = spec_for(&id, &label.spec)?;
                Ok(Goal::New(id, text))
            }
            Some(true) => Err(Failure::new(
                Exit::CantCreate,
                format!(
                    "tenant {id} was deleted and its data kept: destroy that first (\"tenantctl delete {id} --destroy\"), or restore as another tenant with --as"
                ),
            )),
            Some(false) if !replace => Err(Failure::new(
                Exit::CantCreate,
                format!(
                    "tenant {id} exists: say --yes to replace the data it has now by that of the backup, or restore as another tenant with --as"
                ),
            )),
            Some(false) if id != label.tenant => Err(Failure::new(
                Exit::CantCreate,
                format!(
                    "the backup is of tenant {}, and tenant {id} exists: it does not get the data of another; delete it first, or give a name that is free with --as",
                    label.tenant
                ),
            )),
            Some(false) => Ok(Goal::Over(id)),
        }
    }

    /// Makes a tenant as the backup says, with its data and its secrets. Its gateway gets a new secret of its own.
    fn restore_new(
        &self,
        id: &TenantId,
        opened: Opened,
        (text, shown, start): (&str, Option<&str>, bool),
        cancel: &Cancel,
    ) -> Result<RestoreSummary, Failure> {
        let Opened { head, kek, mut data } = opened;
        let (mut contents, mut problems) = (String::new(), Vec::new());
        let mut fill = |uid| {
            contents = self.unpack(id, uid, self.paths.data(id), &mut data, cancel)?;
            may_die();
            problems = self.restore_secrets(id, &head.label.tenant, &head.vault)?;
            may_die();
            Ok(head.label.enabled)
        };
        let creation = Creation { text, shown, start, dry_run: false, fill: Some(&mut fill) };
        let made = self.create_as(creation, &|_, _| {})?;
        tracing::info!(tenant = %id, from = %head.label.tenant, kek = %kek, "restored");
        Ok(RestoreSummary {
            tenant: id.to_string(),
            replaced: false,
            state: made.state,
            backup: summary(&head, kek, contents),
            problems,
        })
    }

    /// Lets the tenant unpack its data into a directory that holds its three, empty.
    pub(super) fn unpack(
        &self,
        id: &TenantId,
        uid: u32,
        directory: PathBuf,
        data: &mut impl std::io::Read,
        cancel: &Cancel,
    ) -> Result<String, Failure> {
        let task = ArchiveTask::Unpack { uid, directory };
        let (unpacked, fed) = host::archive(&self.systemd, id, &task, cancel, |to| feed(data, to))?;
        outcome(unpacked, fed)
    }
}

/// The spec of the backup, for the tenant it is restored as.
fn spec_for(id: &TenantId, text: &str) -> Result<String, Failure> {
    let written = SpecFile::parse("the spec in the backup", text)?;
    if written.id == *id {
        return Ok(text.to_owned());
    }
    catalog::write_id(text, id).ok_or_else(|| {
        Failure::new(
            Exit::Data,
            format!("the spec in the backup of tenant {} cannot be given to tenant {id}: restore it under its own name", written.id),
        )
    })
}

#[cfg(test)]
#[path = "restore_tests.rs"]
mod tests;
