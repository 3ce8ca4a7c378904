//! Endpoints whose calls are looked at, `protocol: mcp` and `protocol: json-rpc`: their options and their rules.

use crate::Glob;
use crate::calls::{CallLimits, CallMethod, CallPattern, TOOLS_CALL};
use crate::document::{Protocol, Rule};
use crate::fields::{Fields, Unenforced, number_of};
use crate::problem::{Mark, Problems, shown};
use crate::yaml::{Entry, Node, Value};

/// Bytes of a body where the document says nothing, and at most.
const USUAL: usize = 64 << 10;
const MOST: u64 = 1 << 20;

const OPTIONS: Unenforced =
    &[("versions", "what is taken does not depend on the revision of MCP; take it out")];
const ALLOWED_BY_PATH: &str = "a call is no path: the path of the endpoint says which requests are looked at";
const RULE: Unenforced = &[
    ("path", ALLOWED_BY_PATH),
    ("query", ALLOWED_BY_PATH),
    ("tool", "it is of protocol: mcp"),
    ("params", "parameters are not looked at; of MCP the name of a tool is"),
];

/// What an endpoint says of calls apart from its rules.
#[derive(Clone, Copy)]
pub(super) struct Options {
    pub(super) protocol: Protocol,
    pub(super) limits: CallLimits,
    /// Whether it allows every method of MCP.
    profile: bool,
}

/// The protocol by its word, if it is one whose calls are looked at.
pub(super) fn protocol(word: &str) -> Option<Protocol> {
    match word {
        "mcp" => Some(Protocol::Mcp),
        "json-rpc" => Some(Protocol::JsonRpc),
        _ => None,
    }
}

/// The options of this protocol.
pub(super) fn options(protocol: Protocol, fields: &mut Fields<'_>, problems: &mut Problems<'_>) -> Options {
    let mcp = protocol == Protocol::Mcp;
    let limits = CallLimits { most: USUAL, strict_tool_names: mcp };
    let mut options = Options { protocol, limits, profile: false };
    let name = if mcp { "mcp" } else { "json_rpc" };
    let Some(entry) = fields.take(name) else { return options };
    let Some(mut fields) = Fields::of(&entry.value, name, problems) else { return options };
    if let Some(entry) = fields.take("max_body_bytes") {
        let most = number_of(&entry.value, "max_body_bytes", 1..=MOST, problems);
        options.limits.most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(USUAL);
    }
    if mcp {
        let strict = fields.truth("strict_tool_names", problems);
        options.limits.strict_tool_names = strict.is_none_or(|(_, truth)| truth);
        let profile = fields.truth("allow_all_known_mcp_methods", problems);
        options.profile = profile.is_some_and(|(_, truth)| truth);
    }
    fields.finish(OPTIONS, problems);
    options
}

/// `rules`, whose items are wrapped in `allow`, or `deny_rules`, whose items are not.
pub(super) fn rules_of(
    fields: &mut Fields<'_>,
    name: &str,
    options: Options,
    problems: &mut Problems<'_>,
) -> Option<(Mark, Vec<Rule>)> {
    let (mark, nodes) = fields.list(name, problems)?;
    let rules = nodes.iter().filter_map(|node| {
        if name == "deny_rules" {
            return rule(node, options, true, problems);
        }
        let mut wrapped = Fields::of(node, "a rule", problems)?;
        let allow = wrapped.take("allow");
        wrapped.finish(&[], problems);
        match allow {
            Some(entry) => rule(&entry.value, options, false, problems),
            None => {
                problems.add(node.mark, "a rule says what it allows: - allow: { method: tools/list }");
                None
            }
        }
    });
    Some((mark, rules.collect()))
}

fn rule(node: &Node, options: Options, denies: bool, problems: &mut Problems<'_>) -> Option<Rule> {
    let mut fields = Fields::of(node, "a rule", problems)?;
    let method = fields.text("method", problems).filter(|(_, text)| !text.is_empty());
    let tools = if options.protocol == Protocol::Mcp { tools(&mut fields, options, problems) } else { None };
    fields.finish(RULE, problems);
    let pattern = match (method, &tools) {
        (Some((mark, text)), _) => method_of(mark, text, options.protocol, problems)?,
        (None, Some(_)) if options.profile => CallMethod::Like(Glob::literal(TOOLS_CALL, '.')),
        (None, None) if options.profile && denies => CallMethod::Any,
        (None, None) if options.profile => CallMethod::Known,
        (None, _) => {
            problems.add(node.mark, "a rule has a method: { method: tools/call, tool: search }");
            return None;
        }
    };
    let only_tools = matches!(&pattern, CallMethod::Like(glob) if glob.as_str() == TOOLS_CALL);
    if tools.is_some() && !only_tools {
        problems.add(node.mark, "a rule about tools has method: tools/call, which alone calls them");
    }
    Some(of(node.mark, CallPattern { method: pattern, tools: tools.unwrap_or_default() }))
}

fn method_of(mark: Mark, text: &str, protocol: Protocol, problems: &mut Problems<'_>) -> Option<CallMethod> {
    if text == "*" && protocol == Protocol::JsonRpc {
        return Some(CallMethod::Any);
    }
    if is_pattern(text) && !(protocol == Protocol::Mcp && text.starts_with("tools/")) {
        let remedy = match protocol {
            Protocol::Mcp => {
                "only those of tools/ are patterns; mcp: { allow_all_known_mcp_methods: true } allows every method"
            }
            Protocol::JsonRpc | Protocol::Rest | Protocol::Websocket => {
                "write one rule for each, or \"*\" for any"
            }
        };
        problems.add(mark, format!("method {} is a pattern: {remedy}", shown(text)));
        return None;
    }
    if text.len() > 256 || !text.bytes().all(|b| b.is_ascii_graphic()) {
        problems
            .add(mark, format!("method {} is no name of 1 to 256 letters, digits and signs", shown(text)));
        return None;
    }
    glob(mark, text, problems).map(CallMethod::Like)
}

/// The tools of a rule, by `tool` or by `params: { name: … }`, which is the same.
fn tools(fields: &mut Fields<'_>, options: Options, problems: &mut Problems<'_>) -> Option<Vec<Glob>> {
    let tool = fields.take("tool");
    let params = fields.take("params").and_then(|entry| {
        let mut params = Fields::of(&entry.value, "params", problems)?;
        let name = params.take("name");
        params.finish(&[("arguments", "arguments of tools are not looked at; take it out")], problems);
        name
    });
    if let (Some(_), Some(name)) = (tool, params) {
        problems.add(name.mark, "tool and params.name are the same: keep one");
    }
    let entry = tool.or(params)?;
    let globs: Vec<Glob> =
        texts(entry, problems).into_iter().filter_map(|(mark, text)| glob(mark, text, problems)).collect();
    if !options.limits.strict_tool_names && globs.iter().any(|glob| is_pattern(glob.as_str())) {
        problems.add(
            entry.mark,
            "without strict_tool_names a tool is named as it is: patterns need strict_tool_names: true",
        );
    }
    if globs.is_empty() {
        problems.add(entry.mark, "tool is a name, a pattern or { any: [names and patterns] }");
    }
    Some(globs)
}

fn texts<'n>(entry: &'n Entry, problems: &mut Problems<'_>) -> Vec<(Mark, &'n str)> {
    match &entry.value.value {
        Value::Map(_) => {
            let Some(mut fields) = Fields::of(&entry.value, "tool", problems) else { return Vec::new() };
            let any = fields.texts("any", problems).map(|(_, texts)| texts).unwrap_or_default();
            let one = fields.text("glob", problems);
            fields.finish(&[], problems);
            any.into_iter().chain(one).collect()
        }
        Value::Scalar { .. } | Value::List(_) => {
            crate::fields::text_of(&entry.value, "tool", problems).into_iter().collect()
        }
    }
}

/// What the endpoint allows: its rules, and what its options and its protocol allow besides.
pub(super) fn allowed(
    mark: Mark,
    options: Options,
    rules: Option<(Mark, Vec<Rule>)>,
    deny: &[Rule],
    problems: &mut Problems<'_>,
) -> Option<Vec<Rule>> {
    let mut allow = match rules {
        Some((mark, rules)) => {
            if rules.is_empty() {
                problems.add(
                    mark,
                    "rules is empty and would refuse everything: add one, or take the endpoint out",
                );
            }
            rules
        }
        None if options.profile => Vec::new(),
        None => {
            problems.add(mark, "an endpoint whose calls are looked at says which are allowed: add rules");
            return None;
        }
    };
    let named: Vec<Glob> =
        allow.iter().filter_map(|rule| rule.call.as_ref()).flat_map(|call| call.tools.clone()).collect();
    for rule in allow.iter().chain(deny) {
        let every = |call: &CallPattern| call.method.calls_tools() && call.tools.is_empty();
        if !named.is_empty() && rule.call.as_ref().is_some_and(every) {
            problems.add(
                rule.mark,
                "this rule is about every tool, and other rules name tools: name those that are meant, or take the others out",
            );
        }
    }
    if options.profile {
        allow.push(of(mark, CallPattern { method: CallMethod::Known, tools: named }));
    }
    if options.protocol == Protocol::Mcp {
        allow.push(of(mark, CallPattern::of(CallMethod::Answer)));
        for method in ["GET", "DELETE"] {
            allow.push(Rule {
                method: Some(method.to_owned()),
                call: None,
                ..of(mark, CallPattern::of(CallMethod::Answer))
            });
        }
    }
    Some(allow)
}

fn of(mark: Mark, call: CallPattern) -> Rule {
    Rule { mark, method: None, path: Glob::every_path(), query: Vec::new(), call: Some(call) }
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', ']', '{', '}'])
}

/// A name or pattern in which a star stays between dots, as in OpenShell.
fn glob(mark: Mark, text: &str, problems: &mut Problems<'_>) -> Option<Glob> {
    Glob::parse(text, '.').map_err(|why| problems.add(mark, format!("{}: {why}", shown(text)))).ok()
}
