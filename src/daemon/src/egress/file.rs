//! The compiled files of a tenant's egress: read as its proxy reads them, and `approvals.json` written as a plan would.

use catalog::EgressGrant;
use host::files;
use model::egress::{APPROVALS_FORMAT, ApprovalsFile, EgressFile};
use model::{Exit, Owner, TenantId};
use policy::Policy;

use super::render;
use super::store::Row;
use crate::failure::Failure;
use crate::journal::lock;
use crate::service::Service;

const APPROVALS: &str = "approvals.json";
/// Bytes of one of these files, at most.
const MOST: usize = 8 << 20;

impl Service {
    /// What the daemon adds to a tenant's egress, from `state.db` alone.
    pub(crate) fn egress_grant(&self, id: &TenantId) -> Result<EgressGrant, Failure> {
        let database = lock(&self.database);
        Ok(EgressGrant {
            approvals: render::document(&database.approvals(id)?),
            learn_until: database.learn_until(id)?,
            authority: database.authority(id)?,
        })
    }

    /// What decides for a tenant: its compiled file.
    pub(super) fn egress_file(&self, id: &TenantId) -> Result<EgressFile, Failure> {
        self.find_egress_file(id)?.ok_or_else(|| {
            Failure::new(
                Exit::NoInput,
                format!("tenant {id} has no egress: it reaches nothing; give it a profile with \"tenantctl egress set {id} --profile NAME\"")
            )
        })
    }

    /// The same; nothing for a tenant without egress.
    pub(super) fn find_egress_file(&self, id: &TenantId) -> Result<Option<EgressFile>, Failure> {
        self.existing(id)?;
        let path = self.paths.egress(id).join("egress.json");
        let Some(bytes) = files::read_bounded(&path, MOST)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            let text = format!("{} is damaged ({error}): run \"tenantctl repair {id}\"", path.display());
            Failure::new(Exit::OsFile, text)
        })
    }

    /// The policy in force.
    pub(super) fn policy_in_force(&self, id: &TenantId) -> Result<(EgressFile, Policy), Failure> {
        let file = self.egress_file(id)?;
        let grant = self.egress_grant(id)?;
        let policy = compile(&file, &approvals_file(id, grant))?;
        Ok((file, policy))
    }

    /// The policy that these answers would make.
    pub(super) fn policy_with(&self, file: &EgressFile, rows: &[Row]) -> Result<Policy, String> {
        let grant = EgressGrant { approvals: render::document(rows), ..EgressGrant::default() };
        policy::compile(file, Some(&approvals_file(&file.tenant, grant))).map_err(|error| error.to_string())
    }

    /// Makes `approvals.json` say what `state.db` says. Only a plan makes and removes its directory.
    pub(crate) fn write_approvals(&self, id: &TenantId) -> Result<(), Failure> {
        let _writing = lock(&self.egress.writing);
        self.write_approvals_held(id)
    }

    /// The same, for whoever keeps others from writing.
    pub(super) fn write_approvals_held(&self, id: &TenantId) -> Result<(), Failure> {
        let Some(bytes) = self.stale_approvals(id)? else { return Ok(()) };
        let path = self.paths.egress(id).join(APPROVALS);
        Ok(files::write_atomic(&path, Owner::ROOT, 0o644, &bytes)?)
    }

    /// What `approvals.json` should say, where it says something else.
    pub(super) fn stale_approvals(&self, id: &TenantId) -> Result<Option<Vec<u8>>, Failure> {
        if self.find_egress_file(id)?.is_none() {
            return Ok(None);
        }
        let bytes = serde_json::to_vec(&approvals_file(id, self.egress_grant(id)?))?;
        let found = files::read_bounded(&self.paths.egress(id).join(APPROVALS), MOST)?;
        Ok(Some(bytes).filter(|bytes| found.as_ref() != Some(bytes)))
    }
}

fn approvals_file(id: &TenantId, grant: EgressGrant) -> ApprovalsFile {
    ApprovalsFile {
        format: APPROVALS_FORMAT,
        tenant: id.clone(),
        document: grant.approvals,
        learn_until: grant.learn_until,
    }
}

/// Compiles as the proxy does.
pub(super) fn compile(file: &EgressFile, approvals: &ApprovalsFile) -> Result<Policy, Failure> {
    policy::compile(file, Some(approvals)).map_err(|error| {
        let id = &file.tenant;
        Failure::new(
            Exit::Data,
            format!("the policy of tenant {id} cannot be read: {error}: run \"tenantctl repair {id}\""),
        )
    })
}
