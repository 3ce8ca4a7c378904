//! Requests: in plain text, or in TLS that ends here. Each is decided by itself, under the policy of its moment, and goes on as a new
//! request of the proxy's own.

mod brokered;
mod calls;
mod echoes;
mod exchange;
pub mod frames;
mod fuzz;
mod headers;
mod messages;
mod page;
mod route;
mod rpc;
mod rpc_fuzz;
mod serve;
mod stream;
mod texts;
mod upstream;
mod websocket;

pub use fuzz::{fuzz_echoes, fuzz_texts};
pub use page::{page, refuse};
pub use rpc_fuzz::fuzz_rpc;
pub(crate) use serve::first_host;
pub use serve::{explicit, host_of, is_inference, plain, terminated};
pub use upstream::Upstream;

#[cfg(test)]
mod messages_tests;
#[cfg(test)]
mod rpc_tests;
