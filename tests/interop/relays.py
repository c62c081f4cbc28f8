"""Cases over a real relay: endpoints that reach each other through it, leave it for a direct path, and outlive it."""
import datetime
import os
import socket
import subprocess
import tempfile
import time

from programs import SECRET, Failure, Program, Skip, holds

OURS = "ours"
PROGRAM = None  # the path of iroh-relay; set by tests/interop/run
PATIENCE = 20  # seconds for a relay or a peer to come up


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_certificate(folder):
    """A self-signed certificate of localhost: the paths of it and of its key."""
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        raise Skip("the Python module cryptography is missing") from None
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
                   .not_valid_after(now + datetime.timedelta(days=1))
                   .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
                   .add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256()))
    paths = os.path.join(folder, "relay.crt"), os.path.join(folder, "relay.key")
    with open(paths[0], "wb") as out:
        out.write(certificate.public_bytes(serialization.Encoding.PEM))
    with open(paths[1], "wb") as out:
        out.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                    serialization.NoEncryption()))
    return paths


class Relay:
    """The program iroh-relay on loopback: plain HTTP, or TLS with a certificate of its own for localhost."""

    def __init__(self, program, tls=False, settings=""):
        self.port = free_port()
        self.program, self.process, self.words = program, None, []
        self.folder = tempfile.TemporaryDirectory()
        self.config = os.path.join(self.folder.name, "relay.toml")
        lines = [settings, "enable_metrics = false", "enable_quic_addr_discovery = false"]
        if tls:
            self.url = f"https://localhost:{self.port}/"
            certificate, key = make_certificate(self.folder.name)
            self.words = ["--ca-file", certificate]
            lines += [f'http_bind_addr = "127.0.0.1:{free_port()}"', "[tls]", 'cert_mode = "Manual"',
                      f'https_bind_addr = "127.0.0.1:{self.port}"', f'manual_cert_path = "{certificate}"',
                      f'manual_key_path = "{key}"']
        else:
            self.url = f"http://127.0.0.1:{self.port}/"
            lines.append(f'http_bind_addr = "127.0.0.1:{self.port}"')
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

    def stop(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        self.stop()
        self.folder.cleanup()


def options(peer, relay, only):
    words = ["--relay", relay.url, *relay.words]
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


def over_tls(client, server, program):
    """With a certificate of an authority of our own, and a word that the relay wants to hear."""
    relay = Relay(program, tls=True, settings='access.shared_token = ["open sesame"]')
    try:
        relay.words += ["--relay-token", "open sesame"]
        talk(client, server, relay, "relayed 1000000", {"path": "relay"})
    finally:
        relay.end()


SPECIAL = {"relay-tls": over_tls}  # ours alone; they start a relay themselves
CASES = {"relayed": relayed, "relay-datagrams": datagrams, "relay-to-direct": upgrade, "relay-restart": restart}


def names(client, server):
    # The Rust peer, of the same version as the Python one, uses no relay.
    if client == server == OURS:
        return [*CASES, *SPECIAL]
    return list(CASES) if OURS in (client, server) and "rust" not in (client, server) else []


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
