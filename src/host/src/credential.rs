//! What the host's own key seals: systemd's credentials (systemd-creds(1)), by the host key and, where there is one, the TPM.
//!
//! `systemd-creds` runs in a transient unit, because it may need a device that the daemon does not see. Bytes go through pipes, so that
//! they are in no argument and no file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use model::Exit;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use plan::HostError;
use zeroize::Zeroizing;

use crate::error::sentence;
use crate::systemd::{Transient, Value};
use crate::{Cancel, Systemd};

const PROGRAM: &str = "/usr/bin/systemd-creds";
/// Both fit into a pipe, so nobody has to read while somebody writes.
const LARGEST: usize = 16 * 1024;
/// `CAP_DAC_OVERRIDE`: the TPM's device belongs to another user than root.
const DAC_OVERRIDE: u64 = 1 << 1;

/// Seals `plain` for this host under a name that belongs to it.
pub fn seal_credential(systemd: &Systemd, name: &str, plain: &[u8]) -> Result<Vec<u8>, HostError> {
    let mut sealed = Vec::new();
    run(systemd, "encrypt", name, plain, &mut sealed)?;
    Ok(sealed)
}

/// Opens what [`seal_credential`] sealed on this host under the same name, into `plain`: memory of the caller's choice, which no copy
/// leaves.
pub fn open_credential(
    systemd: &Systemd,
    name: &str,
    sealed: &[u8],
    plain: &mut [u8],
) -> Result<usize, HostError> {
    let mut room = Room { plain, filled: 0 };
    run(systemd, "decrypt", name, sealed, &mut room)?;
    Ok(room.filled)
}

fn run(
    systemd: &Systemd,
    verb: &str,
    name: &str,
    input: &[u8],
    output: &mut impl Write,
) -> Result<(), HostError> {
    let failed = |cause: String| {
        let text = format!(
            "credential {name}: systemd-creds {verb} failed: {cause} (a credential opens only with the host key, /var/lib/systemd/credential.secret, and the TPM that it was sealed with)"
        );
        sentence(Exit::OsFile, text)
    };
    if input.len() > LARGEST {
        return Err(failed(format!("{} bytes are more than a credential of ours has", input.len())));
    }
    let pipe = || pipe2(OFlag::O_CLOEXEC).map_err(|errno| failed(errno.to_string()));
    let ((stdin, fill), (drain, stdout), (complaints, stderr)) = (pipe()?, pipe()?, pipe()?);
    File::from(fill).write_all(input).map_err(|error| failed(error.to_string()))?;
    let ended = systemd.run_transient(transient(verb, name, [stdin, stdout, stderr]), &Cancel::new())?;
    if ended.result != "success" {
        return Err(failed(complaint(complaints).unwrap_or_else(|| ended.result.clone())));
    }
    let mut buffer = Zeroizing::new([0; 4096]);
    let mut drain = File::from(drain);
    loop {
        let read = drain.read(&mut buffer[..]).map_err(|error| failed(error.to_string()))?;
        output
            .write_all(buffer.get(..read).unwrap_or_default())
            .map_err(|error| failed(error.to_string()))?;
        if read == 0 {
            return Ok(());
        }
    }
}

/// The last line that the program said.
fn complaint(said: OwnedFd) -> Option<String> {
    let mut text = Vec::new();
    File::from(said).take(LARGEST as u64).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text);
    text.lines().last().map(|line| line.escape_debug().to_string())
}

fn transient(verb: &str, name: &str, [stdin, stdout, stderr]: [OwnedFd; 3]) -> Transient {
    let text = |value: &str| Value::Text(value.to_owned());
    let name_option = format!("--name={name}");
    let argv = [PROGRAM, &name_option, verb, "-", "-"].map(str::to_owned).to_vec();
    Transient {
        unit: format!("tenantd-creds-{verb}-{name}.service"),
        argv,
        environment: BTreeMap::from([("LC_ALL".to_owned(), "C".to_owned())]),
        properties: vec![
            ("Description", Value::Text(format!("{verb} credential {name}"))),
            ("StandardInputFileDescriptor", Value::Descriptor(stdin)),
            ("StandardOutputFileDescriptor", Value::Descriptor(stdout)),
            ("StandardErrorFileDescriptor", Value::Descriptor(stderr)),
            ("CapabilityBoundingSet", Value::Number(DAC_OVERRIDE)),
            ("NoNewPrivileges", Value::Flag(true)),
            ("ProtectSystem", text("strict")),
            // The host key is made there when it is first needed.
            ("ReadWritePaths", Value::Texts(vec!["/var/lib/systemd".to_owned()])),
            ("ProtectHome", text("yes")),
            ("PrivateTmp", Value::Flag(true)),
            ("PrivateNetwork", Value::Flag(true)),
            ("DevicePolicy", text("closed")),
            ("DeviceAllow", Value::Pairs(vec![("/dev/tpmrm0".to_owned(), "rw".to_owned())])),
            ("RestrictAddressFamilies", Value::Filter(true, vec!["AF_UNIX".to_owned()])),
            ("LimitCORE", Value::Number(0)),
            ("TimeoutStartUSec", Value::Number(60_000_000)),
        ],
    }
}

/// A bounded place to write to.
struct Room<'a> {
    plain: &'a mut [u8],
    filled: usize,
}

impl Write for Room<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let full = || std::io::Error::other("it holds more than was sealed");
        let room = self.plain.get_mut(self.filled..self.filled + bytes.len()).ok_or_else(full)?;
        room.copy_from_slice(bytes);
        self.filled += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
