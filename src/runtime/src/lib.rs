//! Runtimes as data: what a runtime's description says, what a tenant's gateway is started with, and what an
//! installed runtime must look like.
//!
//! Pure: nothing here reads a file, a clock or the environment. The effects are in the crate `runtime-store`.
#![forbid(unsafe_code)]

mod config;
mod description;
mod edge;
mod elf;
mod fetch;
mod install;
mod manifest;
mod place;
mod provenance;
mod template;
mod version;

pub use config::{ConfigError, ConfigFile};
pub use description::{Config, Description, DescriptionError, Probe, Sealed, Startup, Stop, Variable};
pub use edge::Edge;
pub use elf::{ElfError, check_machine};
pub use fetch::{Line, LineError};
pub use install::{
    FetchRequest, Install, InstallError, Integrity, Npm, Origin, Pinned, Removed, Tested, TreeHashes,
};
pub use manifest::{Deviation, Difference, Entry, Kind, Manifest, ManifestError, TreeHash, check_path, hex};
pub use place::{Access, Values};
pub use provenance::{Provenance, ProvenanceError};
pub use template::{RenderError, Template, TemplateError};
pub use version::{Version, VersionError};
