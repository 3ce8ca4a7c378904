#!/usr/bin/python3
"""Notes every frame that leaves by an interface, a JSON object a line: what it is, where to, names asked for. Neighbour discovery is not noted, nor
is what carries nothing: an end or an acknowledgement of a connection begun before. Arguments: INTERFACE FILE; it says "ready" when it watches."""
import json, socket, struct, sys

OUTGOING, CHATTER, NOTHING_NEW = 4, {133, 134, 135, 136, 143}, 40
NAMES = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6"}


def name_in(query):
    labels, at = [], 12
    try:
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode("latin-1"))
            at += 1 + query[at]
    except IndexError:
        return None
    return ".".join(labels)


def network(kind, frame):
    """Protocol, source, destination and what is inside."""
    if kind == 0x0800:
        size = (frame[14] & 15) * 4
        total = struct.unpack_from(">H", frame, 16)[0]
        return frame[23], *(socket.inet_ntop(socket.AF_INET, frame[at : at + 4]) for at in (26, 30)), frame[14 + size : 14 + total]
    return frame[20], *(socket.inet_ntop(socket.AF_INET6, frame[at : at + 16]) for at in (22, 38)), frame[54:]


def described(kind, frame):
    if kind not in (0x0800, 0x86DD):
        return None if kind == 0x0806 else {"proto": f"ethertype {kind:#x}"}
    proto, source, to, inner = network(kind, frame)
    found = {"proto": NAMES.get(proto, str(proto)), "from": source, "to": to}
    if kind == 0x86DD and (proto == 58 and inner[0] in CHATTER or proto == 0):
        return None
    if proto not in (6, 17):
        return found
    found["port"] = struct.unpack_from(">H", inner, 2)[0]
    if proto == 6:
        found["bytes"] = len(inner) - (inner[12] >> 4) * 4
        found["begins"] = inner[13] & 18 == 2
        return found if found["begins"] or found["bytes"] > NOTHING_NEW else None
    found["bytes"] = len(inner) - 8
    if found["port"] == 53:
        found["name"] = name_in(inner[8:])
    if found["port"] == 9:
        found["said"] = inner[8:].decode("latin-1")[:64]
    return found


def main(interface, file):
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    link.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
    link.bind((interface, 0))
    with open(file, "a", buffering=1) as log:
        print("ready", flush=True)
        while True:
            frame, (_, kind, direction, *_) = link.recvfrom(65536)
            if direction == OUTGOING and (found := described(kind, frame)):
                log.write(json.dumps(found) + "\n")


main(*sys.argv[1:])
