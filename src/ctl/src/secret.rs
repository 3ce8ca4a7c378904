//! `secret …`: values sealed for a tenant. They go in and never come back.

use api::{SecretSummary, Summary};
use model::TenantId;
use zbus::zvariant::Fd;

use crate::cli::{SecretArgs, SecretFor, SecretVerb};
use crate::conceal;
use crate::failure::{Ended, Failure};
use crate::output::{Cell, Palette, Tone, clean, table};
use crate::session::Session;

/// Does one verb.
pub(crate) async fn secret(session: &mut Session, verb: SecretVerb) -> Ended {
    match verb {
        SecretVerb::Set { secret, kind, from, restart } => {
            let value = conceal::value(session, from.as_deref())?;
            set(session, &secret, word(kind), Fd::from(value), restart).await
        }
        SecretVerb::Rotate { secret, from, restart } => {
            let value = conceal::value(session, from.as_deref())?;
            set(session, &secret, "", Fd::from(value), restart).await
        }
        SecretVerb::List { tenant } => {
            let answer = session.vault().await?.list_secrets(tenant.as_str()).await?;
            let secrets: Vec<SecretSummary> =
                serde_json::from_str(&answer).map_err(|error| Failure::foreign_answer("secrets", &error))?;
            session
                .print(&secrets, |session| render(&secrets, session.width, session.palette, session.now))?;
            Ok(0)
        }
        SecretVerb::Remove(secret) => {
            session.vault().await?.remove_secret(secret.tenant.as_str(), &secret.name).await?;
            Ok(0)
        }
    }
}

fn word(kind: SecretFor) -> &'static str {
    match kind {
        SecretFor::Proxy => "proxy",
        SecretFor::File => "file",
        SecretFor::Variable => "variable",
    }
}

async fn set(session: &mut Session, secret: &SecretArgs, kind: &str, value: Fd<'_>, restart: bool) -> Ended {
    let daemon = session.vault().await?;
    let answer = daemon.set_secret(secret.tenant.as_str(), &secret.name, kind, value).await?;
    let set: SecretSummary =
        serde_json::from_str(&answer).map_err(|error| Failure::foreign_answer("the secret", &error))?;
    session.print(&set, |_| {
        format!(
            "Secret {} of tenant {} is sealed, in version {}.\n",
            clean(&set.name),
            secret.tenant,
            set.version
        )
    })?;
    if set.kind == "proxy" {
        return Ok(0);
    }
    if restart {
        take_up(session, &secret.tenant).await?;
    } else {
        let next =
            format!("Its gateway gets it when it starts the next time: tenantctl restart {}", secret.tenant);
        session.note(&next)?;
    }
    Ok(0)
}

/// Lets a gateway that runs start again; one that does not gets the secret when it starts.
async fn take_up(session: &mut Session, tenant: &TenantId) -> Result<(), Failure> {
    let daemon = session.daemon().await?;
    let list: Vec<Summary> = serde_json::from_str(&daemon.list_tenants().await?)
        .map_err(|error| Failure::foreign_answer("tenants", &error))?;
    if !list.iter().any(|line| line.id == tenant.as_str() && line.state == "active") {
        return session.note("Its gateway does not run; it gets it when it starts.");
    }
    session.note(&format!("Restarting the gateway of tenant {tenant}, so that it gets it."))?;
    Ok(daemon.restart_tenant(tenant.as_str()).await?)
}

fn render(secrets: &[SecretSummary], width: usize, palette: Palette, now: u64) -> String {
    if secrets.is_empty() {
        return "No secrets. Seal one with \"tenantctl secret set TENANT NAME < FILE\".\n".to_owned();
    }
    let rows: Vec<_> = secrets
        .iter()
        .map(|secret| {
            [
                Cell::from(&secret.name),
                Cell::from(&secret.kind),
                Cell::from(secret.version.to_string()),
                Cell::from(secret.changed.map_or_else(|| "-".to_owned(), |at| ago(now.saturating_sub(at)))),
                Cell::toned(Tone::Bad, secret.problem.clone().unwrap_or_else(|| "-".to_owned())),
            ]
        })
        .collect();
    table(["SECRET", "FOR", "VERSION", "CHANGED", "PROBLEM"], &rows, width, palette)
}

fn ago(seconds: u64) -> String {
    match seconds {
        0..=59 => format!("{seconds} s ago"),
        60..=3599 => format!("{} min ago", seconds / 60),
        3600..=86_399 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}
