"""Cases over a real relay: endpoints that reach each other through it, leave it for a direct path, and outlive it."""
import os
import socket
import subprocess
import tempfile
import time

from programs import SECRET, Failure, Program, Skip, holds

OURS = "ours"
PROGRAM = None  # the path of iroh-relay; set by tests/interop/run
PATIENCE = 20  # seconds for a relay or a peer to come up


class Relay:
    """The program iroh-relay in its development mode: plain HTTP on loopback."""

    def __init__(self, program, settings=""):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.program, self.process = program, None
        self.folder = tempfile.TemporaryDirectory()
        self.config = os.path.join(self.folder.name, "relay.toml")
        with open(self.config, "w") as out:
            out.write(f'http_bind_addr = "127.0.0.1:{self.port}"\nenable_metrics = false\n{settings}\n')
        self.start()

    def start(self):
        self.process = subprocess.Popen([self.program, "--dev", "-c", self.config], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise Failure("the relay does not start")

    def stop(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        self.stop()
        self.folder.cleanup()


def options(peer, relay, only):
    words = ["--relay", relay.url]
    return words + ["--relay-only"] if only and peer.name == OURS else words


def result_of(client, wanted, timeout):
    line = client.find(lambda line: "ok" in line, timeout)
    if line.get("skip"):
        raise Skip(line["skip"])
    if not line["ok"] or not holds(line, wanted):
        raise Failure(f"client said {str(line)[:300]}{client.excerpt()}")


def talk(client_peer, server_peer, relay, script, wanted, only=True, meanwhile=None, timeout=40):
    server = Program(server_peer, ["serve", "--secret", SECRET, "--for", "120", *options(server_peer, relay, only)])
    client = None
    try:
        address = server.find(lambda line: "id" in line, PATIENCE)
        client = Program(client_peer, ["client", "--id", address["id"], *options(client_peer, relay, only), "--for",
                                       str(timeout), "--do", *script.split()])
        if meanwhile:
            meanwhile()
        result_of(client, wanted, timeout + 5)
    finally:
        if client:
            client.end()
        server.end()


def relayed(client, server, relay):
    talk(client, server, relay, "relayed 1000000", {"path": "relay", "bytes": 1000000})


def datagrams(client, server, relay):
    talk(client, server, relay, "datagrams 100 1000", {})


def upgrade(client, server, relay):
    """Both know nothing but the relay at first."""
    talk(client, server, relay, "direct 1000000", {"path": "direct", "bytes": 1000000}, only=False)


def restart(client, server, relay):
    """The relay is away for a while in the life of a connection."""
    def outage():
        time.sleep(3)
        relay.stop()
        time.sleep(1)
        relay.start()
    talk(client, server, relay, "hold 8", {}, meanwhile=outage)


CASES = {"relayed": relayed, "relay-datagrams": datagrams, "relay-to-direct": upgrade, "relay-restart": restart}


def names(client, server):
    # The Rust peer, of the same version as the Python one, uses no relay.
    return list(CASES) if OURS in (client, server) and "rust" not in (client, server) else []


def run(name, client, server):
    if not PROGRAM:
        raise Skip("the program iroh-relay is not there")
    relay = Relay(PROGRAM)
    try:
        CASES[name](client, server, relay)
    finally:
        relay.end()
