//! What nobody else is to see: values and passphrases, read without a trace and sent to tenantd through a pipe.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use model::Exit;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::session::Session;

/// Most bytes that are sent: as many as a pipe holds before somebody reads, and as a secret may have.
const MOST: usize = 65_536;

/// The value of a secret, on its way to tenantd.
pub(crate) fn value(session: &mut Session, from: Option<&Path>) -> Result<OwnedFd, Failure> {
    let bytes = match from {
        Some(path) => read(&mut open(path)?).map_err(|error| Failure::reading(path, &error))?,
        None if session.terminals.stdin => {
            let text = "the value is not typed on a terminal, where others may see it: give it on standard input or with --from";
            return Err(Failure::new(Exit::Usage, text));
        }
        None => read(&mut session.input)
            .map_err(|error| Failure::new(Exit::Io, format!("cannot read standard input: {error}")))?,
    };
    send(&bytes)
}

/// A passphrase, on its way to tenantd; typed twice where it is a new one.
pub(crate) fn passphrase(session: &mut Session, from: Option<&Path>, new: bool) -> Result<OwnedFd, Failure> {
    if let Some(path) = from {
        return send(&read(&mut open(path)?).map_err(|error| Failure::reading(path, &error))?);
    }
    if !session.terminals.stdin {
        let text = "there is no terminal to ask for the passphrase: use --passphrase-from";
        return Err(Failure::new(Exit::Usage, text));
    }
    let typed = ask(session, "Passphrase: ")?;
    if new && *ask(session, "Once more: ")? != *typed {
        return Err(Failure::new(Exit::Data, "the two passphrases differ: try again"));
    }
    send(&typed)
}

fn ask(session: &mut Session, question: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    write!(session.err, "{question}")?;
    session.err.flush()?;
    let failed = |error: io::Error| Failure::new(Exit::Io, format!("cannot ask for a passphrase: {error}"));
    let silence = Silence::fall().map_err(failed)?;
    let mut line = Zeroizing::new(Vec::with_capacity(MOST));
    let mut byte = Zeroizing::new([0; 1]);
    while line.len() < MOST && session.input.read(&mut byte[..]).map_err(failed)? == 1 && *byte != *b"\n" {
        line.extend_from_slice(&byte[..]);
    }
    drop(silence);
    writeln!(session.err)?;
    Ok(line)
}

/// The terminal shows nothing of what is typed until this is dropped.
struct Silence(Termios);

impl Silence {
    fn fall() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing any more.
        tcsetattr(io::stdin(), OptionalActions::Now, &self.0).ok();
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| Failure::reading(path, &error))
}

/// All of it, and at most one byte more than is sent: no reallocation leaves a copy behind.
fn read(source: &mut impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST + 2));
    source.take(MOST as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(crate) fn send(bytes: &[u8]) -> Result<OwnedFd, Failure> {
    if bytes.len() > MOST {
        let text = format!(
            "the value has more than {MOST} bytes: a secret is a key, a token or a certificate, not data"
        );
        return Err(Failure::new(Exit::Data, text));
    }
    let failed = |error: io::Error| Failure::new(Exit::Os, format!("cannot make a pipe: {error}"));
    let (reader, writer) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|errno| failed(errno.into()))?;
    File::from(writer).write_all(bytes).map_err(failed)?;
    Ok(reader)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_as_a_secret_may_have_is_sent_whole_and_no_more() {
        for length in [1, 4096, MOST] {
            let sent = send(&vec![7; length]).unwrap();
            let mut received = Vec::new();
            File::from(sent).read_to_end(&mut received).unwrap();
            assert_eq!(received, vec![7; length]);
        }
        assert!(send(&vec![7; MOST + 1]).unwrap_err().to_string().contains("more than 65536 bytes"));
    }

    #[test]
    fn an_endless_source_is_not_read_to_its_end() {
        assert_eq!(read(&mut io::repeat(1)).unwrap().len(), MOST + 1);
    }
}
