//! The content manifest of a sealed tree: one line for each path, sorted, and one hash over all of them.
//!
//! Only canonical modes occur (0444, 0555), so two installations of the same version have the same hash.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// First line of a manifest.
const HEADER: &str = "tenantd-manifest 1";

/// Why a text is no manifest.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ManifestError {
    /// Not this format.
    #[error("it does not begin with {HEADER:?}")]
    Header,
    /// A line is not understood.
    #[error("line {0} is not understood")]
    Line(usize),
    /// A path is out of form or order.
    #[error("line {line}: path {path:?} {why}")]
    Path {
        /// Line number, from 1.
        line: usize,
        /// The path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// A SHA-256 over a tree or a part of one, written `sha256:<64 hex>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TreeHash(String);

impl TreeHash {
    fn of(lines: impl Iterator<Item = String>) -> Self {
        let mut hasher = Sha256::new();
        lines.for_each(|line| hasher.update(line.as_bytes()));
        Self(format!("sha256:{}", hex(&hasher.finalize())))
    }
}

impl fmt::Display for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TreeHash {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, &'static str> {
        match text.strip_prefix("sha256:") {
            Some(digits) if is_sha256(digits) => Ok(Self(text)),
            Some(_) | None => Err("a tree hash is \"sha256:\" and 64 lower-case hex digits"),
        }
    }
}

impl From<TreeHash> for String {
    fn from(hash: TreeHash) -> Self {
        hash.0
    }
}

/// What one path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory, mode 0555.
    Directory,
    /// A file, mode 0444, or 0555 where it is a program.
    File {
        /// Mode 0555.
        executable: bool,
        /// Bytes.
        size: u64,
        /// SHA-256 of the content in lower-case hex.
        sha256: String,
    },
    /// A symbolic link that stays within the tree.
    Link {
        /// As written in the link.
        target: String,
    },
}

/// One path and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the tree, with slashes; no `.`, `..`, empty part or control character.
    pub path: String,
    /// What it is.
    pub kind: Kind,
}

impl Entry {
    fn line(&self, path: &str) -> String {
        match &self.kind {
            Kind::Directory => format!("d\t0555\t{path}\n"),
            Kind::File { executable, size, sha256 } => {
                let mode = if *executable { "0555" } else { "0444" };
                format!("f\t{mode}\t{size}\t{sha256}\t{path}\n")
            }
            Kind::Link { target } => format!("l\t{path}\t{target}\n"),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split('\t').collect();
        let (path, kind) = match fields.as_slice() {
            ["d", "0555", path] => (path, Kind::Directory),
            ["f", mode @ ("0444" | "0555"), size, sha256, path] if is_sha256(sha256) => {
                let executable = *mode == "0555";
                (path, Kind::File { executable, size: size.parse().ok()?, sha256: (*sha256).to_owned() })
            }
            ["l", path, target] if !target.is_empty() => (path, Kind::Link { target: (*target).to_owned() }),
            _ => return None,
        };
        Some(Self { path: (*path).to_owned(), kind })
    }
}

/// Whether `path` may stand in a manifest; `Err` says why not.
pub fn check_path(path: &str) -> Result<(), &'static str> {
    if path.chars().any(char::is_control) {
        return Err("holds a control character");
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("is not a plain relative path");
    }
    Ok(())
}

/// All paths of a sealed tree, sorted by their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    entries: BTreeMap<String, Kind>,
}

/// How one path differs from its manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The path is gone.
    Missing,
    /// The path is not in the manifest.
    Extra,
    /// Type, mode, size, content or link target differ.
    Changed,
}

/// A path that differs from its manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// The path.
    pub path: String,
    /// How.
    pub difference: Difference,
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.difference {
            Difference::Missing => "is missing",
            Difference::Extra => "does not belong there",
            Difference::Changed => "was changed",
        };
        write!(f, "{} {what}", self.path)
    }
}

impl Manifest {
    /// A manifest of entries in any order. A path that cannot stand in a manifest comes back with the reason.
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Result<Self, ManifestError> {
        let mut manifest = Self::default();
        for (index, entry) in entries.into_iter().enumerate() {
            let refuse =
                |path: &str, why| ManifestError::Path { line: index + 2, path: path.to_owned(), why };
            check_path(&entry.path).map_err(|why| refuse(&entry.path, why))?;
            if let Kind::Link { target } = &entry.kind {
                if target.is_empty() || target.chars().any(char::is_control) {
                    return Err(refuse(
                        &entry.path,
                        "is a link whose target is empty or holds a control character",
                    ));
                }
            }
            if manifest.entries.insert(entry.path.clone(), entry.kind).is_some() {
                return Err(refuse(&entry.path, "stands there twice"));
            }
        }
        Ok(manifest)
    }

    /// Reads the text of [`Manifest::to_text`]; any other text is refused.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let mut lines = text.strip_suffix('\n').unwrap_or(text).split('\n').enumerate();
        if lines.next().is_none_or(|(_, header)| header != HEADER) {
            return Err(ManifestError::Header);
        }
        let entries = lines
            .map(|(index, line)| Entry::parse(line).ok_or(ManifestError::Line(index + 1)))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some((index, pair)) = entries.windows(2).enumerate().find(|(_, pair)| match pair {
            [left, right] => left.path >= right.path,
            _ => false,
        }) {
            let path = pair.last().map_or_else(String::new, |entry| entry.path.clone());
            return Err(ManifestError::Path { line: index + 3, path, why: "is out of order" });
        }
        Self::new(entries)
    }

    /// The text: header, then one line for each path.
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADER}\n");
        self.entries().for_each(|entry| text.push_str(&entry.line(&entry.path)));
        text
    }

    /// The entries in order.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        self.entries.iter().map(|(path, kind)| Entry { path: path.clone(), kind: kind.clone() })
    }

    /// What `path` is.
    pub fn get(&self, path: &str) -> Option<&Kind> {
        self.entries.get(path)
    }

    /// Number of paths.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no path.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.entries
            .values()
            .map(|kind| match kind {
                Kind::File { size, .. } => *size,
                Kind::Directory | Kind::Link { .. } => 0,
            })
            .sum()
    }

    /// Hash of the whole tree.
    pub fn tree_hash(&self) -> TreeHash {
        TreeHash::of(self.entries().map(|entry| entry.line(&entry.path)))
    }

    /// Hash of what lies below the directory `prefix`, independent of the name of that directory.
    pub fn subtree_hash(&self, prefix: &str) -> TreeHash {
        TreeHash::of(self.entries().filter_map(|entry| {
            let below = entry.path.strip_prefix(prefix)?.strip_prefix('/')?;
            Some(entry.line(below))
        }))
    }

    /// Refuses a link that does not lead, without passing another link, to a file or directory of this tree.
    pub fn check_links(&self) -> Result<(), ManifestError> {
        for (index, (path, kind)) in self.entries.iter().enumerate() {
            let Kind::Link { target } = kind else { continue };
            if !resolve(path, target).is_some_and(|target| self.holds(&target)) {
                let why = "is a link that leaves the tree, leads nowhere or leads through another link";
                return Err(ManifestError::Path { line: index + 2, path: path.clone(), why });
            }
        }
        Ok(())
    }

    /// Whether `path` is a file or directory all of whose parents are directories.
    fn holds(&self, path: &str) -> bool {
        let parents = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
        matches!(self.get(path), Some(Kind::Directory | Kind::File { .. }))
            && parents.into_iter().all(|parent| matches!(self.get(parent), Some(Kind::Directory)))
    }

    /// How `found` differs from this manifest, in order of the paths. Empty: not at all.
    pub fn compare(&self, found: &Manifest) -> Vec<Deviation> {
        let mut deviations: BTreeMap<&str, Difference> = BTreeMap::new();
        for (path, kind) in &self.entries {
            match found.entries.get(path) {
                None => drop(deviations.insert(path, Difference::Missing)),
                Some(same) if same == kind => {}
                Some(_) => drop(deviations.insert(path, Difference::Changed)),
            }
        }
        for path in found.entries.keys().filter(|path| !self.entries.contains_key(*path)) {
            deviations.insert(path, Difference::Extra);
        }
        deviations
            .into_iter()
            .map(|(path, difference)| Deviation { path: path.to_owned(), difference })
            .collect()
    }
}

/// The path that the link at `path` names, or `None` if it leaves the tree.
fn resolve(path: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

fn is_sha256(digits: &str) -> bool {
    digits.len() == 64 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
