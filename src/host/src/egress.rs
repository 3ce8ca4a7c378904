//! What a tenant's egress proxy leaves behind: a directory of a user that exists only while the proxy runs.

use std::io;
use std::time::{Duration, Instant};

use model::{Exit, Paths, TenantId};
use plan::HostError;

use crate::Systemd;
use crate::error::sentence;

/// How long systemd may take to remove one small directory.
const PATIENCE: Duration = Duration::from_secs(20);

/// Stops the proxy and removes its state directory; nothing where there is none. systemd removes what it made, and follows no link there.
pub fn forget_proxy(systemd: &Systemd, paths: &Paths, tenant: &TenantId) -> Result<(), HostError> {
    let path = paths.egress_state(tenant);
    let failed = |what: String| {
        let text = format!(
            "cannot remove {}: {what}: try again, or run \"systemctl clean --what=state {}\"",
            path.display(),
            tenant.egress_unit()
        );
        sentence(Exit::Io, text)
    };
    let exists = || match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed(error.to_string())),
    };
    if !exists()? {
        return Ok(());
    }
    systemd.stop_all(&[tenant.egress_socket(), tenant.egress_unit()])?;
    systemd.clean_state(&tenant.egress_unit())?;
    let begun = Instant::now();
    while exists()? {
        if begun.elapsed() > PATIENCE {
            return Err(failed("systemd has not done it".to_owned()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
