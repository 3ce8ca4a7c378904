//! For tests: a daemon whose host is a directory of the test's own.

use std::path::Path;
use std::sync::Arc;

use host::Systemd;
use model::egress::{Asking, EGRESS_FORMAT, EgressFile, Inference, PolicyLevel, PolicyText};
use model::{Allocation, Paths, TenantId, TenantNetwork};
use runtime_store::Store;

use crate::service::Service;
use crate::state::{Database, OperationKind};
use crate::vault::Vault;

/// The tenant.
pub(crate) fn acme() -> TenantId {
    TenantId::parse("acme").unwrap()
}

fn put(path: &Path, bytes: &[u8]) {
    host::files::write_atomic(path, model::Owner::ROOT, 0o644, bytes).unwrap();
}

/// A daemon with one tenant that asks.
pub(crate) fn service(root: &Path) -> Arc<Service> {
    let paths = Paths::below(root);
    let share = root.join("usr/share/tenantd");
    for directory in [&share, &paths.runtimes(), &paths.state()] {
        std::fs::create_dir_all(directory).unwrap();
    }
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies").canonicalize().unwrap();
    std::os::unix::fs::symlink(policies, share.join("policies")).unwrap();
    let mut database = Database::open(&paths.database()).unwrap();
    let network = TenantNetwork::new([10, 210, 0, 0].into()).unwrap();
    let allocation = Allocation { index: 0, uid: 500_000, network, machine_id: "0".repeat(32) };
    database.begin_create(&acme(), OperationKind::Create, &allocation).unwrap();
    database.end(&acme()).unwrap();
    put(&paths.spec(&acme()), b"id = \"acme\"\nruntime = \"openclaw\"\n[egress]\nprofile = \"team\"\n");
    let text = "version: 1\nx-tenantd: { default: ask }\n".to_owned();
    let file = EgressFile {
        format: EGRESS_FORMAT,
        tenant: acme(),
        uid: 500_000,
        layers: vec![PolicyText { level: PolicyLevel::Profile, name: "profile team".into(), text }],
        hosts: Default::default(),
        closed: Vec::new(),
        asking: Asking { hold_sec: 300, waiting: 2, per_hour: 10 },
        secrets: Vec::new(),
        inference: Inference::default(),
    };
    put(&paths.egress(&acme()).join("egress.json"), &serde_json::to_vec(&file).unwrap());
    let systemd = Systemd::system();
    let (store, vault) = (Store::open(&paths.runtimes()).unwrap(), Vault::new(&paths, &systemd));
    Arc::new(Service::new(paths, systemd, database, store, vault))
}
