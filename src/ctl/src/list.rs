//! `list`: one line per tenant.

use api::Summary;

use crate::failure::{Ended, Failure};
use crate::output::{Cell, Palette, Tone, size, table};
use crate::session::Session;

/// Prints all tenants.
pub(crate) async fn list(session: &mut Session) -> Ended {
    let tenants = fetch(session).await?;
    session.print(&tenants, |session| render(&tenants, session.width, session.palette))?;
    Ok(0)
}

/// All tenants by name.
pub(crate) async fn fetch(session: &mut Session) -> Result<Vec<Summary>, Failure> {
    let answer = session.daemon().await?.list_tenants().await?;
    let mut tenants: Vec<Summary> =
        serde_json::from_str(&answer).map_err(|error| Failure::foreign_answer("tenants", &error))?;
    tenants.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(tenants)
}

fn render(tenants: &[Summary], width: usize, palette: Palette) -> String {
    if tenants.is_empty() {
        return "No tenants. Make one with \"tenantctl create NAME --runtime RUNTIME\".\n".to_owned();
    }
    let rows: Vec<_> = tenants
        .iter()
        .map(|tenant| {
            let missing: Vec<_> = tenant.missing.iter().map(|feature| feature.name()).collect();
            [
                Cell::from(&tenant.id),
                state(tenant),
                Cell::from(if tenant.enabled { "yes" } else { "no" }),
                Cell::from(format!("{} {}", tenant.runtime, tenant.version).trim_end()),
                Cell::from(&tenant.address),
                Cell::from(tenant.memory_bytes.map_or_else(|| "-".to_owned(), size)),
                Cell::toned(
                    Tone::Warning,
                    if missing.is_empty() { "-".to_owned() } else { missing.join(" ") },
                ),
            ]
        })
        .collect();
    table(["TENANT", "STATE", "BOOT", "RUNTIME", "ADDRESS", "MEMORY", "MISSING"], &rows, width, palette)
}

/// A tenant that was cut off is not simply inactive, nor is one that sleeps.
fn state(tenant: &Summary) -> Cell {
    match (tenant.alarm.is_some() && tenant.state != "active", tenant.sleeping) {
        (true, _) => Cell::toned(Tone::Bad, "cut off"),
        (false, true) => Cell::from("sleeping"),
        (false, false) => Cell::toned(tone_of(&tenant.state), &tenant.state),
    }
}

/// What a unit's `ActiveState` means to its operator.
pub(crate) fn tone_of(state: &str) -> Tone {
    match state {
        "active" => Tone::Good,
        "failed" => Tone::Bad,
        "activating" | "deactivating" | "reloading" => Tone::Warning,
        _ => Tone::Plain,
    }
}
