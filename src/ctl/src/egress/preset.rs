//! `egress preset …`: presets of a tenant, with the risks they bring.

use catalog::Catalog;
use model::{Exit, SpecFile, TenantId};
use policy::Risk;
use serde::Serialize;

use super::{change, spec};
use crate::cli::PresetVerb;
use crate::failure::{Ended, Failure};
use crate::offline::of_catalog;
use crate::output::{Cell, Tone, table};
use crate::session::Session;

/// A preset as it is offered.
#[derive(Serialize)]
pub(crate) struct Offered {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) risk: Option<String>,
    pub(crate) why: Option<String>,
    chosen: bool,
}

/// Carries one of the verbs out.
pub(crate) async fn preset(session: &mut Session, verb: PresetVerb) -> Ended {
    match verb {
        PresetVerb::List { tenant } => list(session, &tenant).await,
        PresetVerb::Add(arguments) => {
            let before = session.daemon().await?.get_spec(arguments.tenant.as_str()).await?;
            let after = spec::add_preset(&arguments.tenant, &before, &arguments.preset)?;
            let offered = of_spec(session, &arguments.tenant, &after)?;
            warn(session, &offered, std::slice::from_ref(&arguments.preset))?;
            change::carry_out(session, &arguments.tenant, &after, arguments.consent).await
        }
        PresetVerb::Remove(arguments) => {
            let before = session.daemon().await?.get_spec(arguments.tenant.as_str()).await?;
            let after = spec::remove_preset(&arguments.tenant, &before, &arguments.preset)?;
            change::carry_out(session, &arguments.tenant, &after, arguments.consent).await
        }
    }
}

async fn list(session: &mut Session, tenant: &TenantId) -> Ended {
    let spec = session.daemon().await?.get_spec(tenant.as_str()).await?;
    let offered = of_spec(session, tenant, &spec)?;
    session.print(&offered, |session| {
        let rows: Vec<_> = offered
            .iter()
            .map(|preset| {
                let [name, risk, why] = row(&preset.name, preset.risk.as_deref(), preset.why.as_deref());
                [name, Cell::from(if preset.chosen { "yes" } else { "-" }), risk, why]
            })
            .collect();
        table(["PRESET", "CHOSEN", "RISK", "WHY"], &rows, session.width, session.palette)
    })?;
    Ok(0)
}

/// The presets that the profile of a spec offers.
pub(crate) fn of_spec(session: &Session, tenant: &TenantId, text: &str) -> Result<Vec<Offered>, Failure> {
    let egress = SpecFile::parse(&format!("{tenant}.toml"), text)?.egress.unwrap_or_default();
    offered(session, egress.profile.as_deref(), &egress.presets)
}

/// Those of a profile.
pub(crate) fn offered(
    session: &Session,
    profile: Option<&str>,
    chosen: &[String],
) -> Result<Vec<Offered>, Failure> {
    let shipped = Catalog::open(&session.paths.policies()).map_err(of_catalog)?;
    let failed = |why: String| Failure::new(Exit::Data, why);
    let profile = shipped.profile(profile).map_err(failed)?;
    let mut list = Vec::new();
    for name in profile.egress.presets {
        let document = shipped.preset(&name).map_err(failed)?;
        let preset = document.preset;
        list.push(Offered {
            chosen: chosen.contains(&name),
            description: preset.as_ref().map_or_else(String::new, |preset| preset.description.clone()),
            risk: preset.as_ref().and_then(|preset| preset.risk).map(|risk| word(risk).to_owned()),
            why: preset.and_then(|preset| preset.why),
            name,
        });
    }
    Ok(list)
}

/// Says which risks are taken on.
pub(crate) fn warn(session: &mut Session, offered: &[Offered], chosen: &[String]) -> Result<(), Failure> {
    for preset in offered.iter().filter(|preset| chosen.contains(&preset.name)) {
        let risk = preset.risk.as_deref().unwrap_or("unknown");
        let why = preset.why.as_deref().unwrap_or("it does not say why");
        session.note(&format!("Preset {}: risk {risk}: {why}", preset.name))?;
    }
    Ok(())
}

/// A line of a table.
pub(crate) fn row(name: &str, risk: Option<&str>, why: Option<&str>) -> [Cell; 3] {
    let tone = match risk {
        Some("low") => Tone::Good,
        Some("exfiltration") => Tone::Bad,
        Some(_) | None => Tone::Warning,
    };
    [Cell::from(name), Cell::toned(tone, risk.unwrap_or("-")), Cell::from(why.unwrap_or("-"))]
}

fn word(risk: Risk) -> &'static str {
    match risk {
        Risk::Low => "low",
        Risk::SupplyChain => "supply-chain",
        Risk::Exfiltration => "exfiltration",
    }
}
