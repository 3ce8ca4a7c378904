"""A name server that logs every query and knows names that mean harm."""
import ipaddress, itertools, socket, struct

import journal

A, CNAME, TXT, AAAA = 1, 5, 16, 28
KINDS = {A: "A", CNAME: "CNAME", TXT: "TXT", AAAA: "AAAA", 2: "NS", 6: "SOA", 15: "MX", 33: "SRV", 65: "HTTPS", 255: "ANY"}
NET = "93.184.216."
NAMES = {f"{name}.example.com": [f"{NET}{number}"] for name, number in {
    "allowed": 10, "api": 11, "other": 12, "files": 13, "ws": 14, "sse": 15, "redirect": 16, "wrong": 17, "untrusted": 18, "first": 20,
    "openai": 30, "anthropic": 31, "backup": 32}.items()}
NAMES |= {f"{name}.example.com": addresses for name, addresses in {
    "dual": [f"{NET}12", "2606:2800:220::12"], "six": ["2606:2800:220::12"], "loop4": ["127.0.0.1"], "loop6": ["::1"], "meta": ["169.254.169.254"],
    "ten": ["10.0.0.5"], "cgnat": ["100.64.0.1"], "zero": ["0.0.0.0"], "mapped": ["::ffff:127.0.0.1"], "mappedmeta": ["::ffff:169.254.169.254"],
    "nat64": ["64:ff9b::a9fe:a9fe"], "linklocal": ["fe80::1"], "mixed": [f"{NET}12", "127.0.0.1"]}.items()}
# Each answer is the next of these.
REBINDING = {"rebind.example.com": itertools.cycle([f"{NET}12", "169.254.169.254"]), "rebind-loop.example.com": itertools.cycle([f"{NET}12", "127.0.0.1"]),
             "rebind-late.example.com": itertools.chain([f"{NET}12"], itertools.repeat("10.0.0.5"))}
ALIASES = {"alias.example.com": "allowed.example.com", "alias-loop.example.com": "loop4.example.com"}
TUNNEL = ".tunnel.example.net"


def addresses(name):
    if name in REBINDING:
        return [next(REBINDING[name])]
    return [f"{NET}66"] if name.endswith(TUNNEL) else NAMES.get(name, [])


def known(name):
    return name in NAMES or name in REBINDING or name in ALIASES or name.endswith(TUNNEL)


def encoded(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def asked(query):
    """Name, type and the bytes of the question."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("latin-1").lower())
        at += 1 + query[at]
    return ".".join(labels), struct.unpack_from(">H", query, at + 1)[0], query[12 : at + 5]


def record(name, kind, data, ttl):
    return encoded(name) + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data


def records(name, kind):
    ttl = 0 if name in REBINDING else 30
    if name in ALIASES:
        target = ALIASES[name]
        return [record(name, CNAME, encoded(target), ttl), *records(target, kind)]
    if kind == TXT:
        return [record(name, TXT, b"\x05world", ttl)] if known(name) else []
    wanted = {A: 4, AAAA: 6}.get(kind)
    if not wanted or (name in REBINDING and kind != A):
        return []
    found = [ipaddress.ip_address(address) for address in addresses(name)]
    return [record(name, kind, address.packed, ttl) for address in found if address.version == wanted]


def answer(query):
    name, kind, question = asked(query)
    found = records(name, kind)
    flags = 0x8180 if known(name) else 0x8183  # answered; no such name
    return name, kind, struct.pack(">HHHHHH", *struct.unpack_from(">H", query), flags, 1, len(found), 0, 0) + question + b"".join(found)


def datagrams(server, log):
    while True:
        query, peer = server.recvfrom(4096)
        try:
            name, kind, reply = answer(query)
        except (IndexError, struct.error):
            log.note(proto="udp", broken=query.hex())
            continue
        log.note(proto="udp", name=name, type=KINDS.get(kind, str(kind)), peer=peer[0])
        server.sendto(reply, peer)


def stream(link, peer, log):
    with link:
        file = link.makefile("rb")
        while len(size := file.read(2)) == 2:
            name, kind, reply = answer(file.read(struct.unpack(">H", size)[0]))
            log.note(proto="tcp", name=name, type=KINDS.get(kind, str(kind)), peer=peer[0])
            link.sendall(struct.pack(">H", len(reply)) + reply)


def streams(server, log):
    while True:
        link, peer = server.accept()
        journal.in_thread(stream, link, peer, log)


def start(directory):
    log = journal.Journal(directory / "dns.log")
    # One socket for each address: an answer must come from the address that was asked.
    for address in (f"{NET}53", "8.8.8.8", "1.1.1.1"):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((address, 53))
        journal.in_thread(datagrams, server, log)
    journal.in_thread(streams, socket.create_server(("", 53), backlog=128), log)
