//! The one table of exit codes: sysexits(3).

/// How a program of this project ends. Values are those of `sysexits.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// The command line is wrong (`EX_USAGE`).
    Usage = 64,
    /// Input data is wrong: a spec, a name, a limit, a manifest (`EX_DATAERR`).
    Data = 65,
    /// A named thing does not exist: tenant, runtime, version, file (`EX_NOINPUT`, `EX_NOUSER`).
    NoInput = 66,
    /// A service that is needed does not answer: tenantd, systemd, the registry (`EX_UNAVAILABLE`).
    Unavailable = 69,
    /// A fault of the program itself (`EX_SOFTWARE`).
    Software = 70,
    /// The operating system refused or lacks something (`EX_OSERR`).
    Os = 71,
    /// A system file is missing or malformed (`EX_OSFILE`).
    OsFile = 72,
    /// Something exists already or cannot be created (`EX_CANTCREAT`).
    CantCreate = 73,
    /// Reading or writing failed, full disks included (`EX_IOERR`).
    Io = 74,
    /// Busy: try again (`EX_TEMPFAIL`).
    TempFail = 75,
    /// Not allowed (`EX_NOPERM`).
    NoPermission = 77,
    /// The configuration is wrong (`EX_CONFIG`).
    Config = 78,
}

impl Exit {
    /// The number given to `exit(3)`.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Every code, for documents and for reading one back from the wire.
    pub const ALL: [Exit; 13] = [
        Exit::Ok,
        Exit::Usage,
        Exit::Data,
        Exit::NoInput,
        Exit::Unavailable,
        Exit::Software,
        Exit::Os,
        Exit::OsFile,
        Exit::CantCreate,
        Exit::Io,
        Exit::TempFail,
        Exit::NoPermission,
        Exit::Config,
    ];

    /// The code with this number, if there is one.
    pub fn from_code(code: u8) -> Option<Exit> {
        Self::ALL.into_iter().find(|exit| exit.code() == code)
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}
