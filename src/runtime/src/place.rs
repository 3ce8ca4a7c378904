//! The values a description's placeholders stand for, all of them, for one tenant.

use std::net::Ipv4Addr;

use model::{ByteSize, TenantId, cell, delivery};
use serde_json::{Map, Value};

/// One subject that the edge may name, and what it may do at the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Subject, compared byte by byte with what the proxy sends.
    pub subject: String,
    /// The gateway's own names of scopes.
    pub scopes: Vec<String>,
}

/// What differs between two tenants of one runtime.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The tenant's address in its namespace.
    pub address: Ipv4Addr,
    /// The address of its bridge, where a proxy's connections come from.
    pub bridge: Ipv4Addr,
    /// Port of the gateway.
    pub port: u16,
    /// Origins a browser may come from.
    pub origins: &'a [String],
    /// Who may connect through the proxy. Empty: nobody.
    pub access: &'a [Access],
    /// Memory limit of the tenant's slice; sizes the heap.
    pub memory_max: Option<ByteSize>,
}

/// A subject that nobody has (RFC 2606): an empty list would let everyone in.
const NOBODY: &str = "nobody.invalid";

/// A name that may stand between braces in a description or a config template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placeholder {
    Runtime,
    Cell,
    ConfigDir,
    Data,
    Home,
    State,
    Workspace,
    Tenant,
    Address,
    Bridge,
    Port,
    HeapMib,
    ProofHeader,
    Origins,
    AllowedSubjects,
    SubjectScopes,
}

use Placeholder as P;

impl Placeholder {
    pub(crate) const ALL: [(&'static str, P); 16] = [
        ("runtime", P::Runtime),
        ("cell", P::Cell),
        ("config", P::ConfigDir),
        ("data", P::Data),
        ("home", P::Home),
        ("state", P::State),
        ("workspace", P::Workspace),
        ("tenant", P::Tenant),
        ("address", P::Address),
        ("bridge", P::Bridge),
        ("port", P::Port),
        ("heap_mib", P::HeapMib),
        ("proof_header", P::ProofHeader),
        ("origins", P::Origins),
        ("allowed_subjects", P::AllowedSubjects),
        ("subject_scopes", P::SubjectScopes),
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, placeholder)| *placeholder)
    }

    /// Lists and tables fit only where a whole config value stands.
    pub(crate) fn is_scalar(self) -> bool {
        !matches!(self, P::Origins | P::AllowedSubjects | P::SubjectScopes)
    }

    /// `tenant-exec` puts the secret into the config file only: nowhere else would the mark be replaced.
    pub(crate) fn is_secret(self) -> bool {
        self == P::ProofHeader
    }

    pub(crate) fn value(self, values: &Values<'_>) -> Value {
        let data = || format!("/var/lib/tenants/{}", values.tenant.system_name());
        match self {
            P::Runtime => cell::RUNTIME.into(),
            P::Cell => cell::CELL.into(),
            P::ConfigDir => delivery::CONFIG.into(),
            P::Data => data().into(),
            P::Home => format!("{}/home", data()).into(),
            P::State => format!("{}/state", data()).into(),
            P::Workspace => format!("{}/workspace", data()).into(),
            P::Tenant => values.tenant.to_string().into(),
            P::Address => values.address.to_string().into(),
            P::Bridge => values.bridge.to_string().into(),
            P::Port => values.port.into(),
            P::HeapMib => heap_mib(values.memory_max).into(),
            P::ProofHeader => proof_header().into(),
            P::Origins => values.origins.to_vec().into(),
            P::AllowedSubjects if values.access.is_empty() => vec![NOBODY].into(),
            P::AllowedSubjects => values.access.iter().map(|a| a.subject.clone()).collect::<Vec<_>>().into(),
            P::SubjectScopes => values
                .access
                .iter()
                .map(|a| (a.subject.clone(), a.scopes.clone().into()))
                .collect::<Map<String, Value>>()
                .into(),
        }
    }
}

/// Half of the memory limit, 768 MiB where none is set: what a gateway holds outside its heap (code, buffers, its two
/// helper processes) was measured at 350–400 MB.
fn heap_mib(memory_max: Option<ByteSize>) -> u64 {
    memory_max.map_or(768, |max| ((max.0 >> 20) / 2).clamp(256, 4096))
}

/// Name of the request header whose presence proves that a request came through tenantd's proxy, with a mark in the place of the
/// secret in it: that is known to nobody before the gateway starts.
fn proof_header() -> String {
    format!("x-tenantd-{}", delivery::MARK)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn with_acme(test: impl FnOnce(&Values<'_>)) {
        let tenant: TenantId = "acme-corp".parse().unwrap();
        test(&Values {
            tenant: &tenant,
            address: Ipv4Addr::new(10, 210, 0, 2),
            bridge: Ipv4Addr::new(10, 210, 0, 1),
            port: 18789,
            origins: &["https://acme.example.org".to_owned()],
            access: &[],
            memory_max: Some(ByteSize(1536 << 20)),
        });
    }

    #[test]
    fn nobody_is_let_in_where_nobody_is_named() {
        with_acme(|values| {
            assert_eq!(P::AllowedSubjects.value(values), serde_json::json!(["nobody.invalid"]));
            assert_eq!(P::SubjectScopes.value(values), serde_json::json!({}));
        });
    }

    #[test]
    fn the_heap_is_half_of_the_memory_limit() {
        assert_eq!(heap_mib(Some(ByteSize(1536 << 20))), 768);
        assert_eq!(heap_mib(Some(ByteSize(1 << 30))), 512);
        assert_eq!(heap_mib(None), 768);
        assert_eq!(heap_mib(Some(ByteSize(1 << 40))), 4096);
    }

    #[test]
    fn paths_use_the_system_name() {
        with_acme(|values| assert_eq!(P::State.value(values), "/var/lib/tenants/acme_corp/state"));
    }
}
