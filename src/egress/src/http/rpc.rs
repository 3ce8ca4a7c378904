//! A body as messages of JSON-RPC 2.0, read so that no server reads another message in it.
//!
//! Servers differ about names that stand twice (the first counts, or the last), about case (Go's `encoding/json` takes `Method` for
//! `method`), about encodings and about what follows. What could be read in two ways is no message here.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use policy::Call;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

/// Values inside values, at most.
const DEEPEST: u8 = 64;
/// Messages in one body, at most.
const MOST: usize = 64;
/// Bytes of a method or tool, and of the identifier of a request, at most.
const LONGEST: usize = 256;
/// The names of a message.
const MEMBERS: [&str; 6] = ["jsonrpc", "method", "params", "id", "result", "error"];
const TOOLS_CALL: &str = "tools/call";

/// The messages of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) calls: Vec<Call>,
    /// Identifiers of those that want an answer, as they stand.
    pub(super) ids: Vec<String>,
    /// Whether they stand in a list.
    pub(super) batch: bool,
}

/// Reads one, or says why it is none that every server reads alike.
pub(super) fn read(body: &[u8]) -> Result<Said, &'static str> {
    let text = std::str::from_utf8(body).map_err(|_| "it is not UTF-8")?;
    let mut strict = serde_json::Deserializer::from_str(text);
    // What is wrong with it is said without its own words.
    Strict(DEEPEST).deserialize(&mut strict).map_err(|error| match error.classify() {
        Category::Data => "a name stands in it twice or holds control characters, or it is nested too deeply",
        Category::Io | Category::Syntax | Category::Eof => "it is not JSON",
    })?;
    strict.end().map_err(|_| "it is not JSON alone")?;
    let batch = text.trim_start().starts_with('[');
    let list: Vec<&RawValue> = match batch {
        true => serde_json::from_str(text).map_err(|_| "it is not JSON")?,
        false => vec![serde_json::from_str(text).map_err(|_| "it is not JSON")?],
    };
    if list.is_empty() || list.len() > MOST {
        return Err("a batch has 1 to 64 messages");
    }
    let mut said = Said { calls: Vec::with_capacity(list.len()), ids: Vec::new(), batch };
    for message in list {
        let (call, id) = one(message)?;
        said.ids.extend(id);
        said.calls.push(call);
    }
    Ok(said)
}

type Members<'a> = BTreeMap<String, &'a RawValue>;

fn members(raw: &RawValue) -> Option<Members<'_>> {
    serde_json::from_str(raw.get()).ok()
}

fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// A message, and its identifier if it wants an answer.
fn one(raw: &RawValue) -> Result<(Call, Option<String>), &'static str> {
    let members = members(raw).ok_or("a message is an object")?;
    if members.keys().any(|name| !MEMBERS.contains(&name.as_str())) {
        return Err("a message has a member that JSON-RPC does not have");
    }
    if members.get("jsonrpc").and_then(|version| text(version)).as_deref() != Some("2.0") {
        return Err("a message says jsonrpc: \"2.0\"");
    }
    let id = members.get("id").map(|id| id.get());
    let plain = |id: &&str| id.len() <= LONGEST && !id.starts_with(['{', '[', 't', 'f']);
    if id.as_ref().is_some_and(|id| !plain(id)) {
        return Err("the identifier of a message is a short text or a number");
    }
    let is_object = |raw: &&RawValue| raw.get().starts_with('{');
    match (members.get("method"), members.get("params"), members.get("result"), members.get("error")) {
        (Some(method), params, None, None) => Ok((call(method, params.copied())?, id.map(str::to_owned))),
        (None, None, Some(_), None) if id.is_some() => Ok((Call { method: None, tool: None }, None)),
        (None, None, None, Some(error)) if id.is_some() && is_object(error) => {
            Ok((Call { method: None, tool: None }, None))
        }
        _ => Err("a message is a request, a notification or a response"),
    }
}

fn call(method: &RawValue, params: Option<&RawValue>) -> Result<Call, &'static str> {
    let method = text(method)
        .filter(|method| (1..=LONGEST).contains(&method.len()))
        .filter(|method| method.bytes().all(|b| b.is_ascii_graphic()))
        .ok_or("a method is a word of 1 to 256 letters, digits and signs")?;
    if params.is_some_and(|params| !params.get().starts_with(['{', '['])) {
        return Err("parameters are an object or a list");
    }
    let tool = match params.and_then(members) {
        Some(params) if method == TOOLS_CALL => tool(&params)?,
        Some(_) | None => None,
    };
    Ok(Call { method: Some(method), tool })
}

fn tool(params: &Members<'_>) -> Result<Option<String>, &'static str> {
    if params.keys().any(|name| name != "name" && name.eq_ignore_ascii_case("name")) {
        return Err("the name of a tool stands in it in two ways");
    }
    let Some(name) = params.get("name") else { return Ok(None) };
    let name = text(name)
        .filter(|name| (1..=LONGEST).contains(&name.len()) && !name.chars().any(char::is_control))
        .ok_or("the name of a tool is a text of 1 to 256 bytes")?;
    Ok(Some(name))
}

/// Takes values in which each name stands once, and that are not nested deeper than this.
#[derive(Clone, Copy)]
struct Strict(u8);

impl Strict {
    fn below<E: Error>(self) -> Result<Strict, E> {
        self.0.checked_sub(1).map(Strict).ok_or_else(|| E::custom("too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        let below = self.below()?;
        while values.next_element_seed(below)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        let below = self.below()?;
        let mut names: HashSet<String> = HashSet::new();
        while let Some(name) = values.next_key::<String>()? {
            // Readers in C end a name at its first zero.
            if name.chars().any(char::is_control) || !names.insert(name) {
                return Err(A::Error::custom("twice"));
            }
            values.next_value_seed(below)?;
        }
        Ok(())
    }
}
