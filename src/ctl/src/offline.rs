//! `plan` and `explain`: the daemon's own functions, run here without a daemon and without privilege.

use std::io::ErrorKind;
use std::path::Path;

use api::Outcome;
use catalog::{Catalog, CatalogError, EgressGrant, Grant};
use host::Systemd;
use model::{Allocation, Exit, Feature, Settings, SpecFile, World};
use plan::{LAYERS, Refusal, Tenant, Wanted};
use runtime::Version;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cli::{ExplainArgs, PlanArgs};
use crate::failure::{Ended, Failure};
use crate::output::{Cell, clean, table};
use crate::session::Session;

/// Shows the steps that would make a spec real.
pub(crate) fn plan(session: &mut Session, arguments: &PlanArgs) -> Ended {
    let (tenant, wanted) = wanted(session, &arguments.file, arguments.facts.as_deref())?;
    let observed: World = match &arguments.observed {
        Some(file) => read_json(session, file, "a world")?,
        None => World::empty(),
    };
    let steps = plan::plan(&wanted.world, &observed);
    let outcome = Outcome {
        id: tenant.id().to_string(),
        steps: steps.ops.iter().map(ToString::to_string).collect(),
        dry_run: true,
        missing: wanted.missing,
        state: "absent".into(),
    };
    session.print(&outcome, |_| clean_steps(&outcome))?;
    if !session.json {
        session.note("# uid, index and addresses are the first of the pools; tenantd chooses them when it makes the tenant")?;
    }
    Ok(0)
}

fn clean_steps(outcome: &Outcome) -> String {
    if outcome.steps.is_empty() {
        return "nothing to do\n".to_owned();
    }
    outcome.steps.iter().map(|step| clean(step) + "\n").collect()
}

/// One line of an explanation, as tenantd sends it.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    what: String,
    layers: Vec<String>,
}

/// Says which layer asked for what.
pub(crate) async fn explain(session: &mut Session, arguments: &ExplainArgs) -> Ended {
    let lines: Vec<Line> = match (&arguments.tenant, &arguments.file) {
        (Some(tenant), _) => {
            let answer = session.daemon().await?.explain_tenant(tenant.as_str()).await?;
            serde_json::from_str(&answer).map_err(|error| Failure::foreign_answer(tenant.as_str(), &error))?
        }
        (None, Some(file)) => {
            let (_, wanted) = wanted(session, file, arguments.facts.as_deref())?;
            let own = |layers: Vec<&'static str>| layers.into_iter().map(str::to_owned).collect();
            plan::explain(&wanted).into_iter().map(|e| Line { what: e.what, layers: own(e.layers) }).collect()
        }
        (None, None) => return Err(Failure::new(Exit::Usage, "explain needs a tenant or --file")),
    };
    session.print(&lines, |session| {
        let rows: Vec<_> =
            lines.iter().map(|line| [Cell::from(&line.what), Cell::from(line.layers.join(" "))]).collect();
        table(["WHAT", "LAYERS"], &rows, session.width, session.palette)
    })?;
    Ok(0)
}

/// What must exist for a spec file on this host, or on one with other facts.
fn wanted(session: &mut Session, file: &Path, facts: Option<&Path>) -> Result<(Tenant, Wanted), Failure> {
    let (name, text) = crate::apply::read(session, file)?;
    let written = SpecFile::parse(&name, &text)?;
    let settings = catalog::read_settings(&session.paths).map_err(of_catalog)?;
    let named = written.version.clone();
    let kept = kept(session, &written)?;
    let spec = catalog::complete(written, &name, &settings)?;
    let shipped = Catalog::open(&session.paths.policies()).map_err(of_catalog)?;
    let (description, template) = shipped.runtime(&spec.runtime).map_err(of_catalog)?;
    let facts = match facts {
        Some(file) => read_json(session, file, "facts")?,
        None => host::facts(&session.paths, &Systemd::system()).map_err(|error| {
            Failure::new(error.exit, format!("{error}; or describe a host with --facts FILE"))
        })?,
    };
    let meant = kept.or_else(|| newest(session, &description.name)).filter(|_| description.install.is_some());
    let text = match (&named, &meant) {
        (None, Some(version)) => catalog::write_version(&text, version),
        _ => text,
    };
    let version = named.or(meant);
    if version.is_none() && description.install.is_some() && !session.json {
        session.note(&format!(
            "# no version of runtime {0} is shown: none is installed here (\"tenantctl runtime install {0}\"), or only root may look",
            description.name
        ))?;
    }
    let grant = Grant { allocation: first(&settings)?, version, egress: EgressGrant::default() };
    let tenant = catalog::assemble(
        &shipped,
        (&description, &template),
        (spec, text),
        grant,
        (&settings, &facts, &session.paths),
    )
    .map_err(of_refusal)?;
    let wanted = plan::wanted(LAYERS, &tenant, &facts).map_err(of_refusal)?;
    Ok((tenant, wanted))
}

/// The version that a tenant which exists keeps, as tenantd would; nothing where only root may look.
fn kept(session: &Session, written: &SpecFile) -> Result<Option<String>, Failure> {
    match catalog::read_spec(&session.paths, &written.id) {
        Ok((on_disk, _)) => Ok(catalog::kept_version(written, Some(&on_disk)).map(str::to_owned)),
        Err(CatalogError::NoTenant(_)) => Ok(None),
        Err(CatalogError::Read { source, .. }) if source.kind() == ErrorKind::PermissionDenied => Ok(None),
        Err(error) => Err(of_catalog(error)),
    }
}

/// The newest installed version, where the store can be looked into.
fn newest(session: &Session, runtime: &str) -> Option<String> {
    let entries = std::fs::read_dir(session.paths.runtimes().join(runtime)).ok()?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| Version::parse(&name).ok()).max().map(|version| version.to_string())
}

/// The allocation of the first tenant of an empty host.
fn first(settings: &Settings) -> Result<Allocation, Failure> {
    let network = settings.pools.addresses.first().and_then(|pool| pool.nth(0));
    Ok(Allocation {
        index: 0,
        uid: settings.pools.uids.first,
        network: network
            .ok_or_else(|| Failure::new(Exit::Config, "pools.addresses is empty: name a network"))?,
        machine_id: "0".repeat(32),
    })
}

fn read_json<T: DeserializeOwned>(session: &mut Session, file: &Path, what: &str) -> Result<T, Failure> {
    let (name, text) = crate::apply::read(session, file)?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::new(Exit::Data, format!("{name}: does not describe {what}: {error}")))
}

/// An error about something shipped or configured.
pub(crate) fn of_catalog(error: CatalogError) -> Failure {
    Failure::new(error.exit(), error.to_string())
}

fn of_refusal(refusal: Refusal) -> Failure {
    Failure::new(refusal.exit(), refusal.to_string())
}

/// Names of features, for messages.
pub(crate) fn names(features: &[Feature]) -> String {
    features.iter().map(|feature| feature.name()).collect::<Vec<_>>().join(", ")
}
