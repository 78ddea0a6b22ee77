"""One row of scripts/bench-sessions: NAME URL PID IDLE ACTIVE LOGINS."""

import resource
import socket
import struct
import sys
import time
from urllib.parse import urlsplit


def session(host, port, user, database):
    """A socket behind the first ReadyForQuery of a log-in without a password."""
    sock = socket.create_connection((host, port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    words = f"user\0{user}\0database\0{database}\0\0".encode()
    sock.sendall(struct.pack(">ii", len(words) + 8, 196608) + words)
    ready(sock)
    return sock


def ready(sock):
    """Reads up to ReadyForQuery; an error ends the measurement."""
    data = b""
    while True:
        while len(data) >= 5:
            kind, length = data[0:1], struct.unpack(">i", data[1:5])[0]
            if len(data) < length + 1:
                break
            if kind == b"E":
                sys.exit(data[5 : length + 1].decode(errors="replace"))
            if kind == b"Z":
                return
            data = data[length + 1 :]
        more = sock.recv(65536)
        if not more:
            sys.exit("the connection has ended")
        data += more


def query(sock, sql):
    text = sql.encode() + b"\0"
    sock.sendall(b"Q" + struct.pack(">i", len(text) + 4) + text)


def kib(pid):
    """Memory of its own, in KiB."""
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        sizes = dict(line.split(":") for line in list(lines)[1:])
    return sum(int(sizes[name].split()[0]) for name in ("Private_Clean", "Private_Dirty"))


def main():
    name, url, pid, idle, active, logins = sys.argv[1:]
    idle, active, logins = int(idle), int(active), int(logins)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, idle + active + 100)), hard))
    parts = urlsplit(url)
    place = (parts.hostname, parts.port, parts.username or "postgres", parts.path[1:])
    row = "SELECT abalance FROM pgbench_accounts WHERE aid = 7"

    def asks(sock):
        query(sock, row)
        ready(sock)

    # What the first sessions warm up belongs to nobody.
    for sock in [session(*place) for _ in range(20)]:
        asks(sock)
        sock.close()
    time.sleep(1)
    before = kib(pid)
    waiting = []
    for _ in range(idle):
        waiting.append(session(*place))
        asks(waiting[-1])
    time.sleep(1)
    rested = kib(pid)
    busy = [session(*place) for _ in range(active)]
    until = time.monotonic() + 3
    while time.monotonic() < until:
        for sock in busy:
            query(sock, row)
        for sock in busy:
            ready(sock)
    worked = kib(pid)
    for sock in waiting + busy:
        sock.close()
    time.sleep(1)
    took = []
    for _ in range(logins):
        began = time.perf_counter()
        sock = session(*place)
        took.append(time.perf_counter() - began)
        sock.close()
    took.sort()
    each = (rested - before) / max(idle, 1)
    more = (worked - rested) / max(active, 1)
    print(f"| {name} | {each:.1f} | {more:.1f} | {took[len(took) // 2] * 1e6:.0f} |")


main()
