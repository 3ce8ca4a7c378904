//! Reading the confinement file: root's, writable by nobody else, of the one known format.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use model::{CONFINEMENT_FORMAT, Confinement};
use thiserror::Error;

/// Far above any real file (100 KiB), far below anything that could exhaust memory.
const LARGEST: u64 = 8 << 20;

/// The confinement file cannot be used.
#[derive(Debug, Error)]
#[error("confinement file {}: {fault} (run \"tenantctl repair\" for this tenant)", path.display())]
pub struct FileError {
    path: PathBuf,
    fault: Fault,
}

#[derive(Debug, Error)]
enum Fault {
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("belongs to uid {found}, not to uid {owner}; anyone could have written it")]
    Owner { found: u32, owner: u32 },
    #[error("has mode {0:04o}, so others than its owner can write it")]
    Writable(u32),
    #[error("is not a regular file of at most {LARGEST} bytes")]
    Kind,
    #[error("is malformed: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("has format {0}, this program reads format {CONFINEMENT_FORMAT}")]
    Format(u32),
}

/// Reads `path`, which must belong to `owner` (root, except in tests).
pub fn read(path: &Path, owner: u32) -> Result<Confinement, FileError> {
    read_checked(path, owner).map_err(|fault| FileError { path: path.to_path_buf(), fault })
}

fn read_checked(path: &Path, owner: u32) -> Result<Confinement, Fault> {
    let file = File::open(path)?;
    // Of the open file, so that nothing can be put in its place in between.
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.size() > LARGEST {
        return Err(Fault::Kind);
    }
    if metadata.uid() != owner {
        return Err(Fault::Owner { found: metadata.uid(), owner });
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(Fault::Writable(metadata.mode() & 0o7777));
    }
    let mut text = String::with_capacity(usize::try_from(metadata.size()).unwrap_or(0) + 1);
    file.take(LARGEST).read_to_string(&mut text)?;
    let confinement: Confinement = serde_json::from_str(&text)?;
    if confinement.format != CONFINEMENT_FORMAT {
        return Err(Fault::Format(confinement.format));
    }
    Ok(confinement)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const GOOD: &str = r#"{"format":1,"tenant":"acme","uid":500000,"argv":["/usr/bin/true"],"environment":{},"directory":"/",
        "landlock":{"abi":6,"rules":[],"bind_tcp":null},"seccomp":[],"rlimits":[]}"#;

    fn try_reading(text: &str, mode: u32, owner_off_by: u32) -> Result<Confinement, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("confinement.json");
        let mut file = File::create(&path).unwrap();
        io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let owner = fs::metadata(&path).unwrap().uid() + owner_off_by;
        read(&path, owner).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_of_its_owner_that_nobody_else_can_write_is_read() {
        assert_eq!(try_reading(GOOD, 0o640, 0).unwrap().uid, 500_000);
    }

    #[test]
    fn a_foreign_or_writable_file_is_refused() {
        assert!(try_reading(GOOD, 0o640, 1).unwrap_err().contains("belongs to uid"));
        assert!(try_reading(GOOD, 0o660, 0).unwrap_err().contains("has mode 0660"));
        assert!(try_reading(GOOD, 0o646, 0).unwrap_err().contains("has mode 0646"));
    }

    #[test]
    fn unknown_keys_other_formats_and_fragments_are_refused() {
        let unknown = GOOD.replace("\"uid\"", "\"extra\":1,\"uid\"");
        assert!(try_reading(&unknown, 0o640, 0).unwrap_err().contains("unknown field `extra`"));
        let format = GOOD.replace("\"format\":1", "\"format\":2");
        assert!(try_reading(&format, 0o640, 0).unwrap_err().contains("has format 2"));
        assert!(try_reading(&GOOD[..60], 0o640, 0).unwrap_err().contains("is malformed"));
    }

    #[test]
    fn a_directory_and_a_missing_file_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(read(directory.path(), 0).is_err());
        assert!(read(&directory.path().join("none"), 0).unwrap_err().to_string().contains("cannot be read"));
    }
}
