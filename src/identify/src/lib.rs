//! Who is at the other end of a socket: of a Unix socket the unit, of an inode the programs. Nothing that a tenant can write is believed.
#![forbid(unsafe_code)]

mod holders;
mod pace;
mod peer;
mod process;
mod seats;
mod serve;

pub use holders::{Tree, holders};
pub use peer::{PeerError, tenant_of};
pub use serve::run;
