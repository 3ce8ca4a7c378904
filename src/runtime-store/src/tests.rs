//! The store on a real file system, as whoever runs the tests.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use nix::sys::stat::Mode;
use runtime::{Origin, Provenance, Version};

use crate::{Incoming, Installed, Progress, SealedTree, Store, StoreError};

struct Fixture {
    _dir: tempfile::TempDir,
    store: Store,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    Fixture { _dir: dir, store }
}

fn quiet(_: Progress) {}

fn put(path: &Path, content: &[u8], mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// So many directories one in the other: no path is long enough to name the last one. Read-only, as in a sealed tree.
fn nest(top: &Path, depth: usize) {
    let mut dir = crate::store::open_dir(fs::File::open(top).unwrap().as_fd(), ".").unwrap();
    for _ in 0..depth {
        nix::sys::stat::mkdirat(&dir, "deep", Mode::from_bits_truncate(0o755)).unwrap();
        let inner = crate::store::open_dir(dir.as_fd(), "deep").unwrap();
        nix::sys::stat::fchmod(&dir, Mode::from_bits_truncate(0o555)).unwrap();
        dir = inner;
    }
}

fn own_program() -> Vec<u8> {
    let mut header = fs::read("/proc/self/exe").unwrap();
    header.truncate(64);
    header
}

fn fill<'a>(store: &'a Store, operation: &str) -> (Incoming<'a>, std::path::PathBuf) {
    let incoming = store.incoming(operation).unwrap();
    let tree = incoming.work().join("tree");
    put(&tree.join("node/bin/node"), &own_program(), 0o755);
    put(&tree.join("app/main.js"), b"x", 0o666);
    symlink("main.js", tree.join("app/link")).unwrap();
    (incoming, tree)
}

fn seal(incoming: Incoming<'_>) -> Result<SealedTree<'_>, StoreError> {
    incoming.seal("node/bin/node", &mut quiet)
}

fn version() -> Version {
    Version::parse("1.2.3").unwrap()
}

fn publish(sealed: SealedTree<'_>) -> Result<Installed, StoreError> {
    let provenance = Provenance::new("demo", version(), Origin::Local, false, sealed.manifest());
    sealed.publish(&provenance)
}

fn installed(fixture: &Fixture) -> Installed {
    publish(seal(fill(&fixture.store, "op-1").0).unwrap()).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn left_in_incoming(store: &Store) -> usize {
    fs::read_dir(store.root().join(".incoming")).unwrap().count()
}

#[test]
fn a_filled_tree_becomes_a_sealed_version_by_one_rename() {
    let fixture = fixture();
    let installed = installed(&fixture);
    assert_eq!(installed.path, fixture.store.root().join("demo/1.2.3"));
    for (path, expected) in
        [("", 0o555), ("app", 0o555), ("app/main.js", 0o444), ("node/bin/node", 0o555), ("manifest", 0o444)]
    {
        assert_eq!(mode(&installed.path.join(path)), expected, "{path}");
    }
    assert_eq!(left_in_incoming(&fixture.store), 0);
    let (list, unreadable) = fixture.store.list().unwrap();
    assert_eq!((list.as_slice(), unreadable.len()), ([installed].as_slice(), 0));
    let verdict = fixture.store.verify("demo", &version(), &mut quiet).unwrap();
    assert!(verdict.deviations.is_empty(), "{verdict:?}");
    assert_eq!((verdict.paths, verdict.bytes), (6, 65));
}

#[test]
fn a_tree_of_any_depth_is_deleted_on_a_small_stack() {
    let fixture = fixture();
    let work = move || {
        let (incoming, tree) = fill(&fixture.store, "op-1");
        nest(&tree.join("app"), 3000);
        drop(incoming);
        left_in_incoming(&fixture.store)
    };
    let worker = std::thread::Builder::new().stack_size(256 << 10).spawn(work).unwrap();
    assert_eq!(worker.join().unwrap(), 0);
}

#[test]
fn two_installations_of_one_content_have_one_hash() {
    let (one, other) = (fixture(), fixture());
    let (incoming, tree) = fill(&other.store, "op-2");
    fs::set_permissions(tree.join("app/main.js"), fs::Permissions::from_mode(0o640)).unwrap();
    let other = publish(seal(incoming).unwrap()).unwrap();
    assert_eq!(installed(&one).provenance.tree, other.provenance.tree);
}

#[test]
fn what_cannot_be_trusted_is_refused_and_nothing_is_left() {
    type Spoil = fn(&Path);
    let cases: [(&str, Spoil); 10] = [
        ("is setuid", |tree| put(&tree.join("app/su"), b"", 0o4755)),
        ("is setuid", |tree| put(&tree.join("app/sg"), b"", 0o2755)),
        ("hard link", |tree| fs::hard_link(tree.join("app/main.js"), tree.join("app/again")).unwrap()),
        ("leaves the tree", |tree| symlink("/etc/passwd", tree.join("app/out")).unwrap()),
        ("leaves the tree", |tree| symlink("../../../x", tree.join("app/up")).unwrap()),
        ("leads nowhere", |tree| symlink("gone", tree.join("app/gone")).unwrap()),
        ("named pipe", |tree| {
            nix::unistd::mkfifo(&tree.join("app/pipe"), Mode::S_IRWXU).unwrap();
        }),
        ("built for aarch64", |tree| {
            let mut program = own_program();
            program[18] = 183;
            put(&tree.join("node/bin/node"), &program, 0o755);
        }),
        ("nests too deep", |tree| nest(&tree.join("app"), 100)),
        ("plain UTF-8", |tree| put(&tree.join("app/a\nb"), b"", 0o644)),
    ];
    for (needle, spoil) in cases {
        let fixture = fixture();
        let (incoming, tree) = fill(&fixture.store, "op-1");
        spoil(&tree);
        let error = seal(incoming).unwrap_err();
        assert!(error.to_string().contains(needle), "{error}");
        assert_eq!(error.exit(), model::Exit::Data);
        assert_eq!(left_in_incoming(&fixture.store), 0, "{needle}");
        assert!(fixture.store.list().unwrap().0.is_empty());
    }
}

#[test]
fn a_tree_that_is_itself_a_link_is_not_followed() {
    let fixture = fixture();
    let (incoming, tree) = fill(&fixture.store, "op-1");
    let aside = tree.with_file_name("aside");
    fs::rename(&tree, &aside).unwrap();
    symlink("aside", &tree).unwrap();
    assert!(matches!(seal(incoming).unwrap_err(), StoreError::Io { action: "open", .. }));
}

#[test]
fn a_manifest_that_the_unit_wrote_is_not_taken_for_ours() {
    let fixture = fixture();
    let (incoming, tree) = fill(&fixture.store, "op-1");
    put(&tree.join("manifest/evil"), b"", 0o644);
    symlink("app/main.js", tree.join("provenance.json")).unwrap();
    publish(seal(incoming).unwrap()).unwrap();
    let verdict = fixture.store.verify("demo", &version(), &mut quiet).unwrap();
    assert!(verdict.deviations.is_empty(), "{verdict:?}");
}

#[test]
fn the_same_version_is_not_installed_twice() {
    let fixture = fixture();
    let first = installed(&fixture);
    let error = publish(seal(fill(&fixture.store, "op-2").0).unwrap()).unwrap_err();
    assert!(error.to_string().starts_with("demo 1.2.3 is already installed"), "{error}");
    assert_eq!(fixture.store.find("demo", &version()).unwrap(), first);
    assert_eq!(left_in_incoming(&fixture.store), 0);
}

#[test]
fn tampering_is_found_and_named() {
    type Tamper = fn(&Path);
    let cases: [(&str, Tamper); 6] = [
        ("app/main.js was changed", |path| {
            let file = path.join("app/main.js");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
            fs::write(&file, "y").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
        }),
        ("app/main.js was changed", |path| {
            fs::set_permissions(path.join("app/main.js"), fs::Permissions::from_mode(0o464)).unwrap();
        }),
        ("node was changed", |path| {
            fs::set_permissions(path.join("node"), fs::Permissions::from_mode(0o777)).unwrap();
        }),
        ("app/new does not belong there", |path| {
            fs::set_permissions(path.join("app"), fs::Permissions::from_mode(0o755)).unwrap();
            put(&path.join("app/new"), b"", 0o444);
            fs::set_permissions(path.join("app"), fs::Permissions::from_mode(0o555)).unwrap();
        }),
        ("app/link is missing", |path| {
            fs::set_permissions(path.join("app"), fs::Permissions::from_mode(0o755)).unwrap();
            fs::remove_file(path.join("app/link")).unwrap();
            fs::set_permissions(path.join("app"), fs::Permissions::from_mode(0o555)).unwrap();
        }),
        ("manifest was changed", |path| {
            let file = path.join("manifest");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
            fs::write(&file, "tenantd-manifest 1\n").unwrap();
        }),
    ];
    for (needle, tamper) in cases {
        let fixture = fixture();
        tamper(&installed(&fixture).path);
        let verdict = fixture.store.verify("demo", &version(), &mut quiet).unwrap();
        let said: Vec<String> = verdict.deviations.iter().map(ToString::to_string).collect();
        assert!(said.contains(&needle.to_owned()), "{needle}: {said:?}");
    }
}

#[test]
fn a_removed_version_is_gone_and_can_be_installed_again() {
    let fixture = fixture();
    installed(&fixture);
    fixture.store.remove("demo", &version()).unwrap();
    assert!(matches!(fixture.store.find("demo", &version()), Err(StoreError::NotInstalled { .. })));
    assert_eq!(fixture.store.remove("demo", &version()).unwrap_err().exit(), model::Exit::NoInput);
    assert_eq!(fs::read_dir(fixture.store.root().join(".trash")).unwrap().count(), 0);
    installed(&fixture);
}

#[test]
fn removal_follows_no_link() {
    let fixture = fixture();
    let outside = tempfile::tempdir().unwrap();
    put(&outside.path().join("kept"), b"", 0o644);
    let (incoming, tree) = fill(&fixture.store, "op-1");
    symlink(outside.path(), tree.join("app/outside")).unwrap();
    drop(incoming);
    assert!(outside.path().join("kept").exists());
    assert_eq!(left_in_incoming(&fixture.store), 0);
}

#[test]
fn a_sweep_deletes_what_an_interrupted_operation_left() {
    let fixture = fixture();
    let kept = installed(&fixture);
    let (incoming, _) = fill(&fixture.store, "op-2");
    std::mem::forget(incoming);
    put(&fixture.store.root().join(".trash/demo-1/x"), b"", 0o444);
    fixture.store.sweep().unwrap();
    assert_eq!(left_in_incoming(&fixture.store), 0);
    assert_eq!(fs::read_dir(fixture.store.root().join(".trash")).unwrap().count(), 0);
    assert_eq!(fixture.store.list().unwrap().0, [kept]);
}

#[test]
fn only_the_bound_directory_is_open_to_the_unit() {
    let fixture = fixture();
    let incoming = fixture.store.incoming("op-1").unwrap();
    assert_eq!(mode(&incoming.work()), 0o1777);
    assert_eq!(mode(incoming.work().parent().unwrap()), 0o700);
    assert_eq!(mode(&fixture.store.root().join(".incoming")), 0o700);
}

#[test]
fn names_that_could_leave_the_store_are_refused() {
    let fixture = fixture();
    for name in ["", ".", "..", "../x", "a/b", ".trash", "A"] {
        assert!(matches!(fixture.store.incoming(name), Err(StoreError::Name(_))), "{name:?}");
        assert!(matches!(fixture.store.find(name, &version()), Err(StoreError::Name(_))), "{name:?}");
    }
}
