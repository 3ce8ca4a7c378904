//! `org.tenantd.Egress1`.

use std::sync::Arc;

use api::{Error, action};
use model::TenantId;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;

use super::{Calls, id};
use crate::egress::Wish;
use crate::polkit::authorize;
use crate::service::Service;

/// Egress on the bus.
#[derive(Debug)]
pub struct EgressObject {
    calls: Calls,
}

impl EgressObject {
    /// Serves this daemon's.
    pub fn new(service: Arc<Service>) -> Self {
        Self { calls: Calls { service } }
    }
}

/// A tenant, or with an empty name all.
fn one_or_all(text: &str) -> Result<Option<TenantId>, Error> {
    if text.is_empty() { Ok(None) } else { id(text).map(Some) }
}

#[zbus::interface(name = "org.tenantd.Egress1")]
impl EgressObject {
    async fn list_requests(
        &self,
        tenant: &str,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::QUESTIONS).await?;
        let id = one_or_all(tenant)?;
        self.calls.document(move |service| service.asked(id.as_ref())).await
    }

    #[expect(clippy::too_many_arguments, reason = "the arguments are those of the method on the bus")]
    async fn answer_request(
        &self,
        number: u64,
        digest: String,
        verdict: String,
        scope: String,
        reason: String,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let allowed = authorize(bus, &header, action::APPROVE).await?;
        let wish = Wish { number, digest, verdict, scope, reason, caller: allowed.uid() };
        self.calls.document(move |service| service.answer_request(&wish)).await
    }

    async fn list_approvals(
        &self,
        tenant: &str,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::STATUS).await?;
        let id = id(tenant)?;
        self.calls.document(move |service| service.list_approvals(&id)).await
    }

    async fn revoke_approval(
        &self,
        tenant: &str,
        number: u64,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Error> {
        let allowed = authorize(bus, &header, action::APPROVE).await?;
        let (id, caller) = (id(tenant)?, allowed.uid());
        self.calls.plain(move |service| service.revoke_approval(&id, number, caller)).await
    }

    async fn get_egress(
        &self,
        tenant: &str,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::STATUS).await?;
        let id = id(tenant)?;
        self.calls.document(move |service| service.egress_view(&id)).await
    }

    async fn explain_egress(
        &self,
        tenant: &str,
        question: String,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::STATUS).await?;
        let id = id(tenant)?;
        self.calls.document(move |service| service.explain_egress(&id, &question)).await
    }

    async fn learn(
        &self,
        tenant: &str,
        seconds: u32,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::CHANGE).await?;
        let id = id(tenant)?;
        self.calls.document(move |service| service.learn(&id, seconds)).await
    }

    async fn get_learned(
        &self,
        tenant: &str,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::STATUS).await?;
        let id = id(tenant)?;
        self.calls.document(move |service| service.learned(&id)).await
    }

    async fn usage(
        &self,
        tenant: &str,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::STATUS).await?;
        let id = one_or_all(tenant)?;
        self.calls.document(move |service| service.usage(id.as_ref())).await
    }

    async fn check_change(
        &self,
        tenant: &str,
        spec: String,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::STATUS).await?;
        let id = id(tenant)?;
        self.calls.document(move |service| service.check_change(&id, &spec)).await
    }

    #[zbus(signal)]
    async fn requests_changed(emitter: &SignalEmitter<'_>, number: u64) -> zbus::Result<()>;
}

/// Tells everybody on the bus that questions were raised or closed: their numbers, and nothing of what they say.
pub async fn tell_changes(service: Arc<Service>, bus: zbus::Connection) {
    use tokio::sync::broadcast::error::RecvError;
    let mut changes = service.changed_requests();
    loop {
        let number = match changes.recv().await {
            Ok(number) => number,
            // Whoever listens looks at the list anyway.
            Err(RecvError::Lagged(_)) => 0,
            Err(RecvError::Closed) => return,
        };
        let told = match SignalEmitter::new(&bus, api::OBJECT_PATH) {
            Ok(emitter) => EgressObject::requests_changed(&emitter, number).await,
            Err(error) => Err(error),
        };
        if let Err(error) = told {
            tracing::warn!("cannot tell that a request has changed: {error}");
        }
    }
}
