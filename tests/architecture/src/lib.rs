//! What the tests of this crate need to know about the source tree: its files, and its crates as cargo sees them.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Why the source tree cannot be read.
pub type Error = Box<dyn std::error::Error>;

/// The checkout.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Text of a file of the checkout.
pub fn read(path: &str) -> Result<String, Error> {
    std::fs::read_to_string(root().join(path)).map_err(|error| format!("{path}: {error}").into())
}

/// Files below `directory` (relative to the checkout) whose name ends so, as relative paths.
pub fn files(directory: &str, end: &str) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    let mut waiting = vec![root().join(directory)];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(&next).map_err(|error| format!("{}: {error}", next.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                waiting.push(entry.path());
            } else if entry.file_name().to_string_lossy().ends_with(end) {
                found.push(entry.path().strip_prefix(root())?.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The workspace's crates and what each names under `[dependencies]`, optional ones included.
pub fn crates() -> Result<BTreeMap<String, BTreeSet<String>>, Error> {
    let metadata: serde_json::Value =
        serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--no-deps"])?)?;
    let mut crates = BTreeMap::new();
    for package in list(&metadata, "packages") {
        let normal =
            list(package, "dependencies").iter().filter(|d| d.get("kind").is_some_and(|k| k.is_null()));
        crates.insert(name(package), normal.map(name).collect());
    }
    Ok(crates)
}

/// Every crate that ends up in a program of this workspace, the program itself included.
pub fn tree(package: &str) -> Result<BTreeSet<String>, Error> {
    let text = cargo(&["tree", "-p", package, "-e", "normal,build", "--prefix", "none", "--format", "{p}"])?;
    Ok(text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

fn list<'a>(value: &'a serde_json::Value, key: &str) -> &'a [serde_json::Value] {
    value.get(key).and_then(|value| value.as_array()).map_or(&[], Vec::as_slice)
}

fn name(value: &serde_json::Value) -> String {
    value.get("name").and_then(|name| name.as_str()).unwrap_or_default().to_owned()
}

#[expect(
    clippy::disallowed_methods,
    reason = "cargo is the only one who knows the crates; no program of ours runs this"
)]
fn cargo(arguments: &[&str]) -> Result<String, Error> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = std::process::Command::new(cargo)
        .args(arguments)
        .args(["--locked", "--offline"])
        .current_dir(root())
        .output()?;
    if !output.status.success() {
        return Err(format!("cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
