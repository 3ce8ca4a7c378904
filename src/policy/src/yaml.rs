//! YAML as far as a policy needs it: a tree of strings, lists and maps that knows where each came from.
//!
//! Everything is bounded before it is built. Anchors, aliases and tags are refused, so a document is as large as its text;
//! so are duplicate keys, keys that are not plain strings, and a second document.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::problem::{Mark, Problems, shown};

/// Largest document.
pub const MOST_BYTES: usize = 1 << 20;
/// Deepest nesting.
const MOST_DEPTH: usize = 32;
/// Most scalars, lists and maps together.
const MOST_NODES: usize = 100_000;

/// A value and where it begins.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) mark: Mark,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Text, and whether it was written without quotes: only then it may be a number, a truth value or nothing.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) mark: Mark,
    pub(crate) key: String,
    pub(crate) value: Node,
}

impl Node {
    /// What kind of value this is, for messages.
    pub(crate) fn kind(&self) -> String {
        match &self.value {
            Value::Scalar { text, .. } if self.is_null() && text.is_empty() => "nothing".to_owned(),
            Value::Scalar { text, .. } => shown(text),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }

    /// Whether nothing is written here (`key:`, `~`, `null`).
    pub(crate) fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar { text, plain } => *plain && matches!(text.as_str(), "" | "~" | "null"),
            Value::List(_) | Value::Map(_) => false,
        }
    }
}

/// A list or map that is being filled.
enum Open {
    List(Mark, Vec<Node>),
    /// The entries, the lines of their keys, and a key that waits for its value.
    Map(Mark, Vec<Entry>, HashMap<String, usize>, Option<(Mark, String)>),
}

struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
    documents: usize,
}

/// Reads one document; nothing if it is no YAML that we take, and then the reason stands in `problems`.
pub(crate) fn read(text: &str, problems: &mut Problems<'_>) -> Option<Node> {
    if text.len() > MOST_BYTES {
        problems.add(Mark { line: 1, column: 1 }, "larger than 1 MiB: this is no policy document");
        return None;
    }
    let mut builder = Builder { open: Vec::new(), root: None, nodes: 0, documents: 0 };
    for event in Parser::new_from_str(text) {
        let outcome = match event {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => Err((mark_of(error.marker()), format!("not YAML: {}", error.info()))),
        };
        if let Err((mark, what)) = outcome {
            problems.add(mark, what);
            return None;
        }
    }
    if builder.root.is_none() {
        problems.add(Mark { line: 1, column: 1 }, "the document is empty: it begins with \"version: 1\"");
    }
    builder.root
}

fn mark_of(marker: &saphyr_parser::Marker) -> Mark {
    Mark { line: marker.line().max(1), column: marker.col() + 1 }
}

type Wrong = (Mark, String);

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Wrong> {
        let mark = mark_of(&span.start);
        let refuse = |what: &str| Err((mark, what.to_owned()));
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return refuse("a second document: a policy is one document, without \"---\" inside");
                }
                Ok(())
            }
            Event::Alias(_) => {
                refuse("an alias (\"*name\"): aliases are refused, write the value where it is needed")
            }
            Event::Scalar(_, _, anchor, tag) if anchor != 0 || tag.is_some() => refuse(ANCHOR),
            Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag)
                if anchor != 0 || tag.is_some() =>
            {
                refuse(ANCHOR)
            }
            Event::Scalar(text, style, _, _) => {
                let plain = style == ScalarStyle::Plain;
                self.scalar(mark, text.into_owned(), plain)
            }
            Event::SequenceStart(_, _) => self.begin(mark, Open::List(mark, Vec::new())),
            Event::MappingStart(_, _) => self.begin(mark, Open::Map(mark, Vec::new(), HashMap::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => self.end(mark),
        }
    }

    fn count(&mut self, mark: Mark) -> Result<(), Wrong> {
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            return Err((mark, format!("more than {MOST_NODES} values: this is no policy document")));
        }
        Ok(())
    }

    fn begin(&mut self, mark: Mark, open: Open) -> Result<(), Wrong> {
        self.count(mark)?;
        if self.open.len() >= MOST_DEPTH {
            return Err((
                mark,
                format!("nested deeper than {MOST_DEPTH}: no field of a policy is that deep"),
            ));
        }
        if let Some(Open::Map(_, _, _, None)) = self.open.last() {
            return Err((mark, "a list or map as a key: a key is a word".to_owned()));
        }
        self.open.push(open);
        Ok(())
    }

    fn scalar(&mut self, mark: Mark, text: String, plain: bool) -> Result<(), Wrong> {
        self.count(mark)?;
        if let Some(Open::Map(_, _, lines, key @ None)) = self.open.last_mut() {
            if let Some(line) = lines.insert(text.clone(), mark.line) {
                return Err((
                    mark,
                    format!("{} stands here and in line {line}: keep one of them", shown(&text)),
                ));
            }
            *key = Some((mark, text));
            return Ok(());
        }
        self.put(Node { mark, value: Value::Scalar { text, plain } });
        Ok(())
    }

    fn end(&mut self, mark: Mark) -> Result<(), Wrong> {
        let node = match self.open.pop() {
            Some(Open::List(mark, items)) => Node { mark, value: Value::List(items) },
            Some(Open::Map(mark, entries, _, _)) => Node { mark, value: Value::Map(entries) },
            None => return Err((mark, "an end without a beginning".to_owned())),
        };
        self.put(node);
        Ok(())
    }

    fn put(&mut self, node: Node) {
        match self.open.last_mut() {
            Some(Open::List(_, items)) => items.push(node),
            Some(Open::Map(_, entries, _, key)) => {
                if let Some((mark, key)) = key.take() {
                    entries.push(Entry { mark, key, value: node });
                }
            }
            None => self.root = Some(node),
        }
    }
}

const ANCHOR: &str =
    "an anchor (\"&name\") or a tag (\"!name\"): both are refused, write the value where it is needed";
