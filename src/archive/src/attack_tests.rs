//! Streams by somebody hostile: refused, nothing made outside, nothing left.

use model::Exit;
use proptest::prelude::*;

use crate::block::BLOCK;
use crate::check::check;
use crate::entry::{Entry, Kind, Time};
use crate::error::Error;
use crate::path::MAX_DEPTH;
use crate::testing::{
    Forged, Scratch, directory, entry, file, hard_link, listing, sparse, squeeze, squeeze_with_window,
    symlink,
};

/// Unpacks what must not be unpacked.
fn refused(scratch: &Scratch, archive: &[u8], what: &str) -> Error {
    let error = scratch.unpack(archive).expect_err(what);
    scratch.empty();
    scratch.untouched();
    error
}

fn full() -> Forged {
    Forged::new()
        .add(&directory("home"))
        .add(&file("home/a", 700))
        .add(&directory("state"))
        .add(&directory("workspace"))
}

#[test]
fn what_the_forger_of_these_tests_makes_is_taken_when_nothing_is_wrong() {
    let scratch = Scratch::new();
    let archive = squeeze(&full().add(&symlink("workspace/b", "../home/a")).finish());
    assert_eq!(check(&archive[..]).unwrap(), scratch.unpack(&archive).unwrap());
    assert_eq!(std::fs::read(scratch.path("tree/workspace/b")).unwrap(), [b'x'; 700]);
}

#[test]
fn every_hostile_entry_is_refused_by_name() {
    let deep = format!("workspace/{}", vec!["d"; MAX_DEPTH].join("/"));
    let long = format!("workspace/{}", "n".repeat(256));
    let of_mode = |mode, entry: Entry| Entry { mode, ..entry };
    let hostile: Vec<(Entry, &str)> = vec![
        (file("/etc/cron.d/x", 3), "absolute"),
        (file("workspace/../../x", 3), "component . or .."),
        (file("../x", 3), "component . or .."),
        (file("workspace/./x", 3), "component . or .."),
        (file("workspace//x", 3), "empty component"),
        (file("workspace/", 3), "empty component"),
        (file("", 3), "empty component"),
        (file("workspace/a\0b", 3), "not as tenant-archive writes it"),
        (file(&format!("workspace/{}\0b", "n".repeat(100)), 3), "NUL"),
        (file(&deep, 3), "too deep"),
        (file(&long, 3), "name is too long"),
        (file("outside", 3), "none of the archive's directories"),
        (directory("home"), "none of the archive's directories"),
        (directory("other"), "none of the archive's directories"),
        (symlink("home", "state"), "none of the archive's directories"),
        (file("home/b", 3), "its directory does not come before it"),
        (file("workspace/none/x", 3), "its directory does not come before it"),
        (symlink("workspace/l", "/etc/shadow"), "leads out"),
        (symlink("workspace/l", "../../canary/secret"), "leads out"),
        (symlink("workspace/l", ""), "leads out"),
        (hard_link("workspace/l", "../canary/secret"), "leads out"),
        (hard_link("workspace/l", "/etc/shadow"), "leads out"),
        (hard_link("workspace/l", "home"), "leads out"),
        (hard_link("workspace/l", "canary/secret"), "leads out"),
        (hard_link("workspace/l", "home/none"), "no file of the archive"),
        (hard_link("workspace/l", "workspace"), "leads out"),
        (of_mode(0o4755, file("workspace/su", 3)), "not as tenant-archive writes it"),
        (of_mode(0o1777, directory("workspace/t")), "not as tenant-archive writes it"),
        (of_mode(0o700, symlink("workspace/l", "b")), "leads out"),
        (sparse("workspace/s", 10, &[(0, 5), (4, 5)], false), "not as tenant-archive writes it"),
        (sparse("workspace/s", 10, &[(5, 6)], false), "not as tenant-archive writes it"),
        (sparse("workspace/s", 10, &[(2, 0)], false), "not as tenant-archive writes it"),
        (sparse("workspace/s", u64::MAX, &[], false), "not as tenant-archive writes it"),
    ];
    let scratch = Scratch::new();
    for (entry, cause) in hostile {
        let stream = squeeze(&full().add(&entry).finish());
        let error = refused(&scratch, &stream, cause);
        assert!(error.to_string().contains(cause), "{entry:?}: {error}");
        assert_eq!(error.exit(), Exit::Data, "{error}");
    }
}

#[test]
fn nothing_comes_twice() {
    let scratch = Scratch::new();
    for twice in [
        file("workspace/a", 3),
        directory("workspace/a"),
        symlink("workspace/a", "b"),
        hard_link("workspace/a", "home/a"),
    ] {
        for first in [file("workspace/a", 3), directory("workspace/a"), symlink("workspace/a", "../home")] {
            let error = refused(&scratch, &squeeze(&full().add(&first).add(&twice).finish()), "twice");
            assert!(error.to_string().contains("workspace/a: it is in the archive twice"), "{error}");
        }
    }
}

#[test]
fn no_hard_link_is_made_to_a_link_or_a_directory_or_through_a_link() {
    let scratch = Scratch::new();
    let tree = || full().add(&symlink("workspace/l", "../home")).add(&directory("workspace/d"));
    for target in ["workspace/l", "workspace/d", "workspace/l/a", "home/a/b"] {
        let error =
            refused(&scratch, &squeeze(&tree().add(&hard_link("workspace/h", target)).finish()), target);
        assert!(error.to_string().contains("no file of the archive"), "{target}: {error}");
    }
}

#[test]
fn devices_and_unknown_types_are_refused() {
    let scratch = Scratch::new();
    for kind in 0..=255_u8 {
        let mut header = tar::Header::new_ustar();
        header.set_path("workspace/x").unwrap();
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(0);
        header.set_cksum();
        let stream = squeeze(&full().raw(header.as_bytes()).finish());
        let error = refused(&scratch, &stream, "an unknown type");
        assert_eq!(error.exit(), Exit::Data, "{error}");
        if kind == b'3' || kind == b'4' {
            assert!(error.to_string().contains("workspace/x: it is a device"), "{error}");
        }
    }
}

#[test]
fn a_stream_ends_where_it_ends() {
    let scratch = Scratch::new();
    let plain = full().finish();
    let archive = squeeze(&plain);
    let more = |plain: &[u8], more: &[u8]| [plain, more].concat();
    let after = [
        squeeze(&more(&plain, &[0; BLOCK])),
        squeeze(&more(&plain, b"x")),
        squeeze(&more(&plain[..plain.len() - BLOCK], &[1; BLOCK])),
        more(&archive, &[0]),
        more(&archive, &squeeze(b"")),
        more(&archive, &archive),
        more(&[0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 0], &archive),
        squeeze(&full().raw(&[0; 2 * BLOCK]).finish()),
    ];
    for (index, stream) in after.iter().enumerate() {
        refused(&scratch, stream, "more after the end");
        assert!(check(&stream[..]).is_err(), "{index}");
    }
    assert!(refused(&scratch, b"", "nothing").to_string().contains("ends early"));
    assert!(refused(&scratch, b"not zstd at all", "no zstd").to_string().contains("cannot be decompressed"));
}

#[test]
fn no_window_takes_more_memory_than_a_stream_of_ours() {
    let plain = Forged::new().add(&directory("home")).add(&file("home/a", 1 << 20)).finish();
    let plain = [plain, vec![0; 64 << 20]].concat();
    let scratch = Scratch::new();
    let error = refused(&scratch, &squeeze_with_window(&plain, 24), "window");
    assert!(error.to_string().contains("too much memory"), "{error}");
    let error = refused(&scratch, &squeeze_with_window(&plain, 23), "the rest");
    assert!(!error.to_string().contains("memory"), "{error}");
}

#[test]
fn a_newer_format_is_refused_in_one_sentence() {
    let scratch = Scratch::new();
    let stream = squeeze(&Forged::of_first("{\"format\":2,\"streams\":[]}").finish());
    let error = refused(&scratch, &stream, "newer");
    assert_eq!(
        error.to_string(),
        "archive refused: its format is 2, this program reads 1 (install a newer tenantd)"
    );
    for other in [
        "{\"format\":0}",
        "{}",
        "[]",
        "",
        "{\"format\":1,\"directories\":[\"..\"]}",
        "{\"format\":1,\"directories\":[]}",
    ] {
        let error = refused(&scratch, &squeeze(&Forged::of_first(other).finish()), other);
        assert_eq!(error.exit(), Exit::Data);
    }
}

#[test]
fn a_manifest_that_is_wrong_or_early_is_refused() {
    let scratch = Scratch::new();
    let early = Forged::new().add(&directory("home")).finish();
    assert!(refused(&scratch, &squeeze(&early), "early").to_string().contains("too early"));
    let mut wrong = full();
    wrong.summary.files += 1;
    assert!(
        refused(&scratch, &squeeze(&wrong.finish()), "count").to_string().contains("manifest is not that")
    );
    let begun = full().add(&sparse("workspace/s", 10, &[(0, 1)], true));
    assert!(refused(&scratch, &squeeze(&begun.finish()), "begun").to_string().contains("too early"));
    let other = full().add(&sparse("workspace/s", 10, &[(0, 1)], true)).add(&file("workspace/t", 1));
    assert!(refused(&scratch, &squeeze(&other.finish()), "other").to_string().contains("not whole"));
}

#[test]
fn what_the_file_system_refuses_leaves_nothing() {
    let scratch = Scratch::new();
    let stream =
        full().add(&directory("workspace/d")).add(&sparse("workspace/d/s", (1 << 63) - 1, &[], false));
    let error = refused(&scratch, &squeeze(&stream.finish()), "a file of 8 EiB");
    assert_eq!(error.exit(), Exit::Io, "{error}");
    assert!(error.to_string().starts_with("cannot make workspace/d/s: "), "{error}");
}

#[test]
fn directories_without_permissions_are_removed_again() {
    let scratch = Scratch::new();
    let closed = |path| Entry { mode: 0, ..directory(path) };
    let stream =
        full().add(&closed("workspace/c")).add(&closed("workspace/c/c")).add(&file("workspace/c/c/f", 3));
    refused(&scratch, &squeeze(&stream.add(&file("workspace/../x", 0)).finish()), "modes");
}

#[test]
fn what_is_not_empty_is_not_touched() {
    let scratch = Scratch::new();
    scratch.write("tree/state/mine", b"1");
    let before = listing(&scratch.path("tree"));
    let error = scratch.unpack(&squeeze(&full().finish())).unwrap_err();
    assert!(matches!(error, Error::NotEmpty(_)), "{error}");
    assert_eq!(error.exit(), Exit::CantCreate);
    assert_eq!(listing(&scratch.path("tree")), before);
}

#[test]
fn top_directories_that_a_failed_unpack_made_are_removed_and_found_ones_are_as_before() {
    let scratch = Scratch::new();
    std::fs::remove_dir(scratch.path("tree/state")).unwrap();
    let before = listing(&scratch.path("tree"));
    scratch.unpack(&squeeze(&full().raw(&[0; BLOCK]).finish())).unwrap_err();
    assert_eq!(listing(&scratch.path("tree")), before);
    scratch.unpack(&squeeze(&full().finish())).unwrap();
    assert!(scratch.path("tree/state").is_dir());
}

/// A small archive of each kind of entry, and the tree that it makes.
fn small() -> (Vec<u8>, Scratch) {
    let scratch = Scratch::new();
    let timed = Entry { mtime: Time { seconds: -5, nanos: 3 }, ..file("home/a", 5) };
    let plain = Forged::new()
        .add(&directory("home"))
        .add(&timed)
        .add(&sparse("home/s", 9000, &[(4096, 2)], false))
        .add(&directory("state"))
        .add(&hard_link("state/h", "home/a"))
        .add(&symlink("state/l", "../home/a"))
        .add(&directory("workspace"))
        .finish();
    scratch.unpack(&squeeze(&plain)).unwrap();
    (plain, scratch)
}

#[test]
fn every_truncation_is_refused() {
    let (plain, _) = small();
    let archive = squeeze(&plain);
    let scratch = Scratch::new();
    for length in 0..archive.len() {
        let error = refused(&scratch, &archive[..length], "a truncated archive");
        assert_eq!(error.exit(), Exit::Data, "{length}: {error}");
    }
    for length in 0..plain.len() {
        assert!(check(&squeeze(&plain[..length])[..]).is_err(), "{length}");
    }
    for length in (0..plain.len()).step_by(97) {
        refused(&scratch, &squeeze(&plain[..length]), "a truncated stream");
    }
}

#[test]
fn every_flipped_byte_is_refused_or_changes_nothing() {
    let (plain, wanted) = small();
    let wanted = listing(&wanted.path("tree"));
    let scratch = Scratch::new();
    let mut taken = 0;
    for at in 0..plain.len() {
        let mut other = plain.clone();
        other[at] ^= 1 << (at % 8);
        let archive = squeeze(&other);
        if check(&archive[..]).is_err() {
            // Unpacking takes longer, and refuses by the same code.
            if at % 13 == 0 {
                refused(&scratch, &archive, "a flipped byte");
            }
            continue;
        }
        taken += 1;
        let scratch = Scratch::new();
        scratch.unpack(&archive).unwrap();
        assert_eq!(listing(&scratch.path("tree")), wanted, "{at}");
    }
    // Digits of what was left out, in the manifest: nobody else knows them.
    assert!(taken < 40, "{taken}");
}

fn hostile_path() -> impl Strategy<Value = String> {
    let name =
        prop::sample::select(vec!["home", "state", "workspace", "a", "b", "..", ".", "", "canary", "tree"]);
    prop::collection::vec(name, 1..5).prop_map(|names| names.join("/"))
}

fn hostile_entry() -> impl Strategy<Value = Entry> {
    (hostile_path(), hostile_path(), 0..6_u8, 0..40_u64).prop_map(|(path, target, kind, size)| match kind {
        0 | 1 => directory(&path),
        2 => file(&path, size),
        3 => sparse(&path, size * 4096, &[(0, size)], size % 2 == 1),
        4 => symlink(&path, &target),
        _ => entry(&path, Kind::HardLink { target: target.into() }),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn no_stream_makes_anything_outside_or_leaves_anything_after_failure(
        entries in prop::collection::vec(hostile_entry(), 0..12)
    ) {
        let scratch = Scratch::new();
        let forged = entries.iter().fold(Forged::new().add(&directory("home")), Forged::add);
        let forged = forged.add(&directory("state")).add(&directory("workspace"));
        if scratch.unpack(&squeeze(&forged.finish())).is_err() {
            scratch.empty();
        }
        scratch.untouched();
        let beside = std::fs::read_dir(scratch.path("")).unwrap().count();
        prop_assert_eq!(beside, 2);
    }
}
