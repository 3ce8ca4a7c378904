//! `runtime …`: versions of runtimes, installed side by side and sealed.

use std::fs::File;
use std::path::Path;

use api::{Installed, Verdict};
use model::Exit;
use serde::Serialize;
use zbus::zvariant::Fd;

use crate::cli::{InstallArgs, RuntimeVerb};
use crate::failure::{Ended, Failure};
use crate::output::{Cell, Palette, Tone, clean, fields, size, table};
use crate::progress;
use crate::session::Session;

/// Does one verb.
pub(crate) async fn runtime(session: &mut Session, verb: RuntimeVerb) -> Ended {
    match verb {
        RuntimeVerb::Install(arguments) => install(session, &arguments).await,
        RuntimeVerb::List => {
            let installed = fetch(session).await?;
            session.print(&installed, |session| render_list(&installed, session.width, session.palette))?;
            Ok(0)
        }
        RuntimeVerb::Verify { name, version } => verify(session, &name, version).await,
        RuntimeVerb::Remove { name, version } => {
            session.daemon().await?.remove_runtime(&name, &version).await?;
            Ok(0)
        }
        RuntimeVerb::Pin { name, version } => {
            session.daemon().await?.pin_runtime(&name, &version).await?;
            Ok(0)
        }
    }
}

async fn fetch(session: &mut Session) -> Result<Vec<Installed>, Failure> {
    let answer = session.daemon().await?.list_runtimes().await?;
    serde_json::from_str(&answer).map_err(|error| Failure::foreign_answer("runtimes", &error))
}

async fn install(session: &mut Session, arguments: &InstallArgs) -> Ended {
    // tenantd is given an open file, never a path: it reads what the caller may read, and nothing else.
    let path = arguments.from.as_deref().unwrap_or(Path::new("/dev/null"));
    let from = File::open(path).map_err(|error| Failure::reading(path, &error))?;
    let version = arguments.version.as_deref().unwrap_or_default();
    let daemon = session.daemon().await?;
    let use_from = arguments.from.is_some();
    let work =
        daemon.install_runtime(&arguments.name, version, arguments.untested, use_from, Fd::from(&from));
    let answer = progress::follow(session, &daemon, &arguments.name, work).await?;
    let installed: Installed =
        serde_json::from_str(&answer).map_err(|error| Failure::foreign_answer(&arguments.name, &error))?;
    session.print(&installed, |session| render_installed(&installed, session.width, session.palette))?;
    Ok(0)
}

fn tested(installed: &Installed) -> Cell {
    if installed.tested { "yes".into() } else { Cell::toned(Tone::Warning, "no") }
}

fn render_installed(installed: &Installed, width: usize, palette: Palette) -> String {
    let mut lines = vec![
        ("tested", tested(installed)),
        ("pinned", if installed.pinned { "yes" } else { "no" }.into()),
        ("size", format!("{} in {} files", size(installed.bytes), installed.files).into()),
        ("sealed as", Cell::from(&installed.tree_hash)),
    ];
    for (name, value) in &installed.provenance {
        lines.push((name, Cell::from(value)));
    }
    let head = format!("{} {} is installed.\n", clean(&installed.runtime), clean(&installed.version));
    let next = format!("Next: tenantctl create NAME --runtime {}\n", clean(&installed.runtime));
    head + &fields(&lines, width, palette) + &next
}

fn render_list(installed: &[Installed], width: usize, palette: Palette) -> String {
    if installed.is_empty() {
        return "No runtimes. Install one with \"tenantctl runtime install NAME\".\n".to_owned();
    }
    let rows: Vec<_> = installed
        .iter()
        .map(|one| {
            [
                Cell::from(&one.runtime),
                Cell::from(&one.version),
                Cell::from(if one.pinned { "yes" } else { "-" }),
                tested(one),
                Cell::from(size(one.bytes)),
                Cell::from(one.files.to_string()),
                Cell::from(if one.tenants.is_empty() { "-".to_owned() } else { one.tenants.join(" ") }),
            ]
        })
        .collect();
    table(["RUNTIME", "VERSION", "PINNED", "TESTED", "SIZE", "FILES", "TENANTS"], &rows, width, palette)
}

/// One line of `runtime verify`.
#[derive(Serialize)]
struct Verified {
    runtime: String,
    version: String,
    #[serde(flatten)]
    verdict: Verdict,
}

async fn verify(session: &mut Session, name: &str, version: Option<String>) -> Ended {
    let versions = match version {
        Some(version) => vec![version],
        None => {
            let all = fetch(session).await?;
            all.into_iter().filter(|one| one.runtime == name).map(|one| one.version).collect()
        }
    };
    if versions.is_empty() {
        let message = format!(
            "runtime {name} has no installed version: see \"tenantctl runtime list\" or install one with \"tenantctl runtime install {name}\""
        );
        return Err(Failure::new(Exit::NoInput, message));
    }
    let mut verified = Vec::new();
    for version in versions {
        let daemon = session.daemon().await?;
        let answer = progress::follow(session, &daemon, name, daemon.verify_runtime(name, &version)).await?;
        let verdict = serde_json::from_str(&answer).map_err(|error| Failure::foreign_answer(name, &error))?;
        verified.push(Verified { runtime: name.to_owned(), version, verdict });
    }
    let intact = verified.iter().all(|one| one.verdict.intact);
    session.print(&verified, |session| {
        verified.iter().map(|one| render_verdict(one, session.palette)).collect()
    })?;
    Ok(if intact { 0 } else { Exit::Data.code() })
}

fn render_verdict(verified: &Verified, palette: Palette) -> String {
    let Verified { runtime, version, verdict } = verified;
    let files = verdict.files;
    if verdict.intact {
        let intact = palette.paint(Tone::Good, "intact");
        return format!(
            "{runtime} {version} is {intact}: {files} files as sealed ({}).\n",
            clean(&verdict.tree_hash)
        );
    }
    let differs = palette.paint(Tone::Bad, "NOT as sealed");
    let lines: String = verdict.differences.iter().map(|line| format!("  {}\n", clean(line))).collect();
    format!(
        "{runtime} {version} is {differs}:\n{lines}Install it again: move its tenants to another version, then \"tenantctl runtime remove {runtime} {version}\" and \"tenantctl runtime install {runtime} --version {version}\".\n"
    )
}
