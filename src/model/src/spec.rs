//! A tenant's spec: the file as written, and the valid thing made of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{EgressSpec, Feature, GatewaySettings, LimitError, Limits, TenantId};

/// Why a spec is refused. Every message is one sentence with object, cause and remedy.
#[derive(Debug, Error)]
pub enum SpecError {
    /// Not TOML, an unknown key, or a wrong type; the text carries line, column and a caret.
    #[error("{file}: {text}")]
    Syntax {
        /// Name of the file.
        file: String,
        /// What the TOML reader says.
        text: String,
    },
    /// A limit is out of range.
    #[error("{file}: limits: {source}")]
    Limit {
        /// Name of the file.
        file: String,
        /// What is wrong.
        source: LimitError,
    },
    /// A value that is well-formed but not allowed.
    #[error("{file}: {key} = {value:?}: {why}")]
    Value {
        /// Name of the file.
        file: String,
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// Cause and remedy.
        why: String,
    },
}

/// A spec as written in TOML; unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecFile {
    /// The tenant; must be the file's name without `.toml`.
    pub id: TenantId,
    /// Free text for people, at most 120 bytes, one line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Name of the runtime.
    pub runtime: String,
    /// Pinned version of the runtime; left out: the newest installed when the tenant is made, then written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Program and arguments, for runtimes that take one (`generic`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Port of the gateway; left out: the runtime's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Origins a browser may come from, for runtimes with a Control UI.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
    /// Protections this tenant may run without, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept_missing: Vec<Feature>,
    /// Limits; what is left out comes from the runtime, then from the host's defaults.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: Limits,
    /// More environment variables for the gateway; names that steer the loader or the runtime are refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Keys added to the gateway's configuration file, for runtimes that have one; never secrets.
    #[serde(default, skip_serializing_if = "GatewaySettings::is_empty")]
    pub settings: GatewaySettings,
    /// What the tenant may reach; left out: nothing, and it has no proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<EgressSpec>,
}

fn is_default(limits: &Limits) -> bool {
    *limits == Limits::default()
}

/// A valid spec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec(SpecFile);

impl std::ops::Deref for Spec {
    type Target = SpecFile;
    fn deref(&self) -> &SpecFile {
        &self.0
    }
}

/// Prefixes of variables that change how programs load or that belong to the runtime's own supervision.
const REFUSED_PREFIXES: &[&str] =
    &["LD_", "NODE_", "OPENCLAW_", "NPM_", "npm_", "GLIBC_", "MALLOC_", "PYTHON", "PERL", "BASH_"];
const REFUSED_NAMES: &[&str] = &[
    "PATH",
    "HOME",
    "SHELL",
    "USER",
    "LOGNAME",
    "IFS",
    "ENV",
    "TMPDIR",
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "CREDENTIALS_DIRECTORY",
];

impl SpecFile {
    /// A spec's largest size; more is no spec.
    pub const MOST_BYTES: usize = 1 << 20;

    /// Reads TOML. `file` names the text in messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, SpecError> {
        let refuse = |text| SpecError::Syntax { file: file.to_owned(), text };
        if text.len() > Self::MOST_BYTES {
            return Err(refuse("larger than 1 MiB: this is no spec".to_owned()));
        }
        toml::from_str(text).map_err(|error| refuse(shown(&error)))
    }

    /// Writes TOML.
    pub fn to_toml(&self) -> Result<String, SpecError> {
        toml::to_string(self)
            .map_err(|error| SpecError::Syntax { file: format!("{}.toml", self.id), text: error.to_string() })
    }

    /// Checks everything that needs no host.
    pub fn validate(self, file: &str) -> Result<Spec, SpecError> {
        let refuse = |key, value: &str, why: &str| SpecError::Value {
            file: file.to_owned(),
            key,
            value: value.chars().take(64).collect(),
            why: why.to_owned(),
        };
        self.limits.check().map_err(|source| SpecError::Limit { file: file.to_owned(), source })?;
        if !is_name(&self.runtime) {
            return Err(refuse(
                "runtime",
                &self.runtime,
                "a runtime's name has lower-case letters, digits and dashes",
            ));
        }
        if self.description.len() > 120 || self.description.chars().any(char::is_control) {
            return Err(refuse("description", &self.description, "one line of at most 120 bytes"));
        }
        if let Some(program) = self.command.first() {
            if !program.starts_with('/') {
                return Err(refuse(
                    "command",
                    program,
                    "the program must be an absolute path inside the cell",
                ));
            }
        }
        if let Some(word) = self.command.iter().find(|word| word.contains('\0')) {
            return Err(refuse("command", word, "an argument cannot hold a NUL byte"));
        }
        if let Some(port) = self.port.filter(|port| *port < 1024) {
            return Err(refuse(
                "port",
                &port.to_string(),
                "a gateway has no capability to bind a port below 1024",
            ));
        }
        for (name, value) in &self.environment {
            check_variable(name, value).map_err(|why| refuse("environment", name, why))?;
        }
        for origin in &self.origins {
            if !(origin.starts_with("https://") || origin.starts_with("http://")) || origin.len() > 255 {
                return Err(refuse(
                    "origins",
                    origin,
                    "an origin is a scheme and a host, for example https://acme.example.org",
                ));
            }
        }
        Ok(Spec(self))
    }
}

/// What the reader says, with the line it points at; without the line where that is too long to be read.
fn shown(error: &toml::de::Error) -> String {
    let text = error.to_string();
    if text.len() <= 4096 { text } else { error.message().chars().take(1000).collect() }
}

/// The variable that a secret becomes: `telegram-token` is `TELEGRAM_TOKEN`.
pub fn variable_of_secret(name: &str) -> String {
    name.replace('-', "_").to_ascii_uppercase()
}

/// Whether a gateway may be given this variable; if not, why.
pub fn check_variable(name: &str, value: &str) -> Result<(), &'static str> {
    let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let formed =
        name.bytes().next().is_some_and(letter) && name.bytes().all(|b| letter(b) || b.is_ascii_digit());
    if !formed {
        return Err("a variable's name has letters, digits and _, beginning with a letter");
    }
    if REFUSED_NAMES.contains(&name) || REFUSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return Err(
            "this variable steers the loader or the runtime itself and is set by tenantd: leave it out",
        );
    }
    if value.contains('\0') || value.len() > 32 << 10 {
        return Err("a value has at most 32 KiB and no NUL byte");
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    text.len() <= 32
        && text.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Spec, SpecError> {
        SpecFile::parse("acme.toml", text)?.validate("acme.toml")
    }

    #[test]
    fn a_spec_reads_back_as_written() {
        let text = "id = \"acme\"\nruntime = \"generic\"\ncommand = [\"/bin/x\"]\naccept_missing = [\"cgroup-memory\"]\n\n[limits]\nmemory_max = \"1536M\"\n";
        let spec = parse(text).unwrap();
        assert_eq!(spec.to_toml().unwrap(), text);
    }

    #[test]
    fn an_unknown_key_is_refused_with_line_and_column() {
        let message = parse("id = \"acme\"\nruntime = \"generic\"\nmemory = 3\n").unwrap_err().to_string();
        assert!(message.starts_with("acme.toml: "), "{message}");
        assert!(message.contains("line 3") && message.contains("memory"), "{message}");
    }

    #[test]
    fn what_is_well_formed_but_not_allowed_is_refused() {
        for (line, needle) in [
            ("command = [\"bin/x\"]", "absolute path"),
            ("port = 80", "below 1024"),
            ("environment = { LD_PRELOAD = \"x\" }", "steers the loader"),
            ("environment = { \"A B\" = \"x\" }", "letters, digits"),
            ("limits = { cpu_weight = 0 }", "out of range"),
            ("limits = { memory_max = \"-1\" }", "not a size"),
            ("limits = { memory_max = 3 }", "invalid type"),
            ("description = \"a\\nb\"", "one line"),
            ("origins = [\"ftp://x\"]", "an origin is"),
            ("accept_missing = [\"everything\"]", "unknown variant"),
        ] {
            let message =
                parse(&format!("id = \"acme\"\nruntime = \"generic\"\n{line}\n")).unwrap_err().to_string();
            assert!(message.contains(needle), "{line}: {message}");
        }
    }
}
