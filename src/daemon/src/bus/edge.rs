//! `org.tenantd.Edge1`.

use std::sync::Arc;

use api::{Error, action};
use zbus::message::Header;
use zbus::zvariant::OwnedFd;

use super::{Calls, id};
use crate::edge::Wish;
use crate::polkit::authorize;
use crate::service::Service;

/// The edge on the bus.
#[derive(Debug)]
pub struct EdgeObject {
    calls: Calls,
}

impl EdgeObject {
    /// Serves this daemon's.
    pub fn new(service: Arc<Service>) -> Self {
        Self { calls: Calls { service } }
    }
}

#[zbus::interface(name = "org.tenantd.Edge1")]
impl EdgeObject {
    async fn enable_edge(
        &self,
        settings: String,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::EDGE).await?;
        self.calls.document(move |service| service.enable_edge(&settings)).await
    }

    async fn disable_edge(
        &self,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::EDGE).await?;
        self.calls.document(Service::disable_edge).await
    }

    async fn reload_edge(
        &self,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::EDGE).await?;
        self.calls.document(Service::reload_edge).await
    }

    async fn get_edge(
        &self,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::LIST).await?;
        self.calls.document(Service::edge_status).await
    }

    async fn set_certificate(
        &self,
        certificate: OwnedFd,
        key: OwnedFd,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Error> {
        let _allowed = authorize(bus, &header, action::EDGE).await?;
        self.calls.plain(move |service| service.set_certificate(certificate.into(), key.into())).await
    }

    async fn issue_token(
        &self,
        tenant: &str,
        role: String,
        subject: String,
        ttl_sec: u32,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let allowed = authorize(bus, &header, action::TOKEN).await?;
        let wish = Wish { tenant: id(tenant)?, role, subject, caller: allowed.uid() };
        self.calls.document(move |service| service.issue_token(&wish, ttl_sec)).await
    }

    async fn issue_login(
        &self,
        tenant: &str,
        role: String,
        subject: String,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let allowed = authorize(bus, &header, action::TOKEN).await?;
        let wish = Wish { tenant: id(tenant)?, role, subject, caller: allowed.uid() };
        self.calls.document(move |service| service.issue_login(&wish)).await
    }

    async fn revoke_tokens(
        &self,
        by: String,
        value: String,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::TOKEN).await?;
        self.calls.document(move |service| service.revoke_tokens(&by, &value)).await
    }

    async fn rotate_signing_key(
        &self,
        now: bool,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::EDGE).await?;
        self.calls.document(move |service| service.rotate_signing_key(now)).await
    }
}
