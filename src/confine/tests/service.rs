//! A service confines itself by its shipped policies, and not as root.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a panic is a failed test")]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use confine::{Service, ServiceError, confine_service};
use model::{Exit, Paths};
use support::{Outcome, bare, call, in_child, last_errno, no_new_privs};

/// Not the account of anybody.
const NOBODY: u32 = 65_534;

/// The shipped policies where an installed program finds them.
fn installed() -> (tempfile::TempDir, Paths) {
    let root = tempfile::tempdir().unwrap();
    let paths = Paths::below(root.path());
    for kind in ["landlock", "seccomp"] {
        let (from, to) = (
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies").join(kind),
            paths.policies().join(kind),
        );
        fs::create_dir_all(&to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }
    let cell = root.path().join("cell");
    // Its other directories belong to a tenant's cell.
    let policy = paths.policies().join("landlock").join("egress.toml");
    let here = fs::read_to_string(&policy).unwrap().replace("/run/tenantd/egress", &cell.to_string_lossy());
    fs::write(policy, here).unwrap();
    for directory in [cell, root.path().join("state")] {
        fs::create_dir(directory).unwrap();
    }
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    (root, paths)
}

fn confine(paths: &Paths, policy: &'static str) -> Result<String, ServiceError> {
    let state = paths.root().join("state");
    confine_service(paths, Service { program: "tenant-x", unit: "x.socket", policy, state: &state })
}

/// Leaves this process without any privilege, as the unit does for a service.
fn drop_everything() {
    for set in [caps::CapSet::Ambient, caps::CapSet::Bounding] {
        caps::clear(None, set).unwrap();
    }
    nix::unistd::setgroups(&[]).unwrap();
    nix::unistd::setgid(NOBODY.into()).unwrap();
    nix::unistd::setuid(NOBODY.into()).unwrap();
    caps::clear(None, caps::CapSet::Inheritable).unwrap();
    no_new_privs();
}

fn is_root() -> bool {
    nix::unistd::getuid().is_root()
}

#[test]
fn a_service_does_not_start_with_privileges() {
    let (_root, paths) = installed();
    let error = confine(&paths, "egress").unwrap_err();
    if is_root() {
        assert_eq!(error.to_string(), "tenant-x does not run as root: start it by x.socket");
        assert_eq!(error.exit(), Exit::Usage);
    } else {
        assert_eq!(error.exit(), Exit::NoPermission, "{error}");
    }
}

/// Only root can make a process without a bounding set.
#[test]
fn a_service_of_its_own_policies_reads_no_other_file_and_starts_no_program() {
    if !is_root() {
        return;
    }
    let (_root, paths) = installed();
    let open = || File::open("/etc/passwd").map(drop).map_err(|_| last_errno());
    assert_eq!(bare(open), Outcome::Done);
    let opened = in_child(|| {
        drop_everything();
        confine(&paths, "egress").unwrap();
        open()
    });
    assert_eq!(opened, Outcome::Refused(libc::EACCES));
    let execute = || call("execve", [0; 6]);
    assert_eq!(bare(execute), Outcome::Refused(libc::EFAULT));
    let executed = in_child(|| {
        drop_everything();
        confine(&paths, "egress").unwrap();
        execute()
    });
    assert_ne!(executed, Outcome::Refused(libc::EFAULT));
    let unknown = in_child(|| {
        drop_everything();
        let elsewhere = Paths::below(paths.root().join("none"));
        assert_eq!(confine(&elsewhere, "egress").unwrap_err().exit(), Exit::OsFile);
        Ok(())
    });
    assert_eq!(unknown, Outcome::Done);
}
