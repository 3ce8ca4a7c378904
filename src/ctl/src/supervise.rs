//! `start`, `stop`, `sleep`, `restart`, `enable`, `disable`: like systemctl, silent when done, several tenants at once.

use api::Manager1Proxy;
use model::TenantId;

use crate::cli::Tenants;
use crate::failure::Ended;
use crate::progress;
use crate::session::Session;

/// What is done to each tenant.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// Start it.
    Start,
    /// Stop it.
    Stop {
        /// By killing.
        now: bool,
    },
    /// Put it to sleep.
    Sleep,
    /// Restart it.
    Restart,
    /// Start it at boot, or no longer.
    Enable(bool),
}

/// Does it to each tenant; one that fails does not keep the others from it. Ends with the first failure's code.
pub(crate) async fn each(session: &mut Session, which: &Tenants, act: Act) -> Ended {
    let daemon = session.daemon().await?;
    let mut code = 0;
    for tenant in &which.tenants {
        let work = perform(&daemon, tenant, act);
        if let Err(failure) = progress::follow(session, &daemon, tenant.as_str(), work).await {
            session.complain(&failure)?;
            code = if code == 0 { failure.code() } else { code };
        }
    }
    Ok(code)
}

async fn perform(daemon: &Manager1Proxy<'_>, tenant: &TenantId, act: Act) -> Result<(), api::Error> {
    let id = tenant.as_str();
    match act {
        Act::Start => daemon.start_tenant(id).await,
        Act::Stop { now } => daemon.stop_tenant(id, now).await,
        Act::Sleep => daemon.sleep_tenant(id).await,
        Act::Restart => daemon.restart_tenant(id).await,
        Act::Enable(enable) => daemon.enable_tenant(id, enable).await,
    }
}
