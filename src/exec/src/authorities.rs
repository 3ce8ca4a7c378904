//! The certificate authorities that the tenant's programs believe: the host's, and that of the tenant's own egress proxy, in one file. A
//! program that is told of a file by a variable reads no other; one that is told nothing finds the same in the cell's `/etc/ssl/certs`.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;

use crate::failure::Cause;

/// Where the cell has what is in `/etc/ssl/certs` of the host.
pub const HOST: &str = "/etc/ssl/host";
/// Where programs that are told nothing look: a directory in the cell's memory, empty until now.
pub const STORE: &str = "/etc/ssl/certs";
/// All authorities in one file, as Debian calls it. OpenSSL, GnuTLS, curl, git, Python and Go begin with it.
const BUNDLE: &str = "ca-certificates.crt";
/// Twenty times what Debian ships.
const LARGEST: u64 = 4 << 20;
const MOST: usize = 6000;

/// Puts both into the file `place`; nothing for a tenant whose proxy has no authority. A host without authorities adds none. Answers
/// whether there is such a file.
pub fn gather(own: &Path, host: &Path, place: &Path) -> Result<bool, Cause> {
    let Some(mut all) = read(own)? else { return Ok(false) };
    all.push(b'\n');
    all.extend(read(&host.join(BUNDLE))?.unwrap_or_default());
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(place)
        .and_then(|mut file| file.write_all(&all))
        .map_err(failed("write", place))?;
    Ok(true)
}

/// Fills `store` with links to everything that the host has; with `bundle`, that file takes the place of the host's own.
pub fn fill(store: &Path, host: &Path, bundle: Option<&Path>) -> Result<(), Cause> {
    let link = |name: &OsStr, target: &Path| {
        let path = store.join(name);
        symlink(target, &path).map_err(failed("make", &path))
    };
    if let Some(bundle) = bundle {
        link(OsStr::new(BUNDLE), bundle)?;
    }
    let entries = match fs::read_dir(host) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed("read", host))?,
    };
    for (count, entry) in entries.enumerate() {
        if count >= MOST {
            return Err(failed("read", host)(io::Error::other("it has more than 6000 entries")));
        }
        let name = entry.map_err(failed("read", host))?.file_name();
        if bundle.is_none() || name != BUNDLE {
            link(&name, &host.join(&name))?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Cause> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
        Ok(_) if u64::try_from(bytes.len()).is_ok_and(|length| length <= LARGEST) => Ok(Some(bytes)),
        Ok(_) => Err(failed("read", path)(io::Error::other("it is larger than 4 MiB"))),
    }
}

fn failed(what: &str, path: &Path) -> impl FnOnce(io::Error) -> Cause {
    let step = format!("authorities: cannot {what} {}", path.display());
    move |source| Cause::Step { step, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path, text: &str) {
        File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn both_are_in_one_file_and_without_an_own_one_there_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let [own, host, place] = ["own", "host", "place"].map(|name| directory.path().join(name));
        assert!(!gather(&own, &host, &place).unwrap() && !place.exists());
        put(&own, "OWN\n");
        assert!(gather(&own, &host, &place).unwrap());
        assert_eq!(fs::read(&place).unwrap(), b"OWN\n\n");
        fs::remove_file(&place).unwrap();
        fs::create_dir(&host).unwrap();
        put(&host.join(BUNDLE), "HOST\n");
        gather(&own, &host, &place).unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"OWN\n\nHOST\n");
        // What is there already is nobody's to replace.
        assert!(gather(&own, &host, &place).is_err());
    }

    #[test]
    fn programs_that_are_told_nothing_find_the_same_and_a_tenant_without_an_own_one_finds_the_hosts() {
        let directory = tempfile::tempdir().unwrap();
        let [host, place, with, without] =
            ["host", "place", "with", "without"].map(|name| directory.path().join(name));
        for directory in [&host, &with, &without] {
            fs::create_dir(directory).unwrap();
        }
        put(&place, "OWN HOST");
        fill(&with, &directory.path().join("missing"), None).unwrap();
        put(&host.join(BUNDLE), "HOST");
        put(&host.join("One.pem"), "ONE");
        symlink("One.pem", host.join("0a1b2c3d.0")).unwrap();
        fill(&with, &host, Some(&place)).unwrap();
        fill(&without, &host, None).unwrap();
        let text = |directory: &Path, name: &str| fs::read_to_string(directory.join(name)).unwrap();
        assert_eq!((text(&with, BUNDLE), text(&without, BUNDLE)), ("OWN HOST".into(), "HOST".into()));
        for store in [&with, &without] {
            assert_eq!((text(store, "One.pem"), text(store, "0a1b2c3d.0")), ("ONE".into(), "ONE".into()));
        }
        assert!(fill(&with, &host, Some(&place)).is_err(), "it is filled once");
    }
}
