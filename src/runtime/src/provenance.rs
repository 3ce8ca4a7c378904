//! Where an installed runtime came from: `provenance.json` beside its manifest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Origin, TreeHash, Version};

/// Format number of `provenance.json`.
const FORMAT: u32 = 1;

/// Why a text is no provenance.
#[derive(Debug, Error)]
pub enum ProvenanceError {
    /// Not this JSON.
    #[error("{0}")]
    Syntax(#[from] serde_json::Error),
    /// Written by another version of tenantd.
    #[error("format {0} is not known to this version of tenantd: upgrade it, or install the runtime again")]
    Format(u32),
}

/// Where a runtime came from, and what was found when it was sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    format: u32,
    /// Name of the runtime.
    pub runtime: String,
    /// Its version.
    pub version: Version,
    /// How it got here.
    pub origin: Origin,
    /// Whether the content is the one that was tested with this version of tenantd; `false` took an explicit decision.
    pub tested: bool,
    /// Hash of the whole sealed tree.
    pub tree: TreeHash,
    /// Paths in the tree.
    pub paths: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Seconds since the epoch when it was sealed.
    pub sealed_at: u64,
    /// Version of tenantd that sealed it.
    pub sealed_by: String,
    /// What the fetch reported: versions, integrities, the registry.
    pub facts: BTreeMap<String, String>,
}

impl Provenance {
    /// A provenance with no facts yet.
    pub fn new(
        runtime: &str,
        version: Version,
        origin: Origin,
        tested: bool,
        manifest: &crate::Manifest,
    ) -> Self {
        Self {
            format: FORMAT,
            runtime: runtime.to_owned(),
            version,
            origin,
            tested,
            tree: manifest.tree_hash(),
            paths: u64::try_from(manifest.len()).unwrap_or(u64::MAX),
            bytes: manifest.bytes(),
            sealed_at: 0,
            sealed_by: String::new(),
            facts: BTreeMap::new(),
        }
    }

    /// Reads `provenance.json`.
    pub fn parse(text: &str) -> Result<Self, ProvenanceError> {
        let provenance: Self = serde_json::from_str(text)?;
        if provenance.format != FORMAT {
            return Err(ProvenanceError::Format(provenance.format));
        }
        Ok(provenance)
    }

    /// The text of `provenance.json`.
    pub fn to_text(&self) -> Result<String, ProvenanceError> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provenance_reads_back_as_written() {
        let version = Version::parse("2026.9.6").unwrap();
        let manifest = crate::Manifest::default();
        let mut provenance = Provenance::new("openclaw", version, Origin::Registry, true, &manifest);
        provenance.facts.insert("node_version".into(), "26.10.0".into());
        let text = provenance.to_text().unwrap();
        assert_eq!(Provenance::parse(&text).unwrap(), provenance);
        let newer = text.replace("\"format\": 1", "\"format\": 2");
        assert!(Provenance::parse(&newer).unwrap_err().to_string().contains("format 2 is not known"));
    }
}
