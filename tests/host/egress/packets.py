"""Ways out that need no proxy: packets of every kind, and names (attack.py)."""
import os, socket, struct, sys

import client
from acts import PATIENCE, WORLD, act, http, judged


def udp(address, port, data, family=socket.AF_INET):
    link = socket.socket(family, socket.SOCK_DGRAM)
    link.settimeout(PATIENCE)
    link.sendto(data, (address, port))
    return "reached: sent"


# ---- packets

@act
def datagram_to_a_resolver():
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.settimeout(PATIENCE)
    link.sendto(client.query("allowed.example.com", "A"), ("8.8.8.8", 53))
    return f"reached: {len(link.recv(512))} bytes"


@act
def quic():
    return udp(WORLD + "10", 443, bytes([0xC3, 0, 0, 0, 1, 8]) + bytes(1200))


@act
def datagram_to_any_port():
    return udp(WORLD + "66", 4500, b"data")


@act
def broadcast():
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    link.sendto(b"data", ("255.255.255.255", 4500))
    return "reached: sent"


@act
def multicast():
    return udp("224.0.0.251", 5353, b"data")


@act
def ping():
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
    link.settimeout(PATIENCE)
    link.sendto(struct.pack(">BBHHH", 8, 0, 0, 1, 1) + b"data", ("8.8.8.8", 0))
    return "reached: sent"


@act
def raw_icmp():
    link = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    link.sendto(struct.pack(">BBHHH", 8, 0, 0xF7FD, 1, 1), ("8.8.8.8", 0))
    return "reached: sent"


@act
def raw_protocol():
    link = socket.socket(socket.AF_INET, socket.SOCK_RAW, 47)
    link.sendto(b"data", (WORLD + "66", 0))
    return "reached: sent"


@act
def packet_socket():
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    link.bind(("eth0" if os.path.exists("/sys/class/net/eth0") else socket.if_nameindex()[-1][1], 0))
    link.send(bytes(12) + b"\x88\xb5" + bytes(46))
    return "reached: sent"


@act
def sctp():
    link = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)
    link.settimeout(PATIENCE)
    link.connect((WORLD + "66", 80))
    return "reached: connected"


@act
def udp_over_six():
    return udp("2606:2800:220::12", 443, b"data", socket.AF_INET6)


@act
def tcp_over_six():
    with socket.create_connection(("2606:2800:220::12", 80), PATIENCE) as link:
        return http(link, "other.example.com")


@act
def fast_open():
    link = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    link.sendto(b"GET / HTTP/1.1\r\nHost: other.example.com\r\n\r\n", socket.MSG_FASTOPEN, (WORLD + "12", 80))
    link.settimeout(PATIENCE)
    return judged(link.recv(4096))


@act
def tcp_to_a_resolver():
    return "reached: " + client.dns("other.example.com", "A", "8.8.8.8", "tcp")


@act
def bound_to_the_bridge():
    """By the link to the host instead of the way that leads to the proxy."""
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for name in (name for _, name in socket.if_nameindex() if name != "lo"):
        link.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode() + b"\0")
    link.sendto(b"data", (WORLD + "66", 4500))
    return "reached: sent"


@act
def with_a_mark():
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 1)
    link.sendto(b"data", (WORLD + "66", 4500))
    return "reached: sent"


# ---- names

@act
def tunnel_by_names():
    found = [client.dns(f"{os.urandom(20).hex()}.{number}.tunnel.example.net", "A") for number in range(20)]
    return ("reached: " if any("NOERROR" in reply for reply in found) else "refused: ") + found[0]


@act
def tunnel_below_an_allowed_name():
    found = [client.dns(f"{os.urandom(20).hex()}.allowed.example.com", "A") for number in range(20)]
    return ("reached: " if any("NOERROR" in reply or "NXDOMAIN" in reply for reply in found) else "refused: ") + found[0]


@act
def tunnel_by_other_records():
    found = [client.dns(f"word{number}.tunnel.example.net", kind) for number, kind in enumerate(("TXT", "NULL", "ANY", "HTTPS", "CNAME"))]
    return ("reached: " if any("NOERROR" in reply for reply in found) else "refused: ") + " ".join(found)


@act
def texts_of_an_allowed_name():
    found = client.dns("allowed.example.com", "TXT")
    return f"refused: {found}"


@act
def broken_queries():
    """A name server that stays one through all of this answers at the end."""
    for data in (b"", b"\0", os.urandom(12), os.urandom(600), b"\0\1\1\0\xff\xff\0\0\0\0\0\0", client.query("allowed.example.com", "A")[:-3],
                 b"\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1", b"\0\1\1\0\0\1\0\0\0\0\0\0" + b"\x3f" + b"a" * 63 * 20):
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(data, ("127.0.0.1", 53))
    link = socket.create_connection(("127.0.0.1", 53), PATIENCE)
    link.sendall(b"\xff\xff" + bytes(10))
    return "refused: and then " + client.dns("allowed.example.com", "A").split()[0]
