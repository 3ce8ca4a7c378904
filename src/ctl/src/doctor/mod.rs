//! `doctor`: what this host lacks for tenants, and how to get it. Looks itself; tenantd is asked about its vault and its edge
//! alone, and only if it runs: nobody else has the key.

mod checks;
mod egress;
mod evidence;

use api::{Check, EdgeStatus, SecretSummary, VaultStatus};
use model::Exit;
use nix::unistd::geteuid;

use self::egress::WayOut;
use crate::failure::{Ended, Failure};
use crate::output::{Cell, Palette, Tone, fields};
use crate::session::Session;

/// Prints all checks; ends with 71 when something that tenants need is missing.
pub(crate) async fn doctor(session: &mut Session) -> Ended {
    let mut found = evidence::gather(&session.paths);
    if found.daemon.as_deref() == Ok("active") {
        found.vault = Some(ask_about_vault(session).await);
        found.edge = ask_about_edge(session).await;
        ask_about_authorities(session, found.egress.iter_mut().flatten()).await;
    }
    let report = checks::checks(&found);
    session.print(&report, |session| render(&report, session.width, session.palette))?;
    Ok(if report.iter().any(|check| check.verdict == checks::MISSING) { Exit::Os.code() } else { 0 })
}

/// Others than root would be asked for a password, and `doctor` needs none.
async fn ask_about_vault(session: &mut Session) -> Result<VaultStatus, String> {
    if !geteuid().is_root() {
        return Err("only root is told".to_owned());
    }
    let answer = async { Ok::<_, Failure>(session.vault().await?.get_vault().await?) };
    let answer = answer.await.map_err(|failure| failure.to_string())?;
    serde_json::from_str(&answer).map_err(|error| error.to_string())
}

async fn ask_about_edge(session: &mut Session) -> Option<EdgeStatus> {
    if !geteuid().is_root() {
        return None;
    }
    let answer = session.edge().await.ok()?.get_edge().await.ok()?;
    serde_json::from_str(&answer).ok()
}

/// One that tenantd does not tell about is said of the vault already.
async fn ask_about_authorities(session: &mut Session, ways: impl Iterator<Item = &mut WayOut>) {
    if !geteuid().is_root() {
        return;
    }
    for way in ways {
        let answer =
            async { Ok::<_, Failure>(session.vault().await?.list_secrets(way.tenant.as_str()).await?) };
        let answer = answer.await.ok();
        let secrets = answer.and_then(|answer| serde_json::from_str::<Vec<SecretSummary>>(&answer).ok());
        way.authority = secrets.map(|secrets| egress::authority(&secrets));
    }
}

fn render(report: &[Check], width: usize, palette: Palette) -> String {
    let mut lines = Vec::new();
    for check in report {
        let (mark, tone) = match check.verdict.as_str() {
            checks::OK => ("ok", Tone::Good),
            checks::WARNING => ("warning", Tone::Warning),
            _ => ("MISSING", Tone::Bad),
        };
        let found = if tone == Tone::Good { check.found.clone() } else { format!("{mark}: {}", check.found) };
        lines.push((
            check.name.as_str(),
            Cell::toned(if tone == Tone::Good { Tone::Plain } else { tone }, found),
        ));
        if !check.remedy.is_empty() {
            lines.push(("", Cell::from(format!("-> {}", check.remedy))));
        }
    }
    let missing = report.iter().filter(|check| check.verdict == checks::MISSING).count();
    let warnings = report.iter().filter(|check| check.verdict == checks::WARNING).count();
    let end = match (missing, warnings) {
        (0, 0) => palette.paint(Tone::Good, "This host has everything that tenants need."),
        (0, n) => format!("This host has what tenants need; warnings: {n}."),
        (m, n) => palette.paint(
            Tone::Bad,
            &format!("Tenants cannot run here as they should; missing: {m}, warnings: {n}."),
        ),
    };
    format!("{}\n{end}\n", fields(&lines, width, palette).trim_end())
}
