"""What is no web server: one that speaks first, one that says nothing, datagrams that are noted."""
import socket

import journal

SPEAKS_FIRST = (22, 2222)
SILENT = (8125,)
DATAGRAMS = (443, 9, 123, 4500)


def greet(link, peer, log):
    with link:
        link.sendall(b"SSH-2.0-world\r\n")
        while got := link.recv(4096):
            log.note(port=link.getsockname()[1], to=link.getsockname()[0].removeprefix("::ffff:"), peer=peer[0], said=got.decode("latin-1")[:400])
            link.sendall(b"heard " + got)


def listen(link, peer, log):
    with link:
        while got := link.recv(4096):
            log.note(port=link.getsockname()[1], to=link.getsockname()[0].removeprefix("::ffff:"), peer=peer[0], said=got.decode("latin-1")[:400])


def serve(port, talk, log):
    server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=256)
    while True:
        link, peer = server.accept()
        log.note(port=port, to=link.getsockname()[0].removeprefix("::ffff:"), peer=peer[0], open=True)
        journal.in_thread(quietly, talk, link, peer, log)


def quietly(talk, *words):
    try:
        talk(*words)
    except OSError:
        """The other end went away."""


def note(port, log):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("", port))
    while True:
        got, peer = server.recvfrom(65536)
        log.note(port=port, udp=True, peer=peer[0], said=got.decode("latin-1")[:400])


def start(directory):
    log = journal.Journal(directory / "tcp.log")
    for port in SPEAKS_FIRST:
        journal.in_thread(serve, port, greet, log)
    for port in SILENT:
        journal.in_thread(serve, port, listen, log)
    for port in DATAGRAMS:
        journal.in_thread(note, port, log)
