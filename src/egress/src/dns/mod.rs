//! The tenant's name server. It answers names that the policy lists or that can be asked about, and no question but for
//! addresses: nothing else leaves, and a name that nobody allowed is never sent on.

mod answer;
mod limits;
mod serve;

pub(crate) use answer::encode;
pub use answer::{Reply, answer, read};
pub use limits::Limits;
pub use serve::{tcp, udp};
