//! From the files that tenantd compiles for a proxy to the policy that decides: the same for tenantd, which checks and explains, and
//! for the proxy, which enforces.

use model::egress::{ApprovalsFile, EgressFile, PolicyLevel, PolicyText};
use thiserror::Error;

use crate::{Cidr, Document, Host, Hosts, Layer, Level, MergeError, Policy, Refused};

/// Name of the document of approvals.
pub const APPROVALS: &str = "approvals";

/// Why compiled files are no policy.
#[derive(Debug, Error)]
pub enum CompileError {
    /// A document is refused.
    #[error("{0}")]
    Document(#[from] Refused),
    /// The documents do not go together.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// A host or a block of addresses is none.
    #[error("{what} {text:?}: {why}")]
    Value {
        /// What it should be.
        what: &'static str,
        /// What it is.
        text: String,
        /// Why it is not.
        why: String,
    },
}

/// The policy of a tenant, with what was approved.
pub fn compile(file: &EgressFile, approvals: Option<&ApprovalsFile>) -> Result<Policy, CompileError> {
    let hosts = known_hosts(file)?;
    let mut layers = Vec::new();
    for PolicyText { level, name, text } in &file.layers {
        let level = match level {
            PolicyLevel::Profile => Level::Profile,
            PolicyLevel::Preset => Level::Preset,
            PolicyLevel::Tenant => Level::Tenant,
        };
        layers.push(Layer { level, document: Document::parse(name, text, &hosts)? });
    }
    if let Some(text) = approvals.and_then(|approvals| approvals.document.as_deref()) {
        let document = Document::parse(APPROVALS, text, &hosts)?;
        layers.push(Layer { level: Level::Approval, document });
    }
    Ok(Policy::merge(layers, closed(file)?)?)
}

/// Hosts that presets take from this machine.
pub fn known_hosts(file: &EgressFile) -> Result<Hosts, CompileError> {
    let mut known = std::collections::BTreeMap::new();
    for (name, place) in &file.hosts {
        let host = Host::parse(&place.host).map_err(|why| CompileError::Value {
            what: "host",
            text: place.host.clone(),
            why: why.to_owned(),
        })?;
        known.insert(name.clone(), (host, place.port));
    }
    Ok(Hosts::Known(known))
}

fn closed(file: &EgressFile) -> Result<Vec<Cidr>, CompileError> {
    let read = |text: &String| {
        Cidr::parse(text).map_err(|why| CompileError::Value {
            what: "block of addresses",
            text: text.clone(),
            why: why.to_owned(),
        })
    };
    file.closed.iter().map(read).collect()
}
