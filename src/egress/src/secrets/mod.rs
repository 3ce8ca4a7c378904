//! Credentials never enter the tenant: programs write placeholders, and the proxy puts values in their place.
//!
//! A value goes only where a binding of the operator allows its host, port, path and place, and only over verified TLS. A
//! placeholder anywhere else is refused ([`Misplaced`]), and answers are searched for values that come back ([`Scanner`]).
//! The search is against servers that echo. A server that a program can make compute with what it was sent can send a value back
//! in another form or in parts (ranges); that is why bindings are narrow. Values shorter than [`SHORTEST_SCANNED`] bytes are not searched for: they
//! would be found everywhere.

mod automaton;
mod body;
mod encode;
mod fill;
mod fuzz;
mod pieces;
mod placeholder;
mod scanner;
mod store;
mod table;

pub use body::BodyFault;
pub use fill::{Filled, STEERING};
pub use fuzz::{fuzz_scanner, fuzz_watched};
pub use placeholder::fuzz_placeholder;
pub use scanner::{Echoed, SHORTEST_SCANNED, Scanner};
pub use store::Secrets;
pub use table::{Misplaced, Place, SecretTable, Why};

#[cfg(test)]
mod tests;
