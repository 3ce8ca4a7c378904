//! The secrets of the gateway, from the credential that PID 1 has loaded: files in a directory of the cell's memory, variables, and
//! the gateway's own, for its configuration.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use model::delivery::{self, Delivered, Form};

use crate::failure::Cause;

/// systemd passes on no more.
const LARGEST: u64 = 1 << 20;

/// Puts the secrets of `directory`, PID 1's for this unit, where the gateway looks for them: files below `place`, variables into
/// `environment`. Gives back the gateway's own. Without a directory there are none: only `tenant@.service` names the credential.
pub fn deliver(
    directory: Option<&str>,
    place: &Path,
    environment: &mut BTreeMap<String, String>,
) -> Result<Option<Vec<u8>>, Cause> {
    let Some(directory) = directory else { return Ok(None) };
    let path = Path::new(directory).join(delivery::CREDENTIAL);
    let failed =
        |source: io::Error| Cause::Step { step: format!("secrets: cannot read {}", path.display()), source };
    let mut bytes = Vec::new();
    File::open(&path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(failed)?;
    let malformed =
        |error: delivery::DeliveryError| failed(io::Error::new(io::ErrorKind::InvalidData, error));
    let delivered = delivery::read(&bytes).map_err(malformed).and_then(|secrets| {
        secrets.iter().try_for_each(|secret| put(secret, place, environment))?;
        own(&secrets)
    });
    bytes.fill(0);
    delivered
}

/// The gateway's own secret, if it was given one.
fn own(secrets: &[Delivered<'_>]) -> Result<Option<Vec<u8>>, Cause> {
    let mut found = secrets.iter().filter(|secret| secret.form == Form::Gateway);
    let Some(secret) = found.next() else { return Ok(None) };
    // It goes into the midst of a document of any format.
    let plain = (1..=64).contains(&secret.value.len()) && secret.value.iter().all(u8::is_ascii_hexdigit);
    if !plain || found.next().is_some() {
        let what = "is not as tenantd makes it: see \"tenantctl secret list\"".to_owned();
        return Err(Cause::Secret { name: secret.name.to_owned(), what });
    }
    Ok(Some(secret.value.to_vec()))
}

fn put(
    secret: &Delivered<'_>,
    place: &Path,
    environment: &mut BTreeMap<String, String>,
) -> Result<(), Cause> {
    let name = secret.name;
    let refuse = |what: &str| Err(Cause::Secret { name: name.to_owned(), what: what.to_owned() });
    match secret.form {
        Form::File => return write(&place.join(name), secret.value),
        Form::Gateway => return Ok(()),
        Form::Proxy => return refuse("is for the egress proxy and no gateway's to have: report this"),
        Form::Variable => (),
    }
    let Ok(value) = std::str::from_utf8(secret.value) else {
        return refuse("is no text, which a variable must be: set it with --for file");
    };
    let variable = model::variable_of_secret(name);
    if let Err(why) = model::check_variable(&variable, value) {
        return refuse(&format!("cannot be the variable {variable}: {why}"));
    }
    if environment.contains_key(&variable) {
        return refuse(&format!(
            "would replace the variable {variable} of the spec or the runtime: give it another name"
        ));
    }
    environment.insert(variable, value.to_owned());
    Ok(())
}

fn write(path: &Path, value: &[u8]) -> Result<(), Cause> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(path)
        .and_then(|mut file| file.write_all(value))
        .map_err(|source| Cause::Step { step: format!("secrets: cannot write {}", path.display()), source })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn delivered(secrets: &[(&str, Form, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        delivery::begin(&mut bytes);
        for (name, form, value) in secrets {
            delivery::add(&mut bytes, Delivered { name, form: *form, value }).unwrap();
        }
        bytes
    }

    type Ran = (tempfile::TempDir, BTreeMap<String, String>, Option<Vec<u8>>);

    fn run(bytes: &[u8]) -> Result<Ran, String> {
        let directory = tempfile::tempdir().unwrap();
        let mut file = File::create(directory.path().join("secrets")).unwrap();
        file.write_all(bytes).unwrap();
        let place = tempfile::tempdir().unwrap();
        let mut environment = BTreeMap::from([("TZ".to_owned(), "UTC".to_owned())]);
        let own = deliver(directory.path().to_str(), place.path(), &mut environment)
            .map_err(|cause| cause.to_string())?;
        Ok((place, environment, own))
    }

    #[test]
    fn a_file_is_the_tenants_alone_and_a_variable_is_in_the_environment() {
        let file = ("tls-key", Form::File, &b"\x00binary"[..]);
        let (place, environment, own) =
            run(&delivered(&[file, ("telegram-token", Form::Variable, b"123:abc")])).unwrap();
        assert!(own.is_none());
        let path = place.path().join("tls-key");
        assert_eq!(fs::read(&path).unwrap(), b"\x00binary");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
        assert_eq!(environment["TELEGRAM_TOKEN"], "123:abc");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn no_answer_is_not_no_secrets() {
        assert!(run(b"").unwrap_err().contains("empty or of another format"));
        assert!(run(&delivered(&[("a", Form::Variable, b"x")])[..14]).unwrap_err().contains("cut short"));
        assert!(run(&delivered(&[])).is_ok());
        let mut environment = BTreeMap::new();
        assert!(deliver(Some("/nonexistent"), Path::new("/nonexistent"), &mut environment).is_err());
        assert!(deliver(None, Path::new("/nonexistent"), &mut environment).is_ok());
    }

    #[test]
    fn the_gateways_own_secret_is_handed_on_and_is_neither_file_nor_variable() {
        let own = ("gateway", Form::Gateway, &b"00ff"[..]);
        let (place, environment, given) = run(&delivered(&[("a", Form::Variable, b"x"), own])).unwrap();
        assert_eq!(given.as_deref(), Some(&b"00ff"[..]));
        assert_eq!((fs::read_dir(place.path()).unwrap().count(), environment.len()), (0, 2));
        for wrong in [&b"\"},{"[..], &[b'0'; 65]] {
            let error = run(&delivered(&[("gateway", Form::Gateway, wrong)])).err().unwrap();
            assert!(error.contains("not as tenantd makes it"), "{error}");
        }
        assert!(run(&delivered(&[own, own])).is_err());
    }

    #[test]
    fn a_secret_of_the_proxy_is_no_gateways() {
        let error = run(&delivered(&[("provider", Form::Proxy, b"x")])).err().unwrap();
        assert!(error.contains("provider is for the egress proxy"), "{error}");
    }

    #[test]
    fn variables_that_steer_programs_or_are_taken_are_refused() {
        for (name, value, why) in [
            ("ld-preload", &b"/tmp/x.so"[..], "steers the loader"),
            ("node_options", b"--require=/tmp/x", "steers the loader"),
            ("path", b"/tmp", "steers the loader"),
            ("tz", b"x", "would replace"),
            ("binary", b"\xff", "is no text"),
            ("nul", b"a\0b", "no NUL byte"),
        ] {
            let error = run(&delivered(&[(name, Form::Variable, value)])).unwrap_err();
            assert!(error.contains(why), "{name}: {error}");
        }
    }
}
