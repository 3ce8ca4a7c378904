//! What is shipped and what the operator wrote, read from disk and put together into tenants: the same for `tenantd`
//! and for `tenantctl plan`, which has no daemon and no privilege.
#![forbid(unsafe_code)]

mod assemble;
mod egress;
mod egress_shipped;
mod read;
mod version;

pub use assemble::{EgressGrant, Grant, assemble, complete};
pub use egress_shipped::DEFAULT_PROFILE;
pub use read::{Catalog, CatalogError, read_settings, read_spec};
pub use version::{kept_version, write_id, write_version};
