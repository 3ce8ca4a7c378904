//! What a change allows that was not allowed before: shown before it is made, asked about where there is someone to ask, and refused
//! where that was wanted. tenantd then makes the change that was shown, or none.

use api::{Change, Manager1Proxy, NewRisk, Outcome, Widening};
use model::{SpecFile, TenantId};
use serde::Serialize;

use crate::cli::ConsentArgs;
use crate::confirm::confirm;
use crate::create::outcome;
use crate::failure::Failure;
use crate::progress;
use crate::session::Session;

/// What a change did, with what it allows beyond what was allowed before.
#[derive(Debug, Serialize)]
pub(crate) struct Made<T = Outcome> {
    #[serde(flatten)]
    pub(crate) outcome: T,
    widens: Vec<Widening>,
    risks: Vec<NewRisk>,
}

impl<T> Made<T> {
    /// Puts both together.
    pub(crate) fn new(outcome: T, change: Option<Change>) -> Self {
        let Change { widens, risks, .. } = change.unwrap_or_default();
        Made { outcome, widens, risks }
    }
}

/// What a spec would allow. Without egress a tenant reaches nothing, so there is nothing to look at.
pub(crate) async fn look(
    session: &mut Session,
    tenant: &TenantId,
    spec: &str,
) -> Result<Option<Change>, Failure> {
    if SpecFile::parse(&format!("{tenant}.toml"), spec)?.egress.is_none() {
        return Ok(None);
    }
    look_whole(session, tenant, spec).await.map(Some)
}

/// The same, for who has to say what was shown whatever the spec holds: tenantd reads it again.
pub(crate) async fn look_whole(
    session: &mut Session,
    tenant: &TenantId,
    spec: &str,
) -> Result<Change, Failure> {
    read(&session.egress().await?.check_change(tenant.as_str(), spec).await?)
}

/// tenantd's answer about what a change allows.
pub(crate) fn read(answer: &str) -> Result<Change, Failure> {
    serde_json::from_str(answer).map_err(|error| Failure::foreign_answer("the change", &error))
}

/// Shows what changes allow, and lets a person say whether.
pub(crate) fn consent<'c>(
    session: &mut Session,
    changes: impl Iterator<Item = &'c Change>,
    how: ConsentArgs,
    dry_run: bool,
) -> Result<(), Failure> {
    let wider: Vec<&Change> =
        changes.filter(|change| !change.widens.is_empty() || !change.risks.is_empty()).collect();
    if wider.is_empty() {
        return Ok(());
    }
    let tenants: Vec<&str> = wider.iter().map(|change| change.tenant.as_str()).collect();
    let noun = if tenants.len() == 1 { "tenant" } else { "tenants" };
    let asks =
        !dry_run && !how.yes && !how.no_widening && session.terminals.stdin && session.terminals.stderr;
    if asks || !session.json {
        for change in &wider {
            session.note(&shown(change))?;
        }
    }
    let tenants = tenants.join(", ");
    if how.no_widening {
        let message = format!(
            "{noun} {tenants} would be allowed more than before, and --no-widening refuses that: nothing was changed; leave it out to allow it"
        );
        let changes = wider.into_iter().cloned().collect();
        return Err(Failure::Wider { message, changes });
    }
    if asks {
        confirm(session, &format!("This allows {noun} {tenants} what is listed above."))
    } else {
        Ok(())
    }
}

/// Makes an existing tenant what a spec says, provided that it allows what was shown.
pub(crate) async fn make(
    session: &mut Session,
    daemon: &Manager1Proxy<'_>,
    (tenant, spec): (&TenantId, &str),
    change: Option<Change>,
    dry_run: bool,
) -> Result<Made, Failure> {
    let id = tenant.as_str();
    let answer = match &change {
        Some(change) => {
            progress::follow(session, daemon, id, daemon.apply_shown(spec, &change.digest, dry_run)).await?
        }
        None => progress::follow(session, daemon, id, daemon.apply_spec(spec, dry_run)).await?,
    };
    Ok(Made::new(outcome(id, &answer)?, change))
}

/// All that one change allows.
fn shown(change: &Change) -> String {
    let mut text = format!("Tenant {} may do more than before:", change.tenant);
    for widening in &change.widens {
        text += &format!("\n+ {}", widening.what);
        if let Some(by) = &widening.by {
            text += &format!("\n    by {by}");
        }
        if let Some(example) = &widening.example {
            let sure = if widening.proven { "" } else { " (or one like it)" };
            text += &format!("\n    for example: {example}{sure}");
        }
    }
    for NewRisk { risk, by, why } in &change.risks {
        let why = why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        text += &format!("\n! new risk {risk}, by {by}{why}");
    }
    text
}
