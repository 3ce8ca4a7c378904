//! What a shell offers at TAB: quick and silent, from files that everybody may read, whether tenantd runs or not.

use std::path::Path;

use clap_complete::CompletionCandidate;
use model::{Feature, Paths, TenantId};

/// Names of tenants.
pub fn tenants() -> Vec<CompletionCandidate> {
    candidates(tenants_below(&Paths::host()))
}

/// Names of runtimes.
pub fn runtimes() -> Vec<CompletionCandidate> {
    candidates(runtimes_below(&Paths::host()))
}

/// Names of protections one can do without.
pub fn features() -> Vec<CompletionCandidate> {
    candidates(Feature::ALL.map(|feature| feature.name().to_owned()).to_vec())
}

/// Keys that `set` changes, with the `=`.
pub fn keys() -> Vec<CompletionCandidate> {
    candidates(crate::change::KEYS.iter().map(|key| format!("{key}=")).collect())
}

fn candidates(names: Vec<String>) -> Vec<CompletionCandidate> {
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// The spec files are named after their tenants.
fn tenants_below(paths: &Paths) -> Vec<String> {
    let stem = |name: String| name.strip_suffix(".toml").map(str::to_owned);
    names_in(&paths.specs())
        .into_iter()
        .filter_map(stem)
        .filter(|name| TenantId::parse(name).is_ok())
        .collect()
}

fn runtimes_below(paths: &Paths) -> Vec<String> {
    names_in(&paths.policies().join("runtimes"))
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_are_named_by_their_spec_files() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::below(root.path());
        assert!(tenants_below(&paths).is_empty());
        std::fs::create_dir_all(paths.specs()).unwrap();
        for name in ["web.toml", "acme-corp.toml", ".web.toml.swp", "notes.txt", "Bad.toml"] {
            std::fs::File::create(paths.specs().join(name)).unwrap();
        }
        assert_eq!(tenants_below(&paths), ["acme-corp", "web"]);
    }
}
