//! The gateway's config file: a TOML template whose comments carry the reasons, rendered to JSON.
//!
//! Values go into the parsed tree, never into text, so that no value can change the shape of the file.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::place::Values;
use crate::template::{Template, TemplateError};

/// Why a config could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The template is not TOML; the text carries line, column and a caret.
    #[error("{file}: {text}")]
    Syntax {
        /// Name of the template.
        file: String,
        /// What the TOML reader says.
        text: String,
    },
    /// A value of the template cannot be used.
    #[error("{file}: {key}: {source}")]
    Template {
        /// Name of the template.
        file: String,
        /// Path of the key.
        key: String,
        /// What is wrong.
        source: TemplateError,
    },
    /// A date or a number that JSON does not have.
    #[error("{file}: {key}: JSON has no such value; write it as a string")]
    NotJson {
        /// Name of the template.
        file: String,
        /// Path of the key.
        key: String,
    },
    /// The tenant's own settings would change what the template seals.
    #[error("settings.{key} is sealed by the runtime, in {file}: take it out of the spec")]
    Sealed {
        /// Name of the template.
        file: String,
        /// Path of the key.
        key: String,
    },
    /// The tenant has settings and the runtime no file for them.
    #[error(
        "settings: runtime {runtime} has no config file to add them to: take [settings] out of the spec, and use command or [environment]"
    )]
    NoFile {
        /// The runtime.
        runtime: String,
    },
}

/// A rendered config file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    /// File name in the cell's `config` directory.
    pub name: String,
    /// Content, with [`model::delivery::MARK`] where the gateway's secret belongs.
    pub text: String,
}

/// Reads the template once with no tenant at hand, to find mistakes when a description is checked.
pub(crate) fn check(file: &str, template: &str) -> Result<(), ConfigError> {
    walk(file, "", &read(file, template)?, &mut |_| Value::Null).map(drop)
}

/// Whether `extra` changes none of the template's keys, with no tenant at hand.
pub(crate) fn check_extra(file: &str, template: &str, extra: &Map<String, Value>) -> Result<(), ConfigError> {
    let mut shape = walk(file, "", &read(file, template)?, &mut |_| Value::Null)?;
    add(file, &mut shape, extra)
}

/// Renders `template` for one tenant. `extra` adds keys of the tenant's own, and may change none of the template's.
pub(crate) fn render(
    file: &str,
    template: &str,
    values: &Values<'_>,
    extra: &Map<String, Value>,
) -> Result<String, ConfigError> {
    let mut rendered = walk(file, "", &read(file, template)?, &mut |text| text.value(values))?;
    add(file, &mut rendered, extra)?;
    Ok(format!("{rendered:#}\n"))
}

fn add(file: &str, rendered: &mut Value, extra: &Map<String, Value>) -> Result<(), ConfigError> {
    match rendered {
        Value::Object(rendered) => merge(file, "", rendered, extra),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Ok(()),
    }
}

fn read(file: &str, template: &str) -> Result<toml::Value, ConfigError> {
    toml::from_str::<toml::Table>(template)
        .map(toml::Value::Table)
        .map_err(|error| ConfigError::Syntax { file: file.to_owned(), text: error.to_string() })
}

fn walk(
    file: &str,
    key: &str,
    value: &toml::Value,
    put: &mut impl FnMut(&Template) -> Value,
) -> Result<Value, ConfigError> {
    let not_json = || ConfigError::NotJson { file: file.to_owned(), key: key.to_owned() };
    Ok(match value {
        toml::Value::String(text) => put(&Template::parse(text).map_err(|source| ConfigError::Template {
            file: file.to_owned(),
            key: key.to_owned(),
            source,
        })?),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => {
            serde_json::Number::from_f64(*number).map(Value::Number).ok_or_else(not_json)?
        }
        toml::Value::Boolean(truth) => (*truth).into(),
        toml::Value::Datetime(_) => return Err(not_json()),
        toml::Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| walk(file, &format!("{key}[{index}]"), item, put))
            .collect::<Result<Vec<_>, _>>()?
            .into(),
        toml::Value::Table(table) => table
            .iter()
            .map(|(name, item)| Ok((name.clone(), walk(file, &below(key, name), item, put)?)))
            .collect::<Result<Map<_, _>, _>>()?
            .into(),
    })
}

fn below(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

/// Two tables become one; any other key that is there already is sealed, whatever value it would get.
fn merge(
    file: &str,
    key: &str,
    rendered: &mut Map<String, Value>,
    extra: &Map<String, Value>,
) -> Result<(), ConfigError> {
    for (name, addition) in extra {
        let key = below(key, name);
        match (rendered.get_mut(name), addition) {
            (None, addition) => drop(rendered.insert(name.clone(), addition.clone())),
            (Some(Value::Object(inner)), Value::Object(addition)) => merge(file, &key, inner, addition)?,
            (Some(_), _) => return Err(ConfigError::Sealed { file: file.to_owned(), key }),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::tests::with_acme;
    use proptest::prelude::*;
    use serde_json::json;

    const TEMPLATE: &str = "[gateway]\nport = \"{port}\" # why\nhost = \"{address}\"\norigins = \"{origins}\"\n[gateway.auth]\nrequired = [\"x-a\", \"{proof_header}\"]\n";

    fn rendered(extra: Value) -> Result<Value, ConfigError> {
        let mut result = Ok(Value::Null);
        with_acme(|values| {
            let extra = extra.as_object().cloned().unwrap_or_default();
            result =
                render("c.toml", TEMPLATE, values, &extra).map(|text| serde_json::from_str(&text).unwrap());
        });
        result
    }

    #[test]
    fn a_template_renders_with_its_types() {
        let config = rendered(Value::Null).unwrap();
        assert_eq!(config["gateway"]["port"], 18789);
        assert_eq!(config["gateway"]["origins"], json!(["https://acme.example.org"]));
        assert_eq!(config["gateway"]["auth"]["required"][1], "x-tenantd-@gateway@");
    }

    #[test]
    fn a_tenants_settings_add_but_never_change() {
        let config = rendered(json!({"models": {"mode": "replace"}, "gateway": {"push": 1}})).unwrap();
        assert_eq!((&config["models"]["mode"], &config["gateway"]["push"]), (&json!("replace"), &json!(1)));
        for extra in [
            json!({"gateway": 1}),
            json!({"gateway": {"auth": []}}),
            json!({"gateway": {"port": 18789}}),
            json!({"gateway": {"auth": {"required": []}}}),
        ] {
            let error = rendered(extra.clone()).unwrap_err();
            let message = error.to_string();
            assert!(message.starts_with("settings.gateway"), "{message}");
            assert!(message.contains("sealed by the runtime, in c.toml: "), "{message}");
            assert_eq!(check_extra("c.toml", TEMPLATE, extra.as_object().unwrap()), Err(error));
        }
    }

    #[test]
    fn a_mistake_in_a_template_names_its_key() {
        for (template, needle) in [
            ("[a]\nb = [\"{x}\"]", "c.toml: a.b[0]: {x} is no placeholder"),
            ("a = 1979-05-27", "c.toml: a: JSON has no such value"),
            ("a = nan", "c.toml: a: JSON has no such value"),
            ("a =", "c.toml: TOML parse error at line 1"),
        ] {
            let message = check("c.toml", template).unwrap_err().to_string();
            assert!(message.contains(needle), "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_value_changes_the_shape_of_the_file(origin in ".{0,40}") {
            with_acme(|values| {
                let values = Values { origins: std::slice::from_ref(&origin), ..values.clone() };
                let text = render("c.toml", TEMPLATE, &values, &Map::new()).unwrap();
                let config: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(config["gateway"]["origins"], json!([origin]));
                assert_eq!(config["gateway"].as_object().unwrap().len(), 4);
            });
        }
    }
}
