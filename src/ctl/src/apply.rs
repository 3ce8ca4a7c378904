//! `apply`: spec files against what is there. All files are read and checked before the first one is acted on, and what all of them allow
//! is shown.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Read;
use std::path::{Path, PathBuf};

use api::{Change, Manager1Proxy, Outcome};
use model::{Exit, SpecFile, TenantId};

use crate::cli::ApplyArgs;
use crate::create::{outcome, planned};
use crate::failure::{Ended, Failure};
use crate::session::Session;
use crate::widening::Made;
use crate::{change, list, progress, widening};

/// One spec to be applied.
struct Wanted {
    file: String,
    text: String,
}

/// Creates what is missing and changes what differs.
pub(crate) async fn apply(session: &mut Session, arguments: &ApplyArgs) -> Ended {
    let wanted = gather(session, &arguments.files)?;
    let there: Vec<String> = list::fetch(session).await?.into_iter().map(|tenant| tenant.id).collect();
    let daemon = session.daemon().await?;
    let mut made = Vec::new();
    let mut code = 0;
    let mut looked = Vec::new();
    for (id, spec) in &wanted {
        match widening::look(session, id, &spec.text).await {
            Ok(shown) => looked.push((id, spec, shown)),
            Err(failure) => {
                session.complain(&failure)?;
                code = if code == 0 { failure.code() } else { code };
            }
        }
    }
    let shown = looked.iter().filter_map(|(_, _, shown)| shown.as_ref());
    widening::consent(session, shown, arguments.consent, arguments.dry_run)?;
    for (id, spec, shown) in looked {
        let exists = there.iter().any(|known| known == id.as_str());
        match one(session, &daemon, (id, &spec.text), shown, exists, arguments.dry_run).await {
            Ok(one) => {
                if !session.json {
                    session.out.write_all(render(&one.outcome, exists).as_bytes())?;
                }
                made.push(one);
            }
            Err(failure) => {
                session.complain(&failure)?;
                code = if code == 0 { failure.code() } else { code };
            }
        }
    }
    session.print(&made, |_| String::new())?;
    Ok(code)
}

async fn one(
    session: &mut Session,
    daemon: &Manager1Proxy<'_>,
    (id, spec): (&TenantId, &str),
    shown: Option<Change>,
    exists: bool,
    dry_run: bool,
) -> Result<Made, Failure> {
    if exists {
        return widening::make(session, daemon, (id, spec), shown, dry_run).await;
    }
    let answer = match &shown {
        Some(change) => {
            let work = daemon.create_shown(spec, &change.digest, true, dry_run);
            progress::follow(session, daemon, id.as_str(), work).await?
        }
        None => {
            let work = daemon.create_tenant(spec, true, dry_run);
            progress::follow(session, daemon, id.as_str(), work).await?
        }
    };
    Ok(Made::new(outcome(id.as_str(), &answer)?, shown))
}

fn render(outcome: &Outcome, existed: bool) -> String {
    if outcome.dry_run {
        return format!("# tenant {}\n{}", outcome.id, planned(outcome));
    }
    change::render(outcome, "is as its spec says", if existed { "changed" } else { "made" })
}

/// Reads and checks all files; two for one tenant are refused.
fn gather(session: &mut Session, files: &[PathBuf]) -> Result<BTreeMap<TenantId, Wanted>, Failure> {
    let mut wanted: BTreeMap<TenantId, Wanted> = BTreeMap::new();
    for path in expand(files)? {
        let (file, text) = read(session, &path)?;
        let spec = SpecFile::parse(&file, &text)?.validate(&file)?;
        match wanted.entry(spec.id.clone()) {
            Entry::Vacant(place) => {
                place.insert(Wanted { file, text });
            }
            Entry::Occupied(known) => return Err(twice(&spec.id, &known.get().file, &file)),
        }
    }
    Ok(wanted)
}

/// Two files for one tenant.
pub(crate) fn twice(id: &TenantId, first: &str, second: &str) -> Failure {
    Failure::new(Exit::Data, format!("{first} and {second} both describe tenant {id}: keep one of them"))
}

/// Files as they are, directories as the `*.toml` files in them.
pub(crate) fn expand(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).map_err(|error| Failure::reading(path, &error))?;
        let mut found = Vec::new();
        for entry in entries {
            let file = entry.map_err(|error| Failure::reading(path, &error))?.path();
            let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if !hidden && file.extension().is_some_and(|extension| extension == "toml") {
                found.push(file);
            }
        }
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

/// A file's largest size; more is no document of ours, and is not held in memory to find out.
const MOST_BYTES: u64 = SpecFile::MOST_BYTES as u64;

/// Reads a file, or standard input for `-`, and says how it is called in messages.
pub(crate) fn read(session: &mut Session, path: &Path) -> Result<(String, String), Failure> {
    let (name, source): (String, Box<dyn Read + '_>) = if path == Path::new("-") {
        ("standard input".into(), Box::new(&mut session.input))
    } else {
        let file = std::fs::File::open(path).map_err(|error| Failure::reading(path, &error))?;
        (path.display().to_string(), Box::new(file))
    };
    let mut bytes = Vec::new();
    source.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| Failure::reading(path, &error))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MOST_BYTES) {
        return Err(Failure::new(
            Exit::Data,
            format!("{name}: larger than 1 MiB: this is neither a spec nor a policy"),
        ));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        Failure::new(Exit::Data, format!("{name}: not UTF-8 ({error}): this is neither a spec nor a policy"))
    })?;
    Ok((name, text))
}
