//! The connection to PID 1: one for the process, owned by a thread of its own, made on first use and made again when it
//! is lost.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use model::Exit;
use plan::HostError;
use tokio::runtime::{Builder, Handle, Runtime};
use zbus::Connection;
use zbus::export::serde::Serialize;
use zbus::zvariant::DynamicType;

use super::jobs::Jobs;
use crate::error::sentence;

pub(super) const DESTINATION: &str = "org.freedesktop.systemd1";
pub(super) const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
pub(super) const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// How long PID 1 may take to answer one call; jobs are waited for by signal, not within a call.
const PATIENCE: Duration = Duration::from_secs(90);

/// systemd on the system bus. Cheap to clone; every clone uses one connection.
#[derive(Clone, Debug)]
pub struct Systemd {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    runtime: Mutex<Option<Runtime>>,
    link: tokio::sync::Mutex<Option<Link>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // A runtime may be dropped by a thread of another runtime, where waiting for its own thread would panic.
        if let Some(runtime) = lock(&self.runtime).take() {
            runtime.shutdown_background();
        }
    }
}

/// A live connection and the jobs seen on it.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) connection: Connection,
    pub(super) jobs: Jobs,
}

/// Why a call did not succeed.
#[derive(Debug)]
pub(super) enum BusError {
    /// PID 1 refused: error name and its text.
    Refused { name: String, text: String },
    /// The bus or PID 1 cannot be reached, or answered nonsense.
    Lost(zbus::Error),
}

impl BusError {
    /// Whether PID 1 knows no such unit.
    pub(super) fn is_no_such_unit(&self) -> bool {
        matches!(self, BusError::Refused { name, .. }
            if name == "org.freedesktop.systemd1.NoSuchUnit" || name == "org.freedesktop.DBus.Error.UnknownObject")
    }

    /// `cannot <act>: <cause>: <remedy>`.
    pub(super) fn while_doing(self, act: &str) -> HostError {
        match self {
            BusError::Refused { name, text } => sentence(
                if name.ends_with("AccessDenied") { Exit::NoPermission } else { Exit::Os },
                format!("cannot {act}: systemd refuses: {text}: see \"journalctl -b -u tenantd\""),
            ),
            BusError::Lost(error) => HostError {
                message: format!(
                    "cannot {act}: systemd does not answer on the system bus ({error}): see \"systemctl status dbus\""
                ),
                exit: Exit::Unavailable,
                source: Some(Box::new(error)),
            },
        }
    }
}

impl From<zbus::Error> for BusError {
    fn from(error: zbus::Error) -> Self {
        if let zbus::Error::MethodError(name, text, _) = &error {
            let text = text.clone().unwrap_or_else(|| name.to_string());
            return BusError::Refused { name: name.to_string(), text };
        }
        BusError::Lost(error)
    }
}

impl From<zbus::zvariant::Error> for BusError {
    fn from(error: zbus::zvariant::Error) -> Self {
        BusError::Lost(zbus::Error::Variant(error))
    }
}

impl Systemd {
    /// The host's systemd. Connects on first use.
    #[must_use]
    pub fn system() -> Self {
        Self { shared: Arc::default() }
    }

    /// Runs `work` on the connection's own thread and waits for it; `act` completes "cannot …" when it fails.
    pub(super) fn run<T, F, W>(&self, act: &str, work: W) -> Result<T, HostError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, BusError>> + Send,
        W: FnOnce(Link) -> F + Send + 'static,
    {
        let (answer, wait) = mpsc::sync_channel(1);
        let shared = Arc::clone(&self.shared);
        self.handle()?.spawn(async move {
            let outcome = match shared.link().await {
                Ok(link) => work(link).await,
                Err(error) => Err(error),
            };
            // The waiting side is blocked on this channel until it has the answer.
            answer.send(outcome).is_ok()
        });
        match wait.recv() {
            Ok(outcome) => outcome.map_err(|error| error.while_doing(act)),
            Err(mpsc::RecvError) => Err(sentence(
                Exit::Software,
                format!(
                    "cannot {act}: the thread that talks to systemd ended: restart tenantd and report this"
                ),
            )),
        }
    }

    fn handle(&self) -> Result<Handle, HostError> {
        let mut slot = lock(&self.shared.runtime);
        if let Some(runtime) = slot.as_ref() {
            return Ok(runtime.handle().clone());
        }
        let mut builder = Builder::new_multi_thread();
        let made =
            builder.worker_threads(1).thread_name("systemd-bus").enable_all().build().map_err(|error| {
                sentence(
                    Exit::Os,
                    format!("cannot start a thread for systemd: {error}: raise TasksMax= of tenantd.service"),
                )
            })?;
        let handle = made.handle().clone();
        *slot = Some(made);
        Ok(handle)
    }
}

impl Shared {
    /// The live connection; a new one when there is none or the last one was lost.
    async fn link(&self) -> Result<Link, BusError> {
        let mut slot = self.link.lock().await;
        if let Some(link) = slot.as_ref().filter(|link| link.jobs.is_listening()) {
            return Ok(link.clone());
        }
        let connection = zbus::connection::Builder::system()?.method_timeout(PATIENCE).build().await?;
        let jobs = Jobs::listen(&connection).await?;
        let link = Link { connection, jobs };
        link.manager("Subscribe", &()).await?;
        *slot = Some(link.clone());
        Ok(link)
    }
}

impl Link {
    /// Calls a method of the manager.
    pub(super) async fn manager<B>(&self, method: &str, body: &B) -> Result<zbus::Message, BusError>
    where
        B: Serialize + DynamicType + Sync,
    {
        self.call(MANAGER_PATH, MANAGER, method, body).await
    }

    /// All properties of one interface of an object.
    pub(super) async fn properties(
        &self,
        path: &str,
        interface: &str,
    ) -> Result<super::Properties, BusError> {
        let reply = self.call(path, PROPERTIES, "GetAll", &(interface,)).await?;
        Ok(super::Properties(reply.body().deserialize()?))
    }

    async fn call<B>(
        &self,
        path: &str,
        interface: &str,
        method: &str,
        body: &B,
    ) -> Result<zbus::Message, BusError>
    where
        B: Serialize + DynamicType + Sync,
    {
        let called =
            self.connection.call_method(Some(DESTINATION), path, Some(interface), method, body).await;
        Ok(called?)
    }
}

/// A lock whose holder cannot have left it half-changed: no code between lock and unlock of this crate panics.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
