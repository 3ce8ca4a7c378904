//! Restoring: a tenant that is not there is made from the backup; one that is gets its data back ([`super::over`]).

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use api::RestoreSummary;
use host::{ArchiveTask, Cancel};
use model::{Exit, SpecFile, TenantId};

use super::verify::{feed, outcome};
use super::{Opened, summary};
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

impl Service {
    /// Restores a backup. Whatever fails, a tenant that was there is as it was, and one that was not is not.
    pub fn restore(&self, request: RestoreRequest, cancel: &Cancel) -> Result<RestoreSummary, Failure> {
        let opened = self.open_backup(File::from(request.archive))?;
        let id = request.rename.unwrap_or_else(|| opened.head.label.tenant.clone());
        let known = {
            let database = lock(&self.database);
            database.allocation(&id)?.map(|_| database.is_retained(&id)).transpose()?
        };
        match known {
            None => self.restore_new(&id, opened, request.start, cancel),
            Some(true) => Err(Failure::new(
                Exit::CantCreate,
                format!(
                    "tenant {id} was deleted and its data kept: destroy that first (\"tenantctl delete {id} --destroy\"), or restore as another tenant with --as"
                ),
            )),
            Some(false) if !request.replace => Err(Failure::new(
                Exit::CantCreate,
                format!(
                    "tenant {id} exists: say --yes to replace the data it has now by that of the backup, or restore as another tenant with --as"
                ),
            )),
            Some(false) if id != opened.head.label.tenant => Err(Failure::new(
                Exit::CantCreate,
                format!(
                    "the backup is of tenant {}, and tenant {id} exists: it does not get the data of another; delete it first, or give a name that is free with --as",
                    opened.head.label.tenant
                ),
            )),
            Some(false) => self.restore_over(&id, opened, cancel),
        }
    }

    /// Makes a tenant as the backup says, with its data and its secrets. Its gateway gets a new secret of its own.
    fn restore_new(
        &self,
        id: &TenantId,
        opened: Opened,
        start: bool,
        cancel: &Cancel,
    ) -> Result<RestoreSummary, Failure> {
        let Opened { head, kek, mut data } = opened;
        let text = self.spec_for(id, &head.label.spec)?;
        let (mut contents, mut problems) = (String::new(), Vec::new());
        let mut fill = |uid| {
            contents = self.unpack(id, uid, self.paths.data(id), &mut data, cancel)?;
            may_die();
            problems = self.restore_secrets(id, &head.label.tenant, &head.vault)?;
            may_die();
            Ok(head.label.enabled)
        };
        let creation = Creation { text: &text, start, dry_run: false, fill: Some(&mut fill) };
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

    /// The spec of the backup, for the tenant it is restored as.
    fn spec_for(&self, id: &TenantId, text: &str) -> Result<String, Failure> {
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
