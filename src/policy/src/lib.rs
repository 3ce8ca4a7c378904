//! Egress policy: what a tenant may reach, read from documents, put together, decided, explained, compared and learned.
//!
//! Pure: no file, no clock, no thread; the caller brings text, time and addresses. A document means what it says or is refused
//! with the place of what is wrong ([`Document::parse`], ADR 0070); what it means stands in ADR 0071. Documents become one
//! [`Policy`] in which each entry keeps where it came from ([`Policy::merge`]).
//!
//! [`Policy::decide`] is for every request of every tenant. It allocates nothing and takes no lock. It costs one hash look-up for
//! the host and one for each of its labels; entries about other hosts cost nothing, however many there are. Each entry found
//! costs a comparison of ports, a pattern for each binary and ancestor, and a pattern for each rule. A pattern without `**` costs
//! the length of the text; each `**` may cost it again.
#![forbid(unsafe_code)]

mod address;
mod calls;
mod compiled;
mod decide;
mod document;
mod explain;
mod fields;
mod glob;
mod host;
mod inference;
mod learn;
mod matching;
mod merge;
mod parse;
mod path;
mod problem;
mod profile;
mod time;
mod widen;
mod yaml;

pub use address::{Cidr, Reach, carried, reach};
pub use calls::{Call, CallLimits, CallMethod, CallPattern, Calls, Content};
pub use compiled::{APPROVALS, CompileError, compile, known_hosts};
pub use decide::{Decision, Exchange, Kind, Reason, Request, Verdict};
pub use document::{
    Binaries, Document, Endpoint, Enforcement, Hosts, Inspection, NetworkPolicy, PathSelector, Preset,
    Protocol, Risk, Rule, Startup, Terms, Unlisted,
};
pub use explain::{Explanation, Other};
pub use glob::Glob;
pub use host::{Host, HostPattern, NamePattern};
pub use inference::{InferenceError, KnownProviders, ProviderUrl, inference, model_matches};
pub use learn::{LeftOut, Observed, Proposal, learn};
pub use merge::{Entry, Layer, Level, Listing, MergeError, Origin, Policy};
pub use path::Target;
pub use problem::{Mark, Problem, Refused};
pub use profile::{Approvals, Egress, Lifetime, Profile, ProfileError};
pub use widen::{Widening, widens};
pub use yaml::MOST_BYTES;
