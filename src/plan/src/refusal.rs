//! Why a tenant is not built. Each is one sentence: object, cause, remedy.

use model::{Exit, Feature, TenantId};
use thiserror::Error;

use crate::draft::Conflict;

/// A layer that cannot hold on this host, or input that no layer can honour.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The host lacks a feature and the spec does not accept that.
    #[error("tenant {tenant}: layer {layer} needs {feature}, which this host lacks: {remedy}; or run without it by accept_missing = [\"{feature}\"]", remedy = .feature.remedy())]
    Missing {
        /// Whose layer.
        tenant: TenantId,
        /// Name of the layer.
        layer: &'static str,
        /// What is missing.
        feature: Feature,
    },
    /// The kernel is too old for a layer; nothing can be accepted in its place.
    #[error("tenant {tenant}: layer {layer} needs {needed}; this host has {found}: {remedy}")]
    Kernel {
        /// Whose layer.
        tenant: TenantId,
        /// Name of the layer.
        layer: &'static str,
        /// What is needed.
        needed: String,
        /// What there is.
        found: String,
        /// What to do.
        remedy: String,
    },
    /// A limit above what the host has.
    #[error("tenant {tenant}: {key} = {value} is more than this host has ({available}): lower it")]
    AboveHost {
        /// Whose limit.
        tenant: TenantId,
        /// Key of the spec.
        key: &'static str,
        /// Value asked for.
        value: String,
        /// What there is.
        available: String,
    },
    /// The runtime cannot be rendered for this tenant.
    #[error("tenant {tenant}: runtime {runtime}: {cause}")]
    Runtime {
        /// Whose runtime.
        tenant: TenantId,
        /// Runtime name.
        runtime: String,
        /// Cause and remedy.
        cause: String,
    },
    /// The spec adds settings that the runtime seals or has no place for.
    #[error("tenant {tenant}: {cause}")]
    Settings {
        /// Whose settings.
        tenant: TenantId,
        /// Key, cause and remedy.
        cause: String,
    },
    /// Two layers disagree: a fault of the program.
    #[error("tenant {tenant}: {conflict}")]
    Conflict {
        /// Whose layers.
        tenant: TenantId,
        /// Both of them.
        conflict: Conflict,
    },
}

impl Refusal {
    /// Exit code of a program that ends with this refusal.
    pub fn exit(&self) -> Exit {
        match self {
            Refusal::Missing { .. } | Refusal::Kernel { .. } => Exit::Os,
            Refusal::AboveHost { .. } | Refusal::Settings { .. } => Exit::Data,
            Refusal::Runtime { .. } => Exit::Config,
            Refusal::Conflict { .. } => Exit::Software,
        }
    }
}
