//! `GET /v1/models`: the models that this tenant may use, and no others.

use std::collections::BTreeSet;

use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use model::egress::Api;
use serde_json::{Value, json};

use super::answer::json_response;
use super::forward::{Passing, ask};
use super::request::Call;
use super::settings::{Settings, Upstream};
use crate::body::Body;
use crate::dial::Dial;

/// Bytes of a provider's list, at most.
const MOST: usize = 4 << 20;
/// Models in an answer, at most.
const MOST_MODELS: usize = 2000;

/// The list: what is named, and of patterns what their providers say they have. A provider that does not say so is left out.
pub(super) async fn list(
    settings: &Settings,
    api: Api,
    passing: &Passing,
    dial: &dyn Dial,
) -> Response<Body> {
    let mut names = BTreeSet::new();
    for upstream in settings.providers.iter().filter(|upstream| upstream.api == api) {
        names.extend(upstream.models.iter().filter(|model| !model.contains('*')).cloned());
        if upstream.models.iter().any(|model| model.contains('*')) {
            names.extend(told(upstream, api, passing, dial).await);
        }
    }
    let known = |model: &String| {
        settings.providers.iter().any(|upstream| upstream.api == api && upstream.offers(model))
    };
    names.extend(settings.aliases.iter().filter(|(_, model)| known(model)).map(|(alias, _)| alias.clone()));
    let entries: Vec<Value> = names.iter().take(MOST_MODELS).map(|name| entry(api, name)).collect();
    let last = entries.last().and_then(|entry| entry.get("id")).cloned();
    let document = match api {
        Api::Openai => json!({ "object": "list", "data": entries }),
        Api::Anthropic => json!({
            "data": entries, "has_more": false, "first_id": names.first(), "last_id": last,
        }),
    };
    json_response(StatusCode::OK, &document)
}

fn entry(api: Api, name: &str) -> Value {
    match api {
        Api::Openai => json!({ "id": name, "object": "model", "created": 0, "owned_by": "tenantd" }),
        Api::Anthropic => {
            json!({ "type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z" })
        }
    }
}

async fn told(upstream: &Upstream, api: Api, passing: &Passing, dial: &dyn Dial) -> Vec<String> {
    let Ok(request) = passing.request(upstream, Call::Models(api), None) else { return Vec::new() };
    let Ok(response) = ask(upstream, request, dial).await else { return Vec::new() };
    if response.status() != StatusCode::OK {
        return Vec::new();
    }
    let Ok(body) = Limited::new(response.into_body(), MOST).collect().await else { return Vec::new() };
    let list: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    let models = list.get("data").and_then(Value::as_array).into_iter().flatten();
    let names = models.filter_map(|model| model.get("id").and_then(Value::as_str));
    let shown = |name: &&str| {
        upstream.offers(name)
            && name.len() <= 128
            && name.bytes().all(|byte| byte.is_ascii_graphic())
            && upstream.scanner.whole(name.as_bytes()).is_ok()
    };
    names.filter(shown).take(MOST_MODELS).map(str::to_owned).collect()
}
