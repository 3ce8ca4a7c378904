//! Texts with placeholders in braces, checked when they are read: an unknown name never reaches a tenant.

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::place::{Placeholder, Values};

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// The name is not known.
    #[error("{{{name}}} is no placeholder: known are {known}")]
    Unknown {
        /// The name.
        name: String,
        /// All names there are.
        known: String,
    },
    /// A brace stands alone.
    #[error("a brace stands alone in {0:?}: write {{{{ or }}}} for a literal brace")]
    Brace(String),
    /// A list or table within a text.
    #[error("{{{0}}} is a list or a table and must be the whole value")]
    NotText(String),
    /// NUL cannot be passed to a program.
    #[error("a NUL byte cannot be passed to a program")]
    Nul,
}

/// Why something could not be made for a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RenderError {
    /// The runtime's program is fixed.
    #[error(
        "runtime {runtime} brings its own program: leave \"command\" out of the spec, or choose the runtime \"generic\""
    )]
    CommandGiven {
        /// The runtime.
        runtime: String,
    },
    /// The runtime has no program of its own.
    #[error(
        "runtime {runtime} has no program of its own: say which with \"command\" in the spec (--command)"
    )]
    CommandMissing {
        /// The runtime.
        runtime: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(Placeholder),
}

/// A text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Template(Vec<Part>);

impl Template {
    /// Reads a text; `{name}` is a placeholder, `{{` and `}}` are literal braces.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.contains('\0') {
            return Err(TemplateError::Nul);
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = from.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = from.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else {
                let (name, after) = from
                    .strip_prefix('{')
                    .and_then(|inner| inner.split_once('}'))
                    .ok_or_else(|| TemplateError::Brace(text.to_owned()))?;
                parts.extend((!literal.is_empty()).then(|| Part::Text(std::mem::take(&mut literal))));
                parts.push(Part::Place(named(name)?));
                rest = after;
            }
        }
        literal.push_str(rest);
        parts.extend((!literal.is_empty()).then_some(Part::Text(literal)));
        let template = Self(parts);
        let list = template.places().find(|place| !place.is_scalar());
        match list {
            Some(place) if template.0.len() > 1 => Err(TemplateError::NotText(name_of(place))),
            Some(_) | None => Ok(template),
        }
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = Placeholder> + '_ {
        self.0.iter().filter_map(|part| match part {
            Part::Place(place) => Some(*place),
            Part::Text(_) => None,
        })
    }

    /// The value: of its own type where the template is one placeholder, else a text.
    pub(crate) fn value(&self, values: &Values<'_>) -> Value {
        match self.0.as_slice() {
            [Part::Place(place)] => place.value(values),
            _ => Value::String(self.text(values)),
        }
    }

    /// The text.
    pub(crate) fn text(&self, values: &Values<'_>) -> String {
        self.0
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Place(place) => match place.value(values) {
                    Value::String(text) => text,
                    other @ (Value::Null
                    | Value::Bool(_)
                    | Value::Number(_)
                    | Value::Array(_)
                    | Value::Object(_)) => other.to_string(),
                },
            })
            .collect()
    }
}

fn named(name: &str) -> Result<Placeholder, TemplateError> {
    Placeholder::named(name).ok_or_else(|| TemplateError::Unknown {
        name: name.chars().take(64).collect(),
        known: Placeholder::ALL.map(|(known, _)| known).join(", "),
    })
}

fn name_of(place: Placeholder) -> String {
    Placeholder::ALL.iter().find(|(_, known)| *known == place).map_or("", |(name, _)| name).to_owned()
}

impl TryFrom<String> for Template {
    type Error = TemplateError;
    fn try_from(text: String) -> Result<Self, TemplateError> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::tests::with_acme;
    use proptest::prelude::*;

    fn render(text: &str) -> String {
        let mut rendered = String::new();
        with_acme(|values| rendered = Template::parse(text).unwrap().text(values));
        rendered
    }

    #[test]
    fn placeholders_are_replaced_and_double_braces_are_literal() {
        assert_eq!(render("{state}/logs:{port}"), "/var/lib/tenants/acme_corp/state/logs:18789");
        assert_eq!(render("{{port}} {{}}"), "{port} {}");
        assert_eq!(render(""), "");
    }

    #[test]
    fn a_port_alone_stays_a_number() {
        with_acme(|values| assert_eq!(Template::parse("{port}").unwrap().value(values), 18789));
    }

    #[test]
    fn mistakes_are_found_when_the_text_is_read() {
        for (text, needle) in [
            ("{prot}", "{prot} is no placeholder: known are runtime, cell"),
            ("{port", "a brace stands alone"),
            ("port}", "a brace stands alone"),
            ("x{origins}", "must be the whole value"),
            ("a\0b", "NUL"),
        ] {
            let message = Template::parse(text).unwrap_err().to_string();
            assert!(message.contains(needle), "{text}: {message}");
        }
    }

    proptest! {
        #[test]
        fn escaped_text_comes_back_as_it_was(text in "[^\0]{0,40}") {
            let escaped = text.replace('{', "{{").replace('}', "}}");
            prop_assert_eq!(render(&escaped), text);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[{}a-z]{0,20}") {
            drop(Template::parse(&text));
        }
    }
}
