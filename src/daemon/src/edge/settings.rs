//! Enabling, disabling, and settings read again. A wrong setting changes nothing: what was in force stays.

use std::io::Read;
use std::path::Path;

use api::EdgeStatus;
use host::files;
use model::edge::{EDGE_FORMAT, EdgeFile};
use model::{EdgeSettings, EdgeSettingsError, Exit, Owner};

use super::files::{Files, nothing_revoked, reader};
use super::{HTTP_SOCKET, Inner, PROOF_SOCKET, SERVICE, SOCKET};
use crate::failure::Failure;
use crate::service::Service;

/// Bytes of the settings and of each file that they name, at most.
const MOST_BYTES: u64 = 1 << 20;

impl Service {
    /// Makes these the settings, and opens the edge.
    pub fn enable_edge(&self, text: &str) -> Result<EdgeStatus, Failure> {
        let path = self.paths.edge_settings();
        let compiled = compile(&path.display().to_string(), text)?;
        reader()?;
        {
            let mut inner = self.edge.hold();
            let files = Files::of(&self.paths);
            if files.tls("cert.pem")?.is_none() || files.tls("key.pem")?.is_none() {
                let text = "the edge has no certificate: give it one with \"tenantctl edge enable --certificate FILE --key FILE\"";
                return Err(Failure::new(Exit::Config, text));
            }
            let on_disk = files::read_bounded(&path, text.len())?;
            if on_disk.as_deref() != Some(text.as_bytes()) {
                files::write_atomic(&path, Owner::ROOT, 0o644, text.as_bytes())?;
            }
            let was_enabled = !matches!(files.edge(), Ok(None));
            self.put_in_force(&mut inner, &compiled)?;
            if let Err(failure) = self.open_sockets() {
                if !was_enabled {
                    self.close_edge()?;
                }
                return Err(failure);
            }
            tracing::info!(domain = compiled.domain, "the edge is enabled");
        }
        self.edge_status()
    }

    /// Closes the edge. Settings, keys, revocations and the certificate stay.
    pub fn disable_edge(&self) -> Result<EdgeStatus, Failure> {
        {
            let _inner = self.edge.hold();
            self.close_edge()?;
            tracing::info!("the edge is disabled");
        }
        self.edge_status()
    }

    /// Reads the settings again.
    pub fn reload_edge(&self) -> Result<EdgeStatus, Failure> {
        let (name, text) = self.edge_settings_text()?;
        let compiled = compile(&name, &text)?;
        {
            let mut inner = self.edge.hold();
            if matches!(Files::of(&self.paths).edge(), Ok(None)) {
                return Err(disabled());
            }
            self.put_in_force(&mut inner, &compiled)?;
            tracing::info!(domain = compiled.domain, "the edge has its settings again");
        }
        self.edge_status()
    }

    /// At the daemon's start: an edge that is enabled by a file of another version, or by a damaged one, gets its settings again.
    pub(crate) fn renew_edge(&self) -> Result<(), Failure> {
        match Files::of(&self.paths).edge() {
            Ok(None) => Ok(()),
            Ok(Some(edge)) if edge.format == EDGE_FORMAT => Ok(()),
            Ok(Some(_)) | Err(_) => self.reload_edge().map(drop),
        }
    }

    /// The settings on disk, and how they are called in messages.
    pub(super) fn edge_settings_text(&self) -> Result<(String, String), Failure> {
        let path = self.paths.edge_settings();
        let text = bounded(&path).map_err(|why| {
            let text = format!("{}: {why}: run \"tenantctl edge enable --domain DOMAIN\"", path.display());
            Failure::new(Exit::NoInput, text)
        })?;
        Ok((path.display().to_string(), text))
    }

    /// All three files, so that whatever is missing after a crash or by a stranger's hand is there again. The issuer goes first: as long
    /// as it and the domain differ, no token of ours is good for anything.
    fn put_in_force(&self, inner: &mut Inner, compiled: &EdgeFile) -> Result<(), Failure> {
        let files = Files::of(&self.paths);
        if files.revocations()?.is_none() {
            files.write_revocations(&nothing_revoked())?;
        }
        self.publish_keys(inner, &token::issuer(&compiled.domain))?;
        files.write_edge(compiled)
    }

    fn open_sockets(&self) -> Result<(), Failure> {
        self.systemd.start(PROOF_SOCKET)?;
        self.systemd.start(SOCKET).map_err(|error| {
            let text = format!(
                "{error}; does another program listen at port 443 (\"ss -ltnp\")? Another port goes into \"systemctl edit {SOCKET}\""
            );
            Failure::new(error.exit, text)
        })?;
        if let Err(error) = self.systemd.start(HTTP_SOCKET) {
            tracing::warn!("http:// does not lead to https://: {error}");
        }
        Ok(self.systemd.enable(&[PROOF_SOCKET, SOCKET, HTTP_SOCKET])?)
    }

    /// First nobody comes in any more, then the rest.
    fn close_edge(&self) -> Result<(), Failure> {
        for unit in [SOCKET, HTTP_SOCKET, SERVICE, PROOF_SOCKET] {
            self.systemd.stop(unit)?;
        }
        self.systemd.disable(&[SOCKET, HTTP_SOCKET, PROOF_SOCKET])?;
        Files::of(&self.paths).remove_edge()
    }
}

/// What to say where the edge is needed and is not enabled.
pub(super) fn disabled() -> Failure {
    Failure::new(Exit::Config, "the edge is not enabled: run \"tenantctl edge enable --domain DOMAIN\"")
}

/// Settings as one document, with what stands in the files that they name.
pub(super) fn compile(name: &str, text: &str) -> Result<EdgeFile, Failure> {
    let refuse = |error: EdgeSettingsError| Failure::new(Exit::Config, error.to_string());
    let settings = EdgeSettings::parse(name, text).map_err(refuse)?;
    settings.with_files((name, text), bounded).map_err(refuse)
}

/// A file that the administrator named: a regular one, wherever a link leads, and none without an end.
fn bounded(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            return "no such file".to_owned();
        }
        format!("cannot be read: {error}")
    };
    if !path.metadata().map_err(failed)?.is_file() {
        return Err("is no file".to_owned());
    }
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut text = String::new();
    file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MOST_BYTES { Err("larger than 1 MiB".to_owned()) } else { Ok(text) }
}
