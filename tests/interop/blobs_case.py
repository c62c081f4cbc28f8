"""One case of the interop tests of blobs: folders for what is sent and what arrives, and the programs that run in them."""
import contextlib
import hashlib
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time

from programs import Failure

OURS, THEIRS = "iroh", "sendme"
PATIENCE = 120  # seconds for whatever a program has to do
TICKET = re.compile(r"\bblob[a-z2-7]{100,}\b")
FETCHED = re.compile(r"([0-9.]+) (B|KiB|MiB|GiB) of data fetched")
UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
LEFT_OUT = ("IROH_SECRET", "QLOGDIR", "SSLKEYLOGFILE")  # of the environment
LARGE = 192 << 20       # bytes of a transfer that is to be interrupted
STARTED = 8 << 20       # bytes of it that must have arrived before
PAUSE = 1.0             # seconds
KEPT = 1 << 20          # bytes of those that must not be fetched again
TOTAL_SHOWN = (" of 192.0", "/s  ", " left")  # on a terminal, of LARGE
STORES = {OURS: ".iroh-receive-", THEIRS: ".sendme-recv-"}


class Program:
    """With `fed`, it has an open input until end_input."""

    def __init__(self, command, folder, name, logs, fed=False):
        self.name, self.base = name, os.path.join(logs, f"{name}-{time.monotonic_ns()}")
        environment = {key: value for key, value in os.environ.items() if key not in LEFT_OUT}
        with open(self.base + ".out", "wb") as out, open(self.base + ".err", "wb") as err:
            source = subprocess.PIPE if fed else subprocess.DEVNULL
            self.process = subprocess.Popen(command, stdin=source, stdout=out, stderr=err, cwd=folder, env=environment)

    def said(self, end):
        return pathlib.Path(self.base + end).read_text(errors="replace")

    def fail(self, why):
        raise Failure(f"{self.name} {why}: {' | '.join(self.said('.err').strip().splitlines()[-3:])[-400:]}")

    def wait_for(self, condition, what):
        end = time.monotonic() + PATIENCE
        while not condition():
            if self.process.poll() is not None and not condition():
                self.fail(f"ended with {self.process.returncode} before {what}")
            if time.monotonic() > end:
                self.fail(f"did not come to {what}")
            time.sleep(0.005)

    def status(self):
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.fail("did not end")

    def end_input(self):
        self.process.stdin.close()
        return self.status()

    def end(self, number=signal.SIGINT):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.status()


class Case:
    """Folders for one case: what is sent, where it goes, and the programs' output."""

    def __init__(self, programs, sender, receiver):
        self.programs, self.sender, self.receiver = programs, sender, receiver
        self.folder = tempfile.mkdtemp(prefix="blobs-")
        self.source, self.target = (pathlib.Path(self.folder, name) for name in ("source", "target"))
        self.source.mkdir()
        self.target.mkdir()
        self.running = []

    def start(self, *words, folder=None, fed=False):
        program = Program([self.programs[words[0]], *words[1:]], str(folder or self.folder), words[0], self.folder, fed)
        self.running.append(program)
        return program

    @contextlib.contextmanager
    def sending(self, path, sender=None):
        if (sender or self.sender) == OURS:
            program = self.start(OURS, "send", "--bind", "127.0.0.1:0", "--direct-only", str(path))
        else:
            program = self.start(THEIRS, "send", "--relay", "disabled", str(path))
        program.wait_for(lambda: TICKET.search(program.said(".out")), "its ticket")
        # Both print it last on standard output.
        yield program, program.said(".out").split()[-1]
        program.end()

    def receive(self, ticket):
        if self.receiver == OURS:
            return self.start(OURS, "receive", "--bind", "127.0.0.1:0", "--direct-only", "--to", str(self.target), ticket)
        return self.start(THEIRS, "receive", "--relay", "disabled", ticket, folder=self.target)

    def receive_all(self, ticket):
        program = self.receive(ticket)
        if program.status() != 0:
            program.fail(f"ended with {program.process.returncode}")
        return program

    def receive_on_terminal(self, tickets, expected):
        """With ours, which has to show certain words."""
        shown, end = os.openpty()
        words = [self.programs[OURS], "receive", "--bind", "127.0.0.1:0", "--direct-only", "--to", str(self.target)]
        nothing = subprocess.DEVNULL
        with subprocess.Popen([*words, *tickets], stdin=nothing, stdout=nothing, stderr=end) as program:
            os.close(end)
            text = b""
            with contextlib.suppress(OSError):  # the other end is closed
                while part := os.read(shown, 65536):
                    text += part
            status = program.wait(PATIENCE)
        os.close(shown)
        missing = [word for word in expected if word.encode() not in text]
        if status != 0 or missing:
            raise Failure(f"ended with {status}, and did not show {missing}: {text[-300:]}")

    def arrived(self):
        """Bytes on the disk in the receiver's store."""
        stores = (name for name in os.listdir(self.target) if name.startswith(STORES[self.receiver]))
        return sum(bytes_below(self.target / name) for name in stores)

    def close(self):
        for program in self.running:
            if program.process.poll() is None:
                program.process.kill()
                program.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def bytes_below(folder):
    """On the disk: holes do not count."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(root, name)).st_blocks * 512
    return total


def content_of(folder):
    found = {}
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, folder)] = hashlib.sha256(file.read()).hexdigest()
    return found


def assert_same(case):
    expected, got = content_of(case.source), content_of(case.target)
    if expected != got:
        names = sorted(set(expected.items()) ^ set(got.items()))
        raise Failure(f"what arrived differs: {names[:5]}")


def write(path, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(random.Random(f"{path.name} {size}").randbytes(size))


def rest(sender):
    """Longer than a store keeps progress to itself: whatever came before survives a kill."""
    sender.process.send_signal(signal.SIGSTOP)
    time.sleep(PAUSE)
    sender.process.send_signal(signal.SIGCONT)


def assert_went_on(program):
    """Ours says how much it fetched."""
    amount, unit = FETCHED.search(program.said(".err")).groups()
    if float(amount) * UNITS[unit] > LARGE - KEPT:
        raise Failure(f"everything was fetched again: {amount} {unit}")
