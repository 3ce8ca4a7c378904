//! `org.tenantd.Manager1`.

use std::collections::HashMap;
use std::sync::Arc;

use api::{Error, action};
use serde::Serialize;
use tokio::sync::mpsc;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::zvariant::OwnedFd;

use super::{Calls, id};
use crate::failure::Failure;
use crate::journal::Progress;
use crate::polkit::authorize;
use crate::run::blocking;
use crate::runtimes::InstallRequest;
use crate::service::Service;
use crate::supervise::Command;

/// The object on the bus.
#[derive(Debug)]
pub struct Manager {
    calls: Calls,
}

impl Manager {
    /// Serves this daemon.
    pub fn new(service: Arc<Service>) -> Self {
        Self { calls: Calls { service } }
    }

    /// Work that answers with a document and tells the caller, and nobody else on the bus, how far it has come.
    async fn long_work<T: Serialize + Send + 'static>(
        &self,
        (emitter, header): (SignalEmitter<'_>, &Header<'_>),
        subject: String,
        work: impl FnOnce(&Service, &Progress) -> Result<T, Failure> + Send + 'static,
    ) -> Result<String, Error> {
        let emitter = match header.sender() {
            Some(caller) => emitter.set_destination(caller.to_owned().into()),
            None => return Err(Error::NotAllowed("the message names no sender".into())),
        };
        let (sender, mut receiver) = mpsc::unbounded_channel::<(u32, String)>();
        let service = self.calls.service.clone();
        let worker = blocking(move || {
            // A receiver that is gone means the call was cancelled; the work goes on to its end all the same.
            let tell = move |percent: u32, text: &str| drop(sender.send((percent, text.to_owned())));
            Ok(serde_json::to_string(&work(&service, &tell)?)?)
        });
        let told = async {
            while let Some((percent, text)) = receiver.recv().await {
                if let Err(error) = emitter.progress(subject.clone(), percent, text).await {
                    tracing::warn!("cannot tell progress of {subject}: {error}");
                }
            }
        };
        let (result, ()) = tokio::join!(worker, told);
        Ok(result?)
    }
}

/// The subject of progress about a spec that may not even parse.
fn subject_of(spec: &str) -> String {
    model::SpecFile::parse("spec", spec).map(|spec| spec.id.to_string()).unwrap_or_default()
}

#[zbus::interface(name = "org.tenantd.Manager1")]
impl Manager {
    async fn list_tenants(
        &self,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::LIST).await?;
        self.calls.document(Service::list).await
    }

    async fn get_status(
        &self,
        tenant: &str,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::STATUS).await?;
        let id = id(tenant)?;
        self.calls.document(move |service| service.status(&id)).await
    }

    async fn get_spec(
        &self,
        tenant: &str,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::STATUS).await?;
        let id = id(tenant)?;
        let service = self.calls.service.clone();
        Ok(blocking(move || Ok(catalog::read_spec(&service.paths, &id)?.1)).await?)
    }

    async fn create_tenant(
        &self,
        spec: String,
        start: bool,
        dry_run: bool,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::CREATE).await?;
        self.long_work((emitter, &header), subject_of(&spec), move |service, tell| {
            service.create(&spec, None, (start, dry_run), tell)
        })
        .await
    }

    #[expect(clippy::too_many_arguments, reason = "the arguments are those of the method on the bus")]
    async fn create_shown(
        &self,
        spec: String,
        digest: String,
        start: bool,
        dry_run: bool,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::CREATE).await?;
        self.long_work((emitter, &header), subject_of(&spec), move |service, tell| {
            service.create(&spec, Some(&digest), (start, dry_run), tell)
        })
        .await
    }

    async fn apply_spec(
        &self,
        spec: String,
        dry_run: bool,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::CHANGE).await?;
        self.long_work((emitter, &header), subject_of(&spec), move |service, tell| {
            service.change(&spec, None, dry_run, tell)
        })
        .await
    }

    async fn apply_shown(
        &self,
        spec: String,
        digest: String,
        dry_run: bool,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::CHANGE).await?;
        self.long_work((emitter, &header), subject_of(&spec), move |service, tell| {
            service.change(&spec, Some(&digest), dry_run, tell)
        })
        .await
    }

    async fn start_tenant(
        &self,
        tenant: &str,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Error> {
        let _allowed = authorize(bus, &header, action::START_STOP).await?;
        let id = id(tenant)?;
        self.calls.plain(move |service| service.start(&id)).await
    }

    async fn stop_tenant(
        &self,
        tenant: &str,
        now: bool,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Error> {
        let _allowed = authorize(bus, &header, action::START_STOP).await?;
        let id = id(tenant)?;
        self.calls.plain(move |service| service.stop(&id, now)).await
    }

    async fn sleep_tenant(
        &self,
        tenant: &str,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Error> {
        let _allowed = authorize(bus, &header, action::START_STOP).await?;
        let id = id(tenant)?;
        self.calls.plain(move |service| service.sleep(&id)).await
    }

    async fn restart_tenant(
        &self,
        tenant: &str,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Error> {
        let _allowed = authorize(bus, &header, action::START_STOP).await?;
        let id = id(tenant)?;
        self.calls.plain(move |service| service.restart(&id)).await
    }

    async fn enable_tenant(
        &self,
        tenant: &str,
        enable: bool,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Error> {
        let _allowed = authorize(bus, &header, action::START_STOP).await?;
        let id = id(tenant)?;
        self.calls.plain(move |service| service.enable(&id, enable)).await
    }

    async fn repair_tenant(
        &self,
        tenant: &str,
        dry_run: bool,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::CHANGE).await?;
        let id = id(tenant)?;
        self.long_work((emitter, &header), id.to_string(), move |service, tell| {
            service.repair(&id, None, dry_run, tell)
        })
        .await
    }

    async fn repair_shown(
        &self,
        tenant: &str,
        digest: String,
        dry_run: bool,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::CHANGE).await?;
        let id = id(tenant)?;
        self.long_work((emitter, &header), id.to_string(), move |service, tell| {
            service.repair(&id, Some(&digest), dry_run, tell)
        })
        .await
    }

    #[expect(clippy::too_many_arguments, reason = "the arguments are those of the method on the bus")]
    async fn delete_tenant(
        &self,
        tenant: &str,
        keep_data: bool,
        destroy: bool,
        dry_run: bool,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::DELETE).await?;
        let id = id(tenant)?;
        self.long_work((emitter, &header), id.to_string(), move |service, tell| {
            service.delete(&id, (keep_data, destroy), dry_run, tell)
        })
        .await
    }

    #[expect(clippy::too_many_arguments, reason = "the arguments are those of the method on the bus")]
    async fn exec_tenant(
        &self,
        tenant: &str,
        argv: Vec<String>,
        environment: HashMap<String, String>,
        stdin: OwnedFd,
        stdout: OwnedFd,
        stderr: OwnedFd,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<u32, Error> {
        let _allowed = authorize(bus, &header, action::CHANGE).await?;
        let id = id(tenant)?;
        let command = Command {
            argv,
            environment: environment.into_iter().collect(),
            streams: [stdin.into(), stdout.into(), stderr.into()],
        };
        self.calls
            .while_awaited(bus, &header, move |service, cancel| service.exec(&id, command, cancel))
            .await
    }

    async fn explain_tenant(
        &self,
        tenant: &str,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::STATUS).await?;
        let id = id(tenant)?;
        self.calls.document(move |service| Ok(plan::explain(&service.wanted_on_disk(&id)?.1))).await
    }

    async fn list_runtimes(
        &self,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::LIST).await?;
        self.calls.document(Service::runtimes).await
    }

    #[expect(clippy::too_many_arguments, reason = "the arguments are those of the method on the bus")]
    async fn install_runtime(
        &self,
        name: String,
        version: String,
        untested: bool,
        use_from: bool,
        from: OwnedFd,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::RUNTIME).await?;
        let from = use_from.then(|| from.into());
        let request = InstallRequest { name: name.clone(), version, untested, from };
        self.long_work((emitter, &header), name, move |service, tell| service.install_runtime(request, tell))
            .await
    }

    async fn verify_runtime(
        &self,
        name: String,
        version: String,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::RUNTIME).await?;
        self.long_work((emitter, &header), name.clone(), move |service, tell| {
            service.verify_runtime(&name, &version, tell)
        })
        .await
    }

    async fn remove_runtime(
        &self,
        name: String,
        version: String,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Error> {
        let _allowed = authorize(bus, &header, action::RUNTIME).await?;
        self.calls.plain(move |service| service.remove_runtime(&name, &version)).await
    }

    async fn pin_runtime(
        &self,
        name: String,
        version: String,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Error> {
        let _allowed = authorize(bus, &header, action::RUNTIME).await?;
        self.calls.plain(move |service| service.pin_runtime(&name, &version)).await
    }

    #[zbus(signal)]
    async fn progress(
        emitter: &SignalEmitter<'_>,
        subject: String,
        percent: u32,
        text: String,
    ) -> zbus::Result<()>;
}
