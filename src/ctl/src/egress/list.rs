//! `egress list`: every rule with where it came from and when it ends; what else is allowed beside.

use api::{EgressEntry, EgressView};
use model::TenantId;

use crate::failure::{Ended, Failure};
use crate::output::{Cell, Tone, clean, span, table};
use crate::session::Session;

/// Lists what a tenant may reach.
pub(crate) async fn list(session: &mut Session, tenant: &TenantId) -> Ended {
    let view = fetch(session, tenant).await?;
    session.print(&view, |session| render(&view, session))?;
    Ok(0)
}

/// The policy in force.
pub(crate) async fn fetch(session: &mut Session, tenant: &TenantId) -> Result<EgressView, Failure> {
    let answer = session.egress().await?.get_egress(tenant.as_str()).await?;
    serde_json::from_str(&answer).map_err(|error| Failure::foreign_answer("egress", &error))
}

fn render(view: &EgressView, session: &Session) -> String {
    let rest = match view.default.as_str() {
        "ask" => "anything else is held until somebody has answered",
        _ => "anything else is refused",
    };
    let mut text = format!("Profile {}; {rest}.\n", clean(&view.profile));
    if let Some(until) = view.learn_until.filter(|until| session.now < *until) {
        text += &format!("Learning for {} more.\n", span(until - session.now));
    }
    text += "\n";
    let rows: Vec<_> = view.entries.iter().map(|entry| row(entry, session.now)).collect();
    text += &match rows.is_empty() {
        true => "No destination is listed.\n".to_owned(),
        false => table(["DESTINATION", "ENDS", "FROM", "RULES"], &rows, session.width, session.palette),
    };
    if !view.presets.is_empty() {
        text += "\n";
        let rows: Vec<_> = view
            .presets
            .iter()
            .map(|preset| super::preset::row(&preset.name, preset.risk.as_deref(), preset.why.as_deref()))
            .collect();
        text += &table(["PRESET", "RISK", "WHY"], &rows, session.width, session.palette);
    }
    if !view.secrets.is_empty() {
        text += "\n";
        let rows: Vec<_> = view
            .secrets
            .iter()
            .map(|one| {
                let places: Vec<_> =
                    one.places.iter().map(|place| format!("{place:?}").to_lowercase()).collect();
                [
                    Cell::from(&one.name),
                    Cell::from(places.join(", ")),
                    Cell::from(format!("https://{}:{}{}", one.host, one.port, one.path)),
                ]
            })
            .collect();
        text += &table(["SECRET", "IN", "TO"], &rows, session.width, session.palette);
    }
    if !view.providers.is_empty() {
        text += "\n";
        text += &crate::inference::render(view, session);
    }
    text
}

fn row(entry: &EgressEntry, now: u64) -> [Cell; 4] {
    let ports: Vec<_> = entry.ports.iter().map(u16::to_string).collect();
    let ends = match entry.expires {
        None => Cell::from("-"),
        Some(end) if end <= now => Cell::toned(Tone::Warning, "has ended"),
        Some(end) => Cell::from(format!("in {}", span(end - now))),
    };
    let mut rules = vec![match (entry.ask, entry.rules.is_empty()) {
        (true, _) => "asks".to_owned(),
        (false, true) => "everything, unseen".to_owned(),
        (false, false) => String::new(),
    }];
    rules.extend(entry.protocol.iter().filter(|protocol| *protocol != "rest").cloned());
    rules.extend(entry.rules.iter().cloned());
    match &entry.binaries {
        None => rules.push("by any program".to_owned()),
        Some(binaries) => rules.push(format!("by {}", binaries.join(", "))),
    }
    rules.extend(entry.why.iter().map(|why| format!("({why})")));
    rules.retain(|rule| !rule.is_empty());
    let from = match entry.level.as_str() {
        "approval" => entry.policy.replace("approval_", "approval "),
        "tenant" => format!("{}, line {}", entry.document, entry.line),
        _ => entry.document.clone(),
    };
    [
        Cell::from(format!("{}:{}", entry.host, ports.join(","))),
        ends,
        Cell::from(from),
        Cell::from(rules.join("; ")),
    ]
}
