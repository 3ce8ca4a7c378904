//! `packaging/runtime-fetch` as tenantd starts it: what it leaves, what it says, and how it ends.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "a panic is a failed test; tests start the program and make plain files"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use runtime::Line;

const INTEGRITY: &str =
    "sha512-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";

struct Outcome {
    code: i32,
    lines: Vec<Line>,
    work: tempfile::TempDir,
}

impl Outcome {
    fn error(&self) -> &str {
        match self.lines.last() {
            Some(Line::Error { text }) => text,
            Some(Line::Progress { .. } | Line::Fact { .. }) | None => "",
        }
    }

    fn fact(&self, wanted: &str) -> Option<&str> {
        self.lines.iter().find_map(|line| match line {
            Line::Fact { key, value } if key == wanted => Some(value.as_str()),
            Line::Fact { .. } | Line::Progress { .. } | Line::Error { .. } => None,
        })
    }
}

fn fetch(environment: &[(&str, &str)], arguments: &[&str]) -> Outcome {
    let work = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/runtime-fetch");
    let output = Command::new(program)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs(environment.iter().copied())
        .args(["--work", work.path().to_str().unwrap(), "--package", "demo"])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let lines = said.lines().map(|line| Line::parse(line).unwrap()).collect();
    Outcome { code: output.status.code().unwrap(), lines, work }
}

fn from_registry(address: &str) -> Outcome {
    let pins = ["--node-package", "node-x", "--node-version", "26.0.0", "--node-integrity", INTEGRITY];
    let more = ["--npm-version", "1.0.0", "--npm-integrity", INTEGRITY, "--version", "1.2.3"];
    fetch(&[("NPM_CONFIG_REGISTRY", address)], &[pins.as_slice(), more.as_slice()].concat())
}

/// Answers every request with `status` and gives the address. The thread ends with the test's process.
fn registry(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/mirror", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap();
            let path = "GET /mirror/node-x/-/node-x-26.0.0.tgz HTTP";
            assert!(String::from_utf8_lossy(request.get(..read).unwrap()).starts_with(path));
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 4\r\nConnection: close\r\n\r\nevil")
                .unwrap();
        }
    });
    address
}

/// A directory laid out like an installed runtime; `node` is any program of this machine.
fn local(name: &str, spoil: impl FnOnce(&Path)) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join(name);
    let package = place.join("app/node_modules/demo");
    fs::create_dir_all(place.join("node/bin")).unwrap();
    fs::create_dir_all(&package).unwrap();
    fs::copy("/usr/bin/env", place.join("node/bin/node")).unwrap();
    fs::write(package.join("package.json"), "{\n  \"name\": \"demo\",\n  \"version\": \"1.2.3\"\n}\n")
        .unwrap();
    fs::write(package.join("pending"), "").unwrap();
    spoil(&place);
    (dir, place)
}

#[test]
fn a_directory_is_copied_checked_and_named() {
    let (_dir, place) = local("x", |_| {});
    let place = place.to_str().unwrap();
    // No registry is asked, so one that cannot be used hinders nothing.
    let registry = [("NPM_CONFIG_REGISTRY", "none")];
    let outcome = fetch(&registry, &["--from", place, "--remove", "app/node_modules/demo/pending"]);
    assert_eq!((outcome.code, outcome.error()), (0, ""));
    assert_eq!(outcome.fact("version"), Some("1.2.3"));
    let tree = outcome.work.path().join("tree");
    assert!(tree.join("node/bin/node").exists() && tree.join("app/node_modules/demo/package.json").exists());
    assert!(!tree.join("app/node_modules/demo/pending").exists());
    assert!(!outcome.work.path().join("tmp").exists());
    assert!(matches!(outcome.lines.first(), Some(Line::Progress { percent: 0, .. })));
}

#[test]
fn an_archive_of_a_sealed_runtime_is_taken() {
    let (dir, place) = local("1.2.3", |place| {
        fs::set_permissions(place.join("app"), fs::Permissions::from_mode(0o555)).unwrap();
    });
    let archive = dir.path().join("x.tar.gz");
    let parent = place.parent().unwrap();
    let status = Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(parent).arg("1.2.3").status();
    assert!(status.unwrap().success());
    let outcome = fetch(&[], &["--from", archive.to_str().unwrap(), "--version", "1.2.3"]);
    assert_eq!((outcome.code, outcome.error()), (0, ""));
    assert!(outcome.work.path().join("tree/node/bin/node").exists());
}

#[test]
fn what_is_no_runtime_for_this_machine_is_refused_in_one_sentence() {
    type Spoil = fn(&Path);
    let cases: [(i32, &str, Spoil); 6] = [
        (65, "wrong architecture (aarch64, this host is x86-64)", |place| {
            let mut program = fs::read(place.join("node/bin/node")).unwrap();
            *program.get_mut(18).unwrap() = 183;
            fs::write(place.join("node/bin/node"), program).unwrap();
        }),
        (65, "not a Linux program", |place| fs::write(place.join("node/bin/node"), "#!/bin/sh\n").unwrap()),
        (65, "node/bin/node is missing", |place| fs::remove_file(place.join("node/bin/node")).unwrap()),
        (65, "this is no runtime", |place| fs::remove_dir_all(place.join("app")).unwrap()),
        (65, "no runtime of demo", |place| fs::remove_dir_all(place.join("app/node_modules/demo")).unwrap()),
        (66, "there is demo 9.9.9, not 1.2.3", |place| {
            let text = "{\n  \"version\": \"9.9.9\"\n}\n";
            fs::write(place.join("app/node_modules/demo/package.json"), text).unwrap();
        }),
    ];
    for (code, needle, spoil) in cases {
        let (_dir, place) = local("x", spoil);
        let outcome = fetch(&[], &["--from", place.to_str().unwrap(), "--version", "1.2.3"]);
        assert_eq!(outcome.code, code, "{needle}: {}", outcome.error());
        assert!(outcome.error().contains(needle), "{}", outcome.error());
    }
}

#[test]
fn a_missing_or_damaged_archive_is_named() {
    let outcome = fetch(&[], &["--from", "/nonexistent/x.tar"]);
    assert_eq!(
        (outcome.code, outcome.error()),
        (66, "/nonexistent/x.tar: there is no such file or directory")
    );
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("x.tar.gz");
    fs::write(&archive, "no archive").unwrap();
    let outcome = fetch(&[], &["--from", archive.to_str().unwrap()]);
    assert_eq!(outcome.code, 65, "{}", outcome.error());
}

/// One member of a tar archive (tar(5), ustar): a file with one byte in it, or a link.
fn member(name: &str, link: Option<&str>) -> Vec<u8> {
    let mut header = vec![0; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000755");
    put(124, if link.is_some() { "00000000000" } else { "00000000001" });
    put(136, "00000000000");
    put(148, "        ");
    put(156, if link.is_some() { "2" } else { "0" });
    put(157, link.unwrap_or_default());
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    if link.is_none() {
        header.extend([b"x".to_vec(), vec![0; 511]].concat());
    }
    header
}

#[test]
fn an_archive_writes_nothing_outside_its_place() {
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().to_str().unwrap();
    let absolute = format!("{target}/absolute");
    let climbing = format!("../../../../../../../../../..{target}/climbing");
    for members in [
        vec![member(&absolute, None)],
        vec![member(&climbing, None)],
        vec![member("way", Some(target)), member("way/through", None)],
        vec![member("node", Some(target)), member("node/bin/node", None), member("app", Some(target))],
    ] {
        let archive = tempfile::NamedTempFile::new().unwrap();
        fs::write(archive.path(), [members.concat(), vec![0; 1024]].concat()).unwrap();
        let outcome = fetch(&[], &["--from", archive.path().to_str().unwrap()]);
        assert_eq!(outcome.code, 65, "{}", outcome.error());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "{}", outcome.error());
    }
    // The positive control: made so, an archive is read.
    let archive = tempfile::NamedTempFile::new().unwrap();
    fs::write(archive.path(), [member("node/bin/node", None), vec![0; 1024]].concat()).unwrap();
    let outcome = fetch(&[], &["--from", archive.path().to_str().unwrap()]);
    assert!(outcome.error().contains("no directory app"), "{}", outcome.error());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn an_archive_of_any_bytes_is_one_sentence(
        start in prop::sample::select(vec![&b""[..], b"\x1f\x8b\x08\0", b"\xfd7zXZ\0", b"BZh9", b"\x28\xb5\x2f\xfd"]),
        bytes in prop::collection::vec(any::<u8>(), 0..2048),
    ) {
        let archive = tempfile::NamedTempFile::new().unwrap();
        fs::write(archive.path(), [start, &bytes].concat()).unwrap();
        let outcome = fetch(&[], &["--from", archive.path().to_str().unwrap()]);
        prop_assert_eq!(outcome.code, 65);
        prop_assert!(!outcome.error().is_empty() && outcome.error().len() < 1000);
    }
}

#[test]
fn what_the_registry_answers_decides_the_exit_code() {
    for (status, code, needle) in [
        ("200 OK", 65, "is not the package that was tested"),
        ("404 Not Found", 66, "has no such version"),
        ("401 Unauthorized", 69, "refuses (status 401): put a valid token"),
        ("500 Internal Server Error", 69, "status 500"),
    ] {
        let outcome = from_registry(&registry(status));
        assert_eq!(outcome.code, code, "{status}: {}", outcome.error());
        assert!(outcome.error().contains(needle), "{}", outcome.error());
        assert!(outcome.error().starts_with("node-x 26.0.0: "), "{}", outcome.error());
    }
}

#[test]
fn a_registry_that_is_not_there_is_unavailable_and_its_password_is_not_shown() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let outcome = from_registry(&format!("http://user:secret@127.0.0.1:{port}/"));
    assert_eq!(outcome.code, 69);
    assert!(outcome.error().contains("cannot be fetched from http://127.0.0.1"), "{}", outcome.error());
    assert!(outcome.lines.iter().all(|line| !format!("{line:?}").contains("secret")));
    assert_eq!(from_registry("ftp://x").code, 69);
}

#[test]
fn wrong_arguments_are_a_usage_error() {
    for arguments in [&["--colour", "x"][..], &["--from"], &["--version", "1"]] {
        let outcome = fetch(&[("NPM_CONFIG_REGISTRY", "http://127.0.0.1")], arguments);
        assert_eq!(outcome.code, 64, "{}", outcome.error());
    }
}
