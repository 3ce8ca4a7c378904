//! Start, recovery, serving, end.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use host::Systemd;
use model::{Exit, Paths};
use runtime_store::Store;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::allocate::store_failure;
use crate::bus::{BackupObject, EdgeObject, EgressObject, Manager, VaultObject, tell_changes};
use crate::failure::Failure;
use crate::service::Service;
use crate::state::Database;
use crate::vault::Vault;
use crate::{edge, egress, wake};

/// Runs until SIGTERM. Tenants run on.
pub fn run() -> ExitCode {
    start_logging();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("cannot start: {error}: see \"systemctl status tenantd\"");
            return Exit::Os.into();
        }
    };
    match runtime.block_on(serve()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{failure}");
            failure.exit.into()
        }
    }
}

/// To the journal, with fields; to standard error where there is no journal.
fn start_logging() {
    let registry = tracing_subscriber::registry().with(tracing_subscriber::filter::LevelFilter::INFO);
    match tracing_journald::layer() {
        Ok(journal) => registry.with(journal).init(),
        Err(_) => registry.with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr)).init(),
    }
}

async fn serve() -> Result<(), Failure> {
    let service = Arc::new(blocking(open).await?);
    let recovering = service.clone();
    let rotating = service.clone();
    blocking(move || recovering.recover()).await?;
    let renewing = service.clone();
    if let Err(failure) = blocking(move || renewing.renew_edge()).await {
        tracing::error!("the edge does without its settings: {failure}");
    }
    // A daemon that cannot wake tenants does everything else.
    if let Err(failure) = wake::serve(service.clone()) {
        tracing::error!("{failure}");
    }
    if let Err(failure) = egress::serve(service.clone()) {
        tracing::error!("{failure}");
    }
    let unavailable = |error: zbus::Error| {
        Failure::new(
            Exit::Unavailable,
            format!("cannot serve on the system bus: {error}: see \"systemctl status dbus\""),
        )
    };
    let connection = zbus::connection::Builder::system()
        .and_then(|builder| builder.serve_at(api::OBJECT_PATH, Manager::new(service.clone())))
        .and_then(|builder| builder.serve_at(api::OBJECT_PATH, VaultObject::new(service.clone())))
        .and_then(|builder| builder.serve_at(api::OBJECT_PATH, BackupObject::new(service.clone())))
        .and_then(|builder| builder.serve_at(api::OBJECT_PATH, EdgeObject::new(service.clone())))
        .and_then(|builder| builder.serve_at(api::OBJECT_PATH, EgressObject::new(service.clone())))
        .and_then(|builder| builder.name(api::BUS_NAME))
        .map_err(unavailable)?
        .build()
        .await
        .map_err(unavailable)?;
    tracing::info!("serving {}", api::BUS_NAME);
    tokio::spawn(tell_changes(service, connection.clone()));
    let finishing = blocking(move || {
        // Locked, or a damaged vault: whoever needs it is told then.
        if let Err(failure) = rotating.finish_kek() {
            tracing::error!("cannot end the rotation of the KEK: {failure}");
        }
        Ok(())
    });
    tokio::spawn(finishing);
    wait_for_end().await?;
    drop(connection);
    Ok(())
}

fn open() -> Result<Service, Failure> {
    // A host that cannot is served all the same; the vault is open in memory that may be swapped out, and it is said so.
    if let Err(error) = host::lock_memory() {
        tracing::warn!("{error}");
    }
    let paths = Paths::host();
    let systemd = Systemd::system();
    for (directory, mode) in [
        (paths.runtimes(), 0o755),
        (paths.state().join("compiled"), 0o755),
        (paths.state().join("empty"), 0o755),
        (paths.state().join("egress"), 0o755),
        (paths.vault(), 0o700),
    ] {
        make_directory(&directory, mode)?;
    }
    // Nor does an edge that is in disorder keep it from the rest.
    if let Err(failure) = edge::prepare(&paths) {
        tracing::error!("{failure}");
    }
    let database = Database::open(&paths.database())?;
    let store = Store::open(&paths.runtimes()).map_err(store_failure)?;
    store.sweep().map_err(store_failure)?;
    let vault = Vault::new(&paths, &systemd);
    Ok(Service::new(paths, systemd, database, store, vault))
}

/// A directory of tenantd's own below `/var/lib/tenantd`, which only root can enter.
fn make_directory(path: &Path, mode: u32) -> Result<(), Failure> {
    match std::fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(Failure::new(
            Exit::Io,
            format!("cannot make {}: {error}: reinstall the package tenantd", path.display()),
        )),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Runs blocking work on a thread of its own.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Failure::new(
            Exit::Software,
            format!("the operation ended abnormally: {error}: please report this"),
        )),
    }
}

async fn wait_for_end() -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |error: std::io::Error| Failure::new(Exit::Os, format!("cannot wait for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    Ok(())
}
