//! Trees by a hostile tenant: what can be kept comes back the same, what cannot is counted.

use std::ffi::OsStr;
use std::fs::{File, FileTimes, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, OFlags};

use crate::check::check;
use crate::manifest::LeftOut;
use crate::path::MAX_DEPTH;
use crate::testing::{Scratch, expand, listing};

/// Packs, checks, unpacks, and compares all but what `left_out` names.
fn there_and_back(from: &Scratch, left_out: &[&str]) -> Scratch {
    let to = Scratch::new();
    let mut wanted = listing(&from.path("tree"));
    let (archive, summary) = from.pack();
    assert_eq!(check(&archive[..]).unwrap(), summary);
    assert_eq!(to.unpack(&archive).unwrap(), summary);
    wanted.retain(|path, _| !left_out.iter().any(|name| name.as_bytes() == path));
    for object in wanted.values_mut() {
        object.mode &= !0o7000;
    }
    let got = listing(&to.path("tree"));
    assert_eq!(got.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
    for (path, object) in &wanted {
        assert_eq!(got.get(path), Some(object), "{}", String::from_utf8_lossy(path));
    }
    to
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn an_empty_tree_comes_back() {
    there_and_back(&Scratch::new(), &[]);
}

#[test]
fn links_that_lead_out_are_left_out_and_the_others_kept() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path("tree/home/bin")).unwrap();
    for (name, target) in
        [("in", "../state/x"), ("usr", "/usr/bin/node"), ("dangling", "nowhere"), ("bin/self", ".")]
    {
        symlink(target, scratch.path("tree/home").join(name)).unwrap();
    }
    for (name, target) in
        [("abs", "/etc/shadow"), ("up", "../../canary"), ("bin/up", "../../../canary/secret")]
    {
        symlink(target, scratch.path("tree/home").join(name)).unwrap();
    }
    there_and_back(&scratch, &["home/abs", "home/up", "home/bin/up"]);
    let (_, summary, warnings) = scratch.pack_with_warnings();
    assert_eq!((summary.links, summary.left_out.links_out), (4, 3));
    assert!(warnings.contains("home/abs: left out: a link that leads out, to /etc/shadow\n"), "{warnings}");
}

#[test]
fn devices_fifos_and_sockets_are_left_out() {
    let scratch = Scratch::new();
    let make = |name: &str, kind| {
        rustix::fs::mknodat(
            CWD,
            scratch.path("tree/home").join(name),
            kind,
            Mode::RWXU,
            rustix::fs::makedev(1, 3),
        )
    };
    make("fifo", FileType::Fifo).unwrap();
    drop(std::os::unix::net::UnixListener::bind(scratch.path("tree/home/socket")).unwrap());
    // Only root may make a device, and not in every container; the others are there in any case.
    let device = make("device", FileType::CharacterDevice).is_ok();
    there_and_back(&scratch, &["home/fifo", "home/socket", "home/device"]);
    let wanted = LeftOut { fifos: 1, sockets: 1, devices: u64::from(device), ..LeftOut::default() };
    assert_eq!(scratch.pack().1.left_out, wanted);
}

#[test]
fn setuid_setgid_and_sticky_bits_are_dropped_and_the_files_kept() {
    let scratch = Scratch::new();
    for (name, mode) in [("su", 0o4755), ("sg", 0o2711), ("plain", 0o640)] {
        scratch.write(&format!("tree/home/{name}"), b"x");
        set_mode(&scratch.path("tree/home").join(name), mode);
    }
    std::fs::create_dir(scratch.path("tree/home/tmp")).unwrap();
    set_mode(&scratch.path("tree/home/tmp"), 0o1777);
    there_and_back(&scratch, &[]);
    assert_eq!(scratch.pack().1.left_out.special_bits, 3);
}

#[test]
fn a_sparse_file_of_one_tebibyte_takes_no_time_and_no_room() {
    let scratch = Scratch::new();
    let file = File::create(scratch.path("tree/home/sparse")).unwrap();
    file.write_all_at(b"somewhere", 1 << 39).unwrap();
    file.set_len(1 << 40).unwrap();
    let begun = Instant::now();
    let to = there_and_back(&scratch, &[]);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let copy = File::open(to.path("tree/home/sparse")).unwrap();
    assert!(copy.metadata().unwrap().blocks() < 1024);
    let mut bytes = [0; 9];
    copy.read_exact_at(&mut bytes, 1 << 39).unwrap();
    assert_eq!(&bytes, b"somewhere");
    let (_, summary) = scratch.pack();
    assert!(summary.bytes == 1 << 40 && summary.stored < 1 << 20, "{summary:?}");
}

#[test]
fn sparse_files_of_every_shape_come_back() {
    let scratch = Scratch::new();
    let make = |name: &str, size, pieces: &[u64]| {
        let file = File::create(scratch.path("tree/home").join(name)).unwrap();
        pieces.iter().for_each(|at| file.write_all_at(b"data", *at).unwrap());
        file.set_len(size).unwrap();
    };
    make("all", 1_000_003, &[]);
    make("begin", 1_000_003, &[0]);
    make("end", 1_000_004, &[1_000_000]);
    make("middle", 2_000_003, &[500_000, 900_000]);
    let many: Vec<u64> = (0..2500).map(|piece| piece * 16384).collect();
    make("many", 2500 * 16384, &many);
    make("exactly", 1024 * 16384 + 9, &many[..1024]);
    let to = there_and_back(&scratch, &[]);
    assert!(to.path("tree/home/many").metadata().unwrap().blocks() * 512 < 2500 * 16384 / 2);
}

#[test]
fn names_are_bytes() {
    let scratch = Scratch::new();
    let home = scratch.path("tree/home");
    let mut names: Vec<Vec<u8>> =
        vec![b"new\nline".into(), b"\xff\xfe".into(), b" ".into(), b"...".into(), b"-rf".into()];
    names.push(vec![b'n'; 255]);
    names.push([b"12 path=x\n", &[0x80; 245][..]].concat());
    names.push((1..=255).filter(|byte| *byte != b'/').collect());
    for name in &names {
        File::create(home.join(OsStr::from_bytes(name))).unwrap();
        std::fs::create_dir(scratch.path("tree/state").join(OsStr::from_bytes(name))).unwrap();
        symlink(OsStr::from_bytes(name), scratch.path("tree/workspace").join(OsStr::from_bytes(name)))
            .unwrap();
    }
    there_and_back(&scratch, &[]);
}

#[test]
fn hard_links_stay_one_file() {
    let scratch = Scratch::new();
    scratch.write("tree/home/a", b"one");
    std::fs::create_dir(scratch.path("tree/state/deep")).unwrap();
    for other in ["tree/home/b", "tree/state/deep/c", "tree/workspace/d"] {
        std::fs::hard_link(scratch.path("tree/home/a"), scratch.path(other)).unwrap();
    }
    std::fs::hard_link(scratch.path("canary/secret"), scratch.path("tree/home/outside")).unwrap();
    let (archive, summary) = scratch.pack();
    assert_eq!((summary.files, summary.hard_links, summary.bytes), (2, 3, 9));
    let to = Scratch::new();
    to.unpack(&archive).unwrap();
    let inode = |path| to.path(path).metadata().unwrap().ino();
    assert_eq!(inode("tree/home/a"), inode("tree/workspace/d"));
    assert_eq!(inode("tree/home/b"), inode("tree/state/deep/c"));
    assert_eq!(to.path("tree/home/outside").metadata().unwrap().nlink(), 1);
}

#[test]
fn modes_and_times_of_every_kind_come_back() {
    let scratch = Scratch::new();
    let times = [(0, 0), (1, 999_999_999), (1_700_000_000, 5), (8_000_000_000, 1), (9_000_000_000, 0)];
    for (number, (seconds, nanos)) in times.into_iter().enumerate() {
        let path = scratch.path(&format!("tree/home/{number}"));
        let file = File::create(&path).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
        set_mode(&path, [0, 0o777, 0o644, 0o401, 0o100][number]);
    }
    std::fs::create_dir(scratch.path("tree/home/read-only")).unwrap();
    scratch.write("tree/home/read-only/f", b"x");
    set_mode(&scratch.path("tree/home/read-only"), 0o555);
    set_mode(&scratch.path("tree/state"), 0o711);
    there_and_back(&scratch, &[]);
}

/// Makes directories in each other, by descriptors: such a path is longer than the kernel takes.
fn nest(top: &Path, name: &str, levels: usize) {
    let mut at = rustix::fs::open(top, OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..levels {
        rustix::fs::mkdirat(&at, name, Mode::RWXU).unwrap();
        at = rustix::fs::openat(&at, name, OFlags::DIRECTORY, Mode::empty()).unwrap();
        rustix::fs::openat(&at, "f", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
    }
    rustix::fs::linkat(&at, "f", &at, "g", rustix::fs::AtFlags::empty()).unwrap();
}

#[test]
fn two_hundred_levels_of_long_names_come_back() {
    let (from, to) = (Scratch::new(), Scratch::new());
    nest(&from.path("tree/home"), &"n".repeat(255), 200);
    let (archive, summary) = from.pack();
    assert_eq!((summary.directories, summary.files, summary.hard_links), (203, 200, 1));
    assert_eq!(to.unpack(&archive).unwrap(), summary);
    let (again, _) = to.pack();
    assert_eq!(expand(&again), expand(&archive));
}

#[test]
fn what_is_too_deep_is_left_out_and_counted() {
    let (from, to) = (Scratch::new(), Scratch::new());
    nest(&from.path("tree/home"), "d", MAX_DEPTH + 50);
    let (archive, summary) = from.pack();
    assert_eq!(summary.directories, 2 + u64::try_from(MAX_DEPTH).unwrap());
    assert_eq!(summary.left_out, LeftOut { too_deep: 2, ..LeftOut::default() });
    to.unpack(&archive).unwrap();
}

#[test]
fn many_files_come_back_and_few_warnings_are_printed() {
    let scratch = Scratch::new();
    for number in 0..3000 {
        scratch.write(&format!("tree/workspace/{number}"), number.to_string().as_bytes());
        if number % 50 == 0 {
            symlink("/etc", scratch.path(&format!("tree/home/\x1b[2J{number}"))).unwrap();
        }
    }
    let (_, summary, warnings) = scratch.pack_with_warnings();
    assert_eq!((summary.files, summary.left_out.links_out), (3000, 60));
    assert_eq!(warnings.lines().count(), 20);
    assert!(warnings.starts_with("home/\\u{1b}[2J"), "{warnings}");
}

#[test]
fn a_file_that_grows_or_shrinks_does_not_break_the_stream() {
    let scratch = Scratch::new();
    for name in ["tree/home/a", "tree/home/b", "tree/home/c"] {
        scratch.write(name, &[b'x'; 100_000]);
    }
    let done = std::sync::atomic::AtomicBool::new(false);
    let changed = std::thread::scope(|scope| {
        scope.spawn(|| {
            let files = ["a", "b", "c"].map(|name| {
                OpenOptions::new().write(true).open(scratch.path("tree/home").join(name)).unwrap()
            });
            for size in (0..).map(|turn: u64| turn * 77_777 % 1_500_000) {
                files.iter().for_each(|file| file.set_len(size).unwrap());
                if done.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
            }
        });
        let begun = Instant::now();
        let mut changed = 0;
        while begun.elapsed() < Duration::from_secs(1) {
            let (archive, summary) = scratch.pack();
            assert_eq!(check(&archive[..]).unwrap(), summary);
            changed += summary.changed;
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        changed
    });
    assert!(changed > 0);
}

#[derive(Clone, Debug)]
enum Made {
    Directory,
    File(Vec<u8>, u32),
    Link(String),
    Hard(usize),
}

fn made() -> impl Strategy<Value = Made> {
    prop_oneof![
        2 => Just(Made::Directory),
        4 => (prop::collection::vec(any::<u8>(), 0..1500), 0..0o1000_u32).prop_map(|(c, m)| Made::File(c, m)),
        1 => "[a-c./]{1,6}".prop_map(Made::Link),
        1 => (0..20_usize).prop_map(Made::Hard),
    ]
}

/// Those of `tests/fuzz`: one as it is packed, one before it is compressed.
#[test]
fn the_seeds_of_the_fuzz_targets_are_whole_archives_and_no_part_of_them_is() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus");
    let packed = std::fs::read(corpus.join("archive/seed")).unwrap();
    let tar = zstd::encode_all(&std::fs::read(corpus.join("tar/seed")).unwrap()[..], 1).unwrap();
    for seed in [packed, tar] {
        check(&seed[..]).unwrap();
        for end in 0..seed.len() {
            check(&seed[..end]).unwrap_err();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn any_tree_comes_back(objects in prop::collection::vec((made(), 0..20_usize), 0..20)) {
        let scratch = Scratch::new();
        let mut directories = vec![scratch.path("tree/home"), scratch.path("tree/workspace")];
        let mut files = Vec::new();
        let mut out = Vec::new();
        for (number, (object, place)) in objects.iter().enumerate() {
            let path = directories[place % directories.len()].join(format!("é\n{number}"));
            match object {
                Made::Directory => {
                    std::fs::create_dir(&path).unwrap();
                    directories.push(path);
                }
                Made::File(content, mode) => {
                    scratch.write(path.strip_prefix(scratch.path("")).unwrap().to_str().unwrap(), content);
                    set_mode(&path, *mode);
                    files.push(path);
                }
                Made::Link(target) => {
                    symlink(target, &path).unwrap();
                    let name = path.strip_prefix(scratch.path("tree")).unwrap().to_str().unwrap().to_owned();
                    if crate::path::leads_out(name.as_bytes(), target.as_bytes()) {
                        out.push(name);
                    }
                }
                Made::Hard(of) if !files.is_empty() => std::fs::hard_link(&files[of % files.len()], path).unwrap(),
                Made::Hard(_) => {}
            }
        }
        there_and_back(&scratch, &out.iter().map(String::as_str).collect::<Vec<_>>());
    }
}
