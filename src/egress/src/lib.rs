//! tenant-egress: the only way out of one tenant.
#![forbid(unsafe_code)]

pub mod ask;
pub mod authority;
pub mod body;
pub mod broker;
pub mod connect;
pub mod dial;
pub mod dns;
pub mod events;
pub mod explicit;
pub mod fuzz;
pub mod gate;
pub mod head;
pub mod hello;
pub mod http;
pub mod identity;
pub mod inference;
pub mod journal;
pub mod live;
pub mod lookups;
pub mod metrics;
pub mod names;
pub mod network;
pub mod notice;
pub mod passage;
pub mod proxy;
pub(crate) mod question;
pub mod rates;
pub mod recent;
pub mod relay;
pub mod rewind;
mod run;
pub mod secrets;
mod sockets;
pub mod transparent;

pub use run::run;
