#!/usr/bin/python3
"""The outside world, in its own network namespace: a name server, web servers, model providers, a server that speaks first. What it is told
to do stands in DIRECTORY/providers.json, what it sees goes to DIRECTORY/{dns,web,tcp}.log, a JSON object a line. Argument: DIRECTORY."""
import pathlib, sys, threading

import names, plain, web

DIRECTORY = pathlib.Path(sys.argv[1])

for start in (names.start, plain.start, web.start):
    start(DIRECTORY)
(DIRECTORY / "ready").touch()
threading.Event().wait()
