"""One tenant is flooded beyond its limit while another is served. Arguments: flooded tenant, its token, other tenant, its token, seconds."""
import sys, threading, time
from client import connect, host

flooded, token, other, other_token, seconds = sys.argv[1:]
until = time.monotonic() + float(seconds)
seen, waits, lock = {}, [], threading.Lock()


def ask(link, tenant, token_, path):
    link.sendall(f"GET {path} HTTP/1.1\r\nHost: {host(tenant)}\r\nAuthorization: Bearer {token_}\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        if not (more := link.recv(65536)):
            raise ConnectionError("ended")
        answer += more
    head, body = answer.split(b"\r\n\r\n", 1)
    length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += link.recv(65536)
    return int(head.split()[1]), head.lower()


def flood():
    link = None
    while time.monotonic() < until:
        try:
            link = link or connect(host(flooded))
            status, head = ask(link, flooded, token, "/healthz")
            if status == 429 and b"retry-after:" not in head:
                status = "429 without Retry-After"
        except OSError:
            link, status = None, "ended"
        with lock:
            seen[status] = seen.get(status, 0) + 1


threads = [threading.Thread(target=flood) for _ in range(16)]
for thread in threads:
    thread.start()
link, answers = connect(host(other)), {}
while time.monotonic() < until:
    before = time.monotonic()
    status, _ = ask(link, other, other_token, "/healthz")
    waits.append(time.monotonic() - before)
    answers[status] = answers.get(status, 0) + 1
    time.sleep(0.05)
for thread in threads:
    thread.join()
waits.sort()
print(f"flooded: {seen}; other: {answers}, median {waits[len(waits) // 2] * 1000:.0f} ms, worst {waits[-1] * 1000:.0f} ms")
sys.exit(not (seen.get(429, 0) > 100 and set(answers) == {200} and "429 without Retry-After" not in seen))
