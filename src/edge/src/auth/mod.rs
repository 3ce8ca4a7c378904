//! Who comes: tokens, sessions, logins and their end.
//!
//! [`Authenticator::authenticate`] answers for one request, without waiting and without the network; [`Authenticator::page`]
//! is everything below `/.tenantd/`. A credential counts for one tenant only, whatever else it says, and what is revoked,
//! signed out or expired is dead at the next question.

mod authenticator;
mod cache;
mod credential;
mod external;
mod identity;
mod page;
mod provider;
pub(crate) mod random;
mod rules;
mod sealed;
mod session;
mod state;
#[cfg(test)]
pub(crate) mod testing;

pub use authenticator::Authenticator;
pub use credential::{COOKIE, Source};
pub use identity::{Authentication, Identity, IssuedBy};
pub use page::{LOGIN_COOKIE, RequestId};
pub use state::StateError;
