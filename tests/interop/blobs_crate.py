"""The crate iroh-blobs, two versions of it, against our getter and provider: all kinds of requests, and processes that are
killed in the middle."""
import fnmatch
import os
import pathlib
import signal

from blobs_case import LARGE, OURS, STARTED, TICKET, Case, assert_went_on, bytes_below, rest, write
from programs import Failure

PEER, CRATE = "interop_blobs", "interop-blobs"
VERSIONS = {"0.104": "interop-blobs", "0.103": "interop-blobs-old"}  # and the program of each
SECRET = "5a" * 32


def start_server(case, *words):
    program = case.start(*words, fed=True)
    program.wait_for(lambda: TICKET.search(program.said(".out")), "its ticket")
    return program, program.said(".out").split()[-1]


def play_cases(case, *words):
    """A program that tells of its cases by itself."""
    program = case.start(*words)
    status = program.status()
    said = program.said(".out").splitlines()
    if status != 0 and not any(line.startswith("FAIL") for line in said):
        said.append(f"FAIL end: {program.said('.err').strip()[-300:]} (status {status}, after {len(said)} cases)")
    return said


def files(case):
    """A collection as `getter` wants it."""
    for name, size in (("a", 150_000), ("b", 300_000), ("c", 0), ("d", 16384)):
        write(case.source / "tree" / name, size)
    for i in range(60):
        write(case.source / "tree" / f"e{i}", i * 100)
    with case.sending(case.source / "tree") as (_, ticket):
        return play_cases(case, CRATE, "getter", ticket)


def to_crate(case):
    server, ticket = start_server(case, PEER, "serve", "push")
    said = play_cases(case, CRATE, "client", ticket, "push")
    server.end_input()
    return said


def from_crate(case):
    server, ticket = start_server(case, CRATE, "serve")
    said = play_cases(case, PEER, "client", ticket)
    server.end_input()
    return said


def from_crate_with_push(case):
    server, ticket = start_server(case, CRATE, "serve", "--push")
    said = play_cases(case, PEER, "client", ticket, "push")
    server.end_input()
    return said


def blob_get(case, ticket):
    return case.start(OURS, "blob", "get", "--bind", "127.0.0.1:0", "--direct-only", "--store", "store", ticket)


def killed_provider(case):
    """The same provider again, with the same key and store, brings the rest. That its silence is told in the end is shown
    elsewhere; here nobody waits for it."""
    words = (CRATE, "serve", "--store", "theirs", "--secret", SECRET, "--large", str(LARGE))
    server, ticket = start_server(case, *words)
    program = blob_get(case, ticket)
    store = os.path.join(case.folder, "store")
    program.wait_for(lambda: bytes_below(store) > STARTED, "the middle")
    server.end(signal.SIGKILL)
    if program.end() != 130:
        raise Failure(f"ended with {program.process.returncode}")
    server, ticket = start_server(case, *words)
    program = blob_get(case, ticket)
    if program.status() != 0:
        program.fail("cannot go on")
    assert_went_on(program)
    server.end_input()


def killed_getter(case):
    write(case.source / "large", LARGE)
    with case.sending(case.source / "large") as (sender, ticket):
        program = case.start(CRATE, "fetch", "theirs", ticket)
        theirs = os.path.join(case.folder, "theirs")
        program.wait_for(lambda: bytes_below(theirs) > STARTED, "the middle")
        rest(sender)
        program.end(signal.SIGKILL)
        program = case.start(CRATE, "fetch", "theirs", ticket)
        if program.status() != 0 or "done" not in program.said(".out"):
            program.fail("cannot go on")
        if int(program.said(".out").split()[1]) == 0:
            raise Failure("nothing was left")


def as_lines(play):
    def lines(case):
        play(case)
        return ["ok all"]
    return lines


PLAYS = {
    "files": files,
    "to-crate": to_crate,
    "from-crate": from_crate,
    "from-crate-push": from_crate_with_push,
    "killed-provider": as_lines(killed_provider),
    "killed-getter": as_lines(killed_getter),
}


def named(line, full):
    """`ok CASE` with the play's name before the case."""
    word, _, rest = line.partition(" ")
    return f"{word} {full}:{rest}"


def run_one(full, play, programs):
    case = Case(programs, OURS, CRATE)
    try:
        said = [named(line, full) for line in play(case)]
    except Failure as reason:
        said = [f"FAIL {full}: {reason}"]
    finally:
        case.close()
    print("\n".join(said), flush=True)
    return sum(line.startswith("FAIL") for line in said)


def run(programs, peer, folder, why, only):
    """All of it, as it is told line by line: how many failed."""
    failed = 0
    for version, program in VERSIONS.items():
        for name, play in PLAYS.items():
            full = f"crate-{version}:{name}"
            if not fnmatch.fnmatch(full, only):
                continue
            if folder is None:
                print(f"skip {full}: {why}", flush=True)
                continue
            here = {**programs, PEER: peer, CRATE: str(pathlib.Path(folder, program))}
            failed += run_one(full, play, here)
    return failed
