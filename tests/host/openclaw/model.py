"""A model for an agent, run inside its cell: speaks OpenAI's chat completions and answers with the words it was told in the whole conversation, so that an answer shows what the gateway
remembers. Argument: port."""
import http.server, json, re, sys


def told(messages):
    """Every "word-…" in what the user said, each once."""
    text = json.dumps([message.get("content") for message in messages if message.get("role") == "user"])
    return " ".join(dict.fromkeys(re.findall(r"word-[a-z]+", text)))


class Model(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        part = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": asked["model"]}
        choice = lambda delta, reason: {**part, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        parts = [choice({"role": "assistant", "content": f"I know {told(asked['messages'])}."}, None), choice({}, "stop"), {**part, "choices": [], "usage": usage}]
        body = "".join(f"data: {json.dumps(part)}\n\n" for part in parts) + "data: [DONE]\n\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        """Nobody reads it."""


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Model).serve_forever()
