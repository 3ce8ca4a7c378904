//! The certificate authorities that the tenant's programs believe: the host's, and that of the tenant's own egress proxy, in one file. A
//! program that is told of a file by a variable reads no other.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::failure::Cause;

/// Where Debian has the authorities of the host.
pub const HOST: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Twenty times what Debian ships.
const LARGEST: u64 = 4 << 20;

/// Puts both into `place`; nothing for a tenant whose proxy has no authority. A host without authorities adds none.
pub fn gather(own: &Path, host: &Path, place: &Path) -> Result<(), Cause> {
    let Some(mut all) = read(own)? else { return Ok(()) };
    all.push(b'\n');
    all.extend(read(host)?.unwrap_or_default());
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(place)
        .and_then(|mut file| file.write_all(&all))
        .map_err(failed("write", place))
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
    use std::fs;

    use super::*;

    #[test]
    fn both_are_in_one_file_and_without_an_own_one_there_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let [own, host, place] = ["own", "host", "place"].map(|name| directory.path().join(name));
        gather(&own, &host, &place).unwrap();
        assert!(!place.exists());
        File::create(&own).unwrap().write_all(b"OWN\n").unwrap();
        gather(&own, &host, &place).unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"OWN\n\n");
        fs::remove_file(&place).unwrap();
        File::create(&host).unwrap().write_all(b"HOST\n").unwrap();
        gather(&own, &host, &place).unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"OWN\n\nHOST\n");
        // What is there already is nobody's to replace.
        assert!(gather(&own, &host, &place).is_err());
    }
}
