//! The format of `policies/landlock/*.toml`, and its ruleset for one kernel and one tenant.
//!
//! Every entry names paths in the cell, what may be done beneath them, and why. Rights that the pinned ABI does not know
//! are left out; what holds them instead is [`held_elsewhere`](super::held_elsewhere).

use std::collections::BTreeMap;
use std::path::{Component, Path};

use model::{LandlockRule, LandlockRuleset, cell};
use serde::Deserialize;
use thiserror::Error;
use toml::Spanned;

use super::{FLOOR, kernel_of, rights};
use crate::sources::{Place, PolicyError, Sources, Text};

/// A ruleset could not be compiled.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CompileError {
    /// The kernel is below the floor: the tenant cannot be run here.
    #[error("{}", refusal(*.kernel_abi))]
    Refused {
        /// The kernel's ABI; 0: none.
        kernel_abi: u32,
    },
    /// The policy is wrong.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

fn refusal(kernel_abi: u32) -> String {
    let has = match kernel_abi {
        0 => "no Landlock".to_owned(),
        abi => format!("Landlock ABI {abi}"),
    };
    let kernel = kernel_of(FLOOR).unwrap_or_default();
    format!(
        "this kernel has {has}; tenantd needs ABI {FLOOR} (Linux {kernel} or later, with landlock in the kernel's lsm= list)"
    )
}

/// What differs between tenants in a ruleset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places<'a> {
    /// The tenant's data directory, for `{data}`.
    pub data: &'a str,
    /// The gateway's port, for `bind = "gateway"`.
    pub port: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    description: String,
    abi: Option<Spanned<u32>>,
    bind: Option<Bind>,
    #[serde(default)]
    include: Vec<Spanned<String>>,
    #[serde(default)]
    directory: Vec<Spanned<Entry>>,
    #[serde(default)]
    file: Vec<Spanned<Entry>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Bind {
    /// Any TCP port of the tenant's own namespace.
    Any,
    /// Only the gateway's.
    Gateway,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    paths: Vec<String>,
    access: Vec<String>,
    #[serde(default)]
    optional: bool,
    why: String,
}

/// Compiles the policy `name` (a file `name.toml` of `sources`), pinned at the lower of the profile's and the kernel's ABI.
pub fn compile(
    sources: &Sources,
    name: &str,
    kernel_abi: u32,
    places: &Places<'_>,
) -> Result<LandlockRuleset, CompileError> {
    if kernel_abi < FLOOR {
        return Err(CompileError::Refused { kernel_abi });
    }
    let file = format!("{name}.toml");
    let root = Place::root(&file);
    let (document, text): (Document, Text<'_>) = sources.parse(&file, &root)?;
    let Some(tested) = &document.abi else {
        return Err(root.error("\"abi\" is missing: the highest ABI this profile was tested with").into());
    };
    if !(FLOOR..=rights::HIGHEST).contains(tested.get_ref()) {
        let highest = rights::HIGHEST;
        let place = text.place(tested.span(), "abi");
        return Err(place.error(format!("an ABI from {FLOOR} to {highest} can be pinned")).into());
    }
    let abi = kernel_abi.min(*tested.get_ref());
    let bind_tcp = match document.bind {
        Some(Bind::Gateway) if abi >= 4 => Some(vec![places.port]),
        Some(Bind::Gateway | Bind::Any) | None => None,
    };
    let mut compiler = Compiler { abi, places, rules: BTreeMap::new() };
    for include in &document.include {
        let place = text.place(include.span(), "include");
        let (included, text): (Document, Text<'_>) = sources.parse(include.get_ref(), &place)?;
        if included.abi.is_some() || included.bind.is_some() || !included.include.is_empty() {
            return Err(place.error("an included file has only directories and files").into());
        }
        compiler.add_document(included, &text, &Place::root(include.get_ref()))?;
    }
    compiler.add_document(document, &text, &root)?;
    Ok(LandlockRuleset { abi, rules: compiler.rules.into_values().map(|(rule, _)| rule).collect(), bind_tcp })
}

struct Compiler<'a> {
    abi: u32,
    places: &'a Places<'a>,
    rules: BTreeMap<String, (LandlockRule, Place)>,
}

impl Compiler<'_> {
    fn add_document(&mut self, document: Document, text: &Text<'_>, root: &Place) -> Result<(), PolicyError> {
        if document.description.trim().is_empty() {
            return Err(root.error("\"description\" is empty; say in one sentence what this policy is for"));
        }
        for (kind, entries) in [("directory", document.directory), ("file", document.file)] {
            for entry in entries {
                let place =
                    text.place(entry.span(), format!("[[{kind}]] {}", entry.get_ref().paths.join(", ")));
                self.add_entry(kind == "directory", &entry.into_inner(), &place)?;
            }
        }
        Ok(())
    }

    fn add_entry(&mut self, directory: bool, entry: &Entry, place: &Place) -> Result<(), PolicyError> {
        if entry.why.trim().is_empty() {
            return Err(place.error("\"why\" is empty; say who needs it"));
        }
        if entry.paths.is_empty() || entry.access.is_empty() {
            return Err(place.error("\"paths\" and \"access\" must not be empty"));
        }
        let mut access: Vec<&str> = Vec::new();
        for group in &entry.access {
            let names = group_rights(group, directory).map_err(|cause| place.error(cause))?;
            access.extend(
                names.iter().filter(|name| rights::right(name).is_some_and(|(_, since)| since <= self.abi)),
            );
        }
        let access: Vec<String> = access.into_iter().map(|name| (*name).to_owned()).collect();
        if access.is_empty() {
            return Ok(());
        }
        for path in &entry.paths {
            let path = path.replace("{data}", self.places.data);
            check(&path).map_err(|cause| place.error(cause))?;
            let rule = LandlockRule { path: path.clone(), access: access.clone(), optional: entry.optional };
            if let Some((_, other)) = self.rules.insert(path, (rule, place.clone())) {
                return Err(
                    place.error(format!("stands at {}:{} already ({})", other.file, other.line, other.entry))
                );
            }
        }
        Ok(())
    }
}

/// The rights of a word of `access`. The kernel refuses rights of directories on a file.
fn group_rights(group: &str, directory: bool) -> Result<&'static [&'static str], String> {
    Ok(match (group, directory) {
        ("read", true) => &["read_file", "read_dir"],
        ("read", false) => &["read_file"],
        ("list", true) => &["read_dir"],
        ("execute", _) => &["execute"],
        ("modify", _) => &["write_file", "truncate"],
        ("write", true) => &[
            "write_file",
            "truncate",
            "make_reg",
            "make_dir",
            "make_sym",
            "make_sock",
            "make_fifo",
            "remove_file",
            "remove_dir",
            "refer",
        ],
        ("device", _) => &["ioctl_dev"],
        ("list" | "write", false) => {
            return Err(format!("\"{group}\" is for directories; a file can be \"modify\""));
        }
        _ => return Err(format!("\"{group}\" is none of read, list, execute, modify, write, device")),
    })
}

fn check(path: &str) -> Result<(), String> {
    let plain =
        Path::new(path).components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !path.starts_with('/') || !plain || path.contains(['{', '}']) {
        return Err(format!("\"{path}\" is not an absolute path without \"..\" (placeholder: {{data}})"));
    }
    if Path::new(cell::CANARY).starts_with(path) {
        return Err(format!(
            "\"{path}\" covers {}, on which the ruleset is proven; name what is needed below it",
            cell::CANARY
        ));
    }
    Ok(())
}
