"""The parts of bench/run about blobs: from store to store beside the crate iroh-blobs, `iroh send` and `iroh receive`
beside sendme, and our memory.

Figures are {(row, column): [values]}; a row is a tuple that says what and in which unit.
"""
import json
import mmap
import os
import pathlib
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from common import RUN_SECONDS, START_SECONDS, cell, note, table

OURS, CRATE, SENDME = "iroh-c", "iroh-blobs", "sendme"
REPEAT_MAX = 3
BLOB_MIB, SMALL_COUNT = 1024, 50_000
FILE_BYTES = 1 << 30
TREE_FILES, TREE_FILE_BYTES, TREE_FOLDER_FILES = 20_000, 1024, 200
FEW_FILES, MANY_FILES = 20_000, 60_000  # of trees whose difference shows the memory for each file
HUGE_BYTES = 10 << 30
WARM_BYTES = 4 << 30
REST_SECONDS = 1.5  # that the disk goes on for after what was written before
POLL_SECONDS = 0.005
TICKET = re.compile(rb"\bblob[a-z2-7]{100,}\b")


def work_folder():
    """On the disk, which /tmp need not be."""
    return tempfile.TemporaryDirectory(dir="/var/tmp", prefix="iroh-bench-")


def add(results, row, column, value):
    results.setdefault(row, {}).setdefault(column, []).append(value)


def settle():
    """Nothing of what was before goes on."""
    os.sync()
    time.sleep(REST_SECONDS)
    warm_memory()


def warm_memory():
    """Makes the machine own its free memory: a hypervisor that took it back gives it page by page, and would be what is
    measured."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    mmap.mmap(-1, min(WARM_BYTES, free // 2), flags=flags).close()


# From store to store

def transfer(program, folder, store, content, amount):
    words = [str(program), store, content, str(amount)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=RUN_SECONDS)
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(words)} failed: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout)


def measure_stores(ours, crate, repeat):
    results = {}
    columns = {OURS: ours} | ({CRATE: crate} if crate else {})
    amounts = {"blob": BLOB_MIB, "small": SMALL_COUNT}
    with work_folder() as folder:
        for turn in range(min(repeat, REPEAT_MAX)):
            for store in ("memory", "disk"):
                for content, amount in amounts.items():
                    for name, program in columns.items():
                        note(f"bench: {content} in {store} with {name}, {turn + 1}")
                        settle()
                        got = transfer(program, folder, store, content, amount)
                        add_transfer(results, store, content, amount, name, got)
    return results


def add_transfer(results, store, content, amount, name, got):
    if content == "blob":
        gb = amount * (1 << 20) / 1e9
        add(results, (f"one blob of 1 GiB, {store}", "GB/s"), name, gb / got["seconds"])
        add(results, (f"its CPU, {store}", "s/GB"), name, got["cpu_seconds"] / gb)
    else:
        add(results, (f"50 000 blobs of 1 KiB, {store}", "k/s"), name, amount / 1e3 / got["seconds"])
        add(results, (f"their CPU, {store}", "us each"), name, got["cpu_seconds"] / amount * 1e6)


# Programs

def words_send(name, program, path):
    if name == OURS:
        return [program, "send", "--bind", "127.0.0.1:0", "--direct-only", path]
    return [program, "send", "--relay", "disabled", path]


def words_receive(name, program, ticket, target):
    if name == OURS:
        return [program, "receive", "--bind", "127.0.0.1:0", "--direct-only", "--to", target, ticket]
    return [program, "receive", "--relay", "disabled", ticket]


def peak_of(pid):
    """The most memory that a running process ever had, bytes. What wait4 tells includes that of the process before it ran
    the program, which is ours."""
    found = re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) << 10 if found else 0


class Sender:
    """Sends `path` until the `with` ends; `seconds` until its ticket, then `peak` in bytes and `cpu` in seconds."""

    def __init__(self, name, program, path, folder):
        self.said = folder / "said"
        environment = os.environ | {"TMPDIR": str(folder)}  # where our store goes; sendme's is in the current folder
        start = time.monotonic()
        with open(self.said, "wb") as out:
            self.process = subprocess.Popen(list(map(str, words_send(name, program, path))), stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=subprocess.DEVNULL, cwd=folder, env=environment)
        self.ticket = self.wait_for_ticket(start)
        self.seconds = time.monotonic() - start

    def wait_for_ticket(self, start):
        while time.monotonic() < start + 2 * START_SECONDS:
            found = TICKET.findall(self.said.read_bytes())
            if found and self.said.read_bytes().endswith(b"\n"):
                return found[-1].decode()
            if self.process.poll() is not None:
                break
            time.sleep(0.002)
        self.process.kill()
        sys.exit(f"bench: the sender printed no ticket: {self.said.read_bytes()[-500:]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.peak = peak_of(self.process.pid)
        self.process.send_signal(signal.SIGINT)
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu = usage.ru_utime + usage.ru_stime


def receive(name, program, ticket, target):
    """Seconds, CPU seconds and peak bytes of memory of the receiving program."""
    words = list(map(str, words_receive(name, program, ticket, target)))
    start = time.monotonic()
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               cwd=target)
    peak, pid = 0, 0
    while pid == 0:
        peak = max(peak, peak_of(process.pid))
        time.sleep(POLL_SECONDS)
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
    seconds = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"bench: {' '.join(words)} ended with {process.returncode}")
    return seconds, usage.ru_utime + usage.ru_stime, peak


def bytes_below(folder):
    return sum((pathlib.Path(root) / name).stat().st_size for root, _, names in os.walk(folder) for name in names)


def send_and_receive(name, program, source, folder):
    """One transfer of `source`: the sender and what receive() gives. What arrived stays until all is done: ext4 takes long to
    make files for minutes after many were removed."""
    target = pathlib.Path(tempfile.mkdtemp(dir=folder, prefix="target-"))
    settle()
    with Sender(name, program, source, folder) as sender:
        got = receive(name, program, sender.ticket, target)
    expected = bytes_below(source) if source.is_dir() else source.stat().st_size
    if bytes_below(target) != expected:
        sys.exit(f"bench: {name} did not bring all of {source.name}")
    if source.is_file():
        shutil.rmtree(target)
    return sender, got


def write_file(path):
    block = random.Random(1).randbytes(1 << 20)
    with open(path, "wb") as out:
        for i in range(FILE_BYTES >> 20):
            out.write(i.to_bytes(8, "little") + block[8:])


def write_tree(path, count):
    source = random.Random(2)
    for i in range(count):
        folder = path / f"folder-{i // TREE_FOLDER_FILES:03}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file-{i:05}").write_bytes(source.randbytes(TREE_FILE_BYTES))


def measure_send(ours, sendme, repeat):
    results = {}
    columns = {OURS: ours} | ({SENDME: sendme} if sendme else {})
    with work_folder() as text:
        folder = pathlib.Path(text)
        write_file(folder / "file")
        write_tree(folder / "tree", TREE_FILES)
        for turn in range(min(repeat, REPEAT_MAX)):
            for source, what in (("file", "a file of 1 GiB"), ("tree", "20 000 files of 1 KiB")):
                for name, program in columns.items():
                    note(f"bench: {what} with {name}, {turn + 1}")
                    sender, (seconds, cpu, peak) = send_and_receive(name, program, folder / source, folder)
                    add(results, (f"{what}: until the ticket", "s"), name, sender.seconds)
                    add(results, (f"{what}: receiving", "s"), name, seconds)
                    add(results, (f"{what}: both", "s"), name, sender.seconds + seconds)
                    add(results, (f"{what}: CPU of both sides", "s"), name, sender.cpu + cpu)
                    add(results, (f"{what}: most memory, sender", "MB"), name, sender.peak / 1e6)
                    add(results, (f"{what}: most memory, receiver", "MB"), name, peak / 1e6)
    return results


# Our memory

def measure_memory(ours):
    """The huge file is sparse where it is sent from. Two trees show what each file takes, without what any tree takes."""
    rows = []
    with work_folder() as text:
        folder = pathlib.Path(text)
        write_tree(folder / "few", FEW_FILES)
        write_tree(folder / "many", MANY_FILES)
        with open(folder / "huge", "wb") as out:
            out.truncate(HUGE_BYTES)
        peaks = {}
        for source in ("few", "many", "huge"):
            note(f"bench: memory, {source}")
            sender, (_, _, peak) = send_and_receive(OURS, ours, folder / source, folder)
            peaks[source] = (sender.peak, peak)
        for i, side in enumerate(("sending", "receiving")):
            each = (peaks["many"][i] - peaks["few"][i]) / (MANY_FILES - FEW_FILES)
            rows.append((f"most memory, {side} 10 GiB in one file, MB", f"{peaks['huge'][i] / 1e6:.1f}"))
            rows.append((f"{side} {FEW_FILES:,} files of 1 KiB, MB", f"{peaks['few'][i] / 1e6:.1f}"))
            rows.append((f"{side} more of them, bytes for each", f"{each:.0f}"))
    return rows


# Report

def digits(value):
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def ratio(values, other, unit):
    """How many times better, by medians: rates are better when they are higher, all else when it is lower."""
    mine, theirs = statistics.median(values), statistics.median(other)
    return f"{mine / theirs if unit.endswith('/s') else theirs / mine:.1f}"


def compared(results, other):
    rows = []
    for (what, unit), columns in results.items():
        both = other in columns
        rows.append([what, unit, cell(columns[OURS], digits), cell(columns.get(other), digits),
                     ratio(columns[OURS], columns[other], unit) if both else "-"])
    return table(["", "unit", OURS, other, "times"], rows)


def plain(results):
    return {f"{what}, {unit}": columns for (what, unit), columns in results.items()}
