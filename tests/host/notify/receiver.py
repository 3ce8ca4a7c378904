"""Takes what tenantd-notify posts: receiver.py SECRET-FILE LOG. A line of JSON for each post: whether its signature is good, and what it says."""

import hashlib
import hmac
import http.server
import json
import sys

with open(sys.argv[1], "rb") as file:
    SECRET = file.read().rstrip(b"\r\n")


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        signed = self.headers["X-Tenantd-Timestamp"].encode() + b"." + body
        wanted = "sha256=" + hmac.new(SECRET, signed, hashlib.sha256).hexdigest()
        post = {"good": hmac.compare_digest(wanted, self.headers["X-Tenantd-Signature"]), "question": json.loads(body)}
        with open(sys.argv[2], "a", encoding="utf-8") as log:
            log.write(json.dumps(post) + "\n")
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


http.server.HTTPServer(("127.0.0.1", 8425), Receiver).serve_forever()
