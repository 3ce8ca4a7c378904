//! `delete`: asks before data goes, where there is someone to ask.

use std::io::{BufRead, BufReader, Write};

use model::{Exit, TenantId};

use crate::cli::DeleteArgs;
use crate::create::{outcome, planned};
use crate::failure::{Ended, Failure};
use crate::progress;
use crate::session::Session;

/// Deletes a tenant.
pub(crate) async fn delete(session: &mut Session, arguments: &DeleteArgs) -> Ended {
    let tenant = &arguments.tenant;
    if !arguments.keep_data && !arguments.yes && !arguments.dry_run {
        confirm(session, tenant)?;
    }
    let daemon = session.daemon().await?;
    let work =
        daemon.delete_tenant(tenant.as_str(), arguments.keep_data, arguments.destroy, arguments.dry_run);
    let answer = match progress::follow(session, &daemon, tenant.as_str(), work).await {
        // Called again after it was interrupted: the backups are left.
        Err(Failure::Sentence { exit: Exit::NoInput, .. }) if arguments.destroy && !arguments.dry_run => {
            return destroy_backups(session, tenant);
        }
        answer => answer?,
    };
    let outcome = outcome(tenant.as_str(), &answer)?;
    let data = session.paths.data(tenant);
    session.print(&outcome, |_| match (outcome.dry_run, arguments.keep_data) {
        (true, _) => planned(&outcome),
        (false, true) => format!("Tenant {tenant} is deleted; its data stays in {}.\n", data.display()),
        (false, false) => format!("Tenant {tenant} and its data are deleted.\n"),
    })?;
    if arguments.destroy && !arguments.dry_run {
        return destroy_backups(session, tenant);
    }
    Ok(0)
}

fn destroy_backups(session: &mut Session, tenant: &TenantId) -> Ended {
    let (removed, directory) = crate::backup::destroy(session, tenant)?;
    session.note(&format!(
        "{removed} backups of tenant {tenant} in {directory} are removed. Copies elsewhere open with this host's KEK for as long as that exists."
    ))?;
    Ok(0)
}

/// Lets a person type the name again; refuses where there is no terminal.
fn confirm(session: &mut Session, tenant: &TenantId) -> Result<(), Failure> {
    if !(session.terminals.stdin && session.terminals.stderr) {
        return Err(Failure::new(
            Exit::Usage,
            format!(
                "deleting tenant {tenant} deletes its data: say --yes to do so, or --keep-data to keep it"
            ),
        ));
    }
    let data = session.paths.data(tenant);
    write!(
        session.err,
        "This deletes tenant {tenant} and all its data in {}.\nType the tenant's name to go on: ",
        data.display()
    )?;
    session.err.flush()?;
    let mut answer = String::new();
    BufReader::new(&mut session.input).read_line(&mut answer)?;
    match answer.trim() == tenant.as_str() {
        true => Ok(()),
        false => {
            Err(Failure::new(Exit::Usage, format!("tenant {tenant} was not deleted: that was not its name")))
        }
    }
}
