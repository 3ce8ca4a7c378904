"""Tokens that are wrong in one way each, tried at the edge; prints a line for each that was taken, and fails then. Arguments: tenant, a good
token of it, a good token of another tenant, and the private key (PEM, Ed25519) of a key that the edge knows as KID, which is the fifth."""
import base64, hashlib, hmac, json, os, subprocess, sys, tempfile, time
from client import exchange, host, statuses

tenant, good, other, key, kid = sys.argv[1:]
plain = lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
unplain = lambda text: base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
now = int(time.time())
public = unplain(next(k["x"] for k in json.load(open("/var/lib/tenantd/edge/keys.json"))["keys"] if k["kid"] == kid))
HEADER = {"alg": "EdDSA", "typ": "at+jwt", "kid": kid}
CLAIMS = {"iss": f"https://{host('')[1:]}", "aud": f"https://{host(tenant)}", "sub": "eve", "role": "owner", "jti": "0123456789abcdef0123456789abcdef",
          "iat": now, "nbf": now, "exp": now + 600}


def ed25519(text):
    with tempfile.NamedTemporaryFile() as file:
        file.write(text)
        file.flush()
        return subprocess.check_output(["openssl", "pkeyutl", "-sign", "-inkey", key, "-rawin", "-in", file.name])


def made(header=None, claims=None, sign=ed25519):
    """A token of these, as objects or as text."""
    text = [value if isinstance(value, str) else json.dumps(value) for value in (HEADER if header is None else header, CLAIMS if claims is None else claims)]
    body = ".".join(plain(part.encode()) for part in text)
    return f"{body}.{plain(sign(body.encode()))}"


def shared(secret, digest=hashlib.sha256):
    return lambda text: hmac.new(secret, text, digest).digest()


def without(name):
    return {claim: value for claim, value in CLAIMS.items() if claim != name}


def lines(text):
    return text.replace('"role"', '"role": "viewer", "role"', 1)


head, body, signature = good.split(".")
pem = subprocess.check_output(["openssl", "pkey", "-in", key, "-pubout"])
_, other_body, other_signature = other.split(".")
WRONG = {
    "alg none": made({**HEADER, "alg": "none"}, sign=lambda _: b""),
    "alg None": made({**HEADER, "alg": "NONE"}, sign=lambda _: b""),
    "alg none with a good signature's header": f"{plain(json.dumps({**HEADER, 'alg': 'none'}).encode())}.{body}.{signature}",
    "no signature": f"{head}.{body}.",
    "two parts": f"{head}.{body}",
    "four parts": f"{good}.x",
    "HS256 with the raw public key": made({**HEADER, "alg": "HS256"}, sign=shared(public)),
    "HS256 with its text": made({**HEADER, "alg": "HS256"}, sign=shared(plain(public).encode())),
    "HS256 with its PEM": made({**HEADER, "alg": "HS256"}, sign=shared(pem)),
    "HS512 with the raw public key": made({**HEADER, "alg": "HS512"}, sign=shared(public, hashlib.sha512)),
    "ES256 with the key's name": made({**HEADER, "alg": "ES256"}),
    "RS256 with the key's name": made({**HEADER, "alg": "RS256"}),
    "no alg": made({k: v for k, v in HEADER.items() if k != "alg"}),
    "no kid": made({k: v for k, v in HEADER.items() if k != "kid"}),
    "unknown kid": made({**HEADER, "kid": "nosuch"}),
    "kid is a path": made({**HEADER, "kid": "../../../../dev/null"}, sign=shared(b"")),
    "kid is SQL": made({**HEADER, "kid": "' OR 1=1 --"}),
    "kid is a list": made({**HEADER, "kid": [kid]}),
    "kid with a nil": made({**HEADER, "kid": kid + "\0"}),
    "jwk in the header": made({**HEADER, "kid": "mine", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": plain(public)}}),
    "jwk beside a known kid": made({**HEADER, "jwk": {"kty": "OKP", "crv": "Ed25519", "x": plain(public)}}),
    "jku": made({**HEADER, "jku": "http://127.0.0.1:1/keys"}),
    "x5u": made({**HEADER, "x5u": "http://127.0.0.1:1/keys"}),
    "crit": made({**HEADER, "crit": ["exp"]}),
    "b64 false": made({**HEADER, "b64": False, "crit": ["b64"]}),
    "typ of a login ticket": made({**HEADER, "typ": "tenantd-login+jwt"}),
    "typ JWT": made({**HEADER, "typ": "JWT"}),
    "no typ": made({k: v for k, v in HEADER.items() if k != "typ"}),
    "another issuer": made(claims={**CLAIMS, "iss": "https://evil.example"}),
    "another tenant's aud": made(claims={**CLAIMS, "aud": f"https://{host('beta')}"}),
    "aud is a list": made(claims={**CLAIMS, "aud": [f"https://{host(tenant)}", f"https://{host('beta')}"]}),
    "aud without scheme": made(claims={**CLAIMS, "aud": host(tenant)}),
    "expired": made(claims={**CLAIMS, "exp": now - 1, "iat": now - 100, "nbf": now - 100}),
    "expires at once": made(claims={**CLAIMS, "exp": now}),
    "not yet": made(claims={**CLAIMS, "nbf": now + 300}),
    "issued in the future": made(claims={**CLAIMS, "iat": now + 300}),
    "lives too long": made(claims={**CLAIMS, "exp": now + 10 * 365 * 86400}),
    "exp is text": made(claims={**CLAIMS, "exp": str(now + 600)}),
    "exp is huge": made(claims=json.dumps(CLAIMS).replace(str(now + 600), "1e300")),
    "exp is a fraction": made(claims=json.dumps(CLAIMS).replace(str(now + 600), f"{now + 600}.5")),
    "exp is negative": made(claims={**CLAIMS, "exp": -1}),
    "role that is none": made(claims={**CLAIMS, "role": "admin"}),
    "role in capitals": made(claims={**CLAIMS, "role": "OWNER"}),
    "jti that is none": made(claims={**CLAIMS, "jti": "x"}),
    "no subject": made(claims={**CLAIMS, "sub": ""}),
    "subject with a line break": made(claims={**CLAIMS, "sub": "a\r\nx-forwarded-user: owner"}),
    "an unknown claim": made(claims={**CLAIMS, "admin": True}),
    "a claim twice": made(claims=lines(json.dumps(CLAIMS))),
    "a claim twice, once escaped": made(claims=json.dumps(CLAIMS).replace('"role"', '"ro\\u006ce": "viewer", "role"', 1)),
    "alg twice": made(header=json.dumps(HEADER).replace('"alg"', '"alg": "none", "alg"', 1)),
    "something after the claims": made(claims=json.dumps(CLAIMS) + "{}"),
    "claims are a list": made(claims=json.dumps([CLAIMS])),
    "oversized": made(claims={**CLAIMS, "sub": "x" * 5000}),
    "padded": made() + "=",
    "standard Base64": ".".join(part.replace("-", "+").replace("_", "/") + "==" for part in made().split(".")),
    "a line break inside": good[:40] + "\n " + good[40:],
    "signature of another token": f"{head}.{body}.{other_signature}",
    "claims of another token": f"{head}.{other_body}.{signature}",
    "signature's last bit": good[:-1] + chr(ord(good[-1]) ^ 1),
    "another tenant's": other,
    "deep": made(claims='{"iss":' + "[" * 3000 + "]" * 3000 + "}"),
    **{f"without {name}": made(claims=without(name)) for name in CLAIMS},
}


def tried(token):
    request = f"GET /echo HTTP/1.1\r\nHost: {host(tenant)}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    return statuses(exchange(host(tenant), request.encode()))


taken = 0
for name, token in {"a good one": good, "one made here": made()}.items():
    if tried(token) != [200]:
        sys.exit(f"the positive control, {name}, is refused: {tried(token)}")
for name, token in WRONG.items():
    got = tried(token)
    if got not in ([401], [400]):
        print(f"{name}: {got}")
        taken += 1
print(f"{len(WRONG)} tried, {taken} taken")
sys.exit(bool(taken))
