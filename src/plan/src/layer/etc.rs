//! The cell's own `/etc`: it names nobody but the tenant and tells nothing of the host.

use model::{Content, Facts, Owner, Resource};

use super::Layer;
use crate::draft::Part;
use crate::{Draft, Refusal, Tenant};

/// Synthetic `/etc` and the directories of the compiled files.
pub(super) struct Etc;

impl Layer for Etc {
    fn name(&self) -> &'static str {
        "etc"
    }

    fn draft(&self, tenant: &Tenant, _facts: &Facts, out: &mut Draft) -> Result<(), Refusal> {
        let user = tenant.id().user();
        let uid = tenant.allocation.uid;
        let home = tenant.paths.data(tenant.id()).join("home");
        // Where no proxy is, nobody answers.
        let name_server = match tenant.egress {
            Some(_) => std::net::Ipv4Addr::LOCALHOST,
            None => tenant.allocation.network.bridge(),
        };
        let own = tenant.allocation.network.tenant();
        let files = [
            ("passwd", format!("{user}:x:{uid}:{uid}:tenant:{}:/bin/sh\n", home.display())),
            ("group", format!("{user}:x:{uid}:\n")),
            ("hosts", format!("127.0.0.1 localhost\n{own} {}\n", tenant.id())),
            ("hostname", format!("{}\n", tenant.id())),
            ("resolv.conf", format!("nameserver {name_server}\noptions timeout:2 attempts:1\n")),
            ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".to_owned()),
            ("machine-id", format!("{}\n", tenant.allocation.machine_id)),
        ];
        for (name, text) in files {
            out.ask(Part::Etc { name: name.to_owned(), text });
        }
        let compiled = tenant.paths.compiled(tenant.id());
        for (below, mode) in [
            ("", 0o750),
            ("config", 0o750),
            ("etc", 0o755),
            ("etc/alternatives", 0o755),
            ("etc/ssl", 0o755),
            ("etc/ssl/certs", 0o755),
            ("etc/ssl/host", 0o755),
        ] {
            let path = if below.is_empty() { compiled.clone() } else { compiled.join(below) };
            out.resource(Resource::Directory {
                path,
                owner: Owner::root_for(uid),
                mode,
                tenant_content: false,
            });
        }
        Ok(())
    }
}

/// The file on which `tenant-exec` proves that Landlock holds: readable by mode, refused by the ruleset.
pub(super) fn canary(tenant: &Tenant) -> Resource {
    Resource::File {
        path: tenant.paths.compiled(tenant.id()).join("canary"),
        owner: Owner::ROOT,
        mode: 0o644,
        content: Content::plain("Landlock must refuse to open this file.\n"),
        restart: false,
    }
}
