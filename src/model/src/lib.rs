//! The words every other crate speaks: identifiers, specs, facts, allocations, resources and the compiled files
//! that `tenantd` hands to the programs inside a tenant's unit.
//!
//! Plain types. Whatever exists here was made from valid input; nothing here reads a file, a clock or the environment.
#![forbid(unsafe_code)]

mod allocation;
mod compiled;
pub mod delivery;
pub mod edge;
mod edge_settings;
pub mod egress;
mod egress_spec;
mod exit;
mod facts;
mod feature;
mod gateway_settings;
mod id;
mod limits;
mod paths;
mod resource;
mod role;
mod settings;
mod spec;
mod webhook;
mod world;

pub use allocation::{Allocation, TenantNetwork};
pub use compiled::{
    BpfFilter, CONFINEMENT_FORMAT, Confinement, HostLink, LandlockRule, LandlockRuleset, NETWORK_FORMAT,
    Network, READINESS_FORMAT, Readiness, Rlimit, Service,
};
pub use edge_settings::{EdgeSettings, EdgeSettingsError, LETS_ENCRYPT, MAX_SESSION_SEC};
pub use egress_spec::{BudgetSpec, Dollars, EgressSpec, PriceSpec, ProviderSpec, UnlistedSpec};
pub use exit::Exit;
pub use facts::{Controller, Facts};
pub use feature::Feature;
pub use gateway_settings::GatewaySettings;
pub use id::{IdError, TenantId};
pub use limits::{ByteSize, CpuQuota, LimitError, Limits};
pub use paths::{Paths, cell, egress_cell};
pub use resource::{Account, Content, Key, Kind, Owner, PropertyValue, Resource};
pub use role::{Role, RoleError};
pub use settings::{
    AddressPool, BackupSettings, Defaults, EgressSettings, Pools, Purge, Registries, Settings, SettingsError,
    UidPool,
};
pub use spec::{Spec, SpecError, SpecFile, check_variable, variable_of_secret};
pub use webhook::{Webhook, WebhookAddress};
pub use world::World;
