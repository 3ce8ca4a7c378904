//! `create`: a spec from the command line or a file, checked here, made by tenantd.

use std::path::Path;

use api::Outcome;
use model::{EgressSpec, Exit, GatewaySettings, Limits, SpecFile, UnlistedSpec};

use crate::cli::{CreateArgs, EgressDefault};
use crate::egress::preset;
use crate::failure::{Ended, Failure};
use crate::offline::names;
use crate::progress;
use crate::session::Session;

/// Makes a tenant.
pub(crate) async fn create(session: &mut Session, arguments: &CreateArgs) -> Ended {
    if arguments.egress == Some(EgressDefault::Off)
        && (arguments.profile.is_some() || !arguments.presets.is_empty())
    {
        let text =
            "--egress off goes with neither --profile nor --preset: a tenant without egress reaches nothing";
        return Err(Failure::new(Exit::Usage, text));
    }
    let spec = match &arguments.file {
        Some(file) => from_file(session, arguments, file)?,
        None => from_arguments(arguments)?,
    };
    warn_of_risks(session, arguments, &spec)?;
    let daemon = session.daemon().await?;
    let work = daemon.create_tenant(&spec, !arguments.no_start, arguments.dry_run);
    let answer = progress::follow(session, &daemon, arguments.tenant.as_str(), work).await?;
    let outcome = outcome(arguments.tenant.as_str(), &answer)?;
    session.print(&outcome, |_| render(&outcome))?;
    Ok(0)
}

/// Reads tenantd's answer about a change.
pub(crate) fn outcome(tenant: &str, answer: &str) -> Result<Outcome, Failure> {
    serde_json::from_str(answer).map_err(|error| Failure::foreign_answer(tenant, &error))
}

/// The steps of a plan, one a line, and that nothing was done.
pub(crate) fn planned(outcome: &Outcome) -> String {
    let mut text = String::new();
    for step in &outcome.steps {
        text.push_str(&crate::output::clean(step));
        text.push('\n');
    }
    if outcome.steps.is_empty() {
        text.push_str("nothing to do\n");
    }
    text + &without(outcome) + "Nothing was changed (--dry-run).\n"
}

/// A line on protections the tenant runs without.
pub(crate) fn without(outcome: &Outcome) -> String {
    match outcome.missing.is_empty() {
        true => String::new(),
        false => {
            format!(
                "Runs without {}, which this host lacks and the configuration accepts.\n",
                names(&outcome.missing)
            )
        }
    }
}

fn render(outcome: &Outcome) -> String {
    if outcome.dry_run {
        return planned(outcome);
    }
    let id = &outcome.id;
    let (did, next) = match outcome.state.as_str() {
        "active" => ("made and answers", format!("tenantctl logs {id} -f")),
        "inactive" => ("made, not started", format!("tenantctl start {id}")),
        _ => ("made", format!("tenantctl logs {id} -n 50")),
    };
    let state = crate::output::clean(&outcome.state);
    format!(
        "Tenant {id} is {did} ({state}).\n{}Next: tenantctl status {id}\n      {next}\n",
        without(outcome)
    )
}

/// The spec file, as written.
fn from_file(session: &mut Session, arguments: &CreateArgs, file: &Path) -> Result<String, Failure> {
    let (name, text) = crate::apply::read(session, file)?;
    let spec = SpecFile::parse(&name, &text)?.validate(&name)?;
    if spec.id != arguments.tenant {
        return Err(Failure::new(
            Exit::Data,
            format!(
                "{name}: id = {:?} is not the tenant to make, {:?}: give the same name twice",
                spec.id.as_str(),
                arguments.tenant.as_str()
            ),
        ));
    }
    Ok(text)
}

/// Says which risks the presets bring, before anything is made.
fn warn_of_risks(session: &mut Session, arguments: &CreateArgs, spec: &str) -> Result<(), Failure> {
    let egress = SpecFile::parse("the spec", spec)?.egress.unwrap_or_default();
    if egress.presets.is_empty() {
        return Ok(());
    }
    let offered = preset::offered(session, egress.profile.as_deref(), &egress.presets)?;
    if let Some(other) = arguments.presets.iter().find(|name| !offered.iter().any(|one| one.name == **name)) {
        let names: Vec<_> = offered.iter().map(|one| one.name.as_str()).collect();
        let text = format!("--preset: the profile does not offer {other:?}, but {}", names.join(", "));
        return Err(Failure::new(Exit::Data, text));
    }
    preset::warn(session, &offered, &egress.presets)
}

/// `[egress]`, where any of it is asked for.
fn egress(arguments: &CreateArgs) -> Option<EgressSpec> {
    let CreateArgs { egress, profile, presets, .. } = arguments;
    let unlisted = match egress {
        Some(EgressDefault::Off) => return None,
        None if profile.is_none() && presets.is_empty() => return None,
        None => None,
        Some(EgressDefault::Deny) => Some(UnlistedSpec::Deny),
        Some(EgressDefault::Ask) => Some(UnlistedSpec::Ask),
    };
    Some(EgressSpec { profile: profile.clone(), unlisted, presets: presets.clone(), ..EgressSpec::default() })
}

/// The spec that the options spell.
fn from_arguments(arguments: &CreateArgs) -> Result<String, Failure> {
    let command = match &arguments.command {
        Some(words) => shlex::split(words).ok_or_else(|| {
            Failure::new(
                Exit::Data,
                format!("--command: {words:?} has an open quote: close it, or write the words after --"),
            )
        })?,
        None => arguments.argv.clone(),
    };
    let limits: Limits = arguments.limits.limits();
    let spec = SpecFile {
        id: arguments.tenant.clone(),
        description: arguments.description.clone().unwrap_or_default(),
        runtime: arguments.runtime.clone().unwrap_or_default(),
        version: arguments.version.clone(),
        command,
        port: arguments.port,
        origins: arguments.origins.clone(),
        accept_missing: arguments.accept_missing.clone(),
        limits,
        environment: arguments.environment.iter().cloned().collect(),
        settings: GatewaySettings::default(),
        egress: egress(arguments),
    };
    Ok(spec.validate(&format!("tenant {}", arguments.tenant))?.to_toml()?)
}
