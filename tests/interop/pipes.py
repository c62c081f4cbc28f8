"""Cases about pipes: the program `iroh` (here `pipe`) and the real `dumbpipe`, each as the listener of the other, over
standard input and output, TCP and unix sockets. Both use only loopback; dumbpipe, which always wants a relay, waits for
one for five seconds before it tells its ticket."""
import concurrent.futures
import contextlib
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time

from programs import Failure

OURS = "pipe"
THEIRS = "dumbpipe"
PATIENCE = 40             # seconds for whatever a program has to do
SIZE = 5_000_000          # bytes, both ways
AT_ONCE = 5               # connections through one pair of sockets
LOOPBACK = {OURS: ["--bind", "127.0.0.1:0", "--direct-only"],
            THEIRS: ["--ipv4-addr", "127.0.0.1:0", "--ipv6-addr", "[::1]:0"]}
TICKET = re.compile(r"\bendpoint[a-z2-7]{50,}\b")
PIECE = 1 << 16
INTERRUPTED = 130         # exit status of ours
LEFT_OUT = ("IROH_SECRET", "QLOGDIR", "SSLKEYLOGFILE")  # of the environment


class Pipe:
    """A running program; its standard input, output and errors are files in `folder`."""

    def __init__(self, peer, folder, role, words, data=b""):
        self.name, self.role, self.base = peer.name, role, os.path.join(folder, role)
        with open(self.base + ".in", "wb") as out:
            out.write(data)
        command = peer.command + (["pipe"] if peer.name == OURS else []) + words + LOOPBACK[peer.name]
        environment = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
        with (open(self.base + ".in", "rb") as i, open(self.base + ".out", "wb") as o,
              open(self.base + ".err", "wb") as e):
            try:
                self.process = subprocess.Popen(command, stdin=i, stdout=o, stderr=e, env=environment)
            except OSError as error:
                raise Failure(f"cannot start {peer.name}: {error}") from error

    def read(self, end):
        with open(self.base + end, "rb") as file:
            return file.read()

    def fail(self, why):
        said = " | ".join(self.read(".err").decode(errors="replace").strip().splitlines()[-3:])
        raise Failure(f"{self.name} ({self.role}) {why}{': ' + said[-400:] if said else ''}")

    def ticket(self):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            ended = self.process.poll() is not None
            said = self.read(".err").decode(errors="replace")
            found = TICKET.search(said[:said.rfind("\n") + 1])
            if found:
                return found[0]
            if ended:
                self.fail(f"ended with {self.process.returncode}")
            time.sleep(0.05)
        self.fail("told no ticket")

    def status(self):
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.fail("did not end")

    def must_give(self, data):
        """It ends well, and has written exactly the data."""
        status, got = self.status(), self.read(".out")
        if status != 0:
            self.fail(f"ended with {status}")
        if got != data:
            same = len(os.path.commonprefix([got, data]))
            self.fail(f"wrote {len(got)} bytes instead of {len(data)}, of which the first {same} are right")

    def interrupt(self):
        """Ctrl-C ends it, and ours in order."""
        self.process.send_signal(signal.SIGINT)
        status = self.status()
        if self.name == OURS and status != INTERRUPTED:
            self.fail(f"ended with {status} when it was interrupted")

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def started(*arguments):
    program = Pipe(*arguments)
    try:
        yield program
    finally:
        program.end()


@contextlib.contextmanager
def two(client, server, client_words, server_words, up=b"", down=b""):
    """A listener, then a connector with its ticket. `up` is the connector's standard input, `down` the listener's."""
    with tempfile.TemporaryDirectory() as folder, started(server, folder, "listener", server_words, down) as listener:
        words = [*client_words, listener.ticket()]
        with started(client, folder, "connector", words, up) as connector:
            yield connector, listener


# Standard input and output


def stdio(client, server, up=0, down=0, client_more=(), server_more=(), wanted_down=None):
    sent, answer = os.urandom(up), os.urandom(down)
    words = ["connect", *client_more], ["listen", *server_more]
    with two(client, server, *words, sent, answer) as (connector, listener):
        connector.must_give(answer if wanted_down is None else wanted_down)
        listener.must_give(sent)


def upload(client, server):
    stdio(client, server, up=SIZE)


def download(client, server):
    stdio(client, server, down=SIZE)


def both_ways(client, server):
    stdio(client, server, up=SIZE, down=SIZE)


def empty(client, server):
    stdio(client, server)


def receive_only(client, server):
    """The listener's standard input is not sent."""
    stdio(client, server, up=1000, down=1000, server_more=["--recv-only"], wanted_down=b"")


def custom_alpn(client, server):
    """One name, written in both ways."""
    stdio(client, server, up=SIZE, down=1000, client_more=["--custom-alpn", "utf8:mine/1"],
          server_more=["--custom-alpn", b"mine/1".hex()])


def other_alpn(client, server):
    """A listener of another protocol is not connected to, and waits on."""
    words = ["connect"], ["listen", "--custom-alpn", "utf8:mine/1"]
    with two(client, server, *words, b"hello") as (connector, listener):
        if connector.status() == 0:
            connector.fail("ended well, but nobody speaks its protocol")
        if listener.process.poll() is not None:
            listener.fail("did not wait for another connector")


# Sockets


def echo(connection):
    with connection:
        while piece := connection.recv(PIECE):
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)


def serve(listening):
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=echo, args=[connection], daemon=True).start()


@contextlib.contextmanager
def echo_server(family, address):
    with socket.socket(family) as listening:
        listening.bind(address)
        listening.listen(AT_ONCE)
        threading.Thread(target=serve, args=[listening], daemon=True).start()
        try:
            yield listening.getsockname()
        finally:
            listening.shutdown(socket.SHUT_RDWR)


def dial(program, family, address):
    """Connects to a program that is about to listen."""
    end = time.monotonic() + PATIENCE
    while True:
        s = socket.socket(family)
        s.settimeout(PATIENCE)
        try:
            s.connect(address)
            return s
        except OSError as error:
            s.close()
            if program.process.poll() is not None:
                program.fail("ended")
            if time.monotonic() > end:
                program.fail(f"does not listen ({error})")
            time.sleep(0.05)


def send(s, data):
    try:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the reader sees what is missing


def echo_through(s, size):
    """Sends, closes that half, and wants everything back, and the end."""
    data, got = os.urandom(size), bytearray()
    with s:
        sender = threading.Thread(target=send, args=[s, data], daemon=True)
        sender.start()
        try:
            while piece := s.recv(PIECE):
                got += piece
        except OSError as error:
            raise Failure(f"after {len(got)} of {size} bytes: {error}") from error
        sender.join(PATIENCE)
    if got != data:
        raise Failure(f"{len(got)} bytes came back of {size}{', wrong ones' if len(got) == size else ''}")


def sockets(client, server, family, near, client_words, server_words, more=AT_ONCE):
    """One connection, then `more` at once."""
    with two(client, server, client_words, server_words) as (connector, listener):
        with dial(connector, family, near) as first:
            echo_through(first, 1000)
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            jobs = [pool.submit(echo_through, dial(connector, family, near), SIZE // AT_ONCE) for _ in range(more)]
            for job in jobs:
                job.result()
        connector.interrupt()
        listener.interrupt()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tcp(client, server):
    near = ("127.0.0.1", free_port())
    with echo_server(socket.AF_INET, ("127.0.0.1", 0)) as far:
        sockets(client, server, socket.AF_INET, near, ["connect-tcp", "--addr", "%s:%d" % near],
                ["listen-tcp", "--host", "%s:%d" % far])


def unix(client, server):
    with tempfile.TemporaryDirectory() as folder:
        near, far = os.path.join(folder, "near"), os.path.join(folder, "far")
        # dumbpipe dials once for all its unix connections, and answers one stream of each that it accepts.
        more = 0 if client.name == server.name == THEIRS else AT_ONCE
        with echo_server(socket.AF_UNIX, far):
            sockets(client, server, socket.AF_UNIX, near, ["connect-unix", "--socket-path", near],
                    ["listen-unix", "--socket-path", far], more)


CASES = {
    "upload": upload,
    "download": download,
    "both-ways": both_ways,
    "empty": empty,
    "recv-only": receive_only,
    "custom-alpn": custom_alpn,
    "other-alpn": other_alpn,
    "tcp": tcp,
    "unix": unix,
}


def run(name, client, server):
    """Runs one case; a Failure says why it did not hold."""
    CASES[name](client, server)
