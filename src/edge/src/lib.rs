//! The edge: who may reach which gateway, and the way there.
//!
//! Takes over the sockets that PID 1 listens on, locks itself down, and relays HTTP and WebSockets to tenants' gateways. Reads five
//! kinds of root-owned files; asks two questions on Unix sockets; has no way to tenantd, to the vault or to anybody's data.
//!
//! A request goes through [`strict`] (no head that could be read in two ways), [`host`] (whose it is), [`auth`] (who comes),
//! [`relay`] (whether they may), and [`forward`] or [`websocket`]. Beside it, [`acme`] orders certificates.
#![forbid(unsafe_code)]

pub mod acme;
pub mod answer;
pub mod auth;
pub mod body;
pub mod edge;
mod fetch;
pub mod forward;
pub mod frames;
pub mod headers;
pub mod host;
pub mod limits;
pub mod live;
pub mod log;
pub mod metrics;
pub mod origin;
pub mod paths;
pub mod proof;
pub mod redirect;
pub mod relay;
mod run;
pub mod serve;
pub mod streams;
pub mod strict;
pub mod tenants;
pub mod tls;
pub mod tunnel;
pub mod upstream;
pub mod wake;
pub mod websocket;

pub use run::run;
