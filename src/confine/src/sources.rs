//! Policy files as read from one directory, and errors that point into them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::de::DeserializeOwned;
use thiserror::Error;

/// Every `*.toml` of one policy directory, by file name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    files: BTreeMap<String, String>,
}

/// A policy directory could not be read.
#[derive(Debug, Error)]
#[error("cannot read policies: {}: {source} (reinstall the package tenantd)", path.display())]
pub struct SourcesError {
    /// The directory or file.
    pub path: PathBuf,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

/// A policy file says something that cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{file}:{line}: {entry}: {cause}")]
pub struct PolicyError {
    /// File name, for example `node.toml`.
    pub file: String,
    /// Line of the entry, from 1.
    pub line: usize,
    /// Which entry, for example `[[allow]] clone`.
    pub entry: String,
    /// What is wrong and what would be right.
    pub cause: String,
}

impl Sources {
    /// Reads the policies of `directory`; subdirectories and other files are left out.
    pub fn read(directory: &Path) -> Result<Self, SourcesError> {
        let at = |path: &Path| {
            let path = path.to_path_buf();
            move |source| SourcesError { path, source }
        };
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(directory).map_err(at(directory))? {
            let path = entry.map_err(at(directory))?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let text = fs::read_to_string(&path).map_err(at(&path))?;
                files.insert(name, text);
            }
        }
        Ok(Self { files })
    }

    /// Policies from memory: pairs of file name and text.
    pub fn from_pairs<const N: usize>(pairs: [(&str, &str); N]) -> Self {
        Self { files: pairs.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect() }
    }

    /// The names that can be compiled, without `.toml`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().filter_map(|file| file.strip_suffix(".toml"))
    }

    /// Parses `file`; `by` is who asked for it.
    pub(crate) fn parse<T: DeserializeOwned>(
        &self,
        file: &str,
        by: &Place,
    ) -> Result<(T, Text<'_>), PolicyError> {
        let Some((name, text)) = self.files.get_key_value(file) else {
            let known: Vec<_> = self.names().collect();
            return Err(by.error(format!("there is no policy \"{file}\" (there are: {})", known.join(", "))));
        };
        let text = Text { file: name, text };
        let document = toml::from_str(text.text).map_err(|error| {
            let place = text.place(error.span().unwrap_or_default(), "syntax");
            place.error(error.message().to_owned())
        })?;
        Ok((document, text))
    }
}

/// One policy file's text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    file: &'a str,
    text: &'a str,
}

impl Text<'_> {
    /// The place of an entry at these bytes.
    pub(crate) fn place(&self, span: Range<usize>, entry: impl Into<String>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        Place { file: self.file.to_owned(), line: before.matches('\n').count() + 1, entry: entry.into() }
    }
}

/// Where an entry stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) entry: String,
}

impl Place {
    /// The place of whoever names a policy from outside.
    pub(crate) fn root(file: &str) -> Self {
        Self { file: file.to_owned(), line: 1, entry: "policy".to_owned() }
    }

    pub(crate) fn error(&self, cause: impl Into<String>) -> PolicyError {
        PolicyError {
            file: self.file.clone(),
            line: self.line,
            entry: self.entry.clone(),
            cause: cause.into(),
        }
    }
}
