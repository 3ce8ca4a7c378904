//! `backup` and `restore`: files are opened here, with the caller's rights; tenantd seals, opens and unpacks.

mod directory;
mod target;

use std::fs::File;
use std::io::Seek;
use std::path::{Path, PathBuf};

use api::{BackupSummary, Contents, RestoreSummary, Summary};
use model::{Exit, Settings, TenantId};
use rustix::fs::{SeekFrom, seek};
use serde::Serialize;
use zbus::zvariant::Fd;

use crate::cli::{BackupArgs, BackupVerb, ConsentArgs, RestoreArgs};
use crate::failure::{Ended, Failure};
use crate::output::{Cell, clean, fields, size};
use crate::session::Session;
use crate::widening::Made;
use crate::{progress, widening};
use target::Target;

/// A line of what `backup` did.
#[derive(Serialize)]
struct Kept {
    #[serde(flatten)]
    backup: BackupSummary,
    /// Where it is; nothing for standard output or a program.
    file: Option<PathBuf>,
    /// Bytes of it.
    size: Option<u64>,
    verified: bool,
    removed: Vec<PathBuf>,
}

/// Backs tenants up, or reads backups.
pub(crate) async fn backup(session: &mut Session, arguments: &BackupArgs) -> Ended {
    if let Some(BackupVerb::Verify { files }) = &arguments.verb {
        return verify(session, files).await;
    }
    let settings: Settings = catalog::read_settings(&session.paths)
        .map_err(|error| Failure::new(error.exit(), error.to_string()))?;
    let target = Target::of(session, arguments, &settings.backup)?;
    let tenants = match arguments.all {
        true => all(session).await?,
        false => arguments.tenants.clone(),
    };
    let stop = arguments.stop || settings.backup.stop;
    let (mut made, mut worst) = (Vec::new(), 0);
    for tenant in &tenants {
        match one(session, tenant, &target, (stop, !arguments.no_verify)).await {
            Ok(done) => {
                if let Some(problem) = &done.backup.problem {
                    worst = worst.max(Exit::Os.code());
                    session
                        .note(&format!("Tenant {tenant} is backed up, but does not run again: {problem}"))?;
                }
                made.push(done);
            }
            // One that fails keeps no other from being backed up.
            Err(failure) if tenants.len() > 1 => {
                worst = worst.max(failure.code());
                session.complain(&failure)?;
            }
            Err(failure) => return Err(failure),
        }
    }
    if matches!(target, Target::Stdout) {
        made.iter().try_for_each(|made| session.note(&line(made)))?;
    } else {
        session.print(&made, |_| made.iter().map(line).map(|line| line + "\n").collect())?;
    }
    Ok(worst)
}

/// Removes a tenant's backups from the directory that the settings name; answers how many, and from where.
pub(crate) fn destroy(session: &Session, tenant: &TenantId) -> Result<(usize, String), Failure> {
    let settings = catalog::read_settings(&session.paths)
        .map_err(|error| Failure::new(error.exit(), error.to_string()))?;
    let directory = settings.backup.directory;
    if !Path::new(&directory).is_dir() {
        return Ok((0, directory));
    }
    let found = directory::everything(Path::new(&directory), tenant)?;
    directory::remove(&found)?;
    Ok((found.len(), directory))
}

async fn all(session: &mut Session) -> Result<Vec<TenantId>, Failure> {
    let answer = session.daemon().await?.list_tenants().await?;
    let list: Vec<Summary> =
        serde_json::from_str(&answer).map_err(|error| Failure::foreign_answer("tenants", &error))?;
    list.iter().map(|line| Ok(TenantId::parse(&line.id)?)).collect()
}

async fn one(
    session: &mut Session,
    tenant: &TenantId,
    target: &Target,
    (stop, verify): (bool, bool),
) -> Result<Kept, Failure> {
    let opened = target.open(tenant, session.now)?;
    let daemon = session.backups().await?;
    let work = daemon.back_up(tenant.as_str(), stop, Fd::from(opened.descriptor()));
    let answer = progress::watch(session, tenant.as_str(), work, || opened.written()).await?;
    let backup = read(&answer)?;
    let size = opened.written();
    let verified = match opened.again().filter(|_| verify) {
        // Before it has its name, and from the file that was written, whatever its name is by now.
        Some((file, path)) => {
            let found = check(session, path, file).await?;
            if (&found.tenant, found.made) != (&backup.tenant, backup.made) {
                let text = format!(
                    "{}: another backup was read than the one that was written: see who writes there",
                    path.display()
                );
                return Err(Failure::new(Exit::Data, text));
            }
            true
        }
        None => false,
    };
    let file = opened.keep()?;
    let removed = match &file {
        Some(path) if verified => target.thin_out(tenant, path)?,
        Some(_) | None => Vec::new(),
    };
    Ok(Kept { backup, file, size, verified, removed })
}

/// Reads a backup whole.
async fn check(session: &mut Session, path: &Path, mut file: &File) -> Result<BackupSummary, Failure> {
    file.rewind().map_err(|error| Failure::reading(path, &error))?;
    let daemon = session.backups().await?;
    let work = daemon.verify(Fd::from(file));
    let name = path.display().to_string();
    let answer = progress::watch(session, &name, work, || place(file)).await;
    read(&answer.map_err(|failure| named(path, failure))?)
}

async fn verify(session: &mut Session, files: &[PathBuf]) -> Ended {
    let (mut found, mut worst) = (Vec::new(), 0);
    for path in files {
        let checked = match File::open(path) {
            Ok(file) => check(session, path, &file).await,
            Err(error) => Err(Failure::reading(path, &error)),
        };
        match checked {
            Ok(summary) => found.push((path, summary)),
            Err(failure) => {
                worst = worst.max(failure.code());
                session.complain(&failure)?;
            }
        }
    }
    let summaries: Vec<_> = found.iter().map(|(_, summary)| summary).collect();
    session.print(&summaries, |session| {
        found.iter().map(|(path, summary)| render(path, summary, session)).collect::<Vec<_>>().join("\n")
    })?;
    Ok(worst)
}

/// Restores a backup.
pub(crate) async fn restore(session: &mut Session, arguments: &RestoreArgs) -> Ended {
    let path = &arguments.file;
    let mut file = File::open(path).map_err(|error| Failure::reading(path, &error))?;
    let rename = arguments.rename.as_ref().map_or("", TenantId::as_str);
    let daemon = session.backups().await?;
    let checked = daemon.check_restore(Fd::from(&file), rename, arguments.yes).await;
    let shown = widening::read(&checked.map_err(|error| named(path, error.into()))?)?;
    let consent = ConsentArgs { yes: arguments.yes, no_widening: arguments.no_widening };
    widening::consent(session, std::iter::once(&shown), consent, false)?;
    file.rewind().map_err(|error| Failure::reading(path, &error))?;
    let (yes, start) = (arguments.yes, !arguments.no_start);
    let work = daemon.restore_shown(Fd::from(&file), rename, yes, start, &shown.digest);
    let name = path.display().to_string();
    let answer = progress::watch(session, &name, work, || place(&file)).await;
    let restored: RestoreSummary = serde_json::from_str(&answer.map_err(|failure| named(path, failure))?)
        .map_err(|error| Failure::foreign_answer("the restore", &error))?;
    let made = Made::new(restored, Some(shown));
    session.print(&made, |_| told(&made.outcome))?;
    for problem in &made.outcome.problems {
        session.note(&format!("Note: {problem}."))?;
    }
    Ok(0)
}

fn told(restored: &RestoreSummary) -> String {
    let RestoreSummary { tenant, replaced, state, backup, .. } = restored;
    let (tenant, state) = (clean(tenant), clean(state));
    let of = format!("of {} ({})", directory::shown(backup.made), counted(backup));
    match replaced {
        true => format!(
            "Tenant {tenant} has the data {of} again ({state}). Its spec and secrets are as they were.\n"
        ),
        false => format!(
            "Tenant {tenant} is made as in the backup {of} ({state}).\nNext: tenantctl status {tenant}\n"
        ),
    }
}

fn line(made: &Kept) -> String {
    let Kept { backup, file, size: bytes, verified, removed } = made;
    let mut text = format!("Tenant {} is backed up: {}", clean(&backup.tenant), counted(backup));
    if let (Some(file), Some(bytes)) = (file, bytes) {
        let verified = if *verified { ", verified" } else { ", not verified" };
        text += &format!(", in {} ({}{verified})", clean(&file.display().to_string()), size(*bytes));
    }
    if !removed.is_empty() {
        text += &format!("; {} older removed", removed.len());
    }
    text + "."
}

/// `12 files, 3.4 MiB`, and what is not in it.
fn counted(backup: &BackupSummary) -> String {
    let Some(contents) = contents(backup) else { return clean(&backup.contents) };
    let left_out: Vec<_> = contents
        .left_out
        .iter()
        .filter(|(_, many)| **many > 0)
        .map(|(reason, many)| format!("{many} {}", clean(&reason.replace('_', " "))))
        .collect();
    let mut text = format!("{} files, {}", contents.files, size(contents.bytes));
    if !left_out.is_empty() {
        text += &format!(", left out or altered: {}", left_out.join(", "));
    }
    if contents.changed > 0 {
        text += &format!(", {} changed meanwhile", contents.changed);
    }
    text
}

fn contents(backup: &BackupSummary) -> Option<Contents> {
    serde_json::from_str(&backup.contents).ok()
}

fn render(path: &Path, backup: &BackupSummary, session: &Session) -> String {
    let lines = vec![
        ("tenant", Cell::from(&backup.tenant)),
        ("made", Cell::from(directory::shown(backup.made))),
        ("on", Cell::from(format!("{} (tenantd {})", backup.host, backup.tenantd))),
        ("meanwhile", Cell::from(&backup.quiesced)),
        ("holds", Cell::from(format!("{}, {} files of the vault", counted(backup), backup.secrets))),
        ("KEK", Cell::from(&backup.kek)),
    ];
    let head = format!("{} is whole and opens.\n", clean(&path.display().to_string()));
    head + &fields(&lines, session.width, session.palette)
}

fn read(answer: &str) -> Result<BackupSummary, Failure> {
    serde_json::from_str(answer).map_err(|error| Failure::foreign_answer("the backup", &error))
}

/// How far tenantd has read: the offset belongs to both.
fn place(file: &File) -> Option<u64> {
    seek(file, SeekFrom::Current(0)).ok()
}

fn named(path: &Path, failure: Failure) -> Failure {
    match failure {
        Failure::Sentence { exit, message } => {
            Failure::Sentence { exit, message: format!("{}: {message}", path.display()) }
        }
        Failure::Wider { message, .. } => Failure::new(Exit::Data, message),
        Failure::ReaderGone => Failure::new(Exit::Io, "nobody reads the output any more"),
    }
}
