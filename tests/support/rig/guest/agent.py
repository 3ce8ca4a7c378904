"""Runs commands for the build machine over one virtio-serial port, one at a time, with real standard streams.

Frames both ways: one byte kind, four bytes length (big endian), payload.
  to here:   X {"argv", "nonce"} start (after the START bytes), I input (empty = end of input)
  from here: A nonce (started), O output, E error output, Q exit status (decimal text)
The other side going away ends the running command. Anything before
the START bytes is the tail of an older, broken-off order and dropped.
"""

import json
import os
import select
import signal
import struct
import subprocess
import sys
import time

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}
START = b"\0rig-start\0"
AWAY_PAUSE = 0.1
CHUNK = 65536
INPUT_LIMIT = 1 << 20


class Gone(Exception):
    """The build machine closed its end of the port."""


class Port:
    """The port as frames; reading never blocks longer than a poll, writing waits for room."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self.pending = b""

    def read(self):
        """Take in what has arrived; raises Gone when the other side is away."""
        try:
            data = os.read(self.fd, CHUNK)
        except BlockingIOError:
            return
        if not data:
            raise Gone
        self.pending += data

    def await_start(self):
        """Wait for the START bytes and drop them with all that came before."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        while START not in self.pending:
            if any(event & select.POLLHUP for _, event in poll.poll()):
                raise Gone
            self.read()
        self.pending = self.pending.split(START, 1)[1]

    def receive(self):
        """The frames that have arrived."""
        self.read()
        return self.frames()

    def frames(self):
        """The complete frames among the bytes taken in."""
        frames = []
        while len(self.pending) >= 5:
            kind, length = struct.unpack(">cI", self.pending[:5])
            if len(self.pending) < 5 + length:
                break
            frames.append((kind, self.pending[5 : 5 + length]))
            self.pending = self.pending[5 + length :]
        return frames

    def send(self, kind, payload):
        data = struct.pack(">cI", kind, len(payload)) + payload
        while data:
            try:
                data = data[os.write(self.fd, data) :]
            except BlockingIOError:
                poll = select.poll()
                poll.register(self.fd, select.POLLOUT)
                if any(event & select.POLLHUP for _, event in poll.poll(1000)):
                    raise Gone from None
            except OSError as error:
                raise Gone from error


class Command:
    """A running command and what still has to reach its standard input."""

    def __init__(self, argv):
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=ENVIRONMENT, cwd="/root", start_new_session=True, bufsize=0,
        )
        self.stdin = self.process.stdin.fileno()
        os.set_blocking(self.stdin, False)
        self.input = b""
        self.input_ended = False
        self.outputs = {self.process.stdout.fileno(): b"O", self.process.stderr.fileno(): b"E"}

    def feed(self):
        """Give the command what it takes of its input; a command that closed its input loses the rest."""
        if self.stdin is None:
            self.input = b""
            return
        try:
            if self.input:
                self.input = self.input[os.write(self.stdin, self.input) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.input, self.input_ended = b"", True
        if self.input_ended and not self.input:
            self.process.stdin.close()
            self.stdin = None

    def kill(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


def serve(port, command):
    """Carry the streams until the command has ended and its output is drained."""
    ended_at = None
    while True:
        poll = select.poll()
        for fd in command.outputs:
            poll.register(fd, select.POLLIN)
        poll.register(port.fd, select.POLLIN if len(command.input) < INPUT_LIMIT else 0)
        if command.stdin is not None and command.input:
            poll.register(command.stdin, select.POLLOUT)
        events = dict(poll.poll(50))
        if events.get(port.fd, 0) & (select.POLLHUP | select.POLLERR):
            raise Gone
        for kind, payload in port.receive() if port.fd in events else []:
            if kind == b"I":
                command.input += payload
                command.input_ended |= not payload
        command.feed()
        for fd in [fd for fd in command.outputs if fd in events]:
            data = os.read(fd, CHUNK)
            if data:
                port.send(command.outputs[fd], data)
            else:
                del command.outputs[fd]
        if command.process.poll() is not None:
            # A daemon that the command left behind may hold the streams open for ever: drain, then go.
            ended_at = ended_at or time.monotonic()
            if not command.outputs or (not events and time.monotonic() - ended_at > 0.2):
                status = command.process.returncode
                port.send(b"Q", b"%d" % (status if status >= 0 else 128 - status))
                return


def run_one(port):
    """Take one order and carry it out."""
    port.await_start()
    orders = port.frames()
    while not orders:
        select.select([port.fd], [], [])
        orders = port.receive()
    order = json.loads(orders[0][1])
    port.send(b"A", order["nonce"].encode())
    try:
        command = Command(order["argv"])
    except OSError as error:
        port.send(b"E", f"{order['argv'][0]}: {error.strerror}\n".encode())
        port.send(b"Q", b"127" if isinstance(error, FileNotFoundError) else b"126")
        return
    try:
        serve(port, command)
    except Gone:
        command.kill()
        raise


def main(path):
    port = Port(path)
    while True:
        try:
            run_one(port)
        except Gone:
            time.sleep(AWAY_PAUSE)
        port.pending = b""


main(sys.argv[1])
