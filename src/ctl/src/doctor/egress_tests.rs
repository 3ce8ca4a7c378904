//! A compiled file as it should be, and with one lack each.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use model::egress::{Asking, Inference, PolicyLevel, PolicyText};

use super::*;

fn acme() -> TenantId {
    TenantId::parse("acme").unwrap()
}

fn file() -> EgressFile {
    let text = "version: 1\nnetwork_policies:\n  a:\n    endpoints:\n      - {host: a.example, port: 443}\n    binaries: [{path: /usr/bin/node}]\n";
    EgressFile {
        format: EGRESS_FORMAT,
        tenant: acme(),
        uid: 500,
        layers: vec![PolicyText { level: PolicyLevel::Tenant, name: "own".into(), text: text.into() }],
        hosts: BTreeMap::new(),
        closed: vec!["10.0.0.0/8".into()],
        asking: Asking { hold_sec: 1, waiting: 1, per_hour: 1 },
        secrets: Vec::new(),
        inference: Inference::default(),
    }
}

struct World {
    root: tempfile::TempDir,
    paths: Paths,
}

impl World {
    fn new(file: &EgressFile) -> Self {
        let root = tempfile::tempdir().unwrap();
        let world = Self { paths: Paths::below(root.path()), root };
        fs::create_dir_all(world.path().parent().unwrap()).unwrap();
        world.write(&serde_json::to_vec(file).unwrap(), 0o644);
        world
    }

    fn path(&self) -> std::path::PathBuf {
        self.paths.egress(&acme()).join("egress.json")
    }

    fn write(&self, bytes: &[u8], mode: u32) {
        fs::write(self.path(), bytes).unwrap();
        fs::set_permissions(self.path(), Permissions::from_mode(mode)).unwrap();
    }

    fn read(&self) -> Result<(), String> {
        // Whoever runs the tests stands for root.
        read(&self.path(), &acme(), nix::unistd::getuid().as_raw())
    }
}

#[test]
fn a_file_is_taken_as_tenantd_writes_it_and_in_no_other_way() {
    assert_eq!(World::new(&file()).read(), Ok(()));
    let with = |change: fn(&mut EgressFile)| {
        let mut file = file();
        change(&mut file);
        World::new(&file).read().unwrap_err()
    };
    assert_eq!(with(|file| file.format += 1), "has format 2, not 1");
    assert_eq!(with(|file| file.tenant = TenantId::parse("beta").unwrap()), "is the one of tenant beta");
    assert!(with(|file| file.layers[0].text.push_str("more: 1\n")).starts_with("holds no policy: "));
    assert!(with(|file| file.closed.push("10/33".into())).starts_with("holds no policy: "));

    let world = World::new(&file());
    let mut unknown = serde_json::to_value(file()).unwrap();
    unknown["more"] = 1.into();
    world.write(&serde_json::to_vec(&unknown).unwrap(), 0o644);
    assert!(world.read().unwrap_err().starts_with("cannot be understood: unknown field `more`"));
    world.write(b"{", 0o644);
    assert!(world.read().unwrap_err().starts_with("cannot be understood: "));
    fs::set_permissions(world.path(), Permissions::from_mode(0o664)).unwrap();
    assert!(world.read().unwrap_err().contains("with mode 0664, not of "));
    let uid = nix::unistd::getuid().as_raw();
    assert!(read(&world.path(), &acme(), uid + 1).unwrap_err().starts_with(&format!("is of {uid}:")));
    let elsewhere = world.root.path().join("elsewhere");
    fs::rename(world.path(), &elsewhere).unwrap();
    assert_eq!(world.read(), Err("is missing".into()));
    symlink(&elsewhere, world.path()).unwrap();
    assert_eq!(world.read(), Err("is no file".into()));
}

#[test]
fn only_tenants_that_are_there_and_have_egress_are_looked_at() {
    let world = World::new(&file());
    assert_eq!(tenants(&world.paths), Ok(Vec::new()));
    fs::create_dir_all(world.paths.specs()).unwrap();
    let runtime = "runtime = \"openclaw\"\n";
    for (name, egress, there) in [
        ("acme", "[egress]\n", true),
        ("without", "", true),
        ("spec-only", "[egress]\n", false),
        ("broken", "[egress\n", true),
    ] {
        let id = TenantId::parse(name).unwrap();
        fs::write(world.paths.spec(&id), format!("id = \"{name}\"\n{runtime}{egress}")).unwrap();
        if there {
            fs::create_dir_all(world.paths.compiled(&id)).unwrap();
        }
    }
    fs::write(world.paths.specs().join(".acme.toml.tenantd"), "").unwrap();
    assert_eq!(tenants(&world.paths), Ok(vec![acme()]));
}

#[test]
fn an_authority_is_a_secret_of_its_own_kind_that_opens() {
    let secret = |name: &str, kind: &str, problem: Option<&str>| SecretSummary {
        name: name.into(),
        kind: kind.into(),
        version: 1,
        changed: None,
        problem: problem.map(str::to_owned),
    };
    let other = secret("api-key", "proxy", None);
    let own = |kind, problem| [other.clone(), secret(AUTHORITY_SECRET, kind, problem)];
    assert_eq!(authority(&own("authority", None)), Ok(()));
    assert_eq!(authority(std::slice::from_ref(&other)), Err("is missing".into()));
    assert!(authority(&own("missing", Some("its file was taken away"))).unwrap_err().contains("taken away"));
    assert!(authority(&own("unreadable", None)).is_err());
}

#[test]
fn a_unit_that_is_not_loaded_is_inactive() {
    let known = Ok(BTreeMap::from([("a.socket".to_owned(), "active".to_owned())]));
    assert_eq!(state(&known, "a.socket"), Ok("active".into()));
    assert_eq!(state(&known, "b.socket"), Ok("inactive".into()));
    assert_eq!(state(&Err("no bus".into()), "a.socket"), Err("no bus".into()));
}
