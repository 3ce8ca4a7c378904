"""Model providers that check their key, count requests and misbehave as DIRECTORY/providers.json says:
{"openai.example.com": {"mode": "ok|503|429|hang|cut", "prompt": 10, "completion": 5, "words": 8, "pause": 0.01, "first": 0}}: it is silent for "first"
seconds before it answers, and for "pause" between events.
Counts are in DIRECTORY/providers.log."""
import json, time

import journal

PROVIDERS = {"openai.example.com": "sk-world-openai-5f3a9c", "backup.example.com": "sk-world-backup-77d1e0", "anthropic.example.com": "sk-world-anthropic-b2c4d6"}
USUAL = {"mode": "ok", "prompt": 10, "completion": 5, "words": 8, "pause": 0.01, "first": 0}


class Providers:
    def __init__(self, directory):
        self.orders = directory / "providers.json"
        self.log = journal.Journal(directory / "providers.log")

    def order(self, name):
        try:
            return {**USUAL, **json.loads(self.orders.read_text()).get(name, {})}
        except (OSError, ValueError):
            return USUAL

    def answer(self, link, request, name):
        order = self.order(name)
        claude = name.startswith("anthropic")
        key = request.headers.get("x-api-key") if claude else request.headers.get("authorization", "").removeprefix("Bearer ")
        good = key == PROVIDERS[name]
        asked = json.loads(request.body or b"{}") if request.method == "POST" else {}
        self.log.note(name=name, path=request.target, key="good" if good else key, model=asked.get("model"), stream=bool(asked.get("stream")), mode=order["mode"],
                      last=str((asked.get("messages") or [{}])[-1].get("content"))[-200:], options=asked.get("stream_options"))
        if not good:
            return link.whole(401, b'{"error":{"message":"no good key"}}', "application/json")
        if order["mode"].isdigit():
            return link.whole(int(order["mode"]), b'{"error":{"message":"as ordered"}}', "application/json", "Retry-After: 1")
        if order["mode"] == "hang":
            time.sleep(600)
        if request.url.path == "/v1/models":
            return link.whole(200, b'{"object":"list","data":[{"id":"parrot","object":"model"}]}', "application/json")
        time.sleep(order["first"])
        return (self.claude if claude else self.openai)(link, asked, order)

    def openai(self, link, asked, order):
        text, call = spoken(asked, order)
        usage = {"prompt_tokens": order["prompt"], "completion_tokens": order["completion"], "total_tokens": order["prompt"] + order["completion"]}
        base = {"id": "c1", "created": int(time.time()), "model": asked.get("model")}
        if not asked.get("stream"):
            message = {"role": "assistant", "content": text} if not call else {"role": "assistant", "content": None, "tool_calls": [call]}
            choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if call else "stop"}
            return link.whole(200, json.dumps({**base, "object": "chat.completion", "choices": [choice], "usage": usage}).encode(), "application/json")
        part = lambda delta, reason=None: {**base, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
        parts = [part({"role": "assistant", "content": ""})]
        parts += [part({"tool_calls": [{"index": 0, **call}]}), part({}, "tool_calls")] if call else [part({"content": word + " "}) for word in text.split()] + [part({}, "stop")]
        if (asked.get("stream_options") or {}).get("include_usage"):
            parts.append({**base, "object": "chat.completion.chunk", "choices": [], "usage": usage})
        return flow(link, order, [(None, part) for part in parts], "data: [DONE]\n\n")

    def claude(self, link, asked, order):
        text, _ = spoken(asked, order)
        base = {"id": "m1", "type": "message", "role": "assistant", "model": asked.get("model")}
        usage = {"input_tokens": order["prompt"], "output_tokens": order["completion"]}
        if not asked.get("stream"):
            content = [{"type": "text", "text": text}]
            return link.whole(200, json.dumps({**base, "content": content, "stop_reason": "end_turn", "usage": usage}).encode(), "application/json")
        events = [("message_start", {"message": {**base, "content": [], "usage": {"input_tokens": order["prompt"], "output_tokens": 1}}}),
                  ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}})]
        events += [("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": word + " "}}) for word in text.split()]
        events += [("content_block_stop", {"index": 0}), ("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": order["completion"]}}), ("message_stop", {})]
        return flow(link, order, [(name, {"type": name, **event}) for name, event in events], "")


def plain(content):
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content or [] if isinstance(part, dict))


def spoken(asked, order):
    """Words of the answer; or a call of the tool that runs commands, for "RUNTOOL command" that has no result yet."""
    messages = asked.get("messages") or []
    said = [(at, plain(message.get("content"))) for at, message in enumerate(messages) if message.get("role") == "user"]
    said = [(at, text) for at, text in said if "OPENCLAW_INTERNAL_CONTEXT" not in text] or [(-1, "")]
    at, last = said[-1]
    results = [plain(message.get("content")) for message in messages[at + 1 :] if message.get("role") == "tool"]
    tools = [(tool.get("function") or tool).get("name") for tool in asked.get("tools") or []]
    tool = next((name for name in tools if name in ("exec", "bash", "shell")), None)
    if "RUNTOOL " in last and tool and not results:
        arguments = json.dumps({"command": last.split("RUNTOOL ", 1)[1].strip()})
        return "", {"id": "call_1", "type": "function", "function": {"name": tool, "arguments": arguments}}
    if results:
        return f"tool said <{results[-1][:400]}>", None
    return " ".join(["PONG", *(f"word{number}" for number in range(order["words"]))]), None


def flow(link, order, events, end):
    link.begin("text/event-stream")
    for number, (name, event) in enumerate(events):
        if order["mode"] == "cut" and number == len(events) // 2:
            return False
        link.piece(((f"event: {name}\n" if name else "") + f"data: {json.dumps(event)}\n\n").encode())
        time.sleep(order["pause"])
    if end:
        link.piece(end.encode())
    return link.end()
