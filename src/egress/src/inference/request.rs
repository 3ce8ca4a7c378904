//! What a tenant asks for, read as far as it decides something: which model, how much of an answer, whether it streams.
//!
//! A request is written anew from the fields that were read here, each value as it was written. So a provider sees the model that was allowed, whatever
//! its own reader makes of repeated or differently spelled fields.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use model::egress::Api;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::{RawValue, to_raw_value};

use super::answer::Refusal;
use super::settings::Settings;

/// Bytes of a model's name, at most.
const MOST_NAME: usize = 128;
/// Tokens that are held for an answer whose request names no limit, if it streams and can be ended.
const USUAL_OUTPUT: u64 = 4096;
/// And if it does not stream, so that nothing of it is seen before it is paid.
const UNSEEN_OUTPUT: u64 = 32_768;
/// The largest number of tokens that is believed of a request.
const MOST_OUTPUT: u64 = 10_000_000;
/// Fields by which gateways behind a provider's API take another model or server, or let another key pay.
const STEERING: &[&str] = &[
    "models",
    "route",
    "fallbacks",
    "fallback",
    "model_list",
    "model_name",
    "provider",
    "preset",
    "api_base",
    "base_url",
    "api_key",
    "api_version",
    "api_type",
    "organization",
    "custom_llm_provider",
    "user_config",
    "litellm_params",
    "extra_body",
    "extra_headers",
];

/// What may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Chat,
    Completions,
    Responses,
    Embeddings,
    Messages,
    CountTokens,
    Models(Api),
}

impl Call {
    /// Of a first line; a path is compared as it is written, so that nothing else is reached with the provider's key.
    pub(super) fn of(method: &Method, path: &str, headers: &HeaderMap) -> Option<Self> {
        let call = match path {
            "/v1/chat/completions" => Self::Chat,
            "/v1/completions" => Self::Completions,
            "/v1/responses" => Self::Responses,
            "/v1/embeddings" => Self::Embeddings,
            "/v1/messages" => Self::Messages,
            "/v1/messages/count_tokens" => Self::CountTokens,
            "/v1/models" => return (*method == Method::GET).then(|| Self::Models(shape(path, headers))),
            _ => return None,
        };
        (*method == Method::POST).then_some(call)
    }

    pub(super) fn api(self) -> Api {
        match self {
            Self::Chat | Self::Completions | Self::Responses | Self::Embeddings => Api::Openai,
            Self::Messages | Self::CountTokens => Api::Anthropic,
            Self::Models(api) => api,
        }
    }

    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Responses => "/v1/responses",
            Self::Embeddings => "/v1/embeddings",
            Self::Messages => "/v1/messages",
            Self::CountTokens => "/v1/messages/count_tokens",
            Self::Models(_) => "/v1/models",
        }
    }

    /// Whether a stream of it tells its usage only when asked to.
    fn asks_for_usage(self) -> bool {
        matches!(self, Self::Chat | Self::Completions)
    }
}

/// Which API a client speaks, where its path does not tell.
pub(super) fn shape(path: &str, headers: &HeaderMap) -> Api {
    let anthropic = headers.contains_key("anthropic-version") || path.starts_with("/v1/messages");
    if anthropic { Api::Anthropic } else { Api::Openai }
}

/// A request as it goes to providers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) call: Call,
    /// The model, aliases resolved.
    pub(super) model: String,
    pub(super) body: Bytes,
    /// Estimated tokens of the prompt.
    pub(super) prompt: u64,
    /// Tokens of the answer, at most as far as the request says.
    pub(super) output: u64,
    /// The client did not ask for usage, so it does not see the chunk that tells it.
    pub(super) hide_usage: bool,
}

struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(entry) = map.next_entry::<String, &'de RawValue>()? {
                    if fields.len() == 256 {
                        return Err(serde::de::Error::custom("more than 256 fields"));
                    }
                    fields.push(entry);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// Depth of a request: what is not read here is passed on as it came, and providers' readers have bounds of their own.
const DEEPEST: usize = 128;

/// How deep JSON is nested, as far as that can be told of bytes that may be none.
fn depth(body: &[u8]) -> usize {
    let (mut deepest, mut open, mut text, mut escaped) = (0, 0_usize, false, false);
    for byte in body {
        match (byte, text) {
            (_, true) if escaped => escaped = false,
            (b'\\', true) => escaped = true,
            (b'"', _) => text = !text,
            (b'[' | b'{', false) => open += 1,
            (b']' | b'}', false) => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}

impl Asked {
    /// Reads a body.
    pub(super) fn read(call: Call, body: &[u8], settings: &Settings) -> Result<Self, Refusal> {
        let no_json = |error: serde_json::Error| {
            Refusal::wrong(format!(
                "the body is no JSON object (line {}, column {})",
                error.line(),
                error.column()
            ))
        };
        if depth(body) > DEEPEST {
            return Err(Refusal::wrong(format!("the body is nested deeper than {DEEPEST}")));
        }
        let Fields(fields) = serde_json::from_slice(body).map_err(no_json)?;
        unambiguous(&fields)?;
        let get = |name: &str| fields.iter().find(|(own, _)| own == name).map(|(_, value)| *value);
        let name: String = read(get("model"))
            .ok_or_else(|| Refusal::wrong("the body names no model: set \"model\" to a text"))?;
        if !(1..=MOST_NAME).contains(&name.len()) || !name.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Refusal::wrong("\"model\" has 1 to 128 visible ASCII characters"));
        }
        dear(&get, settings)?;
        if read::<bool>(get("background"))
            .unwrap_or(get("background").is_some_and(|value| value.get() != "null"))
        {
            return Err(Refusal::wrong(
                "\"background\" is not served here: nobody would count what such an answer costs",
            ));
        }
        calls_nobody(&get)?;
        let model = settings.model(&name).to_owned();
        let stream = read::<bool>(get("stream")).unwrap_or(false);
        let mut options = None;
        if stream && call.asks_for_usage() {
            options = usage_asked(get("stream_options"))?;
        }
        let prompt = u64::try_from(body.len()).unwrap_or(u64::MAX).div_ceil(4);
        let output = output(call, &get, if stream { USUAL_OUTPUT } else { UNSEEN_OUTPUT });
        let hide_usage = options.is_some();
        let body = written(&fields, &model, options)?;
        Ok(Self { call, model, body, prompt, output, hide_usage })
    }
}

/// A field that is repeated, or spelled in two ways that some server takes for the same (Go's `encoding/json` does).
fn unambiguous(fields: &[(String, &RawValue)]) -> Result<(), Refusal> {
    let mut seen = std::collections::BTreeSet::new();
    for (name, _) in fields {
        let plain = folded(name);
        if STEERING.contains(&plain.as_str()) {
            return Err(Refusal::wrong(format!(
                "{plain:?} is not served here: \"model\" alone says which model answers"
            )));
        }
        if !seen.insert(plain) {
            let shown: String = name.chars().take(64).collect();
            return Err(Refusal::wrong(format!("the field {shown:?} stands there twice")));
        }
    }
    Ok(())
}

fn folded(name: &str) -> String {
    // Beside ASCII, two characters fold into it: the long s and the sign for Kelvin.
    let fold = |c: char| match c {
        'ſ' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    name.chars().map(fold).collect()
}

/// Tiers that cost more than the prices say.
fn dear<'a>(get: &impl Fn(&str) -> Option<&'a RawValue>, settings: &Settings) -> Result<(), Refusal> {
    let money = settings.budget.money_day.is_some() || settings.budget.money_month.is_some();
    let tier: Option<String> = read(get("service_tier"));
    let speed: Option<String> = read(get("speed"));
    let priority = tier.is_some_and(|tier| tier.eq_ignore_ascii_case("priority"));
    if money && (priority || speed.is_some_and(|speed| !speed.eq_ignore_ascii_case("standard"))) {
        return Err(Refusal::wrong(
            "dearer tiers (\"service_tier\", \"speed\") are not served under a budget of money: leave the field out",
        ));
    }
    Ok(())
}

/// Servers that a provider would call for the tenant: its egress policy would see nothing of it.
fn calls_nobody<'a>(get: &impl Fn(&str) -> Option<&'a RawValue>) -> Result<(), Refusal> {
    #[derive(serde::Deserialize)]
    struct Tool {
        r#type: Option<String>,
    }
    let written = |name| get(name).filter(|value| value.get() != "null");
    let tools = match written("tools") {
        None => Vec::new(),
        Some(tools) => serde_json::from_str::<Vec<Tool>>(tools.get())
            .map_err(|_| Refusal::wrong("\"tools\" is no list of objects, each with one type"))?,
    };
    let servers = written("mcp_servers").is_some_and(|servers| servers.get() != "[]");
    let mcp =
        |tool: &Tool| tool.r#type.as_deref().is_some_and(|kind| kind == "mcp" || kind.starts_with("mcp_"));
    if servers || tools.iter().any(mcp) {
        return Err(Refusal::wrong(
            "MCP servers that the provider calls are not served here, because this tenant's egress policy would not see it: let the gateway call them",
        ));
    }
    Ok(())
}

fn output<'a>(call: Call, get: &impl Fn(&str) -> Option<&'a RawValue>, usual: u64) -> u64 {
    if matches!(call, Call::Embeddings | Call::CountTokens | Call::Models(_)) {
        return 0;
    }
    let number = |name| read::<u64>(get(name));
    let limits = ["max_tokens", "max_completion_tokens", "max_output_tokens"].into_iter().filter_map(number);
    let one = limits.max().unwrap_or(usual).min(MOST_OUTPUT);
    let many = ["n", "best_of"].into_iter().filter_map(number).max().unwrap_or(1).clamp(1, 1024);
    one.saturating_mul(many)
}

/// The options with which a stream tells its usage; nothing if the client has them.
fn usage_asked(options: Option<&RawValue>) -> Result<Option<Box<RawValue>>, Refusal> {
    let written = options.map_or("{}", RawValue::get);
    let written = if written == "null" { "{}" } else { written };
    let wrong = |_| Refusal::wrong("\"stream_options\" is no object");
    let Fields(mut fields) = serde_json::from_str(written).map_err(wrong)?;
    unambiguous(&fields)?;
    if fields.iter().any(|(name, value)| name == "include_usage" && value.get() == "true") {
        return Ok(None);
    }
    fields.retain(|(name, _)| folded(name) != "include_usage");
    let yes = to_raw_value(&true).map_err(unwritable)?;
    fields.push(("include_usage".to_owned(), &yes));
    RawValue::from_string(object(&fields)?).map(Some).map_err(unwritable)
}

fn written(
    fields: &[(String, &RawValue)],
    model: &str,
    options: Option<Box<RawValue>>,
) -> Result<Bytes, Refusal> {
    let model = to_raw_value(model).map_err(unwritable)?;
    let mut new: Vec<(String, &RawValue)> = Vec::with_capacity(fields.len() + 1);
    for (name, value) in fields {
        match name.as_str() {
            "model" => new.push((name.clone(), &model)),
            "stream_options" if options.is_some() => {}
            _ => new.push((name.clone(), value)),
        }
    }
    if let Some(options) = &options {
        new.push(("stream_options".to_owned(), options));
    }
    object(&new).map(Bytes::from)
}

fn object(fields: &[(String, &RawValue)]) -> Result<String, Refusal> {
    let length = fields.iter().map(|(name, value)| name.len() + value.get().len() + 8).sum::<usize>();
    let mut out = String::with_capacity(length + 2);
    out.push('{');
    for (index, (name, value)) in fields.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(&serde_json::to_string(name).map_err(unwritable)?);
        out.push(':');
        out.push_str(value.get());
    }
    out.push('}');
    Ok(out)
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn unwritable(error: serde_json::Error) -> Refusal {
    Refusal::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        format!("the request cannot be written anew: {error}"),
    )
}

fn read<'a, T: Deserialize<'a>>(value: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(value?.get()).ok()
}
