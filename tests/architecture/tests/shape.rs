//! The shape of the source: sizes, where unsafe code may be, which lints every crate obeys.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a step of a test that fails is a failed test"
)]

use architecture::{crates, files, read};

const MOST_LINES: usize = 400;

/// The only places where unsafe code may be written.
const UNSAFE: &[&str] = &["src/confine/", "src/host/src/sys"];

#[test]
fn no_file_has_more_than_400_lines() {
    for (directory, end) in
        [("src", ".rs"), ("tests", ".rs"), ("tests", ".sh"), ("tests", ".py"), ("packaging", "")]
    {
        for file in files(directory, end).unwrap() {
            let generated = file.contains("/man/") || file.contains("/completions/");
            let lines = if generated { 0 } else { read(&file).unwrap().lines().count() };
            assert!(lines <= MOST_LINES, "{file} has {lines} lines: find its second reason to change");
        }
    }
}

#[test]
fn unsafe_code_is_only_where_it_may_be() {
    for file in files("src", ".rs").unwrap() {
        let allowed = UNSAFE.iter().any(|place| file.starts_with(place));
        let text = read(&file).unwrap();
        let used = text.lines().map(|line| line.split("//").next().unwrap_or_default()).any(|code| {
            code.contains("unsafe {") || code.contains("unsafe fn ") || code.contains("unsafe impl ")
        });
        assert!(allowed || !used, "{file} holds unsafe code");
    }
}

#[test]
fn every_crate_forbids_unsafe_code_or_is_one_of_the_two_that_may() {
    for file in files("src", ".rs").unwrap() {
        let crate_root = file.ends_with("/src/lib.rs") || file.ends_with("/src/main.rs");
        if crate_root && !file.starts_with("src/confine/") && !file.starts_with("src/host/") {
            assert!(
                read(&file).unwrap().contains("#![forbid(unsafe_code)]"),
                "{file} does not forbid unsafe code"
            );
        }
    }
}

#[test]
fn every_crate_obeys_the_lints_of_the_workspace() {
    let manifests: Vec<_> = ["src", "tests"].iter().flat_map(|d| files(d, "Cargo.toml").unwrap()).collect();
    assert!(manifests.len() >= crates().unwrap().len());
    for manifest in manifests {
        assert!(
            read(&manifest).unwrap().contains("[lints]\nworkspace = true"),
            "{manifest} has its own lints"
        );
    }
}

/// Where code may say the name of a gateway, besides tests, comments and help texts: names of variables that a spec may
/// not set, for every runtime alike.
const MAY_NAME_A_GATEWAY: &[&str] = &["src/model/src/spec.rs"];

#[test]
fn no_code_knows_the_name_of_a_gateway() {
    for file in files("src", ".rs").unwrap() {
        let text = read(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let exempt = MAY_NAME_A_GATEWAY.contains(&file.as_str())
            || file.starts_with("src/ctl/src/cli/")
            || file.contains("/tests/")
            || file.contains("_tests.rs")
            || file.contains("/examples/");
        for line in
            code.lines().filter(|line| !line.trim_start().starts_with("//") && !line.starts_with("fn "))
        {
            let named = line.to_lowercase().contains("openclaw");
            assert!(
                exempt || !named,
                "{file}: {line}: what is special about a gateway belongs into policies/runtimes"
            );
        }
    }
}
