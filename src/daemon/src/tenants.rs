//! Create, change, repair, delete: each written down before it begins, each ending in the wanted state or in absence.

use api::Outcome;
use catalog::{EgressGrant, Grant};
use model::{Exit, Key, Kind, SpecFile, TenantId, World};
use plan::{LAYERS, Plan, Scope, Tenant, Wanted, apply, plan, wanted};

use crate::failure::Failure;
use crate::journal::{Progress, StepJournal, lock};
use crate::service::Service;
use crate::state::OperationKind;

/// What fills a tenant that is made, once there is all of it but its unit: given its uid, and answering whether it is enabled.
pub(crate) type Fill<'a> = dyn FnMut(u32) -> Result<bool, Failure> + 'a;

/// A tenant to be made.
pub(crate) struct Creation<'a> {
    pub(crate) text: &'a str,
    /// Digest of what it was shown to allow, where that counts.
    pub(crate) shown: Option<&'a str>,
    pub(crate) start: bool,
    pub(crate) dry_run: bool,
    pub(crate) fill: Option<&'a mut Fill<'a>>,
}

impl Service {
    /// Makes a tenant, if it allows no more than was shown. Whatever fails, nothing of it is left.
    pub fn create(
        &self,
        text: &str,
        shown: Option<&str>,
        (start, dry_run): (bool, bool),
        progress: &Progress,
    ) -> Result<Outcome, Failure> {
        self.create_as(Creation { text, shown, start, dry_run, fill: None }, progress)
    }

    /// The same, for one that is not empty when it begins.
    pub(crate) fn create_as(&self, creation: Creation<'_>, progress: &Progress) -> Result<Outcome, Failure> {
        let written = SpecFile::parse("the spec sent to tenantd", creation.text)?;
        let id = written.id.clone();
        let _occupied = self.occupy(&id)?;
        self.refuse_existing(&id)?;
        self.refuse_unseen(&id, creation.text, creation.shown)?;
        let (text, version) = self.with_version(written, creation.text, None)?;
        let allocation = self.choose_allocation(&id)?;
        let file = self.paths.spec(&id).display().to_string();
        let tenant = self.assemble(
            &file,
            &text,
            Grant { allocation: allocation.clone(), version, egress: EgressGrant::default() },
        )?;
        let mut wanted = wanted(LAYERS, &tenant, &self.facts()?)?;
        if !creation.start {
            wanted.world.take(&unit_key(Kind::Unit, &id));
        }
        self.refuse_foreign(&id, allocation.uid)?;
        let scope = Scope { tenant: id.clone(), uid: Some(allocation.uid), wanted: wanted.world.clone() };
        if creation.dry_run {
            let steps = plan(&scope.wanted, &self.observe(&scope)?);
            return Ok(outcome(&id, &steps, true, &wanted, "absent"));
        }
        let kind = if lock(&self.database).is_retained(&id)? {
            OperationKind::CreateOverKeptData
        } else {
            self.refuse_left_secrets(&id)?;
            OperationKind::Create
        };
        lock(&self.database).begin_create(&id, kind, &allocation)?;
        tracing::info!(tenant = %id, uid = allocation.uid, "create");
        let whole = self.with_authority(&tenant, scope, creation.start);
        match whole.and_then(|scope| self.carry_out(creation.fill, scope, progress)) {
            Ok(steps) => {
                lock(&self.database).end(&id)?;
                self.write_approvals(&id)?;
                let state = if creation.start { "active" } else { "inactive" };
                Ok(outcome(&id, &steps, false, &wanted, state))
            }
            Err(failure) => {
                tracing::error!(tenant = %id, "create failed, rolling back: {failure}");
                match self.roll_back_create(&id, kind, progress) {
                    Ok(()) => Err(failure),
                    Err(second) => Err(failure.and_then(&second)),
                }
            }
        }
    }

    /// The scope of a tenant that is made, with its certificate authority: like a secret, that is made once the tenant is written down.
    fn with_authority(&self, tenant: &Tenant, scope: Scope, start: bool) -> Result<Scope, Failure> {
        if tenant.egress.is_none() {
            return Ok(scope);
        }
        let id = tenant.id();
        self.ensure_authority(id)?;
        let (allocation, version) = (tenant.allocation.clone(), tenant.gateway.version.clone());
        let grant = Grant { allocation, version, egress: self.egress_grant(id)? };
        let tenant = self.assemble(&self.paths.spec(id).display().to_string(), &tenant.spec_text, grant)?;
        let mut wanted = wanted(LAYERS, &tenant, &self.facts()?)?;
        if !start {
            wanted.world.take(&unit_key(Kind::Unit, id));
        }
        Ok(Scope { wanted: wanted.world, ..scope })
    }

    /// The gateway's secret first: written down before it is made, so that a crash takes it back; there before the gateway starts.
    fn carry_out(
        &self,
        fill: Option<&mut Fill<'_>>,
        mut scope: Scope,
        progress: &Progress,
    ) -> Result<Plan, Failure> {
        let id = scope.tenant.clone();
        self.new_gateway_secret(&id)?;
        let mut journal = StepJournal::new(&self.database, &id, progress);
        let Some(fill) = fill else { return Ok(apply(&mut self.host(), &mut journal, &scope)?) };
        // Not before it is whole: a boot would start it.
        let enablement = scope.wanted.take(&unit_key(Kind::Enablement, &id));
        let unit = scope.wanted.take(&unit_key(Kind::Unit, &id));
        apply(&mut self.host(), &mut journal, &scope)?;
        let nobody = || Failure::new(Exit::Software, format!("tenant {id} has no uid: report this"));
        let enabled = fill(scope.uid.ok_or_else(nobody)?)?;
        for resource in enablement.filter(|_| enabled).into_iter().chain(unit) {
            scope.wanted.put(resource);
        }
        Ok(apply(&mut self.host(), &mut journal, &scope)?)
    }

    /// Takes back a creation: the tenant is absent afterwards, its uid and index free, but for data that was there before.
    pub(crate) fn roll_back_create(
        &self,
        id: &TenantId,
        kind: OperationKind,
        progress: &Progress,
    ) -> Result<(), Failure> {
        let retain = kind == OperationKind::CreateOverKeptData;
        host::end_archive(&self.systemd, id)?;
        // Kept data has secrets of its own beside it.
        let destroyed = if retain { Ok(()) } else { self.destroy_secrets(id) };
        let kept = if retain { self.data_of(id)? } else { World::empty() };
        self.remove_objects(id, kept, progress)?;
        lock(&self.database).end_absent(id, retain)?;
        destroyed
    }

    /// Makes an existing tenant as this spec says, if it allows no more than was shown. If that fails, the tenant is as it was.
    pub fn change(
        &self,
        text: &str,
        shown: Option<&str>,
        dry_run: bool,
        progress: &Progress,
    ) -> Result<Outcome, Failure> {
        let written = SpecFile::parse("the spec sent to tenantd", text)?;
        let id = written.id.clone();
        let _occupied = self.occupy(&id)?;
        let allocation = self.existing(&id)?;
        let (on_disk, before) = catalog::read_spec(&self.paths, &id)?;
        self.refuse_unseen(&id, text, shown)?;
        self.prepare_egress(&id, &written, dry_run)?;
        let (text, version) = self.with_version(written, text, Some(&on_disk))?;
        let file = self.paths.spec(&id).display().to_string();
        let egress = self.egress_grant(&id)?;
        let tenant =
            self.assemble(&file, &text, Grant { allocation: allocation.clone(), version, egress })?;
        let wanted = wanted(LAYERS, &tenant, &self.facts()?)?;
        let scope = self.scope_as_running(&id, allocation.uid, wanted.world.clone())?;
        if dry_run {
            let steps = plan(&scope.wanted, &self.observe(&scope)?);
            return Ok(outcome(&id, &steps, true, &wanted, &self.state_word(&id)?));
        }
        let runs = runs(&scope);
        self.ensure_gateway_secret(&id)?;
        lock(&self.database).begin(&id, OperationKind::change(runs), &text)?;
        tracing::info!(tenant = %id, "change");
        let done = apply(&mut self.host(), &mut StepJournal::new(&self.database, &id, progress), &scope);
        match done {
            Ok(steps) => {
                lock(&self.database).end(&id)?;
                self.settle_egress(&tenant)?;
                Ok(outcome(&id, &steps, false, &wanted, &self.state_word(&id)?))
            }
            Err(error) => {
                tracing::error!(tenant = %id, "change failed, going back: {error}");
                let failure = Failure::from(error);
                if let Err(second) = self.go_to(&id, &before, runs, progress) {
                    return Err(failure.and_then(&second));
                }
                lock(&self.database).end(&id)?;
                Err(Failure::new(
                    failure.exit,
                    format!("{}: the tenant is as it was before", failure.sentence),
                ))
            }
        }
    }

    /// Makes a tenant's objects what this spec text says, running if it `runs`: how it is now does not tell, because a gateway
    /// that fails or is interrupted while it is changed does not run any more.
    pub(crate) fn go_to(
        &self,
        id: &TenantId,
        text: &str,
        runs: bool,
        progress: &Progress,
    ) -> Result<Plan, Failure> {
        let allocation = self.existing(id)?;
        self.ensure_gateway_secret(id)?;
        let file = self.paths.spec(id).display().to_string();
        let written = SpecFile::parse(&file, text)?;
        self.prepare_egress(id, &written, false)?;
        let uid = allocation.uid;
        let grant = Grant { allocation, version: written.version, egress: self.egress_grant(id)? };
        let tenant = self.assemble(&file, text, grant)?;
        let wanted = wanted(LAYERS, &tenant, &self.facts()?)?;
        let unit = wanted.world.get(&unit_key(Kind::Unit, id)).cloned();
        let mut scope = self.scope_as_running(id, uid, wanted.world)?;
        if let Some(unit) = unit.filter(|_| runs) {
            scope.wanted.put(unit);
        }
        let steps = apply(&mut self.host(), &mut StepJournal::new(&self.database, id, progress), &scope)?;
        self.settle_egress(&tenant)?;
        Ok(steps)
    }

    /// Makes a tenant's objects what its spec on disk says, if it allows no more than was shown.
    pub fn repair(
        &self,
        id: &TenantId,
        shown: Option<&str>,
        dry_run: bool,
        progress: &Progress,
    ) -> Result<Outcome, Failure> {
        let _occupied = self.occupy(id)?;
        self.existing(id)?;
        let (written, text) = catalog::read_spec(&self.paths, id)?;
        self.refuse_unseen(id, &text, shown)?;
        self.prepare_egress(id, &written, dry_run)?;
        let (tenant, wanted) = self.wanted_by(id, written.version, &text)?;
        let scope = self.scope_as_running(id, tenant.allocation.uid, wanted.world.clone())?;
        let steps = if dry_run {
            plan(&scope.wanted, &self.observe(&scope)?)
        } else {
            self.ensure_gateway_secret(id)?;
            lock(&self.database).begin(id, OperationKind::change(runs(&scope)), &tenant.spec_text)?;
            let done = apply(&mut self.host(), &mut StepJournal::new(&self.database, id, progress), &scope);
            lock(&self.database).end(id)?;
            let steps = done?;
            self.settle_egress(&tenant)?;
            steps
        };
        Ok(outcome(id, &steps, dry_run, &wanted, &self.state_word(id)?))
    }

    /// Deletes a tenant; destroys also one of which only kept data is left. Whatever fails, a second call goes on.
    pub fn delete(
        &self,
        id: &TenantId,
        (keep_data, destroy): (bool, bool),
        dry_run: bool,
        progress: &Progress,
    ) -> Result<Outcome, Failure> {
        let _occupied = self.occupy(id)?;
        if !(destroy && lock(&self.database).is_retained(id)?) {
            self.existing(id)?;
        }
        let kept = if keep_data { self.data_of(id)? } else { World::empty() };
        if dry_run {
            let scope = self.scope(id, kept)?;
            let steps = plan(&scope.wanted, &self.observe(&scope)?);
            return Ok(outcome(id, &steps, true, &Wanted::default(), "absent"));
        }
        let kind = if keep_data { OperationKind::DeleteKeepingData } else { OperationKind::Delete };
        lock(&self.database).begin(id, kind, "")?;
        tracing::info!(tenant = %id, keep_data, "delete");
        // First, so that whatever the disk keeps of it is noise. A vault that cannot be destroyed keeps no tenant alive.
        let destroyed = if keep_data { Ok(()) } else { self.destroy_secrets(id) };
        let revoked = self.revoke_tenant(id);
        let steps = self.remove_objects(id, kept, progress)?;
        lock(&self.database).end_absent(id, keep_data)?;
        self.forget_requests(id);
        if destroy {
            lock(&self.database).forget_backups(id)?;
        }
        revoked.map_err(|failure| {
            let text =
                format!("tenant {id} is deleted, but its tokens are not revoked: {}", failure.sentence);
            Failure::new(failure.exit, text)
        })?;
        destroyed.map_err(|failure| {
            let text = format!("tenant {id} is deleted, but not its secrets: {}", failure.sentence);
            Failure::new(failure.exit, text)
        })?;
        Ok(outcome(id, &steps, false, &Wanted::default(), "absent"))
    }

    /// Removes everything of a tenant but what is in `kept`.
    pub(crate) fn remove_objects(
        &self,
        id: &TenantId,
        kept: World,
        progress: &Progress,
    ) -> Result<Plan, Failure> {
        let scope = self.scope(id, kept)?;
        let steps = apply(&mut self.host(), &mut StepJournal::new(&self.database, id, progress), &scope)?;
        host::forget_proxy(&self.systemd, &self.paths, id)?;
        Ok(steps)
    }

    /// The data directories of a tenant as they are.
    pub(crate) fn data_of(&self, id: &TenantId) -> Result<World, Failure> {
        let observed = self.observe(&self.scope(id, World::empty())?)?;
        let top = self.paths.data(id);
        let is_data = |key: &Key| {
            matches!(key.kind, Kind::Directory | Kind::Quota)
                && std::path::Path::new(&key.name).starts_with(&top)
        };
        Ok(observed.iter().filter(|(key, _)| is_data(key)).map(|(_, resource)| resource.clone()).collect())
    }

    fn scope(&self, id: &TenantId, wanted: World) -> Result<Scope, Failure> {
        let uid = lock(&self.database).allocation(id)?.map(|allocation| allocation.uid);
        Ok(Scope { tenant: id.clone(), uid, wanted })
    }

    /// A scope that neither starts nor stops the unit and leaves its enablement alone: those are the operator's.
    fn scope_as_running(&self, id: &TenantId, uid: u32, mut wanted: World) -> Result<Scope, Failure> {
        let scope = Scope { tenant: id.clone(), uid: Some(uid), wanted: wanted.clone() };
        let observed = self.observe(&scope)?;
        for kind in [Kind::Unit, Kind::Enablement] {
            let key = unit_key(kind, id);
            if observed.get(&key).is_none() {
                wanted.take(&key);
            }
        }
        Ok(Scope { wanted, ..scope })
    }

    fn observe(&self, scope: &Scope) -> Result<World, Failure> {
        Ok(plan::Host::observe(&self.host(), scope)?)
    }

    /// A tenant of that name exists, or only its data does, or somebody else's thing is in the way.
    fn refuse_existing(&self, id: &TenantId) -> Result<(), Failure> {
        let database = lock(&self.database);
        if database.allocation(id)?.is_some() && !database.is_retained(id)? {
            return Err(Failure::new(
                Exit::CantCreate,
                format!(
                    "tenant {id} exists already: change it with \"tenantctl set {id}\", or choose another name"
                ),
            ));
        }
        Ok(())
    }

    /// Refuses what already lies under the tenant's names and is not its own kept data.
    fn refuse_foreign(&self, id: &TenantId, uid: u32) -> Result<(), Failure> {
        let retained = lock(&self.database).is_retained(id)?;
        let scope = Scope { tenant: id.clone(), uid: Some(uid), wanted: World::empty() };
        let observed = self.observe(&scope)?;
        let top = self.paths.data(id);
        for (key, _) in observed.iter() {
            let own_data = retained && std::path::Path::new(&key.name).starts_with(&top);
            if !own_data {
                return Err(Failure::new(
                    Exit::CantCreate,
                    format!(
                        "tenant {id}: {key} exists already and tenantd did not make it: move it away or choose another name"
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// Whether the unit is to run.
fn runs(scope: &Scope) -> bool {
    scope.wanted.get(&unit_key(Kind::Unit, &scope.tenant)).is_some()
}

fn unit_key(kind: Kind, id: &TenantId) -> Key {
    Key { kind, name: id.unit() }
}

fn outcome(id: &TenantId, steps: &Plan, dry_run: bool, wanted: &Wanted, state: &str) -> Outcome {
    Outcome {
        id: id.to_string(),
        steps: steps.ops.iter().map(ToString::to_string).collect(),
        dry_run,
        missing: wanted.missing.clone(),
        state: state.to_owned(),
    }
}
