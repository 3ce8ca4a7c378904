//! The gateway's configuration as the gateway reads it: a copy in the cell's memory, with the gateway's own secret in the place of
//! the mark. Landlock lets nobody write there afterwards.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use model::delivery::MARK;

use crate::failure::Cause;

/// Far above any real configuration (10 KiB), far below anything that could exhaust memory.
const LARGEST: u64 = 1 << 20;
/// More than any runtime has; all of them together fit into the tmpfs of the unit.
const MOST: usize = 16;

/// What takes the place of the mark.
#[derive(Clone, Copy)]
pub enum Header<'a> {
    /// The gateway's own secret.
    Secret(&'a [u8]),
    /// The gateway was given none: a configuration that needs it is no configuration.
    Missing,
    /// Nothing: a command in the cell never asks the gateway as its proxy does.
    Unneeded,
}

/// Copies every regular file of `source` into `place`, which is made for it; where there is none, so is no `place`.
pub fn copy(source: &Path, place: &Path, header: Header<'_>) -> Result<(), Cause> {
    let files = files_of(source)?;
    if files.is_empty() {
        return Ok(());
    }
    DirBuilder::new().mode(0o700).create(place).map_err(failed("make", place))?;
    for file in &files {
        let Some(name) = file.file_name() else { continue };
        let mut text = read(file)?;
        let mut replaced = match header {
            Header::Secret(secret) => replace(&text, secret),
            Header::Missing if find(&text).is_some() => return Err(missing(file)),
            Header::Missing | Header::Unneeded => text.clone(),
        };
        let target = place.join(name);
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o400)
            .open(&target)
            .and_then(|mut file| file.write_all(&replaced))
            .map_err(failed("write", &target));
        text.fill(0);
        replaced.fill(0);
        written?;
    }
    fs::set_permissions(place, Permissions::from_mode(0o500)).map_err(failed("close", place))
}

fn files_of(source: &Path) -> Result<Vec<PathBuf>, Cause> {
    let entries = match fs::read_dir(source) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed("read", source))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed("read", source))?;
        if entry.file_type().map_err(failed("read", source))?.is_file() {
            files.push(entry.path());
        }
    }
    if files.len() > MOST {
        let text = format!("{} has more than {MOST} files", source.display());
        return Err(Cause::Value(text));
    }
    Ok(files)
}

fn read(file: &Path) -> Result<Vec<u8>, Cause> {
    let mut text = Vec::new();
    File::open(file)
        .and_then(|open| open.take(LARGEST + 1).read_to_end(&mut text))
        .map_err(failed("read", file))?;
    if text.len() as u64 > LARGEST {
        return Err(Cause::Value(format!("{} has more than {LARGEST} bytes", file.display())));
    }
    Ok(text)
}

/// Where the mark is, if it is there.
fn find(text: &[u8]) -> Option<usize> {
    text.windows(MARK.len()).position(|window| window == MARK.as_bytes())
}

fn replace(text: &[u8], secret: &[u8]) -> Vec<u8> {
    // As large as it may become, so that it does not move and leave copies behind.
    let longer = secret.len().saturating_sub(MARK.len());
    let mut replaced = Vec::with_capacity(text.len() + text.len() / MARK.len() * longer);
    let mut rest = text;
    while let Some((before, after)) = find(rest).and_then(|at| rest.split_at_checked(at)) {
        replaced.extend_from_slice(before);
        replaced.extend_from_slice(secret);
        rest = after.get(MARK.len()..).unwrap_or_default();
    }
    replaced.extend_from_slice(rest);
    replaced
}

fn missing(file: &Path) -> Cause {
    Cause::Secret {
        name: "the gateway's own".to_owned(),
        what: format!(
            "is missing, and {} needs it: run \"tenantctl repair\" for this tenant",
            file.display()
        ),
    }
}

fn failed(what: &str, path: &Path) -> impl FnOnce(io::Error) -> Cause {
    let step = format!("configuration: cannot {what} {}", path.display());
    move |source| Cause::Step { step, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(path: &Path, bytes: &[u8]) {
        File::create(path).unwrap().write_all(bytes).unwrap();
    }

    /// The copy of a configuration of these files.
    fn copied(files: &[(&str, &[u8])], header: Header<'_>) -> Result<tempfile::TempDir, String> {
        let source = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            write(&source.path().join(name), bytes);
        }
        let place = tempfile::tempdir().unwrap();
        copy(source.path(), &place.path().join(".config"), header).map_err(|cause| cause.to_string())?;
        Ok(place)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_secret_takes_the_place_of_every_mark_and_of_nothing_else() {
        let files: [(&str, &[u8]); 2] =
            [("a.json", b"[\"x-@gateway@\",\"@gateway@@gateway@@gat\"]"), ("b", b"\xff plain")];
        let place = copied(&files, Header::Secret(b"0123")).unwrap();
        let config = place.path().join(".config");
        assert_eq!(fs::read(config.join("a.json")).unwrap(), b"[\"x-0123\",\"01230123@gat\"]");
        assert_eq!(fs::read(config.join("b")).unwrap(), b"\xff plain");
        assert_eq!((mode(&config), mode(&config.join("a.json"))), (0o500, 0o400));
    }

    #[test]
    fn a_configuration_that_needs_a_secret_that_is_missing_is_refused() {
        let marked: [(&str, &[u8]); 1] = [("a.json", b"@gateway@")];
        let error = copied(&marked, Header::Missing).unwrap_err();
        assert!(error.contains("tenantctl repair") && error.contains("a.json"), "{error}");
        // The controls: one that does not need it, and a command, which does not either.
        assert!(copied(&[("a.json", b"@gateway")], Header::Missing).is_ok());
        let place = copied(&marked, Header::Unneeded).unwrap();
        assert_eq!(fs::read(place.path().join(".config/a.json")).unwrap(), b"@gateway@");
    }

    #[test]
    fn too_large_and_too_many_are_refused_and_what_is_no_file_is_left_out() {
        let large = vec![b'x'; 1 << 20];
        assert!(copied(&[("a", &large)], Header::Unneeded).is_ok());
        let error = copied(&[("a", &[&large[..], b"x"].concat())], Header::Unneeded).unwrap_err();
        assert!(error.contains("more than 1048576 bytes"), "{error}");
        let names: Vec<String> = (0..17).map(|number| number.to_string()).collect();
        let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
        assert!(copied(&files[..16], Header::Unneeded).is_ok());
        assert!(copied(&files, Header::Unneeded).unwrap_err().contains("more than 16 files"));
        let (source, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink("/etc/hostname", source.path().join("link")).unwrap();
        let target = place.path().join("config");
        copy(source.path(), &target, Header::Unneeded).unwrap();
        assert!(!target.exists());
        write(&source.path().join("file"), b"x");
        copy(source.path(), &target, Header::Unneeded).unwrap();
        assert_eq!(fs::read_dir(&target).unwrap().count(), 1);
        // A place that is there already is somebody else's.
        assert!(copy(source.path(), &target, Header::Unneeded).is_err());
    }
}
