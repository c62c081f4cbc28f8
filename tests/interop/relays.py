"""Cases over a relay: endpoints that reach each other through it, leave it for a direct path, and outlive it."""
import contextlib
import http.client
import os
import re
import select
import socket
import subprocess
import tempfile
import threading
import time

from certificates import make_certificates
from programs import SECRET, Failure, Program, Skip, holds

OURS = "ours"
BY_RELAY_ALONE = (OURS, "rust")  # those that can do without sockets, and be told whom to trust over TLS
PROGRAM = None  # the path of iroh-relay; set by tests/interop/run
OURS_TOO = False  # it is not the original: then real endpoints meet through it as well
PATIENCE = 20  # seconds for a relay or a peer to come up
ATTEMPTS = 5  # of one who is denied, which must not give up
SERVER_ID = "0d7550754e0800a5d237eef5826035766b9b3e5a15868a940ab289958788e3b0"  # of every server: its secret is SECRET


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Relay:
    """The program iroh-relay on loopback: plain HTTP, or TLS with a certificate of an authority of its own."""

    def __init__(self, program, tls=False, settings="", tables=""):
        self.port, self.metrics = free_port(), free_port()
        self.program, self.process, self.words = program, None, []
        self.folder = tempfile.TemporaryDirectory()
        self.config = os.path.join(self.folder.name, "relay.toml")
        lines = [settings, f'metrics_bind_addr = "127.0.0.1:{self.metrics}"', "enable_quic_addr_discovery = false"]
        if tls:
            self.url = f"https://localhost:{self.port}/"
            authority, certificate, key = make_certificates(self.folder.name)
            self.words = ["--ca-file", authority]
            lines += [f'http_bind_addr = "127.0.0.1:{free_port()}"', tables, "[tls]", 'cert_mode = "Manual"',
                      f'https_bind_addr = "127.0.0.1:{self.port}"', f'manual_cert_path = "{certificate}"',
                      f'manual_key_path = "{key}"']
        else:
            self.url = f"http://127.0.0.1:{self.port}/"
            lines += [f'http_bind_addr = "127.0.0.1:{self.port}"', tables]
        self.command = [program, "-c", self.config] + ([] if tls else ["--dev"])
        with open(self.config, "w") as out:
            out.write("\n".join(lines) + "\n")
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        stdin=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise Failure("the relay does not start")

    def metric(self, name):
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics, timeout=PATIENCE)
        connection.request("GET", "/metrics")
        found = re.search(rf"^relayserver_{name}_total (\d+)$", connection.getresponse().read().decode(), re.M)
        if not found:
            raise Failure(f"the relay has no metric {name}")
        return int(found[1])

    def stop(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        self.stop()
        self.folder.cleanup()


def wait_for(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise Failure(f"waited in vain for {what}")
        time.sleep(0.02)


class OldVersion:
    """A way to a relay on which there is nothing but version 1 of the protocol: it changes what clients offer."""

    def __init__(self, relay):
        self.relay, self.words, self.connections, self.versions = relay, [], [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.relay.port), PATIENCE)
                self.connections += [near, far]
                threading.Thread(target=self.carry, args=(near, far), daemon=True).start()

    def carry(self, near, far):
        """The first bytes each way are the heads, which come in one piece on loopback."""
        with contextlib.suppress(OSError), near, far:
            request = near.recv(65536)
            far.sendall(request.replace(b"iroh-relay-v2, iroh-relay-v1", b"iroh-relay-v1"))
            answer = far.recv(65536)
            self.versions += re.findall(rb"sec-websocket-protocol: (\S+)", answer, re.I)
            near.sendall(answer)
            while True:
                for one in select.select([near, far], [], [])[0]:
                    piece = one.recv(65536)
                    if not piece:
                        return
                    (far if one is near else near).sendall(piece)

    def end(self):
        self.listener.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def options(peer, relay, only):
    words = ["--relay", relay.url, *relay.words]
    return words + ["--relay-only"] if only and peer.name in BY_RELAY_ALONE else words


def result_of(client, wanted, timeout):
    line = client.find(lambda line: "ok" in line, timeout)
    if line.get("skip"):
        raise Skip(line["skip"])
    if not line["ok"] or not holds(line, wanted):
        raise Failure(f"client said {str(line)[:300]}{client.excerpt()}")


def serve(peer, relay, only=True):
    """A server that is known to the relay already."""
    server = Program(peer, ["serve", "--secret", SECRET, "--for", "120", *options(peer, relay, only)])
    try:
        server.address = server.find(lambda line: "id" in line, PATIENCE)
    except Failure as failure:
        server.end()
        raise Failure(f"server: {failure}") from failure
    return server


def dial(peer, server, relay, script, only=True, timeout=40):
    return Program(peer, ["client", "--id", server.address["id"], *options(peer, relay, only), "--for", str(timeout),
                          "--do", *script.split()])


def talk(client_peer, server_peer, relay, script, wanted, only=True, meanwhile=None, timeout=40):
    server, client = serve(server_peer, relay, only), None
    try:
        client = dial(client_peer, server, relay, script, only, timeout)
        if meanwhile:
            meanwhile(server)
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
    def outage(server):
        time.sleep(3)
        relay.stop()
        time.sleep(1)
        relay.start()
    talk(client, server, relay, "hold 8", {}, meanwhile=outage)


def restart_in_transfer(client, server, program):
    """The relay is away for a while in the middle of a transfer, which it lets through so slowly that there is one."""
    relay = Relay(program, tables="[limits.client.rx]\nbytes_per_second = 2000000")

    def outage(server):
        server.find(lambda line: line.get("event") == "accepted", PATIENCE)
        wait_for(lambda: relay.metric("bytes_recv") > 2_000_000, "the transfer")
        relay.stop()
        time.sleep(0.5)
        relay.start()
        wait_for(lambda: relay.metric("bytes_recv") > 1_000_000, "the rest of the transfer")
    try:
        talk(client, server, relay, "echo-bi 5000000", {"bytes": 5000000}, meanwhile=outage, timeout=60)
    finally:
        relay.end()


def old_version(client, server, relay):
    """Both come to the relay with version 1."""
    way = OldVersion(relay)
    try:
        talk(client, server, way, "relayed 300000", {"path": "relay"})
        if set(way.versions) != {b"iroh-relay-v1"}:
            raise Failure(f"they speak {way.versions}")
    finally:
        way.end()


def duplicate(client, server, relay):
    """Of two servers with one id the newer is reached, and the older again when it has gone."""
    servers = [serve(server, relay)]
    accepted = lambda line: line.get("event") == "accepted"
    try:
        servers.append(serve(server, relay))
        for newest in (servers[1], servers[0]):
            one = dial(client, newest, relay, "relayed 1000")
            try:
                result_of(one, {"path": "relay"}, 45)
            finally:
                one.end()
            newest.find(accepted, PATIENCE)
            if newest is servers[1]:
                if any(accepted(line) for line in servers[0].lines[:servers[0].drain()]):
                    raise Failure("the older one was reached")
                newest.process.kill()
    finally:
        for one in servers:
            one.end()


def denied(client, server, program):
    """A client that is not on the list does not get in, however it tries, and the one that is notices nothing."""
    relay, running, one = Relay(program, settings=f'access.allowlist = ["{SERVER_ID}"]'), None, None
    try:
        running = serve(server, relay)
        before = relay.metric("http_connections")
        one = dial(client, running, relay, "echo-bi 1000")
        wait_for(lambda: relay.metric("http_connections") > before + ATTEMPTS, "attempts")
        if any(line and line.get("ok") for line in one.lines[:one.drain()]):
            raise Failure("it got in")
        one.process.kill()
        if relay.metric("accepts") != 1 or relay.metric("disconnects") != 0:
            raise Failure("more than the one on the list got in, or it was disturbed")
    finally:
        for part in filter(None, (one, running, relay)):
            part.end()


def over_tls(client, server, program):
    """With a certificate of an authority of our own, and a word that the relay wants to hear."""
    relay = Relay(program, tls=True, settings='access.shared_token = ["open sesame"]')
    try:
        relay.words += ["--relay-token", "open sesame"]
        talk(client, server, relay, "relayed 1000000", {"path": "relay"})
    finally:
        relay.end()


CASES = {"relayed": relayed, "relay-datagrams": datagrams, "relay-to-direct": upgrade, "relay-restart": restart,
         "relay-version-1": old_version, "relay-duplicate": duplicate}
SPECIAL = {"relay-restart-in-transfer": restart_in_transfer, "relay-denied": denied,
           "relay-tls": over_tls}  # they start a relay themselves
AMONG_REAL = ("relayed", "relay-datagrams", "relay-restart", "relay-tls")


def names(client, server):
    pair = {client, server}
    some = [name for name in [*CASES, *SPECIAL] if name != "relay-tls" or pair <= set(BY_RELAY_ALONE)]
    if OURS in pair:
        return some
    # Real endpoints through our relay. All but one kind have sockets, and take the direct path when there is one.
    if not OURS_TOO or (client == server and client != "rust"):
        return []
    return [name for name in some if name == "relay-to-direct" or (pair & set(BY_RELAY_ALONE) and name in AMONG_REAL)]


def run(name, client, server):
    if not PROGRAM:
        raise Skip("the program iroh-relay is not there")
    if name in SPECIAL:
        SPECIAL[name](client, server, PROGRAM)
        return
    relay = Relay(PROGRAM)
    try:
        CASES[name](client, server, relay)
    finally:
        relay.end()
