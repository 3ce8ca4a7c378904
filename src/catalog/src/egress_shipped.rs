//! Profiles and presets as shipped, for those who show them or bound an answer by them.

use policy::{Document, Hosts, Profile};

use crate::Catalog;

/// The profile of a spec that names none.
pub const DEFAULT_PROFILE: &str = "customers";

impl Catalog {
    /// A profile by its name; nothing stands for [`DEFAULT_PROFILE`]. The error is cause and remedy.
    pub fn profile(&self, name: Option<&str>) -> Result<Profile, String> {
        let (file, text) = self.shipped("profiles", name.unwrap_or(DEFAULT_PROFILE), ".toml")?;
        Profile::parse(&file, &text).map_err(|error| error.to_string())
    }

    /// A preset by its name, read apart from any machine. The error is cause and remedy.
    pub fn preset(&self, name: &str) -> Result<Document, String> {
        let (file, text) = self.shipped("presets", name, ".yaml")?;
        Document::parse(&file, &text, &Hosts::Unknown).map_err(|error| error.to_string())
    }
}
