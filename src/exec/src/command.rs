//! What is run, and in which environment: the confinement file's, and almost nothing of the caller's.

use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;

use model::Confinement;

use crate::failure::Cause;

/// Arguments and environment as execve(2) takes them.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    /// Paths to try in this order; more than one when the name is looked up in `PATH`.
    pub programs: Vec<CString>,
    /// All arguments, the program's name first.
    pub arguments: Vec<CString>,
    /// `NAME=value`, nothing inherited but what is named here.
    pub environment: Vec<CString>,
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// No argument: the gateway.
    Gateway,
    /// `-- COMMAND ARGUMENT…`: another program in the same confinement.
    Other(Vec<OsString>),
}

impl Request {
    /// Reads the command line without the program's own name.
    pub fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Self, Cause> {
        match arguments.next() {
            None => Ok(Self::Gateway),
            Some(first) if first == "--" => {
                let rest: Vec<_> = arguments.collect();
                if rest.is_empty() { Err(Cause::NoCommand) } else { Ok(Self::Other(rest)) }
            }
            Some(first) => Err(Cause::Usage(first)),
        }
    }
}

impl Command {
    /// `inherited` reads a variable of this process.
    pub fn new(
        request: Request,
        confinement: &Confinement,
        inherited: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Cause> {
        let mut environment = confinement.environment.clone();
        let mut take = |name: &str, sound: fn(&str) -> bool| {
            if let Some(value) = inherited(name).filter(|value| sound(value)) {
                environment.insert(name.to_owned(), value);
            }
        };
        take("CREDENTIALS_DIRECTORY", is_credentials_directory);
        let (programs, arguments) = match request {
            Request::Gateway => {
                let program = confinement.argv.first().filter(|program| program.starts_with('/'));
                let program = program.ok_or_else(|| value("argv does not start with an absolute path"))?;
                let arguments = confinement.argv.iter().map(|argument| text(argument.as_str()));
                (vec![text(program.as_str())?], arguments.collect::<Result<_, _>>()?)
            }
            Request::Other(words) => {
                take("TERM", is_terminal_name);
                take("COLORTERM", is_terminal_name);
                take("COLUMNS", is_size);
                take("LINES", is_size);
                let words: Vec<_> = words
                    .into_iter()
                    .map(|word| CString::new(word.into_vec()))
                    .collect::<Result<_, _>>()
                    .map_err(nul)?;
                (search(words.first().ok_or(Cause::NoCommand)?, &environment)?, words)
            }
        };
        Ok(Self { programs, arguments, environment: joined(&environment)? })
    }
}

/// A name with a slash is a path; any other is looked up in the cell's own `PATH`, as a shell does.
fn search(name: &CString, environment: &BTreeMap<String, String>) -> Result<Vec<CString>, Cause> {
    if name.as_bytes().contains(&b'/') {
        return Ok(vec![name.clone()]);
    }
    let path = environment.get("PATH").map_or("/usr/bin:/bin", String::as_str);
    let absolute = path.split(':').filter(|directory| directory.starts_with('/'));
    absolute.map(|directory| text([directory.as_bytes(), b"/", name.as_bytes()].concat())).collect()
}

fn joined(environment: &BTreeMap<String, String>) -> Result<Vec<CString>, Cause> {
    let pairs = environment.iter().map(|(name, content)| {
        if name.is_empty() || name.contains('=') {
            return Err(value(&format!("\"{name}\" cannot name an environment variable")));
        }
        text(format!("{name}={content}"))
    });
    pairs.collect()
}

fn text(bytes: impl Into<Vec<u8>>) -> Result<CString, Cause> {
    CString::new(bytes).map_err(nul)
}

fn nul(_: std::ffi::NulError) -> Cause {
    value("an argument or variable contains a NUL byte")
}

fn value(what: &str) -> Cause {
    Cause::Value(what.to_owned())
}

/// Whether PID 1 may have put it there.
pub fn is_credentials_directory(value: &str) -> bool {
    value
        .strip_prefix("/run/credentials/")
        .is_some_and(|unit| !unit.is_empty() && !unit.contains("/") && unit != "..")
}

fn is_terminal_name(value: &str) -> bool {
    (1..=64).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-_.".contains(&byte))
}

fn is_size(value: &str) -> bool {
    (1..=5).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use model::LandlockRuleset;

    use super::*;

    fn confinement() -> Confinement {
        let environment = [("PATH", "/opt/bin:/usr/bin::relative"), ("HOME", "/home")];
        Confinement {
            format: 1,
            tenant: "acme".parse().unwrap(),
            uid: 1,
            argv: vec!["/usr/bin/node".into(), "gateway".into()],
            environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            directory: "/".into(),
            landlock: LandlockRuleset { abi: 6, rules: vec![], bind_tcp: None },
            seccomp: vec![],
            rlimits: vec![],
        }
    }

    fn caller(name: &str) -> Option<String> {
        let value = match name {
            "TERM" => "xterm-256color",
            "COLUMNS" => "120",
            "LINES" => "40; rm",
            "CREDENTIALS_DIRECTORY" => "/run/credentials/tenant@acme.service",
            "LD_PRELOAD" | "PATH" | "INVOCATION_ID" | "NOTIFY_SOCKET" => "inherited",
            _ => return None,
        };
        Some(value.to_owned())
    }

    fn words(text: &[&str]) -> Vec<OsString> {
        text.iter().map(OsString::from).collect()
    }

    fn strings(text: &[CString]) -> Vec<&str> {
        text.iter().map(|word| word.to_str().unwrap()).collect()
    }

    #[test]
    fn the_gateway_gets_the_files_environment_and_its_credentials_and_nothing_else() {
        let command = Command::new(Request::Gateway, &confinement(), caller).unwrap();
        assert_eq!(strings(&command.programs), ["/usr/bin/node"]);
        assert_eq!(strings(&command.arguments), ["/usr/bin/node", "gateway"]);
        let expected = [
            "CREDENTIALS_DIRECTORY=/run/credentials/tenant@acme.service",
            "HOME=/home",
            "PATH=/opt/bin:/usr/bin::relative",
        ];
        assert_eq!(strings(&command.environment), expected);
    }

    #[test]
    fn another_command_gets_a_well_formed_terminal_too_and_is_looked_up_in_the_cells_path() {
        let command = Command::new(Request::Other(words(&["sh", "-l"])), &confinement(), caller).unwrap();
        assert_eq!(strings(&command.programs), ["/opt/bin/sh", "/usr/bin/sh"]);
        let environment = strings(&command.environment);
        assert!(environment.contains(&"TERM=xterm-256color") && environment.contains(&"COLUMNS=120"));
        assert!(
            !environment.iter().any(|pair| pair.starts_with("LINES=") || pair.starts_with("LD_PRELOAD="))
        );
        let path = Command::new(Request::Other(words(&["./tool"])), &confinement(), caller).unwrap();
        assert_eq!(strings(&path.programs), ["./tool"]);
    }

    #[test]
    fn a_relative_gateway_and_a_variable_with_an_equals_sign_are_refused() {
        let mut relative = confinement();
        relative.argv = vec!["node".into()];
        assert!(Command::new(Request::Gateway, &relative, caller).is_err());
        let mut variable = confinement();
        variable.environment.insert("A=B".into(), String::new());
        assert!(Command::new(Request::Gateway, &variable, caller).is_err());
    }

    #[test]
    fn only_a_double_dash_starts_a_command() {
        assert_eq!(Request::parse(words(&[]).into_iter()).unwrap(), Request::Gateway);
        assert!(Request::parse(words(&["--"]).into_iter()).is_err());
        assert!(Request::parse(words(&["sh"]).into_iter()).is_err());
        assert_eq!(
            Request::parse(words(&["--", "sh", "--"]).into_iter()).unwrap(),
            Request::Other(words(&["sh", "--"]))
        );
    }

    #[test]
    fn a_credentials_directory_elsewhere_is_dropped() {
        assert!(is_credentials_directory("/run/credentials/x.service"));
        for wrong in ["/run/credentials/", "/run/credentials/..", "/run/credentials/a/b", "/tmp/x", ""] {
            assert!(!is_credentials_directory(wrong), "{wrong}");
        }
    }
}
