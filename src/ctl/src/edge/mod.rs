//! `edge …`: opened, closed, looked at, checked.

mod certificate;
mod settings;

use std::path::Path;

use api::EdgeStatus;
use model::{EdgeSettings, Exit};
use zbus::zvariant::Fd;

use crate::apply::read;
use crate::cli::{EdgeVerb, EnableArgs};
use crate::failure::{Ended, Failure};
use crate::list::tone_of;
use crate::output::{Cell, Palette, Tone, clean, fields, span};
use crate::session::Session;
use certificate::Pair;

/// systemctl's exit status for a unit that does not run.
const NOT_RUNNING: u8 = 3;

/// Does one verb.
pub(crate) async fn edge(session: &mut Session, verb: EdgeVerb) -> Ended {
    match verb {
        EdgeVerb::Enable(arguments) => enable(session, &arguments).await,
        EdgeVerb::Disable { dry_run } => disable(session, dry_run).await,
        EdgeVerb::Status => {
            let answer = session.edge().await?.get_edge().await?;
            let status = show(session, &answer)?;
            Ok(if status.enabled && status.socket == "active" { 0 } else { NOT_RUNNING })
        }
        EdgeVerb::Check { file } => check(session, file.as_deref()),
        EdgeVerb::Reload => {
            let answer = session.edge().await?.reload_edge().await?;
            show(session, &answer)?;
            Ok(0)
        }
        EdgeVerb::RotateKey { now } => {
            let answer = session.edge().await?.rotate_signing_key(now).await?;
            show(session, &answer)?;
            if now {
                session.note("Every token, login link and session of tenantd's own from before is void.")?;
            }
            Ok(0)
        }
    }
}

async fn enable(session: &mut Session, arguments: &EnableArgs) -> Ended {
    let text = settings::wanted(session, arguments)?;
    let name = session.paths.edge_settings().display().to_string();
    let domain = EdgeSettings::parse(&name, &text)?.domain().to_owned();
    let given = match (&arguments.certificate, &arguments.key) {
        (Some(certificate), Some(key)) => Some(Pair::read(certificate, key)?),
        _ => None,
    };
    let daemon = session.edge().await?;
    let before = parse(&daemon.get_edge().await?)?;
    let pair = match given {
        Some(pair) => Some(pair),
        None if arguments.self_signed || needs_own(&before, &domain) => {
            Some(Pair::self_signed(&domain, session.now)?)
        }
        None => None,
    };
    if arguments.dry_run {
        return plan(session, &before, &domain, pair.as_ref());
    }
    if let Some(pair) = &pair {
        let (certificate, key) = pair.send()?;
        daemon.set_certificate(Fd::from(certificate), Fd::from(key)).await?;
    }
    let status = show(session, &daemon.enable_edge(&text).await?)?;
    if session.json {
        return Ok(0);
    }
    next_steps(session, &status)?;
    Ok(0)
}

/// Whether a certificate has to be made: there is none, or one of ours for another domain.
fn needs_own(before: &EdgeStatus, domain: &str) -> bool {
    match before.certificate.as_deref() {
        None => true,
        Some("self-signed") => before.self_signed_for.as_deref() != Some(domain),
        Some(_) => false,
    }
}

fn plan(session: &mut Session, before: &EdgeStatus, domain: &str, pair: Option<&Pair>) -> Ended {
    let mut steps = vec![format!("settings for {domain} into /etc/tenantd/edge.toml, and in force")];
    if let Some(pair) = pair {
        steps.insert(0, pair.what.clone());
    }
    if before.keys.is_empty() {
        steps.push("a key that signs tokens, sealed by the host's own key".to_owned());
    }
    steps.push(
        "start and enable tenantd-proof.socket, tenantd-edge.socket, tenantd-edge-http.socket".to_owned(),
    );
    would(session, &steps)
}

fn would(session: &mut Session, steps: &[String]) -> Ended {
    let document = serde_json::json!({"dry_run": true, "steps": steps});
    session.print(&document, |_| {
        let lines: String = steps.iter().map(|step| format!("+ {}\n", clean(step))).collect();
        lines + "Nothing was changed (--dry-run).\n"
    })?;
    Ok(0)
}

/// What to do now: names, the browsers' warning, somebody to let in.
fn next_steps(session: &mut Session, status: &EdgeStatus) -> Result<(), Failure> {
    let domain = status.domain.clone().unwrap_or_default();
    let mut lines = vec![format!(
        "Tenants are at https://NAME.{domain}{}/. *.{domain} has to lead to this host: one wildcard record in its DNS.",
        port(status)
    )];
    if let Some(authority) = &status.acme {
        lines.push(format!(
            "{authority} certifies each name when it is first asked for, which takes some seconds; \"curl http://NAME.{domain}/\" asks. It looks at port 80 of this host under that name. What fails is in \"journalctl -u tenantd-edge\"."
        ));
    } else if status.certificate.as_deref() == Some("self-signed") {
        lines.push(format!(
            "The certificate is self-signed: browsers will warn, and curl needs -k. Give one for {domain} and *.{domain} with \"tenantctl edge enable --certificate FILE --key FILE\", or have one ordered for each name with --acme-contact."
        ));
    }
    lines.push("Next: tenantctl login NAME                        # a link for a browser".to_owned());
    lines.push("      tenantctl token issue NAME --role operator   # a token for programs".to_owned());
    session.note(&lines.join("\n"))
}

fn port(status: &EdgeStatus) -> String {
    if status.public_port == 443 { String::new() } else { format!(":{}", status.public_port) }
}

async fn disable(session: &mut Session, dry_run: bool) -> Ended {
    if dry_run {
        let steps =
            ["stop and disable tenantd-edge.socket, tenantd-edge-http.socket, tenantd-proof.socket; stop tenantd-edge.service".to_owned()];
        return would(session, &steps);
    }
    let answer = session.edge().await?.disable_edge().await?;
    show(session, &answer)?;
    if !session.json {
        session.note("Nobody comes in through it any more. Tenants run on; tokens that have not expired are valid again once it is enabled.")?;
    }
    Ok(0)
}

fn check(session: &mut Session, file: Option<&Path>) -> Ended {
    let installed = session.paths.edge_settings();
    let path = file.unwrap_or(&installed);
    let (name, text) = read(session, path)?;
    let settings = EdgeSettings::parse(&name, &text)?;
    let mut unread = Vec::new();
    // What only root may read is looked at by tenantd when it puts the settings in force.
    settings.with_files((&name, &text), |path| settings::beside(path, &mut unread))?;
    let report = serde_json::json!({"file": name, "ok": true, "not_read": unread});
    session.print(&report, |_| {
        let lines =
            unread.iter().map(|file| format!("{} was not looked into: you may not read it.\n", clean(file)));
        lines.collect::<String>() + &format!("{} is sound.\n", clean(&name))
    })?;
    Ok(0)
}

fn parse(answer: &str) -> Result<EdgeStatus, Failure> {
    serde_json::from_str(answer).map_err(|error| Failure::foreign_answer("the edge", &error))
}

fn show(session: &mut Session, answer: &str) -> Result<EdgeStatus, Failure> {
    let status = parse(answer)?;
    session.print(&status, |session| render(&status, (session.width, session.palette), session.now))?;
    Ok(status)
}

fn render(status: &EdgeStatus, (width, palette): (usize, Palette), now: u64) -> String {
    let state = match (status.enabled, status.socket.as_str()) {
        (false, _) => Cell::from("disabled: open it with \"tenantctl edge enable --domain DOMAIN\""),
        (true, "active") => Cell::toned(Tone::Good, "listens"),
        (true, other) => Cell::toned(Tone::Bad, format!("does not listen ({other})")),
    };
    let mut lines = vec![("edge", state)];
    if let Some(domain) = &status.domain {
        lines.push(("tenants at", Cell::from(format!("https://NAME.{domain}{}/", port(status)))));
    }
    if status.enabled {
        lines.push(("service", Cell::toned(tone_of(&status.service), &status.service)));
    }
    lines.push((
        "certificate",
        match (status.certificate.as_deref(), &status.self_signed_for) {
            (Some("self-signed"), Some(domain)) => {
                Cell::toned(Tone::Warning, format!("self-signed, for {domain}: browsers warn"))
            }
            (Some(other), _) => Cell::from(other),
            (None, _) => Cell::from("none"),
        },
    ));
    if let Some(authority) = &status.acme {
        lines.push(("by name", Cell::from(format!("ordered by ACME from {authority}"))));
    }
    if !status.issuers.is_empty() {
        lines.push(("issuers", Cell::from(status.issuers.join(", "))));
    }
    for key in &status.keys {
        let until = |end: i64| u64::try_from(end).unwrap_or(0).saturating_sub(now);
        let text = match key.retired {
            None => format!("{}, signs", key.kid),
            Some(end) => format!("{}, verifies for {} more", key.kid, span(until(end))),
        };
        lines.push(("key", Cell::from(text)));
    }
    lines.push(("revocations", Cell::from(status.revocations.to_string())));
    if status.enabled && status.changed {
        let text = "edge.toml says something else than is in force: run \"tenantctl edge reload\"";
        lines.push(("settings", Cell::toned(Tone::Warning, text)));
    }
    lines.extend(status.problems.iter().map(|problem| ("problem", Cell::toned(Tone::Bad, problem))));
    fields(&lines, width, palette)
}

impl From<model::EdgeSettingsError> for Failure {
    fn from(error: model::EdgeSettingsError) -> Self {
        Failure::new(Exit::Config, error.to_string())
    }
}
