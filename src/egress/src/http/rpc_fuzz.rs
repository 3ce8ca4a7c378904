//! For fuzzing: what is read as messages of JSON-RPC is what another reader sees, whichever of two equal names it takes.

use serde_json::{Map, Value};

use super::rpc;

/// A body: its messages are those of an ordinary reader, no name of theirs stands twice in any case, and no beginning of it is read.
pub fn fuzz_rpc(bytes: &[u8]) {
    let Ok(said) = rpc::read(bytes) else { return };
    let value: Result<Value, _> = serde_json::from_slice(bytes);
    let list = match value {
        Ok(Value::Array(list)) => list,
        Ok(one) => vec![one],
        Err(error) => return assert!(error.to_string().is_empty(), "another reader sees no JSON: {error}"),
    };
    assert!(list.len() == said.calls.len(), "another reader sees other messages");
    let mut wanted = 0;
    for (message, call) in list.iter().zip(&said.calls) {
        let Some(message) = message.as_object() else { return assert!(message.is_object(), "no message") };
        let method = only(message, "method").and_then(Value::as_str);
        assert!(method == call.method.as_deref(), "another reader sees another method");
        wanted += usize::from(method.is_some() && message.contains_key("id"));
        if method == Some("tools/call") {
            let params = only(message, "params").and_then(Value::as_object);
            let tool = params.and_then(|params| only(params, "name")).and_then(Value::as_str);
            assert!(tool == call.tool.as_deref(), "another reader sees another tool");
        }
    }
    assert!(wanted == said.ids.len());
    let whole = bytes.trim_ascii_end().len();
    for cut in (0..whole).step_by(whole / 32 + 1).chain(whole.checked_sub(1)) {
        assert!(rpc::read(bytes.get(..cut).unwrap_or_default()).is_err(), "a part of it is read");
    }
}

/// The member of this name, which no other one resembles.
fn only<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let alike =
        members.keys().filter(|own| own.to_lowercase() == name || own.to_uppercase() == name.to_uppercase());
    assert!(alike.count() <= 1, "{name} stands in it in two ways");
    members.get(name)
}
