"""Programs of the relay's tests and benches: a relay with a configuration of its own, and the relay crate's clients."""
import contextlib
import fcntl
import hashlib
import http.client
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from certificates import make_certificates
from programs import Failure, Skip
from relays import free_port

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE = 20  # seconds for anything to happen


def wait_for(condition, what, patience=PATIENCE):
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise Failure(f"waited in vain for {what}")
        time.sleep(0.02)


class Server:
    """The program with a configuration of its own; its ports are known before it starts."""

    def __init__(self, program, settings="", tls=False, certificate=None, tables="", environment=None,
                 prefix=(), host="127.0.0.1"):
        self.folder = tempfile.TemporaryDirectory()
        self.http, self.https, self.quic, self.metrics = (free_port() for _ in range(4))
        self.ca = None
        lines = [f'http_bind_addr = "127.0.0.1:{self.http}"', f'metrics_bind_addr = "127.0.0.1:{self.metrics}"',
                 settings]
        if tls:
            self.ca, chain, key = certificate or make_certificates(self.folder.name)
            lines += ["enable_quic_addr_discovery = true", tables, "[tls]", 'cert_mode = "Manual"',
                      f'https_bind_addr = "{host}:{self.https}"', f'quic_bind_addr = "{host}:{self.quic}"',
                      f'manual_cert_path = "{chain}"', f'manual_key_path = "{key}"']
        else:
            lines.append(tables)
        self.url = f"https://localhost:{self.https}/" if tls else f"http://127.0.0.1:{self.http}/"
        config = os.path.join(self.folder.name, "relay.toml")
        pathlib.Path(config).write_text("\n".join(lines) + "\n")
        self.log = open(os.path.join(self.folder.name, "log"), "w+")
        command = [*prefix, program, "-c", config] + ([] if tls else ["--dev"])
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        env={**os.environ, **(environment or {})})
        self.words = ["--url", self.url] + (["--ca", self.ca] if self.ca else [])
        try:
            wait_for(lambda: self.listens(self.https if tls else self.http), "the relay")
        except Failure as failure:
            raise Failure(f"{failure}: {self.said()}") from None

    def listens(self, port):
        if self.process.poll() is not None:
            raise Failure("the relay ended")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    def said(self):
        self.log.seek(0)
        return self.log.read()[-2000:]

    def metric(self, name):
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics, timeout=PATIENCE)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        found = re.search(rf"^relayserver_{name}_total (\d+)$", text, re.M)
        if not found or not text.endswith("# EOF\n"):
            raise Failure(f"no metric {name}")
        return int(found[1])

    def memory(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) * 1024

    def end(self, sign=signal.SIGINT):  # the only signal that the original ends well on
        if self.process.poll() is None:
            self.process.send_signal(sign)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failure("does not end") from None

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            status = self.end()
        finally:
            said = self.said()
            self.log.close()
            self.folder.cleanup()
        if kind is None and (status != 0 or "ERROR: " in said or "runtime error" in said):
            raise Failure(f"the relay ended with {status}: {said}")


class Clients:
    """The crate's clients."""

    def __init__(self, program):
        self.program = program

    def run(self, command, words, timeout=120):
        done = subprocess.run([self.program, command, *words], capture_output=True, text=True, timeout=timeout)
        return done.returncode, done.stdout, done.stderr

    def must(self, command, words, timeout=120):
        status, out, err = self.run(command, words, timeout)
        if status != 0:
            failures = " | ".join(line for line in out.splitlines() if line.startswith("FAIL"))
            raise Failure((failures or err or out)[:400])
        return out

    def is_let_in(self, server, *words):
        status, _, err = self.run("storm", [*server.words, "--count", "1", *words])
        if status != 0 and "denied" not in err.lower() and "authoriz" not in err.lower():
            raise Failure(f"failed, but not for want of permission: {err[:300]}")
        return status == 0


def find_clients():
    """The crate's clients, built into the cache folder of tests/interop/setup when they have changed."""
    package = HERE / "rust" / "relay"
    sources = [package / "Cargo.toml", package / "Cargo.lock", *sorted((package / "src").glob("*.rs"))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "iroh-c-interop"
    target, ready = cache / "relay-clients", cache / "relay-clients" / f"interop-relay-{digest}"
    target.mkdir(parents=True, exist_ok=True)
    with open(cache / "relay-clients.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            try:
                command = ["cargo", "build", "--release", "--locked", "--manifest-path", package / "Cargo.toml"]
                done = subprocess.run(command, env={**os.environ, "CARGO_TARGET_DIR": target}, capture_output=True,
                                      text=True)
            except OSError as error:
                raise Skip(f"cargo: {error}") from None
            if done.returncode != 0:
                raise Skip("cannot build: " + next((line for line in done.stderr.splitlines() if "error" in line), "?"))
            shutil.copy2(target / "release" / "interop-relay", ready)
    return Clients(str(ready))
