//! Landlock tried for real: what a ruleset grants works, what it does not grant answers EACCES, and a ruleset that does
//! not hold is noticed.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a panic is a failed test; plain files of a test"
)]

mod support;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use confine::landlock::{self, CompileError, LandlockError, Places};
use model::{LandlockRule, LandlockRuleset};
use support::{Outcome, bare, in_child};

struct Tree {
    directory: tempfile::TempDir,
}

impl Tree {
    /// `open/`, `open/sub/`, `ro/`, `closed/`, each with a file `f`, and a `canary` that nothing grants.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["open/sub", "ro", "closed"] {
            fs::create_dir_all(directory.path().join(name)).unwrap();
        }
        for name in ["open/f", "open/sub/f", "ro/f", "closed/f", "canary"] {
            fs::write(directory.path().join(name), "text").unwrap();
        }
        Self { directory }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn rule(&self, name: &str, access: &[&str]) -> LandlockRule {
        let path = self.at(name).to_str().unwrap().to_owned();
        LandlockRule {
            path,
            access: access.iter().map(|right| (*right).to_owned()).collect(),
            optional: false,
        }
    }

    /// Pinned at 2, so that it holds on every supported kernel.
    fn ruleset(&self) -> LandlockRuleset {
        let write = [
            "read_file",
            "read_dir",
            "write_file",
            "make_reg",
            "make_sym",
            "remove_file",
            "remove_dir",
            "refer",
        ];
        let rules = vec![self.rule("open", &write), self.rule("ro", &["read_file", "read_dir"])];
        LandlockRuleset { abi: 2, rules, bind_tcp: None }
    }

    fn restricted(&self, ruleset: &LandlockRuleset, act: impl FnOnce() -> Result<(), i32>) -> Outcome {
        in_child(|| {
            landlock::restrict(ruleset, &self.at("canary")).unwrap();
            act()
        })
    }
}

fn errno<T>(result: std::io::Result<T>) -> Result<(), i32> {
    result.map(drop).map_err(|error| error.raw_os_error().unwrap_or(0))
}

#[test]
fn grants_work_and_everything_else_is_refused() {
    let tree = Tree::new();
    let ruleset = tree.ruleset();
    let refused = Outcome::Refused(libc::EACCES);
    let read = |name: &str| errno(fs::read(tree.at(name)));
    let write = |name: &str| errno(fs::OpenOptions::new().write(true).open(tree.at(name)));
    let create = |name: &str| errno(fs::File::create_new(tree.at(name)));
    for (act, name, expected) in
        [("read", "open/f", Outcome::Done), ("read", "ro/f", Outcome::Done), ("read", "closed/f", refused)]
    {
        assert_eq!(tree.restricted(&ruleset, || read(name)), expected, "{act} {name}");
        assert_eq!(bare(|| read(name)), Outcome::Done, "{act} {name} without Landlock");
    }
    assert_eq!(tree.restricted(&ruleset, || write("open/f")), Outcome::Done);
    assert_eq!(tree.restricted(&ruleset, || write("ro/f")), refused);
    assert_eq!(bare(|| write("ro/f")), Outcome::Done);
    assert_eq!(tree.restricted(&ruleset, || create("open/new")), Outcome::Done);
    assert_eq!(tree.restricted(&ruleset, || create("ro/new")), refused);
    assert_eq!(bare(|| create("ro/new")), Outcome::Done);
}

#[test]
fn a_sealed_file_cannot_be_replaced_by_renaming_it_or_its_parent() {
    let tree = Tree::new();
    let ruleset = tree.ruleset();
    let rename = |from: &str, to: &str| errno(fs::rename(tree.at(from), tree.at(to)));
    for (from, to) in [("open/f", "ro/f"), ("ro/f", "open/g"), ("ro", "moved"), ("open/sub", "ro/sub")] {
        // Moving between trees answers EXDEV where creating would be allowed, EACCES elsewhere.
        let outcome = tree.restricted(&ruleset, || rename(from, to));
        assert!(
            matches!(outcome, Outcome::Refused(libc::EACCES | libc::EXDEV)),
            "{from} to {to}: {outcome:?}"
        );
    }
    assert_eq!(tree.restricted(&ruleset, || rename("open/f", "open/sub/g")), Outcome::Done);
    assert_eq!(bare(|| rename("ro", "moved")), Outcome::Done);
}

#[test]
fn execution_is_a_right_of_its_own() {
    let tree = Tree::new();
    fs::copy("/bin/true", tree.at("open/true")).unwrap();
    let mut ruleset = tree.ruleset();
    for path in ["/usr", "/lib", "/lib64"] {
        let access = ["read_file", "read_dir", "execute"].map(str::to_owned).to_vec();
        ruleset.rules.push(LandlockRule { path: path.to_owned(), access, optional: true });
    }
    let run = |path: PathBuf| {
        let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        move || {
            Err(confine::process::execve(&path, std::slice::from_ref(&path), &[]).raw_os_error().unwrap_or(0))
        }
    };
    assert_eq!(tree.restricted(&ruleset, run(tree.at("open/true"))), Outcome::Refused(libc::EACCES));
    assert_eq!(tree.restricted(&ruleset, run("/usr/bin/true".into())), Outcome::Done);
    assert_eq!(bare(run(tree.at("open/true"))), Outcome::Done);
}

#[test]
fn a_ruleset_that_does_not_hold_is_noticed_on_the_canary() {
    let tree = Tree::new();
    let mut wide = tree.ruleset();
    wide.rules.push(tree.rule("", &["read_file"]));
    let restrict = |ruleset: &LandlockRuleset, canary: &Path| match landlock::restrict(ruleset, canary) {
        Err(LandlockError::Unproven { .. }) => Ok(()),
        other => panic!("{other:?}"),
    };
    assert_eq!(in_child(|| restrict(&wide, &tree.at("canary"))), Outcome::Done);
    assert_eq!(in_child(|| restrict(&tree.ruleset(), &tree.at("none"))), Outcome::Done);
}

#[test]
fn a_missing_path_is_an_error_unless_the_policy_calls_it_optional() {
    let tree = Tree::new();
    let mut ruleset = tree.ruleset();
    ruleset.rules.push(tree.rule("none", &["read_file"]));
    let missing = || match landlock::restrict(&ruleset, &tree.at("canary")) {
        Err(error @ LandlockError::Path(_)) if error.to_string().contains("none") => Ok(()),
        other => panic!("{other:?}"),
    };
    assert_eq!(in_child(missing), Outcome::Done);
    let mut optional = ruleset.clone();
    optional.rules.last_mut().unwrap().optional = true;
    assert_eq!(tree.restricted(&optional, || Ok(())), Outcome::Done);
}

#[test]
fn a_ruleset_of_a_newer_kernel_is_refused_with_the_kernel_to_boot() {
    let tree = Tree::new();
    let pinned = LandlockRuleset { abi: 99, ..tree.ruleset() };
    let message = landlock::restrict(&pinned, &tree.at("canary")).unwrap_err().to_string();
    assert!(message.contains("pinned at ABI 99") && message.contains("boot Linux"), "{message}");
}

#[test]
fn every_shipped_policy_compiles_for_every_supported_kernel() {
    let sources = support::sources("landlock");
    let places = Places { data: "/var/lib/tenants/acme_corp", port: 18789 };
    for name in ["node", "generic"] {
        for kernel in landlock::FLOOR..=9 {
            let ruleset = landlock::compile(&sources, name, kernel, &places).unwrap();
            assert_eq!(ruleset.abi, kernel.min(6), "pinned at what was tested");
            let has = |right: &str| {
                ruleset.rules.iter().any(|rule| rule.access.iter().any(|access| access == right))
            };
            assert_eq!(has("truncate"), kernel >= 3);
            assert_eq!(has("ioctl_dev"), kernel >= 5);
            assert!(!has("make_char") && !has("make_block"), "nobody makes device nodes");
            let writable = |rule: &&LandlockRule| rule.access.iter().any(|access| access == "make_reg");
            assert!(
                !ruleset
                    .rules
                    .iter()
                    .filter(writable)
                    .any(|rule| rule.access.iter().any(|access| access == "execute"))
            );
        }
        assert_eq!(
            landlock::compile(&sources, name, 1, &places).unwrap_err(),
            CompileError::Refused { kernel_abi: 1 }
        );
    }
    let refusal = CompileError::Refused { kernel_abi: 0 }.to_string();
    assert!(refusal.contains("no Landlock") && refusal.contains("5.19"), "{refusal}");
}

#[test]
fn only_the_gateways_port_can_be_bound_when_the_profile_says_so() {
    if landlock::abi() < 4 {
        println!("skipped: needs landlock>=4");
        return;
    }
    let tree = Tree::new();
    let (free, other) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let (port, refused) = (free.local_addr().unwrap().port(), other.local_addr().unwrap().port());
    drop((free, other));
    let ruleset = LandlockRuleset { abi: 4, bind_tcp: Some(vec![port]), ..tree.ruleset() };
    let bind = |port: u16| errno(TcpListener::bind(("127.0.0.1", port)));
    assert_eq!(tree.restricted(&ruleset, || bind(port)), Outcome::Done);
    assert_eq!(tree.restricted(&ruleset, || bind(refused)), Outcome::Refused(libc::EACCES));
    assert_eq!(bare(|| bind(refused)), Outcome::Done);
}

#[test]
fn a_signal_does_not_leave_the_domain() {
    if landlock::abi() < 6 {
        println!("skipped: needs landlock>=6");
        return;
    }
    let tree = Tree::new();
    let ruleset = LandlockRuleset { abi: 6, ..tree.ruleset() };
    let parent = std::process::id();
    let signal = || {
        // SAFETY: signal 0 only asks whether the process could be signalled.
        let answer = unsafe { libc::kill(i32::try_from(parent).unwrap(), 0) };
        errno(if answer == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) })
    };
    assert_eq!(bare(signal), Outcome::Done);
    assert_eq!(tree.restricted(&ruleset, signal), Outcome::Refused(libc::EPERM));
}
