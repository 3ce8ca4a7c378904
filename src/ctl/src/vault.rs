//! `vault …`: the keys, and the recovery copy.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use api::VaultStatus;
use model::Exit;
use zbus::zvariant::Fd;

use crate::cli::{RecoveryVerb, VaultVerb};
use crate::conceal;
use crate::failure::{Ended, Failure};
use crate::output::{Cell, Palette, Tone, fields};
use crate::session::Session;

/// Does one verb.
pub(crate) async fn vault(session: &mut Session, verb: VaultVerb) -> Ended {
    match verb {
        VaultVerb::Status => {
            let answer = session.vault().await?.get_vault().await?;
            let status = show(session, &answer)?;
            Ok(if status.state == "locked" { Exit::Config.code() } else { 0 })
        }
        VaultVerb::RotateKek { give_up_backups } => {
            let answer = session.vault().await?.rotate_kek(give_up_backups).await?;
            show(session, &answer)?;
            let next = "Recovery copies of the old key open backups made before now, and nothing else. Make a new one: tenantctl vault recovery export";
            session.note(next)?;
            Ok(0)
        }
        VaultVerb::RotateDek { tenant } => {
            session.vault().await?.rotate_dek(tenant.as_str()).await?;
            Ok(0)
        }
        VaultVerb::Recovery(RecoveryVerb::Export { to, passphrase_from }) => {
            let passphrase = conceal::passphrase(session, passphrase_from.as_deref(), true)?;
            export(session, &to, Fd::from(passphrase)).await
        }
        VaultVerb::Recovery(RecoveryVerb::Import { file, passphrase_from }) => {
            let copy = File::open(&file).map_err(|error| Failure::reading(&file, &error))?;
            let passphrase = conceal::passphrase(session, passphrase_from.as_deref(), false)?;
            let daemon = session.vault().await?;
            let answer = daemon.import_recovery(Fd::from(&copy), Fd::from(passphrase)).await?;
            let status = show(session, &answer)?;
            Ok(if status.state == "locked" { Exit::Config.code() } else { 0 })
        }
    }
}

/// The file is made first: a copy that cannot be kept is not asked for.
async fn export(session: &mut Session, to: &Path, passphrase: Fd<'_>) -> Ended {
    let failed = |error: io::Error| {
        let exit = if error.kind() == io::ErrorKind::AlreadyExists { Exit::CantCreate } else { Exit::Io };
        Failure::new(exit, format!("cannot make {}: {error}: give another name with --to", to.display()))
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(failed)?;
    let copy = match session.vault().await?.export_recovery(passphrase).await {
        Ok(copy) => copy,
        Err(error) => {
            std::fs::remove_file(to).map_err(failed)?;
            return Err(error.into());
        }
    };
    file.write_all(&copy).and_then(|()| file.sync_all()).map_err(failed)?;
    session.note(&format!(
        "{} is the recovery copy. Keep it and its passphrase apart from each other and away from this host.",
        to.display()
    ))?;
    Ok(0)
}

fn show(session: &mut Session, answer: &str) -> Result<VaultStatus, Failure> {
    let status: VaultStatus =
        serde_json::from_str(answer).map_err(|error| Failure::foreign_answer("the vault", &error))?;
    session.print(&status, |session| render(&status, session.width, session.palette))?;
    Ok(status)
}

fn render(status: &VaultStatus, width: usize, palette: Palette) -> String {
    let tone = match status.state.as_str() {
        "locked" => Tone::Bad,
        "open" => Tone::Good,
        _ => Tone::Plain,
    };
    let mut lines = vec![("vault", Cell::toned(tone, &status.state))];
    if let Some(kek) = &status.kek {
        lines.push(("KEK", Cell::from(kek)));
    }
    if status.rotating {
        lines.push((
            "rotation",
            Cell::toned(Tone::Warning, "under way: run \"tenantctl vault rotate-kek\" to end it"),
        ));
    }
    lines.push(("tenants", Cell::from(status.tenants.to_string())));
    lines.push(("secrets", Cell::from(status.secrets.to_string())));
    if let Some(problem) = &status.problem {
        lines.push(("problem", Cell::toned(Tone::Bad, problem)));
    }
    lines.extend(status.damaged.iter().map(|sentence| ("damaged", Cell::toned(Tone::Bad, sentence))));
    fields(&lines, width, palette)
}
