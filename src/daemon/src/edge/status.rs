//! What `edge status` says.

use api::{EdgeKey, EdgeStatus};
use model::edge::EdgeFile;

use super::certificate::self_signed_for;
use super::files::{Files, reader};
use super::settings::compile;
use super::{HTTP_SOCKET, SERVICE, SOCKET, now};
use crate::failure::Failure;
use crate::service::Service;

impl Service {
    /// What there is, and what is wrong with it.
    pub fn edge_status(&self) -> Result<EdgeStatus, Failure> {
        let files = Files::of(&self.paths);
        let mut status = EdgeStatus {
            socket: self.systemd.unit(SOCKET)?.active_state,
            service: self.systemd.unit(SERVICE)?.active_state,
            ..EdgeStatus::default()
        };
        let mut problem = |failure: Failure| status.problems.push(failure.sentence);
        reader().map(drop).unwrap_or_else(&mut problem);
        let in_force = files.edge().unwrap_or_else(|failure| {
            problem(failure);
            None
        });
        let now = now()?;
        match files.keys() {
            Ok(keys) => {
                let alive = keys.keys.into_iter().filter(|key| key.retired.is_none_or(|end| end > now));
                status.keys = alive.map(|key| EdgeKey { kid: key.kid, retired: key.retired }).collect();
            }
            Err(failure) => problem(failure),
        }
        match files.revocations() {
            Ok(list) => {
                let entries = list.map(|list| list.entries).unwrap_or_default();
                status.revocations = entries.iter().filter(|entry| entry.until > now).count();
            }
            Err(failure) => problem(failure),
        }
        if let Some(certificate) = files.tls("cert.pem")? {
            status.self_signed_for = self_signed_for(&certificate);
            let word = if status.self_signed_for.is_some() { "self-signed" } else { "given" };
            status.certificate = Some(word.to_owned());
        }
        if let Some(in_force) = in_force {
            self.add_enabled(&mut status, in_force)?;
        }
        Ok(status)
    }

    /// What matters of an edge that is enabled.
    fn add_enabled(&self, status: &mut EdgeStatus, in_force: EdgeFile) -> Result<(), Failure> {
        if status.socket != "active" {
            let text = format!(
                "it is enabled, and {SOCKET} is {}: see \"systemctl status {SOCKET}\"",
                status.socket
            );
            status.problems.push(text);
        }
        if self.systemd.unit(HTTP_SOCKET)?.active_state != "active" {
            let lost = if in_force.acme.is_some() { ", and no certificate can be ordered" } else { "" };
            let text = format!(
                "http:// does not lead to https://{lost}: does another program have port 80? See \"systemctl status {HTTP_SOCKET}\""
            );
            status.problems.push(text);
        }
        if status.service == "failed" {
            status.problems.push(format!("{SERVICE} has failed: see \"journalctl -u {SERVICE} -n 50\""));
        }
        match self.edge_settings_text().and_then(|(name, text)| compile(&name, &text)) {
            Ok(on_disk) => status.changed = on_disk != in_force,
            Err(failure) => {
                // Without the line and its caret, which "check" shows.
                let first = failure.sentence.lines().next().unwrap_or_default();
                status.changed = true;
                status.problems.push(format!("{first}: see \"tenantctl edge check\""));
            }
        }
        status.enabled = true;
        status.public_port = in_force.public_port;
        status.issuers = in_force.issuers.into_iter().map(|issuer| issuer.name).collect();
        status.acme = in_force.acme.map(|acme| acme.directory);
        status.domain = Some(in_force.domain);
        Ok(())
    }
}
