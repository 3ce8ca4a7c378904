//! The program itself, and what it takes at most: memory, and what it says at its end.
#![expect(clippy::disallowed_methods, reason = "starts the program under test; writes files of a test")]
#![allow(clippy::unwrap_used, reason = "a step of a test that fails is a failed test")]

use std::fs::{self, File, hard_link};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::resource::{UsageWho, getrusage};
use rustix::fs::{Mode, OFlags};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tenant-archive");
/// In KiB.
const MOST: i64 = 32 * 1024;

/// Runs the program and gives its exit code and the last line that it wrote to standard error.
fn run(arguments: &[&str], input: Stdio, output: Stdio) -> (i32, String) {
    let child =
        Command::new(PROGRAM).args(arguments).stdin(input).stdout(output).stderr(Stdio::piped()).spawn();
    let ended = child.unwrap().wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    (ended.status.code().unwrap(), said.lines().last().unwrap_or_default().to_owned())
}

fn make(tree: &Path) {
    for top in ["home", "state", "workspace"] {
        fs::create_dir_all(tree.join(top)).unwrap();
    }
    for number in 0..8_000 {
        File::create(tree.join(format!("workspace/one-of-many-{number}"))).unwrap();
    }
    for number in 0..3_000 {
        fs::write(tree.join(format!("home/linked-{number}")), b"x").unwrap();
        hard_link(tree.join(format!("home/linked-{number}")), tree.join(format!("state/{number}"))).unwrap();
    }
    let mut at = rustix::fs::open(tree.join("home"), OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..200 {
        for number in 0..5 {
            let name = format!("{number:0200}");
            rustix::fs::openat(&at, name, OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
        }
        rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
        at = rustix::fs::openat(&at, "d", OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    // What does not compress fills the compressor's buffers. In pieces: the memory of this process counts for its children.
    let mut noise: u64 = 1;
    let mut next = || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise.to_le_bytes()
    };
    let mut file = File::create(tree.join("state/noise")).unwrap();
    for _ in 0..96 {
        let piece: Vec<u8> = std::iter::repeat_with(&mut next).take(8192).flatten().collect();
        file.write_all(&piece).unwrap();
    }
}

#[test]
fn no_verb_takes_more_than_32_mib_whatever_the_tree() {
    let scratch = tempfile::tempdir().unwrap();
    let (tree, copy, archive) =
        (scratch.path().join("t"), scratch.path().join("c"), scratch.path().join("a"));
    make(&tree);
    fs::create_dir(&copy).unwrap();
    let output = File::create(&archive).unwrap().into();
    let packed = run(&["pack", tree.to_str().unwrap()], Stdio::null(), output);
    assert_eq!(packed.0, 0, "{}", packed.1);
    assert!(
        packed.1.starts_with("{\"files\":12001,\"directories\":203,\"links\":0,\"hard_links\":3000,"),
        "{}",
        packed.1
    );
    let input = || File::open(&archive).unwrap().into();
    assert_eq!(run(&["check"], input(), Stdio::null()), packed);
    assert_eq!(run(&["unpack", copy.to_str().unwrap()], input(), Stdio::null()), packed);
    let most = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss();
    assert!(most < MOST, "{most} KiB");
}

#[test]
fn a_failure_is_one_sentence_and_a_code_of_sysexits() {
    let scratch = tempfile::tempdir().unwrap();
    let here = scratch.path().to_str().unwrap();
    for (arguments, code) in [
        (&[][..], 64),
        (&["pack"], 64),
        (&["unpack", here, "home"], 64),
        (&["pack", here, ".."], 64),
        (&["pack", here], 66),
        (&["unpack", "/nonexistent"], 66),
        (&["unpack", here], 65),
        (&["check"], 65),
    ] {
        let (got, said) = run(arguments, Stdio::null(), Stdio::null());
        assert_eq!(got, code, "{arguments:?}: {said}");
        assert!(said.len() > 40 && !said.starts_with('{'), "{arguments:?}: {said}");
    }
    let full = File::options().write(true).open("/dev/full").unwrap();
    fs::create_dir(scratch.path().join("home")).unwrap();
    assert_eq!(run(&["pack", here, "home"], Stdio::null(), full.into()).0, 74);
}
