//! The host as it is, and the acts that change it: files, accounts, quotas, systemd. The only crate that does them.
//!
//! Everything here is synchronous and may block; it never runs inside an async runtime. One thread of its own owns the
//! connection to systemd, and callers wait on a channel. Unsafe code is denied outside `sys`.
#![deny(unsafe_code)]

mod account;
mod anchor;
mod archive;
mod authority;
mod cancel;
mod credential;
mod egress;
mod enablement;
mod error;
mod exec;
mod facts;
mod fetch;
pub mod files;
mod foreign;
mod inflow;
mod measured;
mod memory;
mod names;
mod outflow;
pub mod pools;
mod quota;
mod real;
mod removal;
mod still;
mod sys;
mod systemd;
mod tree;

pub use archive::{ArchiveTask, archive, end_archive};
pub use authority::new_authority;
pub use cancel::Cancel;
pub use credential::{open_credential, seal_credential};
pub use egress::forget_proxy;
pub use enablement::{enabled, set_enabled};
pub use exec::{ExecRequest, exec};
pub use facts::facts;
pub use fetch::{FetchRequest, fetch};
pub use foreign::read_foreign;
pub use inflow::read_secretly;
pub use measured::{measured, memory_current};
pub use memory::lock_memory;
pub use names::{group_id, user_id, user_name};
pub use outflow::Outflow;
pub use real::RealHost;
pub use still::{freeze_tenant, stop_tenant, thaw_tenant};
pub use systemd::{Brief, Systemd, UnitStatus};
pub use tree::{directory_exists, move_directory};
