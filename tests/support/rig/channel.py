"""Run one command in a QEMU host: channel.py [--wait SECONDS] HOST-DIR CMD…, with this process's standard streams.

The host listens on a few virtio-serial ports (HOST-DIR/port0.sock …), each carrying one command at a time; a free one
is taken by a lock. The frames are described in guest/agent.py. Exits with the command's status, 255 if the channel fails.
"""

import fcntl
import glob
import json
import os
import select
import socket
import struct
import sys
import time
import uuid

CHUNK = 65536
START = b"\0rig-start\0"


def free_port(deadline):
    """Connect to a port that no other client uses; its lock is held until this process ends."""
    while True:
        for path in sorted(glob.glob("port*.sock")):
            lock = os.open(path + ".lock", os.O_CREAT | os.O_RDWR, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                port = socket.socket(socket.AF_UNIX)
                port.connect(path)
                return port
            except OSError:
                os.close(lock)
        if time.monotonic() > deadline:
            sys.exit(255)
        time.sleep(0.05)


def frame(kind, payload):
    """One frame as bytes."""
    return struct.pack(">cI", kind, len(payload)) + payload


def split(pending):
    """The complete frames in these bytes, and the bytes left over."""
    found = []
    while len(pending) >= 5:
        kind, length = struct.unpack(">cI", pending[:5])
        if len(pending) < 5 + length:
            break
        found.append((kind, pending[5 : 5 + length]))
        pending = pending[5 + length :]
    return found, pending


def start(port, argv, deadline):
    """Ask until the agent answers with this order's nonce; what came before it is another command's tail."""
    nonce = uuid.uuid4().hex
    order = json.dumps({"argv": argv, "nonce": nonce}).encode()
    port.sendall(START + frame(b"X", order))
    answer, seen = frame(b"A", nonce.encode()), b""
    while True:
        if select.select([port], [], [], max(0.0, deadline - time.monotonic()))[0]:
            data = port.recv(CHUNK)
            if not data:
                return None
            seen += data
            at = seen.find(answer)
            if at >= 0:
                return seen[at + len(answer) :]
        elif time.monotonic() > deadline:
            return None


def carry(port, pending):
    """Carry the streams until the exit status arrives. Output is always read, so that neither side can wait for ever."""
    port.setblocking(False)
    stdin, unsent = 0, b""
    while True:
        found, pending = split(pending)
        for kind, payload in found:
            if kind == b"Q":
                return int(payload)
            written = 0
            while written < len(payload):
                written += os.write(1 if kind == b"O" else 2, payload[written:])
        reading = [port] if stdin is None or unsent else [port, stdin]
        readable, writable, _ = select.select(reading, [port] if unsent else [], [])
        if port in readable:
            data = port.recv(CHUNK)
            if not data:
                print("error: the host went away while a command ran", file=sys.stderr)
                return 255
            pending += data
        if stdin in readable:
            data = os.read(stdin, CHUNK)
            unsent = frame(b"I", data)
            stdin = stdin if data else None
        if writable:
            unsent = unsent[port.send(unsent) :]


def main(arguments):
    wait = 30.0
    if arguments[0] == "--wait":
        wait, arguments = float(arguments[1]), arguments[2:]
    deadline = time.monotonic() + wait
    os.chdir(arguments[0])  # a socket's path may be 107 bytes at most
    port = free_port(deadline)
    pending = start(port, arguments[1:], deadline)
    if pending is None:
        sys.exit(255)
    try:
        sys.exit(carry(port, pending))
    except BrokenPipeError:
        os._exit(141)


main(sys.argv[1:])
