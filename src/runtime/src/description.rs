//! A runtime's description, `policies/runtimes/<name>/runtime.toml`: every setting that makes a program a tenant's
//! gateway, each with its reason. Unknown keys, unknown placeholders and wrong types are refused with line and column.

use std::collections::BTreeMap;

use model::{GatewaySettings, Limits};
use serde::Deserialize;
use thiserror::Error;

use crate::config::{self, ConfigError, ConfigFile};
use crate::edge::Edge;
use crate::install::Install;
use crate::place::{Access, Values};
use crate::template::{RenderError, Template};

/// Format number of a description.
const FORMAT: u32 = 1;

/// Why a description is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DescriptionError {
    /// Not TOML, an unknown key, or a value out of form; the text carries line, column and a caret.
    #[error("{file}: {text}")]
    Syntax {
        /// Name of the file.
        file: String,
        /// What the TOML reader says.
        text: String,
    },
    /// Two values that do not go together.
    #[error("{file}: {key}: {why}")]
    Value {
        /// Name of the file.
        file: String,
        /// The key.
        key: String,
        /// Cause and remedy.
        why: &'static str,
    },
}

/// A variable of the gateway's environment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Name.
    pub name: String,
    /// Value. Empty: set and empty, so that no `.env` file can set it.
    pub value: Template,
    /// Reason.
    pub why: String,
}

/// A path and body that tell whether the gateway is up.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Startup {
    /// Path of the request.
    pub path: String,
    /// Text that the body must contain; empty: status 200 suffices.
    #[serde(default)]
    pub body_contains: String,
    /// Seconds until a start has failed.
    pub timeout_sec: u32,
    /// Reason.
    pub why: String,
}

/// A path that tells whether the gateway lives.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Path of the request.
    pub path: String,
    /// Reason.
    pub why: String,
}

/// How the gateway ends. The unit is one for all runtimes: a test holds it to what every description asks for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// Seconds between SIGTERM and SIGKILL.
    pub timeout_sec: u32,
    /// Exit codes after which a restart would only fail again.
    #[serde(default)]
    pub no_restart_exit_codes: Vec<u8>,
    /// Reason.
    pub why: String,
}

/// The gateway's config file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Template beside the description, TOML.
    pub template: String,
    /// File name in the cell's `config` directory; rendered as JSON.
    pub target: String,
}

/// A path in the cell that the tenant may read and never change, by whatever means.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// The path.
    pub path: Template,
    /// Reason.
    pub why: String,
}

/// A runtime's description.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    format: u32,
    /// Name, the same as its directory's.
    pub name: String,
    /// One line for people.
    pub summary: String,
    /// Program and arguments. Empty: each tenant's spec brings its own.
    #[serde(default)]
    pub command: Vec<Template>,
    /// Port of the gateway where the spec names none.
    pub port: u16,
    /// Name of the seccomp profile in `policies/seccomp/`.
    pub seccomp: String,
    /// Name of the Landlock profile in `policies/landlock/`.
    pub landlock: String,
    /// When a start has succeeded.
    pub startup: Startup,
    /// Whether the gateway lives.
    pub health: Probe,
    /// How the gateway ends.
    pub stop: Stop,
    /// Who may come in through the edge, and as what.
    pub edge: Edge,
    /// Config file, if the runtime has one.
    #[serde(default)]
    pub config: Option<Config>,
    /// Default limits.
    #[serde(default)]
    pub limits: Limits,
    /// The whole environment.
    #[serde(default)]
    pub environment: Vec<Variable>,
    /// What the tenant may not change; tested for every runtime.
    #[serde(default)]
    pub sealed: Vec<Sealed>,
    /// How it is installed. Left out: nothing needs to be.
    #[serde(default)]
    pub install: Option<Install>,
}

impl Description {
    /// Reads and checks a description. `file` names the text in messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, DescriptionError> {
        let description: Self = toml::from_str(text)
            .map_err(|error| DescriptionError::Syntax { file: file.to_owned(), text: error.to_string() })?;
        description.check().map_err(|(key, why)| DescriptionError::Value {
            file: file.to_owned(),
            key,
            why,
        })?;
        Ok(description)
    }

    fn check(&self) -> Result<(), (String, &'static str)> {
        let refuse = |key: &str, why| Err((key.to_owned(), why));
        if self.format != FORMAT {
            return refuse(
                "format",
                "this version of tenantd reads format 1: use the file of its own package",
            );
        }
        if !is_plain(&self.name) || !is_plain(&self.seccomp) || !is_plain(&self.landlock) {
            return refuse("name", "names have lower-case letters, digits and dashes");
        }
        for (key, path) in [("startup.path", &self.startup.path), ("health.path", &self.health.path)] {
            if !path.starts_with('/') || path.contains(char::is_whitespace) {
                return refuse(key, "a path begins with / and holds no space");
            }
        }
        if let Some(config) = &self.config {
            if !is_file_name(&config.template) || !is_file_name(&config.target) {
                return refuse("config", "template and target are plain file names");
            }
        }
        if let Err(error) = self.limits.check() {
            return Err((format!("limits: {error}"), "correct the limit"));
        }
        if self.texts().any(|text| text.places().any(|place| !place.is_scalar())) {
            return refuse("command, environment", "lists and tables are for the config template");
        }
        if self.texts().any(|text| text.places().any(crate::place::Placeholder::is_secret)) {
            return refuse(
                "command, environment",
                "the proof header is a secret: it can be put into the config file only",
            );
        }
        self.edge.check()?;
        let mut seen = std::collections::BTreeSet::new();
        match self.environment.iter().find(|variable| !seen.insert(&variable.name)) {
            Some(twice) => Err((format!("environment: {}", twice.name), "this variable stands there twice")),
            None => Ok(()),
        }
    }

    /// Every text that reaches an argument list, an environment or a rule.
    fn texts(&self) -> impl Iterator<Item = &Template> {
        self.command
            .iter()
            .chain(self.environment.iter().map(|variable| &variable.value))
            .chain(self.sealed.iter().map(|sealed| &sealed.path))
    }

    /// Who may connect through the edge.
    pub fn access(&self) -> Vec<Access> {
        self.edge.access()
    }

    /// Checks the text of the config template that the description names.
    pub fn check_config(&self, template: &str) -> Result<(), ConfigError> {
        self.config.as_ref().map_or(Ok(()), |config| config::check(&config.template, template))
    }

    /// Whether a tenant may have these settings of its own. `file` names the template in messages.
    pub fn check_settings(
        &self,
        (file, template): (&str, &str),
        settings: &GatewaySettings,
    ) -> Result<(), ConfigError> {
        match (&self.config, settings.is_empty()) {
            (_, true) => Ok(()),
            (Some(_), false) => config::check_extra(file, template, settings.as_map()),
            (None, false) => Err(ConfigError::NoFile { runtime: self.name.clone() }),
        }
    }

    /// Program and arguments. `command` is the spec's, for runtimes without a program of their own.
    pub fn argv(&self, values: &Values<'_>, command: &[String]) -> Result<Vec<String>, RenderError> {
        match (self.command.is_empty(), command.is_empty()) {
            (false, true) => Ok(self.command.iter().map(|word| word.text(values)).collect()),
            (true, false) => Ok(command.to_vec()),
            (false, false) => Err(RenderError::CommandGiven { runtime: self.name.clone() }),
            (true, true) => Err(RenderError::CommandMissing { runtime: self.name.clone() }),
        }
    }

    /// The whole environment: the spec's variables, and over them the description's, which win.
    pub fn environment(
        &self,
        values: &Values<'_>,
        spec: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let own =
            self.environment.iter().map(|variable| (variable.name.clone(), variable.value.text(values)));
        spec.clone().into_iter().chain(own).collect()
    }

    /// The config file, from the template that [`Config::template`] names, with the tenant's own settings added. `file` names
    /// the template in messages.
    pub fn config_file(
        &self,
        (file, template): (&str, &str),
        values: &Values<'_>,
        settings: &GatewaySettings,
    ) -> Result<Option<ConfigFile>, ConfigError> {
        self.check_settings((file, template), settings)?;
        let Some(config) = &self.config else { return Ok(None) };
        let text = config::render(file, template, values, settings.as_map())?;
        Ok(Some(ConfigFile { name: config.target.clone(), text }))
    }

    /// The paths that the tenant may not change, with the reasons.
    pub fn sealed_paths<'a>(&'a self, values: &'a Values<'_>) -> impl Iterator<Item = (String, &'a str)> {
        self.sealed.iter().map(|sealed| (sealed.path.text(values), sealed.why.as_str()))
    }
}

fn is_plain(name: &str) -> bool {
    name.len() <= 32
        && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_file_name(name: &str) -> bool {
    crate::manifest::check_path(name).is_ok() && !name.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::tests::with_acme;

    const LEAST: &str = "format = 1\nname = \"x\"\nsummary = \"s\"\nport = 8080\nseccomp = \"node\"\nlandlock = \"node\"\nstartup = { path = \"/\", timeout_sec = 9, why = \"w\" }\nhealth = { path = \"/\", why = \"w\" }\nstop = { timeout_sec = 9, why = \"w\" }\nedge = { identity_header = \"x-user\", roles = [], why = \"w\" }\n";

    fn parse(more: &str) -> Result<Description, DescriptionError> {
        Description::parse("runtime.toml", &format!("{LEAST}{more}"))
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        for (more, needle) in [
            ("colour = 1", "unknown field `colour`"),
            ("command = [\"{prot}\"]", "{prot} is no placeholder"),
            ("command = [\"{proof_header}\"]", "is a secret"),
            ("command = [\"{origins}\"]", "for the config template"),
            ("config = { template = \"../x\", target = \"y\" }", "plain file names"),
            ("environment = [{ name = \"A\", value = \"\" }]", "missing field `why`"),
            (
                "environment = [{ name = \"A\", value = \"\", why = \"\" }, { name = \"A\", value = \"\", why = \"\" }]",
                "twice",
            ),
            ("limits = { memory_max = \"1g\" }", "is not a size"),
            ("limits = { memory_max = \"1K\" }", "out of range"),
        ] {
            let message = parse(more).unwrap_err().to_string();
            assert!(message.starts_with("runtime.toml: ") && message.contains(needle), "{message}");
        }
        let message = parse("colour = 1").unwrap_err().to_string();
        assert!(message.contains("line 11, column 1"), "{message}");
        assert!(Description::parse("f", &LEAST.replace("format = 1", "format = 2")).is_err());
    }

    #[test]
    fn a_program_comes_from_the_runtime_or_from_the_spec_and_never_from_both() {
        let own = parse("command = [\"{runtime}/x\", \"{port}\"]").unwrap();
        let none = parse("").unwrap();
        let words = ["/bin/x".to_owned()];
        with_acme(|values| {
            assert_eq!(own.argv(values, &[]).unwrap(), ["/run/tenantd/runtime/x", "18789"]);
            assert_eq!(none.argv(values, &words).unwrap(), words);
            assert!(own.argv(values, &words).unwrap_err().to_string().contains("brings its own program"));
            assert!(none.argv(values, &[]).unwrap_err().to_string().contains("has no program"));
        });
    }

    #[test]
    fn the_descriptions_variables_win_over_the_specs() {
        let description =
            parse("environment = [{ name = \"A\", value = \"{tenant}\", why = \"\" }]").unwrap();
        let spec = BTreeMap::from([("A".to_owned(), "x".to_owned()), ("B".to_owned(), "y".to_owned())]);
        with_acme(|values| {
            let environment = description.environment(values, &spec);
            assert_eq!(environment.get("A").map(String::as_str), Some("acme-corp"));
            assert_eq!(environment.get("B").map(String::as_str), Some("y"));
        });
    }
}
