//! Errors on the bus: one name per sysexits code, so that a client ends with the daemon's verdict.

use model::Exit;

/// An error as it travels: a name and one sentence.
#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.tenantd.Error")]
pub enum Error {
    /// The bus itself failed.
    #[zbus(error)]
    Bus(zbus::Error),
    /// Wrong input (65).
    Invalid(String),
    /// No such tenant, runtime or version (66).
    NotFound(String),
    /// A service that is needed does not answer (69).
    Unavailable(String),
    /// A fault of tenantd (70).
    Software(String),
    /// The operating system refused or lacks something (71).
    Os(String),
    /// A system file is missing or malformed (72).
    OsFile(String),
    /// Exists already (73).
    Exists(String),
    /// Reading or writing failed (74).
    Io(String),
    /// Busy: try again (75).
    Busy(String),
    /// Not allowed (77).
    NotAllowed(String),
    /// The configuration is wrong (78).
    Config(String),
}

impl Error {
    /// The error with this exit code.
    pub fn new(exit: Exit, message: String) -> Self {
        match exit {
            Exit::Usage | Exit::Data => Error::Invalid(message),
            Exit::NoInput => Error::NotFound(message),
            Exit::Unavailable => Error::Unavailable(message),
            Exit::Ok | Exit::Software => Error::Software(message),
            Exit::Os => Error::Os(message),
            Exit::OsFile => Error::OsFile(message),
            Exit::CantCreate => Error::Exists(message),
            Exit::Io => Error::Io(message),
            Exit::TempFail => Error::Busy(message),
            Exit::NoPermission => Error::NotAllowed(message),
            Exit::Config => Error::Config(message),
        }
    }

    /// Exit code and sentence for the person who asked.
    pub fn verdict(&self) -> (Exit, String) {
        match self {
            Error::Bus(error) => (bus_exit(error), bus_sentence(error)),
            Error::Invalid(text) => (Exit::Data, text.clone()),
            Error::NotFound(text) => (Exit::NoInput, text.clone()),
            Error::Unavailable(text) => (Exit::Unavailable, text.clone()),
            Error::Software(text) => (Exit::Software, text.clone()),
            Error::Os(text) => (Exit::Os, text.clone()),
            Error::OsFile(text) => (Exit::OsFile, text.clone()),
            Error::Exists(text) => (Exit::CantCreate, text.clone()),
            Error::Io(text) => (Exit::Io, text.clone()),
            Error::Busy(text) => (Exit::TempFail, text.clone()),
            Error::NotAllowed(text) => (Exit::NoPermission, text.clone()),
            Error::Config(text) => (Exit::Config, text.clone()),
        }
    }
}

fn bus_exit(error: &zbus::Error) -> Exit {
    match error_name(error) {
        Some(
            "org.freedesktop.DBus.Error.AccessDenied"
            | "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
        ) => Exit::NoPermission,
        Some(_) | None => Exit::Unavailable,
    }
}

fn bus_sentence(error: &zbus::Error) -> String {
    match error_name(error) {
        Some("org.freedesktop.DBus.Error.ServiceUnknown" | "org.freedesktop.DBus.Error.NameHasNoOwner") => {
            "tenantd does not run: start it with \"systemctl start tenantd\" (tenants run without it; use systemctl meanwhile)".into()
        }
        Some(name) if name.starts_with("org.freedesktop.systemd1.") => format!(
            "tenantd cannot be started: {error}: see \"systemctl status tenantd\", lift a mask with \"systemctl unmask tenantd\", then \"systemctl start tenantd\" (tenants run without it)"
        ),
        Some(_) | None => format!("cannot talk to tenantd over the system bus: {error}: see \"systemctl status tenantd dbus\""),
    }
}

fn error_name(error: &zbus::Error) -> Option<&str> {
    if let zbus::Error::MethodError(name, _, _) = error { Some(name.as_str()) } else { None }
}
