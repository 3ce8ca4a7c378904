//! Quotas on a real file system: an ext4 image with project quota, mounted where only this thread sees it.

#![expect(clippy::disallowed_methods, reason = "makes and mounts the image with mkfs and mount")]

use std::fs::File;
use std::path::Path;
use std::process::Command;

use host::{RealHost, Systemd};
use model::{Owner, Paths, Resource, TenantId};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use plan::{Host, Op};

const UID: u32 = 500_003;

/// Mounts a file system of 64 MiB with project quota.
fn disk_with_quota(image: &Path, at: &Path) -> bool {
    let run = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    let private = unshare(CloneFlags::CLONE_NEWNS).and_then(|()| {
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
    });
    let (image, at) = (image.display().to_string(), at.display().to_string());
    private.is_ok()
        && File::create(&image).and_then(|file| file.set_len(64 << 20)).is_ok()
        && run("mkfs.ext4", &["-q", "-O", "project,quota", "-E", "quotatype=prjquota", &image])
        && run("mount", &["-o", "loop,prjquota", &image, &at])
}

#[test]
fn a_tenant_is_stopped_at_its_quota_and_its_neighbour_is_not() {
    let root = tempfile::tempdir().unwrap();
    // The tenant must reach what is mounted there.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(root.path(), open).unwrap();
    let image = tempfile::tempdir().unwrap();
    if !disk_with_quota(&image.path().join("image"), root.path()) {
        eprintln!("skipped: needs root, a loop device and ext4 with project quota");
        return;
    }
    let paths = Paths::below(root.path());
    let mut host = RealHost::new(paths.clone(), Systemd::system());
    let id = TenantId::parse("acme").unwrap();
    let data = paths.data(&id);
    let mut make = |resource| host.perform(&Op::Make { resource }).unwrap();
    let directory = |path, owner, mode| Resource::Directory { path, owner, mode, tenant_content: false };
    make(directory(data.clone(), Owner::root_for(UID), 0o750));
    for name in ["home", "state", "workspace"] {
        make(directory(data.join(name), Owner::tenant(UID), 0o700));
    }
    let quota = |bytes| Resource::Quota { path: data.clone(), project: UID, bytes };
    make(quota(4 << 20));
    // CAP_SYS_RESOURCE exempts root from quota, so a process of the tenant's uid writes.
    let as_tenant = |path: &Path, mib: u32| {
        let script = format!("head -c {mib}M /dev/zero >{0} && sync {0}", path.display());
        let ids = [format!("--reuid={UID}"), format!("--regid={UID}")];
        let output =
            Command::new("setpriv").args(ids).args(["--clear-groups", "sh", "-c", &script]).output().unwrap();
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    };
    as_tenant(&data.join("state/small"), 2).unwrap();
    let error = as_tenant(&data.join("state/large"), 6).unwrap_err();
    assert!(error.contains("Disk quota exceeded"), "{error}");
    std::fs::create_dir(root.path().join("neighbour")).unwrap();
    std::os::unix::fs::chown(root.path().join("neighbour"), Some(UID), Some(UID)).unwrap();
    assert!(
        as_tenant(&root.path().join("neighbour/large"), 6).is_ok(),
        "without the project there is no limit"
    );
    host.perform(&Op::Change { resource: quota(16 << 20) }).unwrap();
    as_tenant(&data.join("state/large"), 6).unwrap();
    host.perform(&Op::Remove { resource: quota(16 << 20) }).unwrap();
}
