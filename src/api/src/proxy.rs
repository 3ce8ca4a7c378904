//! The client's side of `org.tenantd.Manager1`.

use std::collections::HashMap;

use zbus::zvariant::Fd;

/// tenantd on the system bus. Every method names the polkit action it needs; uid 0 is always allowed, anybody else may
/// be asked to authenticate.
#[zbus::proxy(
    interface = "org.tenantd.Manager1",
    default_service = "org.tenantd.Manager1",
    default_path = "/org/tenantd/Manager1",
    gen_blocking = false
)]
pub trait Manager1 {
    /// All tenants: JSON array of [`crate::Summary`]. (`org.tenantd.list`)
    #[zbus(allow_interactive_auth)]
    fn list_tenants(&self) -> Result<String, crate::Error>;
    /// One tenant, measured: JSON [`crate::Status`]. (`org.tenantd.status`)
    #[zbus(allow_interactive_auth)]
    fn get_status(&self, id: &str) -> Result<String, crate::Error>;
    /// A tenant's spec as it lies on disk: TOML. (`org.tenantd.status`)
    #[zbus(allow_interactive_auth)]
    fn get_spec(&self, id: &str) -> Result<String, crate::Error>;
    /// Makes a tenant from a spec (TOML), enables it and, with `start`, starts it: JSON [`crate::Outcome`].
    /// With `dry_run` only the plan is made. (`org.tenantd.create`)
    #[zbus(allow_interactive_auth)]
    fn create_tenant(&self, spec: &str, start: bool, dry_run: bool) -> Result<String, crate::Error>;
    /// The same, if what it allows is still what [`crate::Change`] with this digest showed. (`org.tenantd.create`)
    #[zbus(allow_interactive_auth)]
    fn create_shown(
        &self,
        spec: &str,
        digest: &str,
        start: bool,
        dry_run: bool,
    ) -> Result<String, crate::Error>;
    /// Makes an existing tenant like this spec (TOML): JSON [`crate::Outcome`]. (`org.tenantd.change`)
    #[zbus(allow_interactive_auth)]
    fn apply_spec(&self, spec: &str, dry_run: bool) -> Result<String, crate::Error>;
    /// The same, if what it allows beyond the policy in force is still what [`crate::Change`] with this digest showed.
    /// (`org.tenantd.change`)
    #[zbus(allow_interactive_auth)]
    fn apply_shown(&self, spec: &str, digest: &str, dry_run: bool) -> Result<String, crate::Error>;
    /// Starts a tenant and returns when its gateway answers. (`org.tenantd.start-stop`)
    #[zbus(allow_interactive_auth)]
    fn start_tenant(&self, id: &str) -> Result<(), crate::Error>;
    /// Stops a tenant; with `now` its processes are killed instead of asked. (`org.tenantd.start-stop`)
    #[zbus(allow_interactive_auth)]
    fn stop_tenant(&self, id: &str, now: bool) -> Result<(), crate::Error>;
    /// Stops a tenant until the next request through the edge, or until it is started. (`org.tenantd.start-stop`)
    #[zbus(allow_interactive_auth)]
    fn sleep_tenant(&self, id: &str) -> Result<(), crate::Error>;
    /// Restarts a tenant. (`org.tenantd.start-stop`)
    #[zbus(allow_interactive_auth)]
    fn restart_tenant(&self, id: &str) -> Result<(), crate::Error>;
    /// Starts it at boot, or no longer. (`org.tenantd.start-stop`)
    #[zbus(allow_interactive_auth)]
    fn enable_tenant(&self, id: &str, enable: bool) -> Result<(), crate::Error>;
    /// Makes a tenant's host objects what its spec says: JSON [`crate::Outcome`]. (`org.tenantd.change`)
    #[zbus(allow_interactive_auth)]
    fn repair_tenant(&self, id: &str, dry_run: bool) -> Result<String, crate::Error>;
    /// The same, if what it allows beyond the policy in force is still what [`crate::Change`] with this digest showed.
    /// (`org.tenantd.change`)
    #[zbus(allow_interactive_auth)]
    fn repair_shown(&self, id: &str, digest: &str, dry_run: bool) -> Result<String, crate::Error>;
    /// Deletes a tenant, its data included unless `keep_data`; with `destroy` also one of which only kept data is left: JSON
    /// [`crate::Outcome`]. (`org.tenantd.delete`)
    #[zbus(allow_interactive_auth)]
    fn delete_tenant(
        &self,
        id: &str,
        keep_data: bool,
        destroy: bool,
        dry_run: bool,
    ) -> Result<String, crate::Error>;
    /// Runs a command in the cell with these standard streams; answers its exit status when it ends. (`org.tenantd.change`)
    #[zbus(allow_interactive_auth)]
    fn exec_tenant(
        &self,
        id: &str,
        argv: &[&str],
        environment: HashMap<&str, &str>,
        stdin: Fd<'_>,
        stdout: Fd<'_>,
        stderr: Fd<'_>,
    ) -> Result<u32, crate::Error>;
    /// Which layer asked for what: JSON array of `{what, layers}`. (`org.tenantd.status`)
    #[zbus(allow_interactive_auth)]
    fn explain_tenant(&self, id: &str) -> Result<String, crate::Error>;
    /// Runtimes and their versions: JSON array of [`crate::Installed`]. (`org.tenantd.list`)
    #[zbus(allow_interactive_auth)]
    fn list_runtimes(&self) -> Result<String, crate::Error>;
    /// Installs a version (empty: the newest tested one): JSON [`crate::Installed`]. `from` is a directory or a tar file
    /// opened by the caller; `use_from` says whether it counts. (`org.tenantd.runtime`)
    #[zbus(allow_interactive_auth)]
    fn install_runtime(
        &self,
        name: &str,
        version: &str,
        untested: bool,
        use_from: bool,
        from: Fd<'_>,
    ) -> Result<String, crate::Error>;
    /// Reads every file of an installed version again: JSON [`crate::Verdict`]. (`org.tenantd.runtime`)
    #[zbus(allow_interactive_auth)]
    fn verify_runtime(&self, name: &str, version: &str) -> Result<String, crate::Error>;
    /// Removes a version that no tenant uses. (`org.tenantd.runtime`)
    #[zbus(allow_interactive_auth)]
    fn remove_runtime(&self, name: &str, version: &str) -> Result<(), crate::Error>;
    /// Makes a version the one that new tenants get. (`org.tenantd.runtime`)
    #[zbus(allow_interactive_auth)]
    fn pin_runtime(&self, name: &str, version: &str) -> Result<(), crate::Error>;

    /// Progress of long work: `subject` is a tenant's or runtime's name, `percent` 0 to 100.
    #[zbus(signal)]
    fn progress(&self, subject: String, percent: u32, text: String) -> zbus::Result<()>;
}
