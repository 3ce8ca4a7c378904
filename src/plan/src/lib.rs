//! The pure core: from a tenant, what must exist; from what exists, what to do; and the doing, over any host.
//!
//! Nothing here reads a clock, a file or the environment. A plan is deterministic and prints itself; whoever carries it
//! out has no choices left.
#![forbid(unsafe_code)]

mod apply;
mod diff;
mod draft;
mod explain;
mod layer;
mod refusal;
mod tenant;

pub use apply::{ApplyError, Host, HostError, Journal, Scope, apply};
pub use diff::{Op, Plan, plan};
pub use draft::{Conflict, Draft, Part};
pub use explain::{Explanation, explain};
pub use layer::{LAYERS, Layer, Wanted, wanted};
pub use refusal::Refusal;
pub use tenant::{Egress, Gateway, Tenant};
