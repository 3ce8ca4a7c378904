"""What the ways out have in common (attack.py)."""
PATIENCE = 3
PROXY = ("127.0.0.1", 3128)
WORLD = "93.184.216."
ACTS = {}


def act(run):
    ACTS[run.__name__.replace("_", "-")] = run
    return run


def judged(answer):
    line = answer.split(b"\r\n")[0].decode("latin-1")
    status = line.split()[1] if len(line.split()) > 1 else ""
    return f"{'reached' if status[:1] in ('1', '2', '3') else 'refused'}: {line or 'closed'}"


def received(link, patience=2):
    got = b""
    link.settimeout(patience)
    try:
        while len(got) < 1 << 20 and (more := link.recv(65536)):
            got += more
    except OSError:
        pass
    return got


def http(link, host, path="/"):
    link.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    return judged(received(link))
