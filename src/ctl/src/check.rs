//! `check`: reads configuration as tenantd would, with no daemon and no privilege, and says what is wrong where.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use catalog::Catalog;
use model::{Exit, Settings, Spec, SpecFile, TenantId};
use serde::Serialize;

use crate::apply::{expand, read, twice};
use crate::failure::{Ended, Failure};
use crate::offline::of_catalog;
use crate::session::Session;

/// One file and what was found.
#[derive(Serialize)]
struct Checked {
    file: String,
    ok: bool,
    /// Why not; null when it is.
    error: Option<String>,
}

/// Checks the files; without any, everything below `/etc/tenantd`.
pub(crate) fn check(session: &mut Session, files: &[PathBuf]) -> Ended {
    let asked = if files.is_empty() { installed(session)? } else { files.to_vec() };
    let mut known: BTreeMap<TenantId, String> = BTreeMap::new();
    let mut report = Vec::new();
    let mut code = 0;
    for path in expand(&with_tenants(asked))? {
        let found = one(session, &path, &mut known);
        let (ok, error) = match found {
            Ok(()) => (true, None),
            Err(failure) => {
                code = if code == 0 { failure.code() } else { code };
                if !session.json {
                    session.complain(&failure)?;
                }
                (false, Some(failure.to_string()))
            }
        };
        report.push(Checked { file: path.display().to_string(), ok, error });
    }
    session.print(&report, |_| summary(&report))?;
    Ok(code)
}

fn summary(report: &[Checked]) -> String {
    let sound = report.iter().filter(|checked| checked.ok).count();
    match (sound, report.len()) {
        (0, 0) => "Nothing to check: no tenantd.toml and no tenants.\n".to_owned(),
        (1, 1) => "1 file is sound.\n".to_owned(),
        (sound, all) if sound == all => format!("{all} files are sound.\n"),
        (sound, all) => format!("{} of {all} files are not sound.\n", all - sound),
    }
}

/// What lies below `/etc/tenantd`.
fn installed(session: &Session) -> Result<Vec<PathBuf>, Failure> {
    let places = [session.paths.settings(), session.paths.specs()];
    let mut found = Vec::new();
    for place in places {
        match place.try_exists() {
            Ok(true) => found.push(place),
            Ok(false) => {}
            Err(error) => return Err(Failure::reading(&place, &error)),
        }
    }
    Ok(found)
}

/// A directory such as `/etc/tenantd` holds settings and a directory of specs.
fn with_tenants(asked: Vec<PathBuf>) -> Vec<PathBuf> {
    let below = |path: PathBuf| {
        let specs = path.join("tenants.d");
        if specs.is_dir() { vec![path, specs] } else { vec![path] }
    };
    asked.into_iter().flat_map(below).collect()
}

fn one(session: &mut Session, path: &Path, known: &mut BTreeMap<TenantId, String>) -> Result<(), Failure> {
    let (file, text) = read(session, path)?;
    if path.file_name().is_some_and(|name| name == "tenantd.toml") {
        // As data: the file is what was asked about, not what this program runs by.
        return Settings::parse(&file, &text)
            .map(drop)
            .map_err(|error| Failure::new(Exit::Data, in_file(&file, &error.to_string())));
    }
    let spec = SpecFile::parse(&file, &text)?.validate(&file)?;
    let in_place = path.parent().is_some_and(|parent| parent.ends_with("tenants.d"));
    if in_place && path.file_stem().is_some_and(|stem| stem != spec.id.as_str()) {
        let message = format!(
            "{file}: id = {:?} does not match the file's name: rename the file to {}.toml or correct the id",
            spec.id.as_str(),
            spec.id
        );
        return Err(Failure::new(Exit::Data, message));
    }
    settings(session, &file, &spec)?;
    match known.insert(spec.id.clone(), file.clone()) {
        Some(other) => Err(twice(&spec.id, &other, &file)),
        None => Ok(()),
    }
}

/// What a spec adds to its gateway's configuration, against the shipped runtimes.
fn settings(session: &Session, file: &str, spec: &Spec) -> Result<(), Failure> {
    if spec.settings.is_empty() {
        return Ok(());
    }
    let shipped = Catalog::open(&session.paths.policies()).map_err(of_catalog)?;
    let (description, template) = shipped.runtime(&spec.runtime).map_err(of_catalog)?;
    description
        .check_settings((&shipped.template_file(&description), &template), &spec.settings)
        .map_err(|error| Failure::new(Exit::Data, format!("{file}: {error}")))
}

/// A sentence that names its file once.
fn in_file(file: &str, sentence: &str) -> String {
    if sentence.starts_with(file) { sentence.to_owned() } else { format!("{file}: {sentence}") }
}
