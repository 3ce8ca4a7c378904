//! Whole plans as they print, one case a folder of `tests/golden`, named by what it shows. `BLESS=1 cargo test -p plan --test
//! golden` renews `plan.txt`; what changed is then read in the diff.
//!
//! `spec.toml` is what is wanted (not there: nothing is), `facts.json` the host, `observed.json` what exists. A world as JSON
//! would be thousands of numbers, so that file says it in words: made of which spec, up to which step, without and with what.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a step of a test that fails is a failed test; golden files are plain files"
)]

mod fixture;

use std::fs::{read_dir, read_to_string, write};
use std::path::{Path, PathBuf};

use model::{Facts, Resource, World};
use plan::{LAYERS, plan, wanted};
use serde::Deserialize;

/// What exists, in words.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Observed {
    /// Everything that this spec of the case makes.
    made_of: Option<PathBuf>,
    /// Only so many of them, in the order of making: where a crash stopped it.
    first: Option<usize>,
    /// Not these, by their printed keys.
    without: Vec<String>,
    /// These as well.
    also: Vec<Resource>,
}

fn cases() -> Vec<PathBuf> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut cases: Vec<_> = read_dir(golden).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

fn json<T: serde::de::DeserializeOwned>(file: &Path) -> T {
    let text = read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The world that a spec makes on a host which lacks nothing, or why it makes none on this one.
fn world(spec: &Path, facts: &Facts) -> Result<World, String> {
    let tenant = fixture::tenant_of(read_to_string(spec).unwrap(), 1);
    match wanted(LAYERS, &tenant, facts) {
        Ok(wanted) => Ok(wanted.world),
        Err(refusal) => Err(format!("refused with {}: {refusal}\n", refusal.exit().code())),
    }
}

fn observed(case: &Path, facts: &Facts) -> World {
    let said: Observed = json(&case.join("observed.json"));
    let full = said.made_of.map(|spec| world(&case.join(spec), facts).unwrap()).unwrap_or_default();
    for key in &said.without {
        assert!(fixture::holds(&full, key), "{}: there is no {key} to be without", case.display());
    }
    let kept = full.iter().take(said.first.unwrap_or(usize::MAX));
    let kept = kept.filter(|(key, _)| !said.without.contains(&key.to_string()));
    kept.map(|(_, resource)| resource.clone()).chain(said.also).collect()
}

/// The plan of a case as `tenantctl plan` prints it.
fn printed(case: &Path) -> String {
    let facts: Facts = json(&case.join("facts.json"));
    let spec = case.join("spec.toml");
    let wanted = if spec.exists() { world(&spec, &facts) } else { Ok(World::empty()) };
    match wanted {
        Ok(wanted) => plan(&wanted, &observed(case, &facts)).to_string(),
        Err(refusal) => refusal,
    }
}

#[test]
fn every_case_prints_the_plan_that_was_agreed_on() {
    let cases = cases();
    assert!(cases.len() > 6, "the cases are gone: {cases:?}");
    let bless = std::env::var_os("BLESS").is_some();
    let mut differ = Vec::new();
    for case in cases {
        let (file, found) = (case.join("plan.txt"), printed(&case));
        if bless {
            write(&file, found).unwrap();
        } else if read_to_string(&file).unwrap_or_default() != found {
            differ.push(format!("{}: is now\n{found}", file.display()));
        }
    }
    assert!(differ.is_empty(), "BLESS=1 renews them if this is meant\n{}", differ.join("\n"));
}
