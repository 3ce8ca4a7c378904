//! A tenant's certificate authority: `tenant-egress new-authority` in a transient unit, as nobody, with nothing but its programs. Root takes
//! what it says, bounded, and looks for no more than where the certificate ends.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;

use model::{Exit, TenantId};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use plan::HostError;
use zeroize::Zeroizing;

use crate::archive::sandbox;
use crate::error::{os, sentence};
use crate::exec::status;
use crate::systemd::{Transient, Value};
use crate::{Cancel, Systemd};

const PROGRAM: &str = "/usr/lib/tenantd/tenant-egress";
/// Far more than a certificate and a key.
const MOST: usize = 32 << 10;
/// A minute, which is long for two keys.
const TIMEOUT_USEC: u64 = 60_000_000;

/// Makes one: certificate and key, PEM, as the program wrote them. No copy is left.
pub fn new_authority(systemd: &Systemd, tenant: &TenantId) -> Result<Zeroizing<Vec<u8>>, HostError> {
    let failed = |errno| os("make a pipe for", Path::new(PROGRAM), errno);
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
    let transient = transient(tenant, writer);
    let unit = transient.unit.clone();
    let (ended, said) = thread::scope(|scope| {
        let worker = scope.spawn(|| systemd.run_transient(transient, &Cancel::new()));
        let said = read(reader);
        (worker.join(), said)
    });
    let ended = ended.map_err(|_| {
        sentence(Exit::Software, format!("{unit}: the thread that waited for it ended: report this"))
    })?;
    match status(&unit, &ended?)? {
        0 => {}
        code => {
            let text = format!(
                "tenant {tenant}: its certificate authority was not made ({unit} ended with {code}): see \"journalctl -u {unit}\""
            );
            return Err(sentence(Exit::Os, text));
        }
    }
    let said = said
        .map_err(|error| sentence(Exit::Io, format!("cannot read what {unit} wrote: {error}: try again")))?;
    if said.len() > MOST {
        return Err(sentence(Exit::Software, format!("{unit} wrote more than {MOST} bytes: report this")));
    }
    Ok(said)
}

/// At most one byte more than allowed. The buffer does not grow, so that it leaves no copies behind.
fn read(from: OwnedFd) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; MOST + 1]);
    let mut source = File::from(from);
    let mut filled = 0;
    loop {
        let room = bytes.get_mut(filled..).unwrap_or_default();
        match source.read(room) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn transient(tenant: &TenantId, stdout: OwnedFd) -> Transient {
    let mut properties = sandbox();
    properties.retain(|(name, _)| *name != "TimeoutStartUSec");
    properties.extend([
        ("Description", Value::Text(format!("Certificate authority of tenant {tenant}"))),
        ("DynamicUser", Value::Flag(true)),
        ("BindReadOnlyPaths", Value::Binds(vec![("/usr".to_owned(), "/usr".to_owned(), false, 0)])),
        ("StandardOutputFileDescriptor", Value::Descriptor(stdout)),
        ("TimeoutStartUSec", Value::Number(TIMEOUT_USEC)),
    ]);
    Transient {
        unit: format!("tenantd-authority-{}.service", tenant.system_name()),
        argv: [PROGRAM, "new-authority", tenant.as_str()].map(str::to_owned).into(),
        environment: BTreeMap::from([("LC_ALL".to_owned(), "C".to_owned())]),
        properties,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_it_says_is_read_to_its_end_and_never_beyond_the_bound() {
        let said = |length: usize| {
            let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
            let worker = thread::spawn(move || File::from(writer).write_all(&vec![b'x'; length]).ok());
            let read = read(reader).unwrap();
            worker.join().unwrap();
            read.len()
        };
        assert_eq!((said(0), said(10), said(3 * MOST)), (0, 10, MOST + 1));
    }
}
