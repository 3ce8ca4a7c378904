//! Calls of JSON-RPC and MCP, and the patterns of rules about them. Names are compared as they are: case counts.

use std::fmt;

use crate::Glob;

/// The method of MCP that calls a tool.
pub(crate) const TOOLS_CALL: &str = "tools/call";

/// What a client of MCP may say to a server, by its revisions up to 2025-11-25.
const KNOWN: [&str; 22] = [
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "notifications/cancelled",
    "notifications/initialized",
    "notifications/progress",
    "notifications/roots/list_changed",
    "notifications/tasks/status",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "tasks/cancel",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    TOOLS_CALL,
    "tools/list",
];

/// A message of JSON-RPC from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its method; nothing: it answers a request of the server's.
    pub method: Option<String>,
    /// The tool that `tools/call` calls: `name` among its parameters.
    pub tool: Option<String>,
}

/// The body of a request.
#[derive(Clone, Copy, Debug, Default)]
pub enum Content<'a> {
    /// There is none.
    #[default]
    None,
    /// Nobody has read it, or it cannot be read: it may hold any call.
    Unknown,
    /// These calls.
    Calls(Calls<'a>),
}

/// The messages in the body of a request.
#[derive(Clone, Copy, Debug)]
pub struct Calls<'a> {
    /// Each of them; there is at least one.
    pub list: &'a [Call],
    /// Length of the body.
    pub bytes: usize,
}

impl<'a> Content<'a> {
    /// These calls in a short body, or none.
    pub fn of(list: &'a [Call]) -> Self {
        if list.is_empty() { Content::None } else { Content::Calls(Calls { list, bytes: 0 }) }
    }

    /// The messages, each by itself; none where there are none to be seen.
    pub(crate) fn each(self) -> impl Iterator<Item = Content<'a>> {
        let (list, bytes) = match self {
            Content::Calls(Calls { list, bytes }) => (list, bytes),
            Content::None | Content::Unknown => (&[][..], 0),
        };
        list.chunks(1).map(move |list| Content::Calls(Calls { list, bytes }))
    }

    pub(crate) fn first(self) -> Option<&'a Call> {
        match self {
            Content::Calls(calls) => calls.list.first(),
            Content::None | Content::Unknown => None,
        }
    }
}

/// What calls an endpoint takes at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// Bytes of a body, at most.
    pub most: usize,
    /// Whether names of tools are those that MCP recommends.
    pub strict_tool_names: bool,
}

/// What a rule says of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallPattern {
    /// Of its method.
    pub method: CallMethod,
    /// Of the tool, where the method is `tools/call`; nothing for any.
    pub tools: Vec<Glob>,
}

/// What a rule says of the method of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallMethod {
    /// Any.
    Any,
    /// Any that a client of MCP may use.
    Known,
    /// Those of this form.
    Like(Glob),
    /// None: the message is an answer to the server.
    Answer,
}

impl Call {
    /// Whether its tool has a name as MCP recommends: 1 to 128 letters, digits, dots, underscores and hyphens.
    fn is_strict(&self) -> bool {
        self.tool.as_deref().is_some_and(|tool| {
            (1..=128).contains(&tool.len())
                && tool.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
        })
    }

    pub(crate) fn is_tool(&self) -> bool {
        self.method.as_deref() == Some(TOOLS_CALL)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(method) = &self.method else { return f.write_str("an answer to the server") };
        match self.tool.as_deref().filter(|_| self.is_tool()) {
            Some(tool) => write!(f, "{method} {tool}"),
            None => f.write_str(method),
        }
    }
}

impl CallLimits {
    /// Whether an endpoint of MCP takes a call of this tool at all.
    pub(crate) fn take(&self, call: &Call) -> bool {
        !call.is_tool() || call.tool.is_some() && (!self.strict_tool_names || call.is_strict())
    }

    /// Whether it takes all that the other takes.
    pub(crate) fn cover(&self, wanted: &CallLimits) -> bool {
        self.most >= wanted.most && (wanted.strict_tool_names || !self.strict_tool_names)
    }
}

impl CallPattern {
    pub(crate) fn of(method: CallMethod) -> Self {
        Self { method, tools: Vec::new() }
    }

    /// Whether a rule of this pattern allows the call.
    pub(crate) fn allows(&self, call: &Call) -> bool {
        self.method.matches(call) && (!self.narrows(call) || self.matches_tool(call))
    }

    /// Whether one refuses it: a call of a tool that has no name is one of any.
    pub(crate) fn denies(&self, call: &Call) -> bool {
        self.method.matches(call) && (!self.narrows(call) || call.tool.is_none() || self.matches_tool(call))
    }

    fn narrows(&self, call: &Call) -> bool {
        call.is_tool() && !self.tools.is_empty()
    }

    fn matches_tool(&self, call: &Call) -> bool {
        call.tool.as_deref().is_some_and(|tool| self.tools.iter().any(|glob| glob.matches(tool)))
    }

    /// Whether it takes in all of the other; "no" may be wrong, "yes" is not.
    pub(crate) fn covers(&self, wanted: &CallPattern) -> bool {
        let tools = self.tools.is_empty()
            || !wanted.method.calls_tools()
            || !wanted.tools.is_empty()
                && wanted.tools.iter().all(|tool| self.tools.iter().any(|own| own.covers(tool)));
        self.method.covers(&wanted.method) && tools
    }

    /// Whether some call may be of both; "yes" may be wrong, "no" is not.
    pub(crate) fn may_overlap(&self, other: &CallPattern) -> bool {
        let only_tools =
            |method: &CallMethod| matches!(method, CallMethod::Like(glob) if glob.as_str() == TOOLS_CALL);
        let apart = (only_tools(&self.method) || only_tools(&other.method))
            && !self.tools.is_empty()
            && !other.tools.is_empty()
            && !self.tools.iter().any(|own| other.tools.iter().any(|tool| own.may_overlap(tool)));
        self.method.may_overlap(&other.method) && !apart
    }

    /// Calls that it matches, for examples: method and tool, or none where it is about answers.
    pub(crate) fn samples(&self) -> Vec<Call> {
        let methods: Vec<String> = match &self.method {
            CallMethod::Answer => return vec![Call { method: None, tool: None }],
            CallMethod::Any => vec![TOOLS_CALL.to_owned(), "x".to_owned()],
            CallMethod::Known => KNOWN.iter().rev().map(|method| (*method).to_owned()).collect(),
            CallMethod::Like(glob) if glob.matches(TOOLS_CALL) => vec![TOOLS_CALL.to_owned(), glob.sample()],
            CallMethod::Like(glob) => vec![glob.sample()],
        };
        let tools: Vec<String> = match self.tools.is_empty() {
            true => vec!["x".to_owned(), "x y".to_owned()],
            false => self.tools.iter().map(Glob::sample).collect(),
        };
        let calls = methods.into_iter().flat_map(|method| {
            let named = method == TOOLS_CALL;
            let names = if named { tools.iter().cloned().map(Some).collect() } else { vec![None] };
            names.into_iter().map(move |tool| Call { method: Some(method.clone()), tool })
        });
        calls.collect()
    }
}

impl CallMethod {
    fn matches(&self, call: &Call) -> bool {
        match (self, call.method.as_deref()) {
            (CallMethod::Answer, None) | (CallMethod::Any, Some(_)) => true,
            (CallMethod::Known, Some(method)) => KNOWN.contains(&method),
            (CallMethod::Like(glob), Some(method)) => glob.matches(method),
            (CallMethod::Answer, Some(_))
            | (CallMethod::Any | CallMethod::Known | CallMethod::Like(_), None) => false,
        }
    }

    /// Whether it may be the method that calls tools.
    pub(crate) fn calls_tools(&self) -> bool {
        match self {
            CallMethod::Any | CallMethod::Known => true,
            CallMethod::Like(glob) => glob.matches(TOOLS_CALL),
            CallMethod::Answer => false,
        }
    }

    fn covers(&self, wanted: &CallMethod) -> bool {
        match (self, wanted) {
            (own, wanted) if own == wanted => true,
            (CallMethod::Any, CallMethod::Known | CallMethod::Like(_)) => true,
            (CallMethod::Known, CallMethod::Like(glob)) => {
                glob.is_literal() && KNOWN.contains(&glob.as_str())
            }
            (CallMethod::Like(own), CallMethod::Like(glob)) => own.covers(glob),
            (CallMethod::Like(own), CallMethod::Known) => KNOWN.iter().all(|method| own.matches(method)),
            (CallMethod::Like(own), CallMethod::Any) => own.is_any(),
            (CallMethod::Any | CallMethod::Known | CallMethod::Like(_) | CallMethod::Answer, _) => false,
        }
    }

    fn may_overlap(&self, other: &CallMethod) -> bool {
        match (self, other) {
            (CallMethod::Answer, other) | (other, CallMethod::Answer) => *other == CallMethod::Answer,
            (CallMethod::Like(own), CallMethod::Like(glob)) => own.may_overlap(glob),
            (CallMethod::Like(glob), CallMethod::Known) | (CallMethod::Known, CallMethod::Like(glob)) => {
                KNOWN.iter().any(|method| glob.matches(method))
            }
            (CallMethod::Any | CallMethod::Known | CallMethod::Like(_), _) => true,
        }
    }
}

impl fmt::Display for CallPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.method {
            CallMethod::Any => f.write_str("any method")?,
            CallMethod::Known => f.write_str("any method of MCP")?,
            CallMethod::Like(glob) => write!(f, "{glob}")?,
            CallMethod::Answer => f.write_str("answers to the server")?,
        }
        if !self.tools.is_empty() {
            let tools: Vec<_> = self.tools.iter().map(Glob::as_str).collect();
            let only = if matches!(&self.method, CallMethod::Like(_)) { "" } else { ", of tools only" };
            write!(f, "{only} {}", tools.join("|"))?;
        }
        Ok(())
    }
}
