//! What a shell offers at TAB: quick and silent, from files that everybody may read, whether tenantd runs or not.

use std::collections::BTreeSet;
use std::path::Path;

use clap_complete::CompletionCandidate;
use model::{Feature, Paths, Role, TenantId};

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

/// Names of roles.
pub fn roles() -> Vec<CompletionCandidate> {
    candidates(Role::ALL.map(|role| role.name().to_owned()).to_vec())
}

/// Names of presets.
pub fn presets() -> Vec<CompletionCandidate> {
    candidates(shipped(&Paths::host(), "presets", ".yaml"))
}

/// Names of profiles.
pub fn profiles() -> Vec<CompletionCandidate> {
    candidates(shipped(&Paths::host(), "profiles", ".toml"))
}

/// Keys that `set` changes, with the `=`.
pub fn keys() -> Vec<CompletionCandidate> {
    candidates(crate::change::KEYS.iter().map(|key| format!("{key}=")).collect())
}

fn candidates(names: Vec<String>) -> Vec<CompletionCandidate> {
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// The spec files are named after their tenants, but only root may look; the user records, which everybody may read, are
/// named after their system names.
fn tenants_below(paths: &Paths) -> Vec<String> {
    let specs = names_in(&paths.specs()).into_iter();
    let by_spec = specs.filter_map(|name| TenantId::parse(name.strip_suffix(".toml")?).ok());
    let records = names_in(&paths.userdb()).into_iter();
    let by_record = records
        .filter_map(|name| TenantId::from_system_name(name.strip_prefix("t-")?.strip_suffix(".user")?).ok());
    let names: BTreeSet<String> = by_spec.chain(by_record).map(|id| id.to_string()).collect();
    names.into_iter().collect()
}

fn runtimes_below(paths: &Paths) -> Vec<String> {
    names_in(&paths.policies().join("runtimes"))
}

fn shipped(paths: &Paths, directory: &str, end: &str) -> Vec<String> {
    let names = names_in(&paths.policies().join(directory)).into_iter();
    names.filter_map(|name| name.strip_suffix(end).map(str::to_owned)).collect()
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
    fn tenants_are_named_by_their_specs_and_by_their_user_records() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::below(root.path());
        assert!(tenants_below(&paths).is_empty());
        for (directory, names) in [
            (paths.specs(), ["web.toml", "acme-corp.toml", ".x.toml.tenantd", "notes.txt", "Bad.toml"]),
            (
                paths.userdb(),
                ["t-acme_corp.user", "t-shop.user", "t-shop.group", "500000.user", "t-Bad.user"],
            ),
        ] {
            std::fs::create_dir_all(&directory).unwrap();
            for name in names {
                std::fs::File::create(directory.join(name)).unwrap();
            }
        }
        assert_eq!(tenants_below(&paths), ["acme-corp", "shop", "web"]);
    }
}
