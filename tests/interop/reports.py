"""Net reports of `iroh net`, of relays that are the original or ours: what they measure, and what relays see of it."""
import json
import pathlib
import socket
import subprocess
import tempfile

import relays
from programs import SECRET, Failure, Program, Skip
from relay_programs import Server, make_certificates, wait_for
from relays import free_port

PROGRAM = None  # the path of iroh; set by tests/interop/run, like the next
RELAYS = {}  # the paths of iroh-relay: "original", "ours"
PATIENCE = 30  # seconds


def look(asked, *words):
    """What `iroh net` says of these relays."""
    command = [PROGRAM, "net", "--json"]
    for relay in asked:
        command += ["--relay", relay.url, "--relay-quic", str(relay.quic)]
    command += ["--ca-file", asked[0].ca, *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise Failure("iroh net does not end") from None
    if done.returncode != 0:
        raise Failure(f"iroh net ended with {done.returncode}: {done.stderr[-300:]}")
    return json.loads(done.stdout)


def expect(found, **wanted):
    for name, value in wanted.items():
        if found[name] != value:
            raise Failure(f"{name} is {found[name]}, not {value}: {found}")


def expect_order(relay, count):
    """So many connections came for discovery, and all ended as they should."""
    wait_for(lambda: relay.metric("qad_connections_closed") == count, "the end of the connections")
    if relay.metric("qad_connections") != count or relay.metric("qad_incoming_error") != 0:
        raise Failure("other connections came than were expected")
    if relay.metric("qad_connections_errored") != 0:
        raise Failure("a connection did not end with code 1")


def address(program):
    """The relay sees the very port of our socket."""
    with Server(program, tls=True) as relay:
        port = free_port()
        found = look([relay], "--bind", f"127.0.0.1:{port}")
        expect(found, udp_v4=True, udp_v6=False, global_v4=f"127.0.0.1:{port}", global_v6=None, mapping_varies_v4=None,
               preferred_relay=relay.url, home_relay=relay.url, online=True)
        latencies = found["relays"]
        if len(latencies) != 1 or not latencies[0]["quic_v4_us"] or not latencies[0]["https_us"]:
            raise Failure(f"latencies are missing: {found}")
        expect_order(relay, 1)


def need_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        raise Skip("there is no IPv6") from None


def mapped(program):
    """A relay's socket of both families shows IPv4 addresses as IPv6 ones, which must not show."""
    need_ipv6()
    with Server(program, tls=True, host="[::]") as relay:
        port = free_port()
        found = look([relay], "--bind", f"127.0.0.1:{port}")
        expect(found, udp_v4=True, udp_v6=False, global_v4=f"127.0.0.1:{port}", global_v6=None)
        expect_order(relay, 1)


def ipv6(program):
    """A relay whose URL has an IPv6 address, which the certificate names."""
    need_ipv6()
    with tempfile.TemporaryDirectory() as folder:
        with Server(program, tls=True, certificate=make_certificates(folder, ["::1"]), host="[::]") as relay:
            relay.url, ports = f"https://[::1]:{relay.https}/", (free_port(), free_port())
            found = look([relay], "--bind", f"127.0.0.1:{ports[0]}", "--bind", f"[::1]:{ports[1]}")
            expect(found, udp_v4=False, udp_v6=True, global_v4=None, global_v6=f"[::1]:{ports[1]}",
                   home_relay=relay.url, online=True)
            if not found["relays"][0]["quic_v6_us"] or found["relays"][0]["quic_v4_us"]:
                raise Failure(f"measured in another way: {found}")
            expect_order(relay, 1)


def two_relays(program):
    """The nearest is home, the other is only asked."""
    with tempfile.TemporaryDirectory() as folder:
        certificate = make_certificates(folder)
        with Server(program, tls=True, certificate=certificate) as one, \
             Server(program, tls=True, certificate=certificate) as two:
            found = look([one, two], "--bind", "127.0.0.1:0")
            expect(found, udp_v4=True, mapping_varies_v4=False, online=True, home_relay=found["preferred_relay"])
            home, other = (one, two) if found["home_relay"] == one.url else (two, one)
            expect(found, home_relay=home.url)
            if len(found["relays"]) != 2:
                raise Failure(f"not both were measured: {found}")
            if (home.metric("accepts"), other.metric("accepts")) != (1, 0):
                raise Failure("another relay was used than the home relay")
            expect_order(one, 1)
            expect_order(two, 1)


def dead_relay(program):
    """A relay that nobody answers for is not chosen."""
    class Dead:
        url, quic = f"https://localhost:{free_port()}/", free_port()
    with Server(program, tls=True) as relay:
        Dead.ca = relay.ca
        expect(look([Dead, relay], "--bind", "127.0.0.1:0"), udp_v4=True, home_relay=relay.url, online=True)


def without_udp(program):
    """Where no relay can be reached over UDP, HTTPS tells which is near."""
    with Server(program, tls=True) as relay:
        relay.quic = "none"
        found = look([relay], "--bind", "127.0.0.1:0")
        expect(found, udp_v4=False, global_v4=None, home_relay=relay.url, online=True)
        if not found["relays"][0]["https_us"] or found["relays"][0]["quic_v4_us"]:
            raise Failure(f"measured in another way: {found}")
        if relay.metric("qad_incoming") != 0:
            raise Failure("it was asked over QUIC")


def foreign_roots(program):
    """A certificate that our roots do not vouch for is believed by none of the ways."""
    with tempfile.TemporaryDirectory() as folder, Server(program, tls=True) as relay:
        relay.ca = make_certificates(folder)[0]
        found = look([relay], "--bind", "127.0.0.1:0")
        expect(found, udp_v4=False, global_v4=None, online=False, relays=[])
        if relay.metric("qad_connections") != 0:
            raise Failure("a connection was made")


def wrong_name(program):
    """The certificate must name the host, and this one does not name the address."""
    with Server(program, tls=True) as relay:
        relay.url = f"https://127.0.0.1:{relay.https}/"
        expect(look([relay], "--bind", "127.0.0.1:0"), udp_v4=False, online=False, relays=[])


class Either:
    """What a server is told that may have one of two relays as its home."""

    def __init__(self, one, other):
        self.url, self.words = one.url, ["--other-relay", other.url]


def reach_home(client, server, program):
    """A real endpoint reaches ours at the home relay that this chose of two real ones; the other has no part in it."""
    servers = [relays.Relay(program), relays.Relay(program)]
    running = one = None
    try:
        either = Either(*servers)
        running = Program(server, ["serve", "--secret", SECRET, "--for", "120", *relays.options(server, either, True)])
        running.address = running.find(lambda line: "id" in line, PATIENCE)
        home = next((relay for relay in servers if relay.url == running.address["home"]), None)
        if home is None:
            raise Failure(f"the home relay is {running.address['home']}")
        words = ["client", "--id", running.address["id"], *relays.options(client, home, True)]
        one = Program(client, [*words, "--for", "40", "--do", "relayed", "300000"])
        relays.result_of(one, {"path": "relay", "bytes": 300000}, PATIENCE)
    finally:
        for part in filter(None, (one, running, *servers)):
            part.end()


CASES = {"address": address, "mapped": mapped, "ipv6": ipv6, "two-relays": two_relays, "dead-relay": dead_relay,
         "without-udp": without_udp, "foreign-roots": foreign_roots, "wrong-name": wrong_name}


def names():
    return [f"report-{name}-{whose}" for name in CASES for whose in ("original", "ours")]


def run(name):
    case, whose = name.removeprefix("report-").rsplit("-", 1)
    program = RELAYS.get(whose)
    if not PROGRAM or not program:
        raise Skip("iroh or iroh-relay is not there")
    CASES[case](str(pathlib.Path(program)))


def run_home(client, server):
    if not RELAYS.get("original"):
        raise Skip("the program iroh-relay is not there")
    reach_home(client, server, RELAYS["original"])
