//! `org.tenantd.Vault1` on the system bus, beside the manager.

use std::sync::Arc;

use api::{Error, action};
use serde::Serialize;
use zbus::message::Header;
use zbus::zvariant::OwnedFd;

use crate::bus::id;
use crate::failure::Failure;
use crate::polkit::authorize;
use crate::run::blocking;
use crate::service::Service;

/// The vault on the bus.
#[derive(Debug)]
pub struct VaultObject {
    service: Arc<Service>,
}

impl VaultObject {
    /// Serves this daemon's.
    pub fn new(service: Arc<Service>) -> Self {
        Self { service }
    }

    async fn document<T: Serialize + Send + 'static>(
        &self,
        work: impl FnOnce(&Service) -> Result<T, Failure> + Send + 'static,
    ) -> Result<String, Error> {
        let service = self.service.clone();
        Ok(blocking(move || Ok(serde_json::to_string(&work(&service)?)?)).await?)
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Service) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Error> {
        let service = self.service.clone();
        Ok(blocking(move || work(&service)).await?)
    }
}

#[zbus::interface(name = "org.tenantd.Vault1")]
impl VaultObject {
    async fn list_secrets(
        &self,
        tenant: &str,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::STATUS).await?;
        let id = id(tenant)?;
        self.document(move |service| service.secrets(&id)).await
    }

    async fn set_secret(
        &self,
        tenant: &str,
        name: String,
        kind: String,
        value: OwnedFd,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::SECRET).await?;
        let id = id(tenant)?;
        self.document(move |service| {
            let kind = Some(kind.as_str()).filter(|kind| !kind.is_empty());
            service.set_secret(&id, &name, kind, value.into())
        })
        .await
    }

    async fn remove_secret(
        &self,
        tenant: &str,
        name: String,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Error> {
        let _allowed = authorize(bus, &header, action::SECRET).await?;
        let id = id(tenant)?;
        self.work(move |service| service.remove_secret(&id, &name)).await
    }

    async fn get_vault(
        &self,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::LIST).await?;
        self.document(Service::vault_status).await
    }

    async fn rotate_kek(
        &self,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::VAULT).await?;
        self.document(Service::rotate_kek).await
    }

    async fn rotate_dek(
        &self,
        tenant: &str,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Error> {
        let _allowed = authorize(bus, &header, action::VAULT).await?;
        let id = id(tenant)?;
        self.work(move |service| service.rotate_dek(&id)).await
    }

    async fn export_recovery(
        &self,
        passphrase: OwnedFd,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<u8>, Error> {
        let _allowed = authorize(bus, &header, action::VAULT).await?;
        self.work(move |service| service.export_recovery(passphrase.into())).await
    }

    async fn import_recovery(
        &self,
        copy: OwnedFd,
        passphrase: OwnedFd,
        #[zbus(connection)] bus: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Error> {
        let _allowed = authorize(bus, &header, action::VAULT).await?;
        self.document(move |service| service.import_recovery(copy.into(), passphrase.into())).await
    }
}
