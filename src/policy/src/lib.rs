//! Egress policy.
#![forbid(unsafe_code)]

mod address;
mod decide;
mod document;
mod explain;
mod fields;
mod glob;
mod host;
mod learn;
mod merge;
mod parse;
mod path;
mod problem;
mod profile;
mod time;
mod widen;
mod yaml;

pub use address::{Cidr, Reach, carried, reach};
pub use decide::{Decision, Exchange, Kind, Reason, Request, Verdict};
pub use document::{
    Binaries, Document, Endpoint, Enforcement, Hosts, Inspection, NetworkPolicy, PathSelector, Preset,
    Protocol, Risk, Rule, Startup, Terms, Unlisted,
};
pub use explain::{Explanation, Other};
pub use glob::Glob;
pub use host::{Host, HostPattern, NamePattern};
pub use learn::{LeftOut, Observed, Proposal, learn};
pub use merge::{Entry, Layer, Level, MergeError, Origin, Policy};
pub use path::Target;
pub use problem::{Mark, Problem, Refused};
pub use profile::{Approvals, Config, Egress, Lifetime, Profile, ProfileError};
pub use widen::{Widening, widens};
pub use yaml::MOST_BYTES;
