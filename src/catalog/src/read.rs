//! Reading settings, specs, runtime descriptions and policies. All of it belongs to root; nothing a tenant wrote.

use std::path::{Path, PathBuf};

use confine::Sources;
use model::{Exit, Paths, Settings, SettingsError, SpecError, SpecFile, TenantId};
use runtime::{Description, DescriptionError};
use thiserror::Error;

/// Why something shipped or configured cannot be used.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}: {remedy}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// No such runtime is shipped.
    #[error("there is no runtime named {name:?}: tenantd knows {}", .known.join(", "))]
    NoRuntime {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// No spec of that tenant.
    #[error("there is no tenant {0}: \"tenantctl list\" shows those there are")]
    NoTenant(TenantId),
    /// The settings are wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A spec is wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A spec names another tenant than its file does.
    #[error("{}: id = \"{found}\" does not match the file's name: rename the file to {found}.toml or correct the id", .path.display())]
    Misnamed {
        /// The file.
        path: PathBuf,
        /// The id in it.
        found: TenantId,
    },
    /// A runtime description is wrong.
    #[error(transparent)]
    Description(#[from] DescriptionError),
    /// A policy directory is unreadable.
    #[error("policies: {0}: reinstall the package tenantd")]
    Policies(String),
}

impl CatalogError {
    /// Exit code of a program that ends with this error.
    pub fn exit(&self) -> Exit {
        match self {
            CatalogError::Read { .. } | CatalogError::Policies(_) | CatalogError::Description(_) => {
                Exit::OsFile
            }
            CatalogError::NoRuntime { .. } | CatalogError::NoTenant(_) => Exit::NoInput,
            CatalogError::Settings(_) => Exit::Config,
            CatalogError::Spec(_) | CatalogError::Misnamed { .. } => Exit::Data,
        }
    }
}

/// The operator's settings; the shipped defaults where there is no file.
pub fn read_settings(paths: &Paths) -> Result<Settings, CatalogError> {
    let path = paths.settings();
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Settings::parse(&path.display().to_string(), &text)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Settings::default()),
        Err(source) => Err(CatalogError::Read { path, source, remedy: "make it a file that root can read" }),
    }
}

/// A tenant's spec with its text, from `/etc/tenantd/tenants.d`.
pub fn read_spec(paths: &Paths, id: &TenantId) -> Result<(SpecFile, String), CatalogError> {
    let path = paths.spec(id);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(CatalogError::NoTenant(id.clone()));
        }
        Err(source) => {
            return Err(CatalogError::Read { path, source, remedy: "make it a file that root can read" });
        }
    };
    let spec = SpecFile::parse(&path.display().to_string(), &text)?;
    if spec.id != *id {
        return Err(CatalogError::Misnamed { path, found: spec.id });
    }
    Ok((spec, text))
}

/// Runtime descriptions and policies as shipped.
#[derive(Debug)]
pub struct Catalog {
    directory: PathBuf,
    pub(crate) seccomp: Sources,
    pub(crate) landlock: Sources,
}

impl Catalog {
    /// Opens the shipped policies, for example `/usr/share/tenantd/policies`.
    pub fn open(directory: &Path) -> Result<Self, CatalogError> {
        let sources = |name| {
            Sources::read(&directory.join(name)).map_err(|error| CatalogError::Policies(error.to_string()))
        };
        Ok(Self {
            directory: directory.to_owned(),
            seccomp: sources("seccomp")?,
            landlock: sources("landlock")?,
        })
    }

    /// Directory of one runtime's description.
    pub fn runtime_directory(&self, name: &str) -> PathBuf {
        self.directory.join("runtimes").join(name)
    }

    /// Names of the runtimes that are shipped.
    pub fn runtimes(&self) -> Result<Vec<String>, CatalogError> {
        let path = self.directory.join("runtimes");
        let unreadable = |source| CatalogError::Read {
            path: path.clone(),
            source,
            remedy: "reinstall the package tenantd",
        };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            if entry.path().join("runtime.toml").is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Text of a shipped file of egress, for example `presets/npm.yaml`.
    pub(crate) fn shipped(&self, directory: &str, name: &str, end: &str) -> Result<(String, String), String> {
        let listed = self.names_in(directory, end).map_err(|error| error.to_string())?;
        if !listed.iter().any(|known| known == name) {
            let name: String = name.chars().take(64).collect();
            return Err(format!("there is no {name:?} in {directory}: there are {}", listed.join(", ")));
        }
        let path = self.directory.join(directory).join(format!("{name}{end}"));
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok((path.display().to_string(), text)),
            Err(error) => {
                Err(format!("cannot read {}: {error}: reinstall the package tenantd", path.display()))
            }
        }
    }

    /// Names of the files in a directory of the policies, without their common end.
    pub fn names_in(&self, directory: &str, end: &str) -> Result<Vec<String>, CatalogError> {
        let path = self.directory.join(directory);
        let unreadable = |source| CatalogError::Read {
            path: path.clone(),
            source,
            remedy: "reinstall the package tenantd",
        };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&path).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            names.extend(name.to_str().and_then(|name| name.strip_suffix(end)).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    /// Where a runtime's config template lies; empty for a runtime without one.
    pub fn template_file(&self, description: &Description) -> String {
        let config = description.config.as_ref();
        config.map_or_else(String::new, |config| {
            self.runtime_directory(&description.name).join(&config.template).display().to_string()
        })
    }

    /// One runtime's description and, where it has one, the text of its config template.
    pub fn runtime(&self, name: &str) -> Result<(Description, String), CatalogError> {
        let known = self.runtimes()?;
        if !known.iter().any(|known| known == name) {
            return Err(CatalogError::NoRuntime { name: name.chars().take(64).collect(), known });
        }
        let directory = self.runtime_directory(name);
        let read = |path: PathBuf| {
            std::fs::read_to_string(&path).map_err(|source| CatalogError::Read {
                path,
                source,
                remedy: "reinstall the package tenantd",
            })
        };
        let path = directory.join("runtime.toml");
        let description = Description::parse(&path.display().to_string(), &read(path)?)?;
        let template = match &description.config {
            Some(config) => read(directory.join(&config.template))?,
            None => String::new(),
        };
        Ok((description, template))
    }
}
