//! Reading a map strictly: each field is taken by its name and type, and what is left over is an error.

use crate::problem::{Mark, Problems, shown};
use crate::yaml::{Entry, Node, Value};

/// Fields that the format has and this program does not enforce, with what to do about each.
pub(crate) type Unenforced = &'static [(&'static str, &'static str)];

/// The fields of one map that have not been taken yet.
pub(crate) struct Fields<'n> {
    pub(crate) mark: Mark,
    /// What the map is, for messages: `endpoint`, `rule "slack"`.
    what: String,
    left: Vec<&'n Entry>,
}

impl<'n> Fields<'n> {
    /// The fields of a map; nothing if this is none.
    pub(crate) fn of(
        node: &'n Node,
        what: impl Into<String>,
        problems: &mut Problems<'_>,
    ) -> Option<Fields<'n>> {
        let what = what.into();
        match &node.value {
            Value::Map(entries) => Some(Fields { mark: node.mark, what, left: entries.iter().collect() }),
            Value::Scalar { .. } | Value::List(_) => {
                problems.add(node.mark, format!("{what} is a map of fields, not {}", node.kind()));
                None
            }
        }
    }

    /// The field of this name, wherever it stands.
    pub(crate) fn take(&mut self, name: &str) -> Option<&'n Entry> {
        let index = self.left.iter().position(|entry| entry.key == name)?;
        Some(self.left.swap_remove(index))
    }

    /// A text.
    pub(crate) fn text(&mut self, name: &str, problems: &mut Problems<'_>) -> Option<(Mark, &'n str)> {
        let entry = self.take(name)?;
        text_of(&entry.value, name, problems)
    }

    /// `true` or `false`.
    pub(crate) fn truth(&mut self, name: &str, problems: &mut Problems<'_>) -> Option<(Mark, bool)> {
        let entry = self.take(name)?;
        let mark = entry.value.mark;
        match &entry.value.value {
            Value::Scalar { text, plain: true } if text == "true" => Some((mark, true)),
            Value::Scalar { text, plain: true } if text == "false" => Some((mark, false)),
            Value::Scalar { .. } | Value::List(_) | Value::Map(_) => {
                problems.add(
                    mark,
                    format!("{name} is true or false, without quotes, not {}", entry.value.kind()),
                );
                None
            }
        }
    }

    /// The items of a list.
    pub(crate) fn list(&mut self, name: &str, problems: &mut Problems<'_>) -> Option<(Mark, &'n [Node])> {
        let entry = self.take(name)?;
        match &entry.value.value {
            Value::List(items) => Some((entry.mark, items)),
            Value::Scalar { .. } | Value::Map(_) => {
                problems.add(entry.value.mark, format!("{name} is a list, not {}", entry.value.kind()));
                None
            }
        }
    }

    /// The texts of a list.
    pub(crate) fn texts(
        &mut self,
        name: &str,
        problems: &mut Problems<'_>,
    ) -> Option<(Mark, Vec<(Mark, &'n str)>)> {
        let (mark, items) = self.list(name, problems)?;
        Some((mark, items.iter().filter_map(|item| text_of(item, name, problems)).collect()))
    }

    /// Refuses what is left: fields that exist and are not enforced by name, others as unknown. Comes back: whether there were any.
    pub(crate) fn finish(self, unenforced: Unenforced, problems: &mut Problems<'_>) -> bool {
        let any = !self.left.is_empty();
        for entry in self.left {
            let what = match unenforced.iter().find(|(name, _)| *name == entry.key) {
                Some((name, remedy)) => format!("{name} is not enforced here: {remedy}"),
                None => format!(
                    "{} has no field {}: take it out, or correct its name",
                    self.what,
                    shown(&entry.key)
                ),
            };
            problems.add(entry.mark, what);
        }
        any
    }
}

/// A text; numbers are texts where a text is wanted (`run_as_user: 1500`), nothing is not.
pub(crate) fn text_of<'n>(
    node: &'n Node,
    name: &str,
    problems: &mut Problems<'_>,
) -> Option<(Mark, &'n str)> {
    match &node.value {
        Value::Scalar { text, .. } if !node.is_null() => Some((node.mark, text)),
        Value::Scalar { .. } | Value::List(_) | Value::Map(_) => {
            problems.add(node.mark, format!("{name} is a text, not {}", node.kind()));
            None
        }
    }
}

/// A whole number in a range.
pub(crate) fn number_of(
    node: &Node,
    name: &str,
    allowed: std::ops::RangeInclusive<u64>,
    problems: &mut Problems<'_>,
) -> Option<u64> {
    let number = match &node.value {
        Value::Scalar { text, plain: true } if text.bytes().all(|b| b.is_ascii_digit()) => {
            text.parse::<u64>().ok().filter(|_| text == "0" || !text.starts_with('0'))
        }
        Value::Scalar { .. } | Value::List(_) | Value::Map(_) => None,
    };
    let number = number.filter(|number| allowed.contains(number));
    if number.is_none() {
        let (least, most) = (allowed.start(), allowed.end());
        let range = if least == most { format!("{least}") } else { format!("from {least} to {most}") };
        problems
            .add(node.mark, format!("{name} is a whole number without quotes, {range}, not {}", node.kind()));
    }
    number
}
