//! Installing, listing, verifying, pinning and removing runtimes. Downloads happen in a confined unit of an unprivileged
//! user; what it leaves is sealed and judged before anything becomes visible.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use api::{Installed, Verdict};
use host::{Cancel, FetchRequest};
use model::Exit;
use runtime::{Install, InstallError, Line, Origin, Provenance, Version};

use crate::allocate::{parse_version, store_failure};
use crate::failure::Failure;
use crate::journal::{Progress, lock};
use crate::service::Service;

/// The program of an installed tree, relative to it: its machine must be this host's.
const NODE: &str = "node/bin/node";

/// What somebody asked to have installed.
#[derive(Debug)]
pub struct InstallRequest {
    /// Runtime.
    pub name: String,
    /// Version; empty: the newest tested one.
    pub version: String,
    /// Whether a version or content that was not tested is taken.
    pub untested: bool,
    /// A directory or archive to install from instead of the registry.
    pub from: Option<OwnedFd>,
}

/// What a download said on its standard output.
#[derive(Debug, Default)]
struct Report {
    facts: BTreeMap<String, String>,
    error: Option<String>,
}

impl Service {
    /// Every installed version.
    pub fn runtimes(&self) -> Result<Vec<Installed>, Failure> {
        let (found, unreadable) = self.store.list().map_err(store_failure)?;
        for error in unreadable {
            tracing::warn!("runtime left out of the list: {error}");
        }
        found.into_iter().map(|installed| self.describe(installed)).collect()
    }

    /// Installs a version. Whatever fails, nothing of it is left.
    pub fn install_runtime(
        &self,
        request: InstallRequest,
        progress: &Progress,
    ) -> Result<Installed, Failure> {
        let (description, _) = self.catalog()?.runtime(&request.name)?;
        let Some(Install::Npm(npm)) = &description.install else {
            return Err(install_failure(InstallError::NothingToInstall(request.name)));
        };
        let asked = if request.version.is_empty() { None } else { Some(parse_version(&request.version)?) };
        let origin = if request.from.is_some() { Origin::Local } else { Origin::Registry };
        let fetch =
            npm.request(&request.name, asked.as_ref(), origin, request.untested).map_err(install_failure)?;
        if let Some(version) = &fetch.version {
            self.refuse_installed(&request.name, version)?;
        }
        let incoming = self.store.incoming(&operation_name(&request.name)?).map_err(store_failure)?;
        let report = self.fetch(&request.name, incoming.work(), fetch.arguments, request.from, progress)?;
        let version = match (fetch.version, report.facts.get("version")) {
            (Some(version), _) => version,
            (None, Some(found)) => parse_version(found)?,
            (None, None) => {
                return Err(Failure::new(
                    Exit::Software,
                    "runtime-fetch did not say which version it made: please report this",
                ));
            }
        };
        progress(85, "sealing");
        let sealed = incoming.seal(NODE, &mut |_| progress(90, "sealing")).map_err(store_failure)?;
        let tested = npm
            .judge(&request.name, &version, sealed.manifest(), request.untested)
            .map_err(install_failure)?;
        let mut provenance = Provenance::new(&request.name, version, origin, tested, sealed.manifest());
        provenance.facts = report.facts;
        provenance.sealed_by = env!("CARGO_PKG_VERSION").to_owned();
        provenance.sealed_at = seconds_now();
        let installed = sealed.publish(&provenance).map_err(store_failure)?;
        tracing::info!(runtime = installed.runtime, version = %installed.version, tested, "runtime installed");
        self.describe(installed)
    }

    /// Runs the download in its unit and collects what it says.
    fn fetch(
        &self,
        name: &str,
        work: PathBuf,
        arguments: Vec<String>,
        from: Option<OwnedFd>,
        progress: &Progress,
    ) -> Result<Report, Failure> {
        let registries = self.settings()?.registries;
        let environment =
            registries.npm.map(|url| ("NPM_CONFIG_REGISTRY".to_owned(), url)).into_iter().collect();
        let request = FetchRequest {
            runtime: name.to_owned(),
            policy: self.catalog()?.runtime_directory(name),
            work,
            arguments,
            from,
            npmrc: npmrc(registries.npmrc),
            environment,
        };
        let mut report = Report::default();
        let mut hear = |line: &str| match Line::parse(line) {
            Ok(Line::Progress { percent, text }) => progress(u32::from(percent) * 8 / 10, &text),
            Ok(Line::Fact { key, value }) => {
                report.facts.insert(key, value);
            }
            Ok(Line::Error { text }) => report.error = Some(text),
            Err(error) => tracing::warn!("runtime-fetch: {error}"),
        };
        let status = host::fetch(&self.systemd, request, &mut hear, &Cancel::new())?;
        if status == 0 {
            return Ok(report);
        }
        let exit = u8::try_from(status).ok().and_then(Exit::from_code).unwrap_or(Exit::Software);
        let sentence = report.error.unwrap_or_else(|| {
            format!("runtime {name}: the download ended with status {status} without a word: see \"journalctl -u 'tenantd-fetch-*'\"")
        });
        Err(Failure::new(exit, sentence))
    }

    /// Reads every file of a version again.
    pub fn verify_runtime(&self, name: &str, version: &str, progress: &Progress) -> Result<Verdict, Failure> {
        let version = parse_version(version)?;
        let installed = self.store.find(name, &version).map_err(store_failure)?;
        let found =
            self.store.verify(name, &version, &mut |_| progress(50, "reading")).map_err(store_failure)?;
        Ok(Verdict {
            intact: found.deviations.is_empty(),
            differences: found.deviations.iter().take(100).map(ToString::to_string).collect(),
            files: found.paths,
            tree_hash: installed.provenance.tree.to_string(),
        })
    }

    /// Removes a version that no tenant uses.
    pub fn remove_runtime(&self, name: &str, version: &str) -> Result<(), Failure> {
        let version = parse_version(version)?;
        self.store.find(name, &version).map_err(store_failure)?;
        let users = self.users_of(name, version.as_str())?;
        if let Some(first) = users.first() {
            return Err(Failure::new(
                Exit::TempFail,
                format!(
                    "runtime {name} {version} is used by {} tenant(s), {first} among them: give them another version first (\"tenantctl set {first} version=…\")",
                    users.len()
                ),
            ));
        }
        if lock(&self.database).pin(name)?.as_deref() == Some(version.as_str()) {
            lock(&self.database).set_pin(name, None)?;
        }
        self.store.remove(name, &version).map_err(store_failure)
    }

    /// Makes a version the one new tenants get.
    pub fn pin_runtime(&self, name: &str, version: &str) -> Result<(), Failure> {
        let version = parse_version(version)?;
        self.store.find(name, &version).map_err(store_failure)?;
        Ok(lock(&self.database).set_pin(name, Some(version.as_str()))?)
    }

    fn refuse_installed(&self, name: &str, version: &Version) -> Result<(), Failure> {
        if self.store.find(name, version).is_ok() {
            return Err(Failure::new(
                Exit::CantCreate,
                format!(
                    "runtime {name} {version} is installed already: check it with \"tenantctl runtime verify {name} {version}\""
                ),
            ));
        }
        Ok(())
    }

    fn describe(&self, installed: runtime_store::Installed) -> Result<Installed, Failure> {
        let pinned = lock(&self.database).pin(&installed.runtime)?;
        let provenance = installed.provenance;
        let mut facts = provenance.facts;
        let origin = match provenance.origin {
            Origin::Registry => "registry",
            Origin::Local => "local",
        };
        facts.insert("origin".into(), origin.into());
        facts.insert("sealed_at".into(), provenance.sealed_at.to_string());
        facts.insert("sealed_by".into(), provenance.sealed_by);
        Ok(Installed {
            tenants: self.users_of(&installed.runtime, installed.version.as_str())?,
            pinned: pinned.as_deref() == Some(installed.version.as_str()),
            tested: provenance.tested,
            tree_hash: provenance.tree.to_string(),
            bytes: provenance.bytes,
            files: provenance.paths,
            version: installed.version.to_string(),
            runtime: installed.runtime,
            provenance: facts,
        })
    }
}

/// The npm configuration handed to the download: the one named in the settings, else root's own where there is one.
fn npmrc(named: Option<String>) -> Option<PathBuf> {
    named.map(PathBuf::from).or_else(|| Some(PathBuf::from("/root/.npmrc")).filter(|path| path.is_file()))
}

/// A name for the private directory of one installation.
fn operation_name(runtime: &str) -> Result<String, Failure> {
    Ok(format!("{runtime}-{}-{}", std::process::id(), seconds_now()))
}

fn seconds_now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |age| age.as_secs())
}

fn install_failure(error: InstallError) -> Failure {
    let exit = match &error {
        InstallError::NothingToInstall(_) => Exit::Usage,
        InstallError::Untested { .. } => Exit::NoPermission,
        InstallError::Content { .. } => Exit::Data,
    };
    Failure::new(exit, error.to_string())
}
