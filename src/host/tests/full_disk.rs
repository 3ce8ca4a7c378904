//! A disk that is full at any point leaves the previous file as it was, and nothing half-written beside it.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use host::files::{read_bounded, write_atomic};
use model::{Exit, Owner};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// A file system of `blocks` blocks that only this thread sees.
fn tiny_disk(at: &Path, blocks: u32) -> bool {
    let private = unshare(CloneFlags::CLONE_NEWNS).and_then(|()| {
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
    });
    let options = format!("size={},mode=755", blocks * 4096);
    private
        .and_then(|()| mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), Some(options.as_str())))
        .is_ok()
}

#[test]
fn a_full_disk_leaves_the_previous_file_intact() {
    let root = tempfile::tempdir().unwrap();
    if !tiny_disk(root.path(), 16) {
        eprintln!("skipped: needs root to mount a tiny file system");
        return;
    }
    let path = root.path().join("confinement.json");
    let old = vec![b'o'; 4096];
    write_atomic(&path, Owner::ROOT, 0o640, &old).unwrap();
    // Fill the disk, then give back one block at a time: the new content of six blocks runs out of space at every point.
    let ballast: Vec<_> = (0..14).map(|n| root.path().join(format!("ballast{n}"))).collect();
    for file in &ballast {
        drop(File::create(file).unwrap().write_all(&[0u8; 4096]));
    }
    let new = vec![b'n'; 6 * 4096];
    let mut failures = 0;
    for file in &ballast {
        match write_atomic(&path, Owner::ROOT, 0o640, &new) {
            Ok(()) => break,
            Err(error) => {
                failures += 1;
                assert_eq!(error.exit, Exit::Io);
                assert!(error.message.contains("is full"), "{error}");
                assert_eq!(read_bounded(&path, 1 << 20).unwrap().unwrap(), old);
                assert!(!root.path().join(".confinement.json.tenantd").exists());
            }
        }
        std::fs::remove_file(file).unwrap();
    }
    assert!(failures >= 5, "the disk was never full: {failures}");
    assert_eq!(read_bounded(&path, 1 << 20).unwrap().unwrap(), new);
}

#[test]
fn a_read_only_disk_is_named_as_such() {
    let root = tempfile::tempdir().unwrap();
    if !tiny_disk(root.path(), 16) {
        eprintln!("skipped: needs root to mount a tiny file system");
        return;
    }
    mount(None::<&str>, root.path(), None::<&str>, MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, None::<&str>)
        .unwrap();
    let error = write_atomic(&root.path().join("file"), Owner::ROOT, 0o644, b"x").unwrap_err();
    assert!(error.message.contains("read-only"), "{error}");
}
