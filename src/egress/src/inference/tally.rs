//! How many tokens an answer took: as the provider says, and what of it passed.
//!
//! A provider's numbers are believed as far as they can be: none is negative or larger than [`MOST`], none becomes smaller in the course
//! of an answer, and parts are not larger than their whole.

use serde_json::Value;

/// Tokens of one answer, at most; a larger number is a mistake, and counts as not told.
const MOST: u64 = 100_000_000;
/// Depth to which text is looked for in an event.
const DEEP: u32 = 16;

/// Events with which an answer ends.
const OVER: &[&str] =
    &["message_delta", "message_stop", "response.completed", "response.incomplete", "response.failed"];

/// Tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    /// Of the prompt, without those of the cache.
    pub(super) input: u64,
    pub(super) cache_read: u64,
    pub(super) cache_write: u64,
    pub(super) output: u64,
}

impl Tokens {
    /// Of the prompt.
    pub(super) fn prompt(self) -> u64 {
        self.input.saturating_add(self.cache_read).saturating_add(self.cache_write)
    }
}

/// What is known of one answer so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    told: Tokens,
    input_told: bool,
    output_told: bool,
    /// A number was none, so no number is believed to be all.
    doubtful: bool,
    /// An event said that the answer is over.
    over: bool,
    /// Bytes of text that passed.
    text: u64,
}

impl Tally {
    /// An event of a stream. Whether it is one that only tells usage.
    pub(super) fn event(&mut self, event: &Value) -> bool {
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
        let usage = [Some(event), event.get("message"), event.get("response")];
        let usage = usage
            .into_iter()
            .flatten()
            .filter_map(|holder| holder.get("usage"))
            .find(|usage| usage.is_object());
        if let Some(usage) = usage {
            // What an answer of Anthropic's begins with tells the prompt; its output is told at the end.
            self.usage(usage, kind != "message_start");
        }
        self.passed(text_of(event.get("delta"), DEEP));
        let choices = event.get("choices").and_then(Value::as_array);
        for choice in choices.into_iter().flatten() {
            self.passed(text_of(choice.get("delta"), DEEP));
            self.passed(text_of(choice.get("text"), DEEP));
        }
        let only_usage = usage.is_some() && choices.is_some_and(Vec::is_empty);
        self.over |= only_usage || OVER.contains(&kind);
        only_usage
    }

    /// An answer that came whole.
    pub(super) fn document(&mut self, document: &Value) {
        if let Some(usage) = document.get("usage").filter(|usage| usage.is_object()) {
            self.usage(usage, true);
        }
        for name in ["choices", "output", "content"] {
            self.passed(text_of(document.get(name), DEEP));
        }
    }

    /// Text passed that was not read.
    pub(super) fn passed(&mut self, bytes: u64) {
        self.text = self.text.saturating_add(bytes);
    }

    /// Tokens that passed, estimated.
    pub(super) fn passed_tokens(&self) -> u64 {
        self.text.div_ceil(4)
    }

    /// So far, with an estimate for what was not told; and whether there was an estimate.
    pub(super) fn tokens(&self, prompt: u64, output: u64) -> (Tokens, bool) {
        let mut tokens = self.told;
        let estimated = self.doubtful || !self.input_told || !self.output_told;
        if self.doubtful || !self.input_told {
            tokens.input =
                tokens.input.max(prompt.saturating_sub(tokens.cache_read).saturating_sub(tokens.cache_write));
        }
        if self.doubtful || !self.output_told {
            tokens.output = tokens.output.max(output);
        }
        (tokens, estimated)
    }

    /// Whether the provider said that the answer is over.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    fn usage(&mut self, usage: &Value, last: bool) {
        let anthropic =
            ["cache_read_input_tokens", "cache_creation_input_tokens"].map(|name| self.number(usage, name));
        let prompt = self.number(usage, "prompt_tokens").or(self.number(usage, "input_tokens"));
        let answer = self.number(usage, "completion_tokens").or(self.number(usage, "output_tokens"));
        let total = self.number(usage, "total_tokens");
        let details = usage.get("prompt_tokens_details").or(usage.get("input_tokens_details"));
        let cached = details.and_then(|details| self.number(details, "cached_tokens"));
        let (mut read, write) = (anthropic[0].unwrap_or(0), anthropic[1].unwrap_or(0));
        let mut input = prompt.unwrap_or(0);
        if let Some(cached) = cached {
            // OpenAI's are a part of the prompt, Anthropic's stand beside it.
            read = cached.min(input);
            input -= read;
        }
        let whole = input.saturating_add(read).saturating_add(write);
        // Some count the tokens of reasoning in the total only.
        let answer = match (answer, total) {
            (Some(answer), Some(total)) => Some(answer.max(total.saturating_sub(whole))),
            (None, Some(total)) if prompt.is_some() => Some(total.saturating_sub(whole)),
            (answer, _) => answer,
        };
        self.input_told |= prompt.is_some();
        self.output_told |= last && answer.is_some();
        let told = &mut self.told;
        told.input = told.input.max(input);
        told.cache_read = told.cache_read.max(read);
        told.cache_write = told.cache_write.max(write);
        told.output = told.output.max(answer.unwrap_or(0));
    }

    fn number(&mut self, of: &Value, name: &str) -> Option<u64> {
        let value = of.get(name).filter(|value| !value.is_null())?;
        let number = value.as_u64().filter(|number| *number <= MOST);
        self.doubtful |= number.is_none();
        number
    }
}

/// Bytes of all texts in a value.
fn text_of(value: Option<&Value>, deep: u32) -> u64 {
    let Some(deep) = deep.checked_sub(1) else { return 0 };
    match value {
        Some(Value::String(text)) => u64::try_from(text.len()).unwrap_or(u64::MAX),
        Some(Value::Array(values)) => {
            values.iter().fold(0, |sum: u64, value| sum.saturating_add(text_of(Some(value), deep)))
        }
        Some(Value::Object(fields)) => {
            let told = |name: &str| {
                !matches!(name, "type" | "role" | "id" | "name" | "finish_reason" | "stop_reason" | "status")
            };
            let texts =
                fields.iter().filter(|(name, _)| told(name)).map(|(_, value)| text_of(Some(value), deep));
            texts.fold(0, u64::saturating_add)
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_)) | None => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(events: &[Value]) -> (Tokens, bool) {
        let mut tally = Tally::default();
        for event in events {
            tally.event(event);
        }
        tally.tokens(1000, tally.passed_tokens())
    }

    fn tokens(input: u64, cache_read: u64, cache_write: u64, output: u64) -> Tokens {
        Tokens { input, cache_read, cache_write, output }
    }

    #[test]
    fn each_api_is_understood() {
        let chat = [
            json!({"choices": [{"delta": {"content": "hello"}}], "usage": null}),
            json!({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "prompt_tokens_details": {"cached_tokens": 4}}}),
        ];
        assert_eq!(told(&chat), (tokens(6, 4, 0, 5), false));
        let responses = [
            json!({"type": "response.output_text.delta", "delta": "hello"}),
            json!({"type": "response.completed", "response": {"usage": {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}}}),
        ];
        assert_eq!(told(&responses), (tokens(7, 0, 0, 3), false));
        let messages = [
            json!({"type": "message_start", "message": {"usage": {"input_tokens": 2, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 5, "output_tokens": 1}}}),
            json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "hello"}}),
            json!({"type": "message_delta", "usage": {"output_tokens": 12}}),
        ];
        assert_eq!(told(&messages), (tokens(2, 30, 5, 12), false));
        assert_eq!(told(&messages[..2]), (tokens(2, 30, 5, 2), true), "the end was not told");
    }

    #[test]
    fn what_is_not_told_is_estimated() {
        let delta = json!({"choices": [{"delta": {"content": "12345678", "role": "assistant"}}]});
        assert_eq!(told(&[delta.clone(), delta]), (tokens(1000, 0, 0, 4), true));
    }

    #[test]
    fn numbers_that_cannot_be_are_not_believed() {
        for number in [json!(-5), json!(1e30), json!(u64::MAX), json!("12"), json!(0.5), json!([1])] {
            let usage = json!({"choices": [], "usage": {"prompt_tokens": number, "completion_tokens": 3}});
            assert_eq!(told(&[usage]), (tokens(1000, 0, 0, 3), true));
        }
        let shrinking = [
            json!({"choices": [], "usage": {"prompt_tokens": 50, "completion_tokens": 40}}),
            json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 0}}),
        ];
        assert_eq!(told(&shrinking), (tokens(50, 0, 0, 40), false));
        let cached = json!({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 500}}});
        assert_eq!(told(&[cached]), (tokens(0, 5, 0, 1), false));
        let hidden =
            json!({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 90}});
        assert_eq!(told(&[hidden]), (tokens(5, 0, 0, 85), false));
    }
}
