#!/usr/bin/python3
"""Talks to a tenant's OpenClaw gateway by its own protocol, from the host, as the edge before it would, for an operator.
  chat.py TENANT say TEXT    prints the answer
  chat.py TENANT history     prints the conversation, a line each
  chat.py TENANT sessions    prints the keys of the sessions"""
import base64, hashlib, json, os, pathlib, socket, struct, subprocess, sys, tempfile, time, uuid

PATIENCE = 240
SESSION = "main"
SCOPES = ["operator.read", "operator.write"]
# The browser's identity, made at its first use; the gateway approves it because the edge vouches for its user.
KEY = pathlib.Path("/srv/device.pem")


def openssl(*words):
    return subprocess.check_output(["openssl", *words])


def device(client, challenge):
    """A signature of the browser's over what it asks for."""
    if not KEY.exists():
        openssl("genpkey", "-algorithm", "ed25519", "-out", str(KEY))
    public = openssl("pkey", "-in", str(KEY), "-pubout", "-outform", "DER")[-32:]
    name, nonce, at = hashlib.sha256(public).hexdigest(), challenge["nonce"], challenge["ts"]
    with tempfile.NamedTemporaryFile() as text:
        text.write("|".join(["v3", name, client["id"], client["mode"], "operator", ",".join(SCOPES), str(at), "", nonce, client["platform"], ""]).encode())
        text.flush()
        signature = openssl("pkeyutl", "-sign", "-inkey", str(KEY), "-rawin", "-in", text.name)
    plain = lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return {"id": name, "publicKey": plain(public), "signature": plain(signature), "signedAt": at, "nonce": nonce}


class Gateway:
    def __init__(self, tenant):
        place = json.load(open(f"/var/lib/tenantd/compiled/{tenant}/network.json"))
        pid = subprocess.check_output(["systemctl", "show", "-P", "MainPID", f"tenant@{tenant}"], text=True).strip()
        config = json.load(open(f"/proc/{pid}/root/run/tenantd/secrets/.config/openclaw.json"))["gateway"]
        proof = config["auth"]["trustedProxy"]["requiredHeaders"][-1]
        address, port = place["link"]["tenant_address"], place["gateway_port"]
        self.link = socket.create_connection((address, port), PATIENCE)
        self.file = self.link.makefile("rb")
        headers = {"Host": f"{address}:{port}", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
                   "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(), "Origin": config["controlUi"]["allowedOrigins"][0],
                   "X-Forwarded-For": "203.0.113.9", "X-Forwarded-User": "operator", "X-OpenClaw-Scopes": ",".join(SCOPES), "X-Forwarded-Proto": "https",
                   "X-Forwarded-Host": "acme.example.org", proof: "1"}
        lines = ["GET / HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self.link.sendall("\r\n".join(lines).encode())
        answer = self.file.readline()
        if b" 101 " not in answer:
            sys.exit(f"no WebSocket: {answer.decode().strip()}")
        while self.file.readline().strip():
            pass
        client = {"id": "openclaw-control-ui", "version": "0.0.1", "platform": "linux", "mode": "webchat"}
        asked = {"minProtocol": 4, "maxProtocol": 4, "client": client, "role": "operator", "scopes": SCOPES, "caps": []}
        self.call("connect", {**asked, "device": device(client, self.message()["payload"])})

    def send(self, kind, body):
        length = struct.pack(">BH", 0xFE, len(body)) if len(body) > 125 else bytes([0x80 | len(body)])
        self.link.sendall(bytes([0x80 | kind]) + length + bytes(4) + body)  # masked with zeros

    def message(self):
        body, last = b"", False
        while not last:
            first, length = self.file.read(2)
            if length > 125:
                form = ">H" if length == 126 else ">Q"
                length = struct.unpack(form, self.file.read(struct.calcsize(form)))[0]
            part, kind = self.file.read(length), first & 15
            if kind == 8:
                sys.exit(f"the gateway closed: {part[2:].decode()}")
            if kind == 9:
                self.send(10, part)
            if kind < 8:
                body, last = body + part, first & 0x80
        return json.loads(body)

    def call(self, method, parameters):
        number = str(uuid.uuid4())
        self.send(1, json.dumps({"type": "req", "id": number, "method": method, "params": parameters}).encode())
        while (answer := self.message()).get("id") != number:
            pass
        if not answer["ok"]:
            sys.exit(f"{method}: {answer['error']['message']}")
        return answer["payload"]

    def history(self):
        """Role and text of each message."""
        messages = self.call("chat.history", {"sessionKey": SESSION})["messages"]
        texts = lambda content: content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)
        return [(message["role"], texts(message["content"])) for message in messages]

    def say(self, text):
        before = len(self.history())
        self.call("chat.send", {"sessionKey": SESSION, "message": text, "idempotencyKey": str(uuid.uuid4())})
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            new = self.history()[before:]
            # A message that only calls a tool has no text.
            if new and new[-1][0] == "assistant" and new[-1][1].strip():
                return new[-1][1]
            time.sleep(1)
        sys.exit(f"no answer in {PATIENCE} s; of this conversation there is {new}")


tenant, verb, *words = sys.argv[1:]
gateway = Gateway(tenant)
if verb == "say":
    print(gateway.say(*words))
elif verb == "history":
    print(*(f"{role}: {text}" for role, text in gateway.history()), sep="\n")
elif verb == "sessions":
    print(*(session["key"] for session in gateway.call("sessions.list", {})["sessions"]), sep="\n")
else:
    sys.exit(__doc__)
