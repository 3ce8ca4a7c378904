#!/usr/bin/env python3
"""Run a command on a terminal of 33 x 101 and type into it: terminal.py STEP... -- COMMAND...

A step is EXPECT=>SEND: once EXPECT (a regular expression) shows, SEND is typed, with \\n and \\x03 understood; SEND may be
RESIZE ROWS COLUMNS instead. Prints all the terminal showed and ends as the command did, or with 99 when a step never came.
"""

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time

PATIENCE = 20
# A program that asks for a password may throw away what was typed before it turned the echo off.
FINGERS = 0.3


def resize(terminal, rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def main():
    split = sys.argv.index("--")
    steps = [step.split("=>", 1) for step in sys.argv[1:split]]
    child, terminal = pty.fork()
    if child == 0:
        time.sleep(0.2)
        os.execvp(sys.argv[split + 1], sys.argv[split + 1 :])
    resize(terminal, 33, 101)
    shown, seen, until = "", 0, time.time() + PATIENCE
    while True:
        ready, _, _ = select.select([terminal], [], [], max(0, until - time.time()))
        if not ready:
            print(shown + f"\n(nothing matched {steps[0][0]!r})" if steps else shown)
            sys.exit(99)
        try:
            data = os.read(terminal, 65536)
        except OSError:
            data = b""
        if not data:
            break
        shown += data.decode(errors="replace")
        while steps and (match := re.compile(steps[0][0]).search(shown, seen)):
            seen, send = match.end(), steps.pop(0)[1]
            if send.startswith("RESIZE "):
                resize(terminal, *map(int, send.split()[1:]))
            else:
                time.sleep(FINGERS)
                os.write(terminal, send.encode().decode("unicode_escape").encode())
            until = time.time() + PATIENCE
    print(shown.replace("\r\n", "\n"))
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


main()
