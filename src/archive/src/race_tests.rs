//! A tree that changes under the walk: a directory becomes a link to a canary and back, as fast as a thread can.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags};

use crate::error::Error;
use crate::testing::{Forged, Scratch, directory, expand, file, hard_link, squeeze};

const TIME: Duration = Duration::from_secs(2);

/// Runs `work` again and again while `first` and `second` change places.
fn while_swapping(first: &Path, second: &Path, mut work: impl FnMut()) -> u64 {
    let (done, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                if rustix::fs::renameat_with(CWD, first, CWD, second, RenameFlags::EXCHANGE).is_ok() {
                    swaps.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let begun = Instant::now();
        while begun.elapsed() < TIME {
            work();
        }
        done.store(true, Ordering::Relaxed);
    });
    swaps.into_inner()
}

#[test]
fn packing_never_reads_through_a_directory_that_became_a_link() {
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.path("tree/home/d/canary")).unwrap();
    for at in ["tree/home/d/secret", "tree/home/d/canary/secret"] {
        scratch.write(at, b"mine");
    }
    std::os::unix::fs::symlink(scratch.path("canary"), scratch.path("tree/home/e")).unwrap();
    let (mut packed, mut changed) = (0_u32, 0);
    let swaps = while_swapping(&scratch.path("tree/home/d"), &scratch.path("tree/home/e"), || {
        let (archive, summary) = scratch.pack();
        assert!(!expand(&archive).windows(6).any(|bytes| bytes == b"CANARY"));
        packed += 1;
        changed += summary.changed;
    });
    assert!(
        swaps > 100 && packed > 10 && changed > 0,
        "{swaps} swaps, {packed} archives, {changed} changes seen"
    );
}

#[test]
fn packing_never_reads_through_a_file_that_became_a_link() {
    let scratch = Scratch::new();
    scratch.write("tree/home/f", b"mine");
    std::os::unix::fs::symlink(scratch.path("canary/secret"), scratch.path("tree/home/g")).unwrap();
    let mut changed = 0;
    let swaps = while_swapping(&scratch.path("tree/home/f"), &scratch.path("tree/home/g"), || {
        let (archive, summary) = scratch.pack();
        assert!(!expand(&archive).windows(6).any(|bytes| bytes == b"CANARY"));
        changed += summary.changed;
    });
    assert!(swaps > 100 && changed > 0, "{swaps} swaps, {changed} changes seen");
}

#[test]
fn unpacking_and_undoing_never_go_through_a_directory_that_became_a_link() {
    let scratch = Scratch::new();
    let mut forged = Forged::new().add(&directory("home")).add(&directory("home/d"));
    for number in 0..20 {
        forged =
            forged.add(&directory(&format!("home/d/{number}"))).add(&file(&format!("home/d/{number}/f"), 6));
    }
    forged = forged.add(&file("home/d/secret", 6)).add(&directory("state"));
    for number in 0..20 {
        forged = forged.add(&hard_link(&format!("state/{number}"), "home/d/secret"));
    }
    forged = forged.add(&directory("workspace"));
    // Undone at its end.
    forged.summary.files += 1;
    let broken = squeeze(&forged.finish());
    let link = scratch.path("link");
    std::os::unix::fs::symlink(scratch.path("canary"), &link).unwrap();
    let (mut linked, mut undone, mut left) = (0_u32, 0_u32, 0_u32);
    let swaps = while_swapping(&scratch.path("tree/home/d"), &link, || {
        let error = scratch.unpack(&broken).unwrap_err();
        if matches!(error, Error::Left { .. }) {
            left += 1;
        } else if error.to_string().contains("manifest is not that") {
            undone += 1;
        } else {
            linked += 1;
        }
        // What the attacker moved about is put back for the next round.
        for top in ["tree/home", "tree/state", "tree/workspace"] {
            std::fs::remove_dir_all(scratch.path(top)).ok();
            std::fs::create_dir(scratch.path(top)).ok();
        }
        if !link.is_symlink() {
            std::fs::remove_dir_all(&link).ok();
            std::os::unix::fs::symlink(scratch.path("canary"), &link).ok();
        }
    });
    scratch.untouched();
    assert_eq!(scratch.path("canary/secret").metadata().unwrap().nlink(), 1);
    let seen = format!("{swaps} swaps, {linked} at a hard link, {undone} undone, {left} left");
    assert!(swaps > 100 && linked > 0 && linked + undone + left > 3, "{seen}");
}
