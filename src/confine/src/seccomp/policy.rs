//! The format of `policies/seccomp/*.toml`, read with its includes into one table of decisions.
//!
//! Every entry names calls and says why. Two entries that contradict each other are an error naming both.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::condition::{self, Alternative};
use super::names;
use crate::sources::{Place, PolicyError, Sources, Text};

/// A policy with all it includes.
#[derive(Debug, Default)]
pub(super) struct Policy {
    /// Calls that are allowed, by number.
    pub(super) allow: BTreeMap<u32, Allowed>,
    /// Calls that answer an error although they may be allowed, by number.
    pub(super) deny: BTreeMap<u32, Denied>,
    /// Calls that end the process, by number.
    pub(super) kill: BTreeMap<u32, Vec<Alternative>>,
    /// Whether refused calls are written to the audit log.
    pub(super) log: bool,
    /// Unconditional decisions, to find contradictions.
    decided: BTreeMap<u32, Place>,
}

/// How a call is allowed.
#[derive(Debug)]
pub(super) struct Allowed {
    /// Any of these; empty: always.
    pub(super) when: Vec<Alternative>,
    /// The error number when none holds.
    pub(super) otherwise: Option<u32>,
    place: Place,
}

/// How a call is denied.
#[derive(Debug)]
pub(super) struct Denied {
    /// Any of these; empty: always.
    pub(super) when: Vec<Alternative>,
    /// The error number.
    pub(super) errno: u32,
    place: Place,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    description: String,
    #[serde(default)]
    log: bool,
    #[serde(default)]
    include: Vec<Spanned<String>>,
    #[serde(default)]
    allow: Vec<Spanned<Entry>>,
    #[serde(default)]
    deny: Vec<Spanned<Entry>>,
    #[serde(default)]
    kill: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    calls: Vec<String>,
    #[serde(default)]
    when: Vec<String>,
    otherwise: Option<String>,
    errno: Option<String>,
    why: String,
}

impl Policy {
    /// Reads the policy `name` (without `.toml`) and everything it includes.
    pub(super) fn read(sources: &Sources, name: &str) -> Result<Self, PolicyError> {
        let mut policy = Policy::default();
        let file = format!("{name}.toml");
        policy.add_file(sources, &file, &Place::root(&file), &mut Vec::new())?;
        Ok(policy)
    }

    /// Allows one call in the filters installed before the last, for the launcher alone.
    pub(super) fn open_for_launcher(&mut self, call: u32, place: &Place) {
        self.allow.insert(call, Allowed { when: Vec::new(), otherwise: None, place: place.clone() });
    }

    fn add_file(
        &mut self,
        sources: &Sources,
        file: &str,
        by: &Place,
        above: &mut Vec<String>,
    ) -> Result<(), PolicyError> {
        if above.iter().any(|including| including == file) {
            return Err(by.error(format!("includes itself: {} -> {file}", above.join(" -> "))));
        }
        let (document, text): (Document, Text<'_>) = sources.parse(file, by)?;
        if document.description.trim().is_empty() {
            return Err(Place::root(file)
                .error("\"description\" is empty; say in one sentence what this policy is for"));
        }
        self.log |= document.log;
        above.push(file.to_owned());
        for include in &document.include {
            let place = text.place(include.span(), "include");
            self.add_file(sources, include.get_ref(), &place, above)?;
        }
        above.pop();
        for (kind, entries) in [("allow", document.allow), ("deny", document.deny), ("kill", document.kill)] {
            for entry in entries {
                let names = entry.get_ref().calls.join(", ");
                let place = text.place(entry.span(), format!("[[{kind}]] {names}"));
                self.add_entry(kind, entry.into_inner(), &place)?;
            }
        }
        Ok(())
    }

    fn add_entry(&mut self, kind: &str, entry: Entry, place: &Place) -> Result<(), PolicyError> {
        if entry.why.trim().is_empty() {
            return Err(place.error("\"why\" is empty; say who needs it, or what it keeps out"));
        }
        if entry.calls.is_empty() {
            return Err(place.error("\"calls\" is empty"));
        }
        let mut when = Vec::new();
        for text in &entry.when {
            when.extend(condition::parse(text).map_err(|cause| place.error(cause))?);
        }
        let number = |key: &str, name: &Option<String>| match name {
            None => Ok(None),
            Some(name) => match names::errno(name) {
                Some(number) => Ok(Some(number)),
                None => Err(place.error(format!("{key} = \"{name}\" is not an error number known here"))),
            },
        };
        let (otherwise, errno) = (number("otherwise", &entry.otherwise)?, number("errno", &entry.errno)?);
        match (kind, otherwise, errno) {
            ("allow", Some(_), None) if !when.is_empty() => {}
            ("allow", None, None) if when.is_empty() => {}
            ("allow", ..) => {
                return Err(place.error(
                    "an allowed call takes \"otherwise\" exactly when it has \"when\", and never \"errno\"",
                ));
            }
            ("deny", None, Some(_)) | ("kill", None, None) => {}
            ("deny", ..) => return Err(place.error("a denied call takes \"errno\" and no \"otherwise\"")),
            _ => return Err(place.error("a killing entry takes neither \"errno\" nor \"otherwise\"")),
        }
        for name in &entry.calls {
            let call = names::call(name).ok_or_else(|| {
                place.error(format!("x86_64 has no system call \"{name}\" (names are those of syscalls(2))"))
            })?;
            match (kind, errno) {
                ("allow", _) => self.allow(call, &when, otherwise, place)?,
                ("deny", Some(errno)) => self.refuse(call, &when, Some(errno), place)?,
                _ => self.refuse(call, &when, None, place)?,
            }
        }
        Ok(())
    }

    fn allow(
        &mut self,
        call: u32,
        when: &[Alternative],
        otherwise: Option<u32>,
        place: &Place,
    ) -> Result<(), PolicyError> {
        if let Some(other) = self.decided.get(&call) {
            return Err(contradiction(place, other));
        }
        if let Some(known) = self.allow.get_mut(&call) {
            if known.when.is_empty() || when.is_empty() || known.otherwise != otherwise {
                return Err(contradiction(place, &known.place));
            }
            known.when.extend_from_slice(when);
            return Ok(());
        }
        self.allow.insert(call, Allowed { when: when.to_vec(), otherwise, place: place.clone() });
        Ok(())
    }

    /// Answers an error number, or kills when there is none.
    fn refuse(
        &mut self,
        call: u32,
        when: &[Alternative],
        errno: Option<u32>,
        place: &Place,
    ) -> Result<(), PolicyError> {
        if let Some(other) = self.decided.get(&call) {
            return Err(contradiction(place, other));
        }
        if when.is_empty() {
            let refined = self.kill.contains_key(&call) || self.deny.contains_key(&call);
            if let Some(allowed) = self.allow.get(&call) {
                return Err(contradiction(place, &allowed.place));
            }
            if refined {
                return Err(
                    place.error("another entry refuses this call under a condition; keep one of the two")
                );
            }
            self.decided.insert(call, place.clone());
        }
        let Some(errno) = errno else {
            self.kill.entry(call).or_default().extend_from_slice(when);
            return Ok(());
        };
        match self.deny.get_mut(&call) {
            Some(known) if known.errno != errno => return Err(contradiction(place, &known.place)),
            Some(known) => known.when.extend_from_slice(when),
            None => {
                self.deny.insert(call, Denied { when: when.to_vec(), errno, place: place.clone() });
            }
        }
        Ok(())
    }
}

fn contradiction(place: &Place, other: &Place) -> PolicyError {
    place.error(format!(
        "contradicts {}:{} ({}); a call is decided once, or its entries all have \"when\" and the same error",
        other.file, other.line, other.entry
    ))
}
