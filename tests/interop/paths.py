"""Cases about paths: the QUIC core (ours, `core`) and the QUIC of iroh (the crate noq, 1.4.0 and 1.0.1), told what to do
line by line as README.md says, and what the Python and Node packages do with paths by themselves."""
import contextlib
import socket
import time

from programs import SECRET, Failure, Program, Skip, holds

CORE = "core"
PEERS = ("noq", "noq-old")
PACKAGES = ("python", "node")  # whole endpoints: they decide about paths themselves
ANY = "0.0.0.0:0"
HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
MEGABYTE = 1 << 20
WAIT = 20                      # seconds for what has to happen
CODE_APPLICATION = 0x3e        # of PATH_ABANDON
CODE_UNSTABLE = 0x3e76
CYCLES = 12                    # more paths than may be open at once
SHORT_IDLE = ["--path-idle", "3000"]


class Side:
    """One running program, with what it says from now on."""

    def __init__(self, peer, arguments):
        self.name, self.program = peer.name, Program(peer, [*arguments, "--for", "120"])
        try:
            self.address = self.program.find(lambda line: "id" in line, WAIT)
        except Failure:
            self.program.end()
            raise

    def mark(self):
        return self.program.drain()

    def event(self, name, start=0, wait=WAIT, **more):
        wanted = {"event": name, **more}
        try:
            return self.program.find(lambda line: holds(line, wanted), wait, start)
        except Failure as failure:
            raise Failure(f"{self.name} did not say {wanted}: {failure}") from failure

    def ask(self, command):
        """Gives a command and returns the line that answers it."""
        start = self.mark()
        self.program.say(command + "\n")
        return self.program.find(lambda line: line.get("done") == command, WAIT, start)

    def tell(self, command):
        line = self.ask(command)
        if "error" in line:
            raise Failure(f"{self.name}: {command}: {line['error']}")
        return line.get("result")

    def path(self, number):
        """What it knows of one path, or None."""
        return next((p for p in self.tell("stats")["paths"] if p["path"] == number), None)


class Duo:
    """A client and a server on loopback, each reachable at several addresses."""

    def __init__(self, client, server, both=(), client_more=(), server_more=()):
        hosts = [word for host in HOSTS for word in ("--host", host)]
        self.server = Side(server, ["serve", "--secret", SECRET, "--bind", ANY, *hosts, *both, *server_more])
        self.addrs = self.server.address["addrs"]
        try:
            self.client = Side(client, ["client", "--bind", ANY, "--id", self.server.address["id"],
                                        "--addr", self.addrs[0], *both, *client_more])
        except Failure:
            self.server.program.end()
            raise
        self.port = int(self.client.address["addrs"][0].rsplit(":", 1)[1])

    def end(self):
        self.client.program.end()
        self.server.program.end()

    @property
    def sides(self):
        return self.client, self.server

    @property
    def core(self):
        return self.client if self.client.name == CORE else self.server

    def connect(self, command="connect", **more):
        start = self.client.mark(), self.server.mark()
        self.client.tell(command)
        self.client.event("connected", start[0], multipath=True, nat=True, **more)
        self.settle()
        return self.server.event("connected", start[1], multipath=True, nat=True)

    def settle(self):
        """Connection ids and tickets are there when a first transfer is over."""
        self.echo(1000)

    def echo(self, size):
        start = self.client.mark()
        self.client.tell(f"echo {size}")
        self.client.event("echoed", start, 60, bytes=size)

    def open(self, host=1, status="available", expect=None):
        """Opens a path to one of the server's addresses and waits until both sides have it. Returns its number."""
        start = self.client.mark(), self.server.mark()
        command = f"open {self.addrs[host]} {status}"
        end = time.monotonic() + WAIT
        while "error" in (line := self.client.ask(command)):
            if time.monotonic() > end:
                raise Failure(f"{self.client.name}: {command}: {line['error']}")
            time.sleep(0.05)
        number = line["result"]["path"]
        for side, at in zip(self.sides, start):
            side.event("established", at, path=number)
        if expect is not None and number != expect:
            raise Failure(f"path {number} opened instead of {expect}")
        return number

    @contextlib.contextmanager
    def transfer(self, size):
        """A transfer that is half done at the beginning of the block, and must end well after it."""
        start = self.client.mark()
        self.client.tell(f"echo {size}")
        self.client.event("half", start, 60)
        yield
        self.client.event("echoed", start, 60, bytes=size)

    def abandon(self, side, number):
        other = self.server if side is self.client else self.client
        start = side.mark(), other.mark()
        side.tell(f"abandon {number}")
        side.event("abandoned", start[0], path=number, by_peer=False)
        other.event("abandoned", start[1], path=number, by_peer=True, code=CODE_APPLICATION)
        # Ours and theirs forget a path only when both have said so.
        side.event("gone", start[0], path=number)
        other.event("gone", start[1], path=number)


def check(condition, why):
    if not condition:
        raise Failure(why)


# What the cases do, with a connection


def open_in_transfer(duo):
    with duo.transfer(32 * MEGABYTE):
        duo.open(1, expect=1)
    for side in duo.sides:
        check(side.path(1) is not None, f"{side.name} lost path 1")


def only_one_path(duo):
    """No second path to the same address appears by itself."""
    duo.open(1, expect=1)
    duo.echo(4 * MEGABYTE)
    for side in duo.sides:
        check(len(side.tell("stats")["paths"]) == 2, f"{side.name} has other paths: {side.tell('stats')['paths']}")


def open_several(duo):
    duo.open(1, expect=1)
    duo.open(2, expect=2)
    duo.echo(8 * MEGABYTE)


def status(duo):
    duo.open(1, expect=1)
    for side, other in ((duo.client, duo.server), (duo.server, duo.client)):
        for word in ("backup", "available"):
            start = other.mark()
            side.tell(f"status 1 {word}")
            other.event("status", start, path=1, status=word)
    for side in duo.sides:
        side.tell("status 0 backup")
    before = [side.path(1)["bytes_received"] for side in duo.sides]
    duo.echo(4 * MEGABYTE)
    for side, was in zip(duo.sides, before):
        got = side.path(1)["bytes_received"] - was
        check(got > 3 * MEGABYTE, f"only {got} bytes came to {side.name} over the path that is not a backup")


def abandon_by_client(duo):
    duo.open(1, expect=1)
    with duo.transfer(32 * MEGABYTE):
        duo.abandon(duo.client, 1)
    duo.open(1, expect=2)


def abandon_by_server(duo):
    duo.open(1, expect=1)
    with duo.transfer(32 * MEGABYTE):
        duo.abandon(duo.server, 1)
    duo.open(1, expect=2)


def abandon_first(duo):
    duo.open(1, expect=1)
    with duo.transfer(32 * MEGABYTE):
        duo.abandon(duo.client, 0)
    duo.echo(MEGABYTE)


def abandon_cycles(duo):
    for number in range(1, CYCLES + 1):
        duo.open(1 + number % 2, expect=number)
        duo.abandon(duo.sides[number % 2], number)
    duo.echo(MEGABYTE)


def dead(duo, number, size):
    start = [side.mark() for side in duo.sides]
    with duo.transfer(size):
        duo.core.tell(f"deaf {duo.addrs[number]}")
    for side, at in zip(duo.sides, start):
        side.event("abandoned", at, path=number)
        side.event("gone", at, path=number)
    duo.echo(MEGABYTE)


def dead_path(duo):
    duo.open(1, expect=1)
    dead(duo, 1, 64 * MEGABYTE)


def dead_first_path(duo):
    duo.open(1, expect=1)
    dead(duo, 0, 64 * MEGABYTE)


def dead_idle_path(duo):
    """A backup that dies is noticed although nothing needs it."""
    number = duo.open(1, "backup")
    start = [side.mark() for side in duo.sides]
    duo.core.tell(f"deaf {duo.addrs[1]}")
    for side, at in zip(duo.sides, start):
        side.event("abandoned", at, path=number)
    duo.echo(MEGABYTE)


def never_answered(duo):
    """A path that nobody answers is given up, and others can be opened."""
    duo.core.tell(f"deaf {duo.addrs[1]}")
    start = duo.client.mark()
    number = duo.client.tell(f"open {duo.addrs[1]} available")["path"]
    duo.client.event("abandoned", start, path=number, by_peer=False)
    duo.echo(MEGABYTE)
    duo.open(2, expect=number + 1)
    duo.echo(MEGABYTE)


def observed(duo):
    duo.client.event("observed", path=0, address=f"{HOSTS[0]}:{duo.port}")
    duo.server.event("observed", path=0, address=duo.addrs[0])
    duo.open(1, expect=1)
    duo.client.event("observed", path=1, address=f"{HOSTS[0]}:{duo.port}")
    duo.server.event("observed", path=1, address=duo.addrs[1])


def rebind(duo):
    """The client gets another port: the server follows, and reports the new address. (Ours stays on its path, as behind
    a NAT that it does not know of; noq is aware of it and opens another path.)"""
    duo.client.event("observed", path=0, address=f"{HOSTS[0]}:{duo.port}")
    start = duo.client.mark()
    with duo.transfer(16 * MEGABYTE):
        duo.client.tell("rebind")
    duo.echo(MEGABYTE)
    line = duo.client.event("observed", start)
    check(line["address"] != f"{HOSTS[0]}:{duo.port}", "the old address was reported")


def network(duo):
    """The client's network changed: a new path to where the old one led, and the old one is given up."""
    start = [side.mark() for side in duo.sides]
    with duo.transfer(16 * MEGABYTE):
        duo.client.tell("network")
    duo.server.event("established", start[1], path=1)
    duo.server.event("abandoned", start[1], path=0, by_peer=True, code=CODE_UNSTABLE)
    duo.client.event("gone", start[0], path=0)
    duo.echo(MEGABYTE)


def traversal(duo):
    """The server names a second address, the client reaches out, both probe, and a path opens by that alone."""
    nowhere = f"{HOSTS[2]}:9"
    for address in (duo.addrs[1], nowhere):
        duo.server.tell(f"candidate {address}")
    start = [side.mark() for side in duo.sides]
    wait_candidates(duo.client, {duo.addrs[1], nowhere})
    duo.client.tell(f"candidate {HOSTS[0]}:{duo.port}")
    duo.client.tell(f"candidate {nowhere}")
    duo.client.tell("round")
    duo.client.event("established", start[0], path=1, remote=duo.addrs[1])
    duo.server.event("established", start[1], path=1, remote=f"{HOSTS[0]}:{duo.port}")
    for side in duo.sides:
        if side.name != CORE:
            frames = side.tell("stats")
            way = "received" if side is duo.server else "sent"
            check(frames[way]["reach_out"] >= 2, f"{side.name} {way} {frames[way]['reach_out']} REACH_OUT")
            way = "sent" if side is duo.server else "received"
            check(frames[way]["add_address"] >= 2, f"{side.name} {way} {frames[way]['add_address']} ADD_ADDRESS")
    duo.server.tell(f"uncandidate {nowhere}")
    wait_candidates(duo.client, {duo.addrs[1]})
    duo.echo(MEGABYTE)


def traversal_again(duo):
    """A second round with another address; the first one's path stays."""
    traversal(duo)
    start = [side.mark() for side in duo.sides]
    duo.server.tell(f"candidate {duo.addrs[2]}")
    wait_candidates(duo.client, {duo.addrs[1], duo.addrs[2]})
    duo.client.tell("round")
    for side, at in zip(duo.sides, start):
        side.event("established", at, path=2)
    duo.echo(MEGABYTE)


def wait_candidates(client, wanted):
    try:
        client.program.find(lambda line: line.get("event") == "candidates" and set(line["addresses"]) == wanted, WAIT)
    except Failure as failure:
        raise Failure(f"{client.name} never knew the candidates {sorted(wanted)}: {failure}") from failure


def key_updates(duo):
    duo.open(1, expect=1)
    with duo.transfer(16 * MEGABYTE):
        for side in duo.sides:
            side.tell("keys")
    for side in duo.sides:
        side.tell("status 0 backup")
    duo.echo(4 * MEGABYTE)
    with duo.transfer(16 * MEGABYTE):
        duo.server.tell("keys")
    check(duo.core.tell("stats")["key_updates"] >= 2, "no keys were updated")


def early_data(duo):
    duo.client.tell("close 0")
    duo.server.event("closed")
    duo.connect("connect 5000", early="accepted")
    duo.open(1)
    duo.echo(MEGABYTE)


def with_retry(duo):
    duo.server.event("connected", early={"validated": True})
    duo.open(1)
    duo.echo(MEGABYTE)


def with_tokens(duo):
    """A token of the first connection proves the client's address in the second."""
    duo.server.event("connected", early={"validated": False})
    duo.client.tell("close 0")
    duo.server.event("closed")
    line = duo.connect()
    check(line["early"]["validated"], "the token was not sent, or not accepted")


def preferred(duo):
    duo.open(1)
    duo.echo(MEGABYTE)


def close_with_paths(duo):
    duo.open(1)
    duo.client.tell("close 77 goodbye")
    duo.server.event("closed", close={"kind": "application", "code": 77, "reason": "goodbye"})


# What the packages do by themselves


@contextlib.contextmanager
def core_server(peer, *more):
    hosts = [word for host in HOSTS for word in ("--host", host)]
    server = Side(peer, ["serve", "--secret", SECRET, "--bind", ANY, *hosts, *more])
    try:
        yield server
    finally:
        server.program.end()


@contextlib.contextmanager
def package_client(peer, server, script):
    where = [word for addr in server.address["addrs"][:2] for word in ("--addr", addr)]
    client = Program(peer, ["client", "--id", server.address["id"], *where, "--for", "60", "--do", *script.split()])
    try:
        yield client
    finally:
        client.end()


def finish(client, server):
    line = client.find(lambda line: "ok" in line, 60)
    check(line["ok"], f"client: {line}")
    server.event("closed", close={"kind": "application", "code": 0})


def two_addresses(client_peer, server_peer):
    """A ticket with two addresses: whatever paths the package opens and gives up, the connection stays."""
    with core_server(server_peer) as server, package_client(client_peer, server, "hold 3") as client:
        server.event("connected", multipath=True, nat=True)
        finish(client, server)


def candidates(client_peer, server_peer):
    """The server names another address: the package reaches out, opens a path there, and keeps the one it likes."""
    with core_server(server_peer) as server, package_client(client_peer, server, "hold 3") as client:
        server.event("connected")
        start = server.mark()
        for addr in server.address["addrs"][1:]:
            server.tell(f"candidate {addr}")
        server.event("established", start)
        # On how many paths it goes on is up to the package, but what it gave up is gone.
        finish(client, server)
        given_up = {line["path"] for line in server.program.lines if line.get("event") == "abandoned"}
        gone = {line["path"] for line in server.program.lines if line.get("event") == "gone"}
        check(given_up and given_up == gone, f"the paths {given_up} were abandoned, {gone} went")


def outside_address():
    """An address of this machine that is not loopback; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))
        except OSError:
            raise Skip("this machine has no address but loopback") from None
        return s.getsockname()[0]


def package_server(client_peer, server_peer):
    """The package as a server names its addresses; we reach out, it probes and answers, and a path opens."""
    host = outside_address()
    server = Side(server_peer, ["serve", "--secret", SECRET, "--bind", ANY])
    client = None
    try:
        port = server.address["addrs"][0].rsplit(":", 1)[1]
        client = Side(client_peer, ["client", "--bind", ANY, "--id", server.address["id"],
                                    "--addr", f"{HOSTS[0]}:{port}"])
        own = client.address["addrs"][0].rsplit(":", 1)[1]
        client.tell("connect")
        client.event("connected", multipath=True, nat=True)
        named = client.event("candidates")["addresses"]
        check(f"{host}:{port}" in named, f"{host} is not among the candidates {named}")
        client.tell(f"candidate {host}:{own}")
        client.tell("round")
        number = client.event("established")["path"]
        client.event("status", path=number)
        start = client.mark()
        client.tell("abandon 0")
        client.event("gone", start, path=0)
        client.tell(f"echo {MEGABYTE}")
        client.event("echoed", start, bytes=MEGABYTE)
    finally:
        if client:
            client.program.end()
        server.program.end()


CASES = {
    "open-in-transfer": (open_in_transfer, {}),
    "only-one-path": (only_one_path, {}),
    "open-several": (open_several, {}),
    "status": (status, {}),
    "abandon-by-client": (abandon_by_client, {}),
    "abandon-by-server": (abandon_by_server, {}),
    "abandon-first": (abandon_first, {}),
    "abandon-cycles": (abandon_cycles, {}),
    "dead-path": (dead_path, {"both": SHORT_IDLE}),
    "dead-first-path": (dead_first_path, {"both": SHORT_IDLE}),
    "dead-idle-path": (dead_idle_path, {"both": SHORT_IDLE}),
    "never-answered": (never_answered, {"both": SHORT_IDLE}),
    "observed": (observed, {"both": ["--observe"]}),
    "rebind": (rebind, {"both": ["--observe"]}),
    "network": (network, {}),
    "traversal": (traversal, {}),
    "traversal-again": (traversal_again, {}),
    "key-updates": (key_updates, {}),
    "early-data": (early_data, {}),
    "retry": (with_retry, {"server_more": ["--retry"]}),
    "tokens": (with_tokens, {"server_more": ["--tokens"]}),
    "preferred": (preferred, {"server_more": ["--preferred", f"{HOSTS[1]}:9"]}),
    "close": (close_with_paths, {}),
}
NEEDS_CORE = ("dead-path", "dead-first-path", "dead-idle-path", "never-answered", "key-updates")


PACKAGE_CLIENT_CASES = {"two-addresses": two_addresses, "candidates": candidates}
PACKAGE_SERVER_CASES = {"package-server": package_server}


def run(name, client, server):
    """Runs one case; a Failure says why it did not hold."""
    alone = {**PACKAGE_CLIENT_CASES, **PACKAGE_SERVER_CASES}.get(name)
    if alone:
        alone(client, server)
        return
    action, arguments = CASES[name]
    duo = Duo(client, server, **arguments)
    try:
        duo.connect()
        action(duo)
    finally:
        duo.end()


def names(client, server):
    if client in PACKAGES or server in PACKAGES:
        yield from PACKAGE_CLIENT_CASES if client in PACKAGES else PACKAGE_SERVER_CASES
        return
    for name in CASES:
        if name == "preferred" and server == CORE:
            continue  # we never ask for one
        if name in NEEDS_CORE and CORE not in (client, server):
            continue
        yield name
