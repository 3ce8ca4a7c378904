//! `[settings]` of a spec: what a tenant's operator adds to the gateway's own configuration file. Written as TOML, and
//! held as the JSON that the gateway reads, so that nothing is left to go wrong between the two.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

/// Keys that a spec adds to the gateway's configuration. Which ones a runtime lets it add, `runtime` knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "toml::Table")]
pub struct GatewaySettings(Map<String, Value>);

impl GatewaySettings {
    /// The keys.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A value that TOML has and JSON has not.
#[derive(Debug, thiserror::Error)]
#[error("settings{0}: a gateway's configuration is JSON, which has no such value: write it as a string")]
pub struct NotJson(String);

impl TryFrom<toml::Table> for GatewaySettings {
    type Error = NotJson;
    fn try_from(table: toml::Table) -> Result<Self, NotJson> {
        members(String::new(), table).map(Self)
    }
}

fn members(key: String, table: toml::Table) -> Result<Map<String, Value>, NotJson> {
    table
        .into_iter()
        .map(|(name, value)| {
            let value = json(format!("{key}.{name}"), value)?;
            Ok((name, value))
        })
        .collect()
}

fn json(key: String, value: toml::Value) -> Result<Value, NotJson> {
    Ok(match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => Number::from_f64(number).map(Value::Number).ok_or(NotJson(key))?,
        toml::Value::Boolean(truth) => truth.into(),
        toml::Value::Datetime(_) => return Err(NotJson(key)),
        toml::Value::Array(items) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| json(format!("{key}[{index}]"), item))
            .collect::<Result<Vec<_>, _>>()?
            .into(),
        toml::Value::Table(table) => members(key, table)?.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SpecFile;

    fn read(settings: &str) -> Result<SpecFile, String> {
        let text = format!("id = \"acme\"\nruntime = \"openclaw\"\n\n[settings]\n{settings}");
        SpecFile::parse("acme.toml", &text).map_err(|error| error.to_string())
    }

    #[test]
    fn settings_are_what_the_gateway_will_read_and_read_back_as_written() {
        let spec = read("a = [1, 2.5, true]\nb.c = \"x\"\n").unwrap();
        let expected = serde_json::json!({"a": [1, 2.5, true], "b": {"c": "x"}});
        assert_eq!(Value::Object(spec.settings.as_map().clone()), expected);
        assert_eq!(SpecFile::parse("acme.toml", &spec.to_toml().unwrap()).unwrap(), spec);
    }

    #[test]
    fn what_json_does_not_have_is_refused_with_its_key() {
        for (text, key) in [
            ("a.since = 2024-01-01\n", "settings.a.since: "),
            ("a = [1, nan]\n", "settings.a[1]: "),
            ("a = inf\n", "settings.a: "),
        ] {
            let message = read(text).unwrap_err();
            assert!(message.starts_with("acme.toml: ") && message.contains(key), "{message}");
        }
    }
}
