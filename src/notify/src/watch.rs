//! What is asked, from tenantd: its list after each of its signals. tenantd is never started by this.

use std::time::Duration;

use api::{AskedRequest, Egress1Proxy};
use futures_util::StreamExt as _;
use zbus::proxy::MethodFlags;

use crate::queue::Shared;

/// Between two looks when no signal comes: one that was lost costs no more.
const LOOK: Duration = Duration::from_secs(60);
/// For one list; tenantd may be at work.
const PATIENCE: Duration = Duration::from_secs(30);

/// Keeps the queue up to date for as long as there is a bus.
pub async fn watch(bus: &zbus::Connection, shared: &Shared) -> zbus::Result<()> {
    let daemon = Egress1Proxy::new(bus).await?;
    // Before the list is read, so that nothing falls between.
    let mut changes = daemon.receive_requests_changed().await?;
    let mut problem = String::new();
    loop {
        match list(&daemon).await {
            Ok(list) => {
                if !problem.is_empty() {
                    tracing::info!("tenantd answers again");
                    problem.clear();
                }
                shared.update(list);
            }
            Err(why) if why != problem => {
                tracing::warn!("cannot see what tenants ask for: {why}");
                problem = why;
            }
            Err(_) => {}
        }
        match tokio::time::timeout(LOOK, changes.next()).await {
            Ok(Some(_)) | Err(_) => {}
            Ok(None) => return Ok(()),
        }
    }
}

async fn list(daemon: &Egress1Proxy<'_>) -> Result<Vec<AskedRequest>, String> {
    let call = daemon.inner().call_with_flags::<_, _, String>(
        "ListRequests",
        MethodFlags::NoAutoStart.into(),
        &("",),
    );
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(Ok(Some(text))) => {
            serde_json::from_str(&text).map_err(|error| format!("its answer is not understood: {error}"))
        }
        Ok(Ok(None)) => Err("it answered nothing".to_owned()),
        // Without tenantd nobody waits, and nothing is asked.
        Ok(Err(zbus::Error::MethodError(name, ..))) if absent(&name) => Ok(Vec::new()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

fn absent(name: &str) -> bool {
    ["org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner"].contains(&name)
}
