"""The peers as running programs, and how cases end other than well."""
import dataclasses
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time

SECRET = "5a" * 32  # of every server, so that a restarted one is the same endpoint


class Failure(Exception):
    pass


class Skip(Exception):
    pass


class Program:
    """A running peer: its JSON lines arrive in a list, in order, with the time-outs that tests need."""

    def __init__(self, peer, arguments):
        self.errors = tempfile.TemporaryFile(mode="w+", errors="replace")
        self.lines, self.queue = [], queue.Queue()
        try:
            self.process = subprocess.Popen(peer.command + arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=self.errors, text=True, env={**os.environ, **peer.environment})
        except OSError as error:
            raise Failure(f"cannot start {peer.name}: {error}") from error
        threading.Thread(target=self.pump, daemon=True).start()

    def pump(self):
        for text in self.process.stdout:
            try:
                self.queue.put(json.loads(text))
            except ValueError:
                self.queue.put({"garbage": text.strip()})
        self.queue.put(None)

    def find(self, wanted, timeout, start=0):
        """The first line from number `start` on for which wanted(line) holds; waits for it."""
        end = time.monotonic() + timeout
        at = start
        while True:
            for line in self.lines[at:]:
                if line is None:
                    raise Failure(f"ended early{self.excerpt()}")
                if wanted(line):
                    return line
            at = len(self.lines)
            try:
                self.lines.append(self.queue.get(timeout=max(0, end - time.monotonic())))
            except queue.Empty:
                raise Failure(f"nothing said in time{self.excerpt()}") from None

    def drain(self):
        """Takes what was said so far and returns the number of lines."""
        while not self.queue.empty():
            self.lines.append(self.queue.get())
        return len(self.lines)

    def say(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def excerpt(self):
        self.errors.seek(0)
        text = " | ".join(self.errors.read().strip().splitlines()[-3:])
        return f" ({text[:400]})" if text else ""

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            try:
                self.process.stdin.close()
                self.process.wait(5)
            except (OSError, subprocess.TimeoutExpired):
                self.process.kill()
        self.process.wait()
        self.errors.close()


@dataclasses.dataclass
class Peer:
    name: str
    command: list
    environment: dict = dataclasses.field(default_factory=dict)


def holds(line, wanted):
    return all(holds(line.get(k) or {}, v) if isinstance(v, dict) else line.get(k) == v for k, v in wanted.items())
