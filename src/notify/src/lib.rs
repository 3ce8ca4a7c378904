//! `tenant-notify`: shows the questions of tenants to a webhook. It may see questions and do nothing else, so whoever takes it over, or
//! the receiver, can answer none.
//!
//! It watches tenantd over D-Bus as `tenantctl approvals watch` does, and posts each question once, signed. What waits to be posted is
//! bounded, every request is bounded in time, and a receiver that does not answer keeps nobody else waiting.
#![forbid(unsafe_code)]

mod deliver;
mod event;
mod post;
mod queue;
mod run;
mod watch;

pub use deliver::{Patience, deliver};
pub use post::{Poster, PosterError, Sent};
pub use queue::{Queue, Shared};
pub use run::run;
pub use watch::watch;
