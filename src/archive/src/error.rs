//! Why packing or unpacking failed, in one sentence with the remedy, and the exit code that goes with it.

use std::io;

use model::Exit;
use rustix::io::Errno;

/// The one error of this program.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line is wrong.
    #[error(
        "usage: tenant-archive pack DIRECTORY [NAME...] | tenant-archive unpack DIRECTORY | tenant-archive check"
    )]
    Usage,
    /// A NAME on the command line cannot be a top directory.
    #[error("{0} cannot name a top directory (give up to 16 different names of a-z, 0-9, - and _)")]
    Name(String),
    /// DIRECTORY or a top directory cannot be opened.
    #[error(
        "cannot open the directory {path}: {source} (it must exist, be no link, and belong to the tenant)"
    )]
    Open {
        /// Which one.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Unpacking would mix two trees.
    #[error("the directory {0} is not empty (move away what is in it, then unpack again)")]
    NotEmpty(String),
    /// Standard output is gone or full.
    #[error("cannot write the archive to standard output: {0} (see what reads it)")]
    Output(#[source] io::Error),
    /// Standard input failed. Its mere end is a refused archive.
    #[error("cannot read the archive from standard input: {0} (see what writes it)")]
    Input(#[source] io::Error),
    /// The stream is not what `pack` writes.
    #[error("archive refused at {place}: {cause} (it is damaged or forged: take another backup)")]
    Refused {
        /// The entry, escaped.
        place: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The stream is of a later version of this program.
    #[error("archive refused: its format is {0}, this program reads {format} (install a newer tenantd)", format = crate::manifest::FORMAT)]
    Newer(u64),
    /// The operating system did not let something be packed at all.
    #[error("cannot read {path}: {source} (free memory or file descriptors, then pack again)")]
    Exhausted {
        /// Where in the tree, escaped.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Files with several names would be packed again and again.
    #[error(
        "{path}: more than 40,000 files have several names, and 4 GiB of them would be packed more than once (remove names, then pack again)"
    )]
    HardLinks {
        /// Where in the tree, escaped.
        path: String,
    },
    /// The operating system did not let something be made.
    #[error("cannot make {path}: {source} ({remedy}, then unpack again)", remedy = remedy(source))]
    Make {
        /// Where in the tree, escaped.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// What was made before the first error could not be removed.
    #[error("{first}; and what was made could not be removed again: {path}: {source} (remove it by hand)")]
    Left {
        /// Why it was to be removed.
        #[source]
        first: Box<Error>,
        /// Where in the tree, escaped.
        path: String,
        /// Why it stays.
        source: io::Error,
    },
}

impl Error {
    /// A stream that is refused because of this entry.
    pub fn refused(path: &[u8], cause: impl Into<String>) -> Error {
        Error::Refused { place: shown(path), cause: cause.into() }
    }

    /// An object of the tree that could not be made.
    pub fn make(path: &[u8], source: impl Into<io::Error>) -> Error {
        Error::Make { path: shown(path), source: source.into() }
    }

    /// How the program ends.
    pub fn exit(&self) -> Exit {
        match self {
            Error::Usage | Error::Name(_) => Exit::Usage,
            Error::Open { source, .. } if denied(source) => Exit::NoPermission,
            Error::Open { .. } => Exit::NoInput,
            Error::NotEmpty(_) => Exit::CantCreate,
            Error::Output(_) | Error::Input(_) => Exit::Io,
            Error::Refused { .. } | Error::Newer(_) | Error::HardLinks { .. } => Exit::Data,
            Error::Exhausted { .. } => Exit::Os,
            Error::Make { source, .. } if denied(source) => Exit::NoPermission,
            Error::Make { .. } => Exit::Io,
            Error::Left { first, .. } => first.exit(),
        }
    }
}

fn denied(source: &io::Error) -> bool {
    source.kind() == io::ErrorKind::PermissionDenied
}

fn remedy(source: &io::Error) -> &'static str {
    match Errno::from_io_error(source) {
        Some(Errno::NOSPC | Errno::DQUOT) => "free disk space or inodes, or raise the tenant's disk_max",
        Some(Errno::ACCESS | Errno::PERM) => "let the top directories belong to the tenant",
        _ => "see the kernel's log for the file system",
    }
}

/// How many characters of a name are shown.
const SHOWN: usize = 200;

/// A name as an operator's terminal may show it: escaped, and cut.
pub fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).escape_debug().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reaches_no_terminal_as_it_is() {
        assert_eq!(shown(b"a\x1b[31m\nb\xff\"\xe2\x80\xae"), "a\\u{1b}[31m\\nb\u{fffd}\\\"\\u{202e}");
        assert_eq!(shown(&[b'x'; 1000]).len(), SHOWN);
    }

    #[test]
    fn every_error_is_one_line() {
        let error = Error::Left {
            first: Box::new(Error::refused(b"home/a\nb", "it is a device")),
            path: shown(b"home/\r"),
            source: Errno::NOTEMPTY.into(),
        };
        assert!(!error.to_string().contains(['\n', '\r']), "{error}");
        assert_eq!(error.exit(), Exit::Data);
    }
}
