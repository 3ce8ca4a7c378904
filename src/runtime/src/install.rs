//! How a runtime is installed: what is pinned for tested versions, what the fetch is asked for, and what the sealed
//! tree must be.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Manifest, TreeHash, Version};

/// Why a runtime is not installed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InstallError {
    /// The runtime runs a program of the host.
    #[error("runtime {0} has nothing to install: create a tenant with it at once (--command)")]
    NothingToInstall(String),
    /// Not among the tested versions.
    #[error(
        "{runtime} {version} was not tested with this version of tenantd (tested: {tested}): choose one of these, or take the risk with --untested"
    )]
    Untested {
        /// The runtime.
        runtime: String,
        /// The version asked for.
        version: String,
        /// The tested versions.
        tested: String,
    },
    /// The content is not the tested one.
    #[error(
        "{runtime} {version}: the content of {part} is not the tested one (found {found}, expected {expected}): fetch it again from a registry you trust"
    )]
    Content {
        /// The runtime.
        runtime: String,
        /// The version.
        version: String,
        /// `node` or `app`.
        part: &'static str,
        /// Hash found.
        found: TreeHash,
        /// Hash shipped.
        expected: TreeHash,
    },
}

/// A package version and the integrity that its archive must have.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// Version.
    pub version: Version,
    /// Subresource integrity, `sha512-<base64>`, as in a lockfile.
    pub integrity: Integrity,
}

/// A subresource integrity with SHA-512.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Integrity(String);

impl Integrity {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Integrity {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, &'static str> {
        let base64 = |digits: &str| {
            digits.len() == 88
                && digits.ends_with("==")
                && digits.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
        };
        match text.strip_prefix("sha512-") {
            Some(digits) if base64(digits) => Ok(Self(text)),
            Some(_) | None => Err("an integrity is \"sha512-\" and 88 characters of base64"),
        }
    }
}

/// How a runtime is installed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "kebab-case")]
pub enum Install {
    /// From an npm registry.
    Npm(Npm),
}

/// An installation from an npm registry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Npm {
    /// Name of the package.
    pub package: String,
    /// Name of the package that carries the Node.js program at `bin/node`.
    pub node_package: String,
    /// The npm that does the installation.
    pub npm: Pinned,
    /// Files of the packages that must not be in the sealed tree.
    #[serde(default)]
    pub remove: Vec<Removed>,
    /// Tested versions.
    pub tested: Vec<Tested>,
}

/// A file that is taken out before the tree is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Removed {
    /// Relative to the tree.
    pub path: String,
    /// Reason.
    pub why: String,
}

/// A version that was tested with this version of tenantd.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tested {
    /// Version of the package.
    pub version: Version,
    /// Lockfile, relative to the description; every package in it has an integrity.
    pub lockfile: String,
    /// The Node.js it was tested with.
    pub node: Pinned,
    /// What the sealed tree must be, to the byte.
    pub tree: TreeHashes,
}

/// Hashes of the two parts of a sealed tree.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeHashes {
    /// Below `node/`.
    pub node: TreeHash,
    /// Below `app/`.
    pub app: TreeHash,
}

/// Where a runtime is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The npm registry of the host's npm configuration.
    Registry,
    /// A directory or an archive on the host.
    Local,
}

/// What `runtime-fetch` is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchRequest {
    /// Arguments after the program's name, without `--policy`, `--work` and `--from`, which name places.
    pub arguments: Vec<String>,
    /// The version to be fetched; `None`: whatever lies at the local place.
    pub version: Option<Version>,
}

impl Npm {
    /// The newest tested version.
    pub fn newest_tested(&self) -> Option<&Tested> {
        self.tested.iter().max_by(|a, b| a.version.cmp(&b.version))
    }

    /// The tested version `version`.
    pub fn tested(&self, version: &Version) -> Option<&Tested> {
        self.tested.iter().find(|tested| tested.version == *version)
    }

    /// What to ask `runtime-fetch` for. `version` left out: the newest tested one, or what lies at the local place.
    pub fn request(
        &self,
        runtime: &str,
        version: Option<&Version>,
        origin: Origin,
        untested: bool,
    ) -> Result<FetchRequest, InstallError> {
        let newest = self.newest_tested();
        let version = match origin {
            Origin::Registry => version.or(newest.map(|tested| &tested.version)),
            Origin::Local => version,
        };
        let tested = version.and_then(|version| self.tested(version));
        if let (Some(version), None, false) = (version, tested, untested) {
            return Err(self.refuse_untested(runtime, version));
        }
        let mut arguments = Vec::new();
        let mut put = |name: &str, value: &str| arguments.extend([name.to_owned(), value.to_owned()]);
        put("--package", &self.package);
        put("--node-package", &self.node_package);
        put("--npm-version", self.npm.version.as_str());
        put("--npm-integrity", self.npm.integrity.as_str());
        if let Some(version) = version {
            put("--version", version.as_str());
        }
        if let Some(tested) = tested {
            put("--lockfile", &tested.lockfile);
        }
        if let Some(node) = tested.or(newest).map(|tested| &tested.node) {
            put("--node-version", node.version.as_str());
            put("--node-integrity", node.integrity.as_str());
        }
        self.remove.iter().for_each(|removed| put("--remove", &removed.path));
        Ok(FetchRequest { arguments, version: version.cloned() })
    }

    /// Whether a sealed tree is the tested one; `Ok(false)`: not a tested version, and that was accepted.
    pub fn judge(
        &self,
        runtime: &str,
        version: &Version,
        manifest: &Manifest,
        untested: bool,
    ) -> Result<bool, InstallError> {
        let Some(tested) = self.tested(version) else {
            return if untested { Ok(false) } else { Err(self.refuse_untested(runtime, version)) };
        };
        for (part, expected) in [("node", &tested.tree.node), ("app", &tested.tree.app)] {
            let found = manifest.subtree_hash(part);
            if found == *expected {
                continue;
            }
            if untested {
                return Ok(false);
            }
            return Err(InstallError::Content {
                runtime: runtime.to_owned(),
                version: version.to_string(),
                part,
                found,
                expected: expected.clone(),
            });
        }
        Ok(true)
    }

    fn refuse_untested(&self, runtime: &str, version: &Version) -> InstallError {
        let mut tested: Vec<&Version> = self.tested.iter().map(|tested| &tested.version).collect();
        tested.sort();
        InstallError::Untested {
            runtime: runtime.to_owned(),
            version: version.to_string(),
            tested: tested.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Entry, Kind};

    fn manifest(content: char) -> Manifest {
        let sha256: String = std::iter::repeat_n(content, 64).collect();
        Manifest::new(["node/bin", "app/x"].map(|path| Entry {
            path: path.to_owned(),
            kind: Kind::File { executable: false, size: 1, sha256: sha256.clone() },
        }))
        .unwrap()
    }

    fn npm() -> Npm {
        let good = manifest('a');
        let pinned = format!("{{ version = \"1.0\", integrity = \"sha512-{}==\" }}", "A".repeat(86));
        toml::from_str(&format!(
            "package = \"p\"\nnode_package = \"n\"\nnpm = {pinned}\nremove = [{{ path = \"app/m\", why = \"w\" }}]\n[[tested]]\nversion = \"1.2\"\nlockfile = \"l.json\"\nnode = {pinned}\ntree = {{ node = \"{}\", app = \"{}\" }}\n",
            good.subtree_hash("node"),
            good.subtree_hash("app")
        ))
        .unwrap()
    }

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn with_no_version_the_newest_tested_one_is_fetched_with_its_lockfile() {
        let request = npm().request("p", None, Origin::Registry, false).unwrap();
        assert_eq!(request.version, Some(version("1.2")));
        let line = request.arguments.join(" ");
        assert!(line.contains("--version 1.2 --lockfile l.json --node-version 1.0"), "{line}");
        assert!(line.ends_with("--remove app/m"), "{line}");
    }

    #[test]
    fn an_untested_version_takes_an_explicit_decision() {
        let message =
            npm().request("p", Some(&version("9.9")), Origin::Registry, false).unwrap_err().to_string();
        assert!(message.contains("p 9.9 was not tested") && message.contains("tested: 1.2"), "{message}");
        let request = npm().request("p", Some(&version("9.9")), Origin::Registry, true).unwrap();
        assert!(!request.arguments.contains(&"--lockfile".to_owned()));
    }

    #[test]
    fn a_tested_version_with_other_content_is_refused() {
        assert_eq!(npm().judge("p", &version("1.2"), &manifest('a'), false), Ok(true));
        let message = npm().judge("p", &version("1.2"), &manifest('b'), false).unwrap_err().to_string();
        assert!(message.contains("p 1.2: the content of node is not the tested one"), "{message}");
        assert_eq!(npm().judge("p", &version("1.2"), &manifest('b'), true), Ok(false));
        assert_eq!(npm().judge("p", &version("1.3"), &manifest('a'), true), Ok(false));
        assert!(npm().judge("p", &version("1.3"), &manifest('a'), false).is_err());
    }

    #[test]
    fn an_integrity_out_of_form_is_refused() {
        for text in ["sha1-x", "sha512-", "sha512-abc", &format!("sha512-{}", "é".repeat(44))] {
            assert!(Integrity::try_from((*text).to_owned()).is_err(), "{text}");
        }
    }
}
