//! Restoring over a tenant that is there. Its data comes back beside what it has now, while it runs; then the two directories change
//! names. Spec, limits and secrets are the operator's and stay as they are.
//!
//! Which names are there says how far it had come, so that a crash anywhere is undone from the names alone:
//!
//! | `NAME` | `.NAME.new` | `.NAME.old` | |
//! |---|---|---|---|
//! | before | restored | – | nothing was exchanged |
//! | – | restored | before | in the midst of it |
//! | restored | – | before | exchanged, and the gateway has not answered yet |

use std::path::PathBuf;

use api::RestoreSummary;
use host::Cancel;
use model::{Exit, Key, Kind, Owner, Resource, SpecFile, TenantId};
use plan::{Host, Op};

use super::{Opened, summary};
use crate::egress::{no_change, refuse_other};
use crate::failure::Failure;
use crate::journal::{lock, may_die};
use crate::service::{Occupied, Service};
use crate::state::OperationKind;

const OURS: [&str; 3] = ["home", "state", "workspace"];

impl Service {
    /// Gives a tenant the data of a backup. If that fails, it runs on, or again, with what it had.
    pub(super) fn restore_over(
        &self,
        id: &TenantId,
        opened: Opened,
        shown: Option<&str>,
        cancel: &Cancel,
    ) -> Result<RestoreSummary, Failure> {
        let _occupied = self.occupy_as_shown(id, shown)?;
        let Opened { head, kek, mut data } = opened;
        let allocation = self.existing(id)?;
        let problems = self.differences(id, &head.label.spec)?;
        let quota = self.quota(id)?;
        let runs = self.systemd.unit(&id.unit())?.is_up();
        let kind = if runs { OperationKind::Restore } else { OperationKind::RestoreStopped };
        lock(&self.database).begin(id, kind, "")?;
        let done = self.make_beside(id, allocation.uid, quota).and_then(|beside| {
            may_die();
            // Its processes have the same uid as the program that unpacks, and would be able to stop it.
            host::freeze_tenant(&self.systemd, id)?;
            let unpack = || self.unpack(id, allocation.uid, beside, &mut data, cancel);
            let contents = self.thawed_in_time(id, cancel, unpack);
            host::thaw_tenant(&self.systemd, id)?;
            let contents = contents?;
            may_die();
            self.exchange(id)?;
            may_die();
            if runs {
                self.systemd.start(&id.unit())?;
            }
            may_die();
            // The last thing that may fail: from here on nothing is taken back.
            lock(&self.database).become_kind(id, OperationKind::Restored)?;
            Ok(contents)
        });
        match done {
            Ok(contents) => {
                may_die();
                self.finish_restore(id)?;
                may_die();
                lock(&self.database).end(id)?;
                tracing::info!(tenant = %id, from = %head.label.tenant, kek = %kek, "restored over what it had");
                Ok(RestoreSummary {
                    tenant: id.to_string(),
                    replaced: true,
                    state: self.state_word(id)?,
                    backup: summary(&head, kek, contents),
                    problems,
                })
            }
            Err(failure) => {
                tracing::error!(tenant = %id, "restore failed, going back: {failure}");
                let back = self.take_restore_back(id).and_then(|()| self.start_again(id, runs));
                let back = back.and_then(|()| Ok(lock(&self.database).end(id)?));
                if let Err(second) = back {
                    return Err(failure.and_then(&second));
                }
                if runs && let Err(second) = self.systemd.start(&id.unit()) {
                    let text = format!(
                        "{}: tenant {id} has the data it had before, but does not start with it either: {}",
                        failure.sentence, second.message
                    );
                    return Err(Failure::new(failure.exit, text));
                }
                Err(Failure::new(
                    failure.exit,
                    format!("{}: tenant {id} is as it was before", failure.sentence),
                ))
            }
        }
    }

    /// Takes the tenant, if what was shown is that it is allowed nothing more.
    fn occupy_as_shown(&self, id: &TenantId, shown: Option<&str>) -> Result<Occupied<'_>, Failure> {
        let occupied = self.occupy(id)?;
        if let Some(shown) = shown {
            refuse_other(id, &no_change(id)?, shown)?;
        }
        Ok(occupied)
    }

    /// What an operator should know who expects everything to be as in the backup.
    fn differences(&self, id: &TenantId, text: &str) -> Result<Vec<String>, Failure> {
        let then = SpecFile::parse("the spec in the backup", text)?;
        let (now, _) = catalog::read_spec(&self.paths, id)?;
        if then.runtime != now.runtime {
            let text = format!(
                "tenant {id} has runtime {}, and the backup is of runtime {}: restore it as another tenant with --as",
                now.runtime, then.runtime
            );
            return Err(Failure::new(Exit::Data, text));
        }
        let version = |spec: &SpecFile| spec.version.clone().unwrap_or_else(|| "-".to_owned());
        let differ = version(&then) != version(&now);
        let text = || {
            format!(
                "the backup was made with version {} of runtime {}, and tenant {id} runs {}",
                version(&then),
                then.runtime,
                version(&now)
            )
        };
        Ok(differ.then(text).into_iter().collect())
    }

    /// A data directory beside the tenant's own, with the same owners, and within a quota of twice the tenant's: both are there for a while.
    fn make_beside(&self, id: &TenantId, uid: u32, quota: Option<(u32, u64)>) -> Result<PathBuf, Failure> {
        self.remove_beside(id)?;
        let (beside, _) = self.beside(id);
        let mut host = self.host();
        let top = (beside.clone(), Owner::root_for(uid), 0o750, false);
        let three = OURS.map(|name| (beside.join(name), Owner::tenant(uid), 0o700, true));
        for (path, owner, mode, tenant_content) in [top].into_iter().chain(three) {
            host.perform(&Op::Make { resource: Resource::Directory { path, owner, mode, tenant_content } })?;
        }
        if let Some((project, bytes)) = quota {
            let bytes = bytes.saturating_mul(2);
            host.perform(&Op::Make { resource: Resource::Quota { path: beside.clone(), project, bytes } })?;
        }
        Ok(beside)
    }

    /// Stops the tenant and puts the restored directory in the place of its own.
    fn exchange(&self, id: &TenantId) -> Result<(), Failure> {
        host::stop_tenant(&self.systemd, id)?;
        let (new, old) = self.beside(id);
        let own = self.paths.data(id);
        may_die();
        host::move_directory(&own, &old)?;
        may_die();
        host::move_directory(&new, &own)?;
        // Whoever started it meanwhile has the old directory.
        Ok(host::stop_tenant(&self.systemd, id)?)
    }

    /// Undoes a restore that was not brought to its end. The tenant is to be started then, if it ran.
    pub(crate) fn take_restore_back(&self, id: &TenantId) -> Result<(), Failure> {
        self.let_go(id)?;
        let (new, old) = self.beside(id);
        let own = self.paths.data(id);
        if host::directory_exists(&old)? {
            // What it did with data that goes is no loss.
            self.systemd.kill(&id.unit())?;
            host::stop_tenant(&self.systemd, id)?;
            if host::directory_exists(&own)? {
                host::move_directory(&own, &new)?;
            }
            host::move_directory(&old, &own)?;
        }
        self.finish_restore(id)
    }

    /// Removes what is beside the tenant's data, and puts its quota back.
    pub(crate) fn finish_restore(&self, id: &TenantId) -> Result<(), Failure> {
        self.remove_beside(id)?;
        let put_back = self.quota(id).and_then(|quota| {
            let Some((project, bytes)) = quota else { return Ok(()) };
            let path = self.paths.data(id);
            Ok(self.host().perform(&Op::Change { resource: Resource::Quota { path, project, bytes } })?)
        });
        // Shown as drift, and mended by a repair. A spec that cannot be read is no reason to lock the tenant.
        if let Err(failure) = put_back {
            tracing::warn!(tenant = %id, "its quota is not as before: {failure}");
        }
        Ok(())
    }

    fn remove_beside(&self, id: &TenantId) -> Result<(), Failure> {
        let Some(allocation) = lock(&self.database).allocation(id)? else { return Ok(()) };
        let (new, old) = self.beside(id);
        let mut host = self.host();
        for top in [new, old] {
            if !host::directory_exists(&top)? {
                continue;
            }
            let three = OURS.map(|name| (top.join(name), Owner::tenant(allocation.uid), true));
            let all = three.into_iter().chain([(top, Owner::root_for(allocation.uid), false)]);
            for (path, owner, tenant_content) in all {
                let resource = Resource::Directory { path, owner, mode: 0o700, tenant_content };
                host.perform(&Op::Remove { resource })?;
            }
        }
        Ok(())
    }

    /// Where the restored data is until it is exchanged, and where the tenant's own is from then on. No tenant's name has a dot.
    fn beside(&self, id: &TenantId) -> (PathBuf, PathBuf) {
        let name = id.system_name();
        let top = self.paths.all_data();
        (top.join(format!(".{name}.new")), top.join(format!(".{name}.old")))
    }

    /// Project and bytes of the tenant's quota, if it has one.
    fn quota(&self, id: &TenantId) -> Result<Option<(u32, u64)>, Failure> {
        let (_, wanted) = self.wanted_on_disk(id)?;
        let key = Key { kind: Kind::Quota, name: self.paths.data(id).display().to_string() };
        Ok(match wanted.world.get(&key) {
            Some(Resource::Quota { project, bytes, .. }) => Some((*project, *bytes)),
            Some(_) | None => None,
        })
    }
}
