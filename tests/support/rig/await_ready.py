"""Start systemd-nspawn and wait until the system in it has booted: await_ready.py HOST-DIR SECONDS CMD….

CMD goes on in its own session after this program has ended. Its pid is appended to HOST-DIR/processes as "PID START-TIME",
so is the pid of the host's init, which also goes to HOST-DIR/leader. Exits 0 when the host reports READY=1 (all start jobs
done), 1 when CMD ends before that or the time is over.
"""

import os
import socket
import subprocess
import sys
import time


def start_time(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        return stat.read().rsplit(")", 1)[1].split()[19]


def record(directory, pid):
    with open(f"{directory}/processes", "a", encoding="utf-8") as processes:
        processes.write(f"{pid} {start_time(pid)}\n")


def main(directory, seconds, command):
    deadline = time.monotonic() + seconds
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind("")  # an abstract address that the kernel chooses
    address = notify.getsockname()
    environment = dict(os.environ, NOTIFY_SOCKET="@" + address[1:].decode())
    with open(f"{directory}/console.log", "ab") as console:
        nspawn = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True
        )
    record(directory, nspawn.pid)
    notify.settimeout(0.2)
    while time.monotonic() < deadline:
        try:
            message = notify.recv(4096).decode().split("\n")
        except TimeoutError:
            if nspawn.poll() is not None:
                return 1
            continue
        for line in message:
            if line.startswith("X_NSPAWN_LEADER_PID="):
                leader = int(line.split("=")[1])
                record(directory, leader)
                with open(f"{directory}/leader", "w", encoding="utf-8") as file:
                    file.write(f"{leader}\n")
        if "READY=1" in message:
            return 0
    return 1


sys.exit(main(sys.argv[1], float(sys.argv[2]), sys.argv[3:]))
