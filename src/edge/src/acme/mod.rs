//! Certificates by ACME (RFC 8555): one for each name that is served, ordered when somebody first asks for that name.
//!
//! A name is ordered only if it is the edge's domain or a tenant's that has a route: what a stranger sends opens no order. Orders go
//! one after the other and at a bounded pace; a name that is refused waits, longer each time. Whatever fails, a name without a
//! certificate of its own is served with the one that was given, and connections never wait for an authority.
//!
//! [`Names`] is what a connection sees: two maps. [`schedule`] decides what is ordered when, without a clock or a file of its own;
//! [`store`] keeps certificates over a restart; [`authority`] speaks with the authority; [`work`] puts them together.

mod authority;
mod names;
mod schedule;
mod store;
mod work;

pub use names::{ByName, CHALLENGES, Names, Summary};
pub(crate) use work::load;
pub use work::work;
