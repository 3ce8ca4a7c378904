//! Directories that a tenant filled as it liked are removed without root ever walking them.

use std::fs::File;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use model::{Resource, World};

use crate::place::{ready, say, settle, tenant, world};

fn without_unit(world: &World) -> World {
    world
        .iter()
        .map(|(_, resource)| resource.clone())
        .filter(|resource| !matches!(resource, Resource::Unit { .. }))
        .collect()
}

fn give(path: &Path, uid: u32) {
    say(&["chown", "-Rh", &format!("{uid}:{uid}"), &path.display().to_string()]);
}

#[test]
#[ignore = "needs a throwaway host"]
fn a_hostile_tree_is_removed_and_nothing_outside_is_touched() {
    let (paths, systemd) = ready();
    let (id, uid) = tenant("hostile", 20);
    settle(&paths, &systemd, &id, uid, without_unit(&world(&paths, &id, uid))).unwrap();
    let state = paths.data(&id).join("state");
    let outside = Path::new("/var/lib/outside");
    std::fs::create_dir_all(outside).unwrap();
    File::create(outside.join("kept")).unwrap();
    std::fs::set_permissions(outside, std::fs::Permissions::from_mode(0o777)).unwrap();
    symlink(outside, state.join("link")).unwrap();
    symlink("/", state.join("root")).unwrap();
    symlink(".", state.join("-rf")).unwrap();
    for number in 0..20_000 {
        File::create(state.join(format!("file {number}\n*"))).unwrap();
    }
    let mut deep =
        nix::fcntl::open(&state, nix::fcntl::OFlag::O_DIRECTORY, nix::sys::stat::Mode::empty()).unwrap();
    for _ in 0..3_000 {
        let mode = nix::sys::stat::Mode::S_IRWXU;
        nix::sys::stat::mkdirat(&deep, "d", mode).unwrap();
        nix::unistd::fchownat(
            &deep,
            "d",
            Some(nix::unistd::Uid::from_raw(uid)),
            None,
            nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW,
        )
        .unwrap();
        deep = nix::fcntl::openat(&deep, "d", nix::fcntl::OFlag::O_DIRECTORY, nix::sys::stat::Mode::empty())
            .unwrap();
    }
    std::fs::create_dir_all(state.join("locked/inner")).unwrap();
    File::create(state.join("locked/inner/file")).unwrap();
    give(&state.join("locked"), uid);
    for directory in ["locked/inner", "locked"] {
        std::fs::set_permissions(state.join(directory), std::fs::Permissions::from_mode(0o0)).unwrap();
    }
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o0)).unwrap();
    let begun = std::time::Instant::now();
    settle(&paths, &systemd, &id, uid, World::empty()).unwrap();
    println!("20,000 files, 3,000 levels: {:?}", begun.elapsed());
    assert!(!paths.data(&id).exists());
    assert!(outside.join("kept").exists());
}

#[test]
#[ignore = "needs a throwaway host"]
fn what_the_tenant_cannot_remove_is_reported_and_the_rest_stays_removable() {
    let (paths, systemd) = ready();
    let (id, uid) = tenant("rooted", 21);
    settle(&paths, &systemd, &id, uid, without_unit(&world(&paths, &id, uid))).unwrap();
    let foreign = paths.data(&id).join("workspace/mounted-by-root");
    std::fs::create_dir_all(&foreign).unwrap();
    File::create(foreign.join("file")).unwrap();
    let error = settle(&paths, &systemd, &id, uid, World::empty()).unwrap_err();
    assert!(error.to_string().contains("cannot be emptied by its owner"), "{error}");
    assert!(foreign.join("file").exists());
    assert!(say(&["getent", "passwd", "t-rooted"]).0, "the account stays as long as something of it does");
    std::fs::remove_dir_all(&foreign).unwrap();
    settle(&paths, &systemd, &id, uid, World::empty()).unwrap();
    assert!(!say(&["getent", "passwd", "t-rooted"]).0);
}

#[test]
#[ignore = "needs a throwaway host"]
fn another_tenants_files_are_out_of_the_workers_reach() {
    let (paths, systemd) = ready();
    let (id, uid) = tenant("worker", 22);
    let (other, other_uid) = tenant("neighbour", 23);
    for (id, uid) in [(&id, uid), (&other, other_uid)] {
        settle(&paths, &systemd, id, uid, without_unit(&world(&paths, id, uid))).unwrap();
    }
    let file = paths.data(&other).join("home/file");
    File::create(&file).unwrap();
    symlink(paths.data(&other).join("home"), paths.data(&id).join("home/neighbour")).unwrap();
    settle(&paths, &systemd, &id, uid, World::empty()).unwrap();
    assert!(file.exists());
    settle(&paths, &systemd, &other, other_uid, World::empty()).unwrap();
}

#[test]
#[ignore = "needs a throwaway host"]
fn a_removal_that_was_interrupted_is_taken_up_again() {
    let (paths, systemd) = ready();
    let (id, uid) = tenant("again", 24);
    settle(&paths, &systemd, &id, uid, without_unit(&world(&paths, &id, uid))).unwrap();
    let file = paths.data(&id).join("state/file");
    File::create(&file).unwrap();
    // What a killed daemon leaves: its worker, still at it.
    say(&[
        "systemd-run",
        "--unit=tenantd-remove.var.lib.tenants.again.state.service",
        "--no-block",
        "sleep",
        "1000",
    ]);
    settle(&paths, &systemd, &id, uid, World::empty()).unwrap();
    assert!(!file.exists());
}
