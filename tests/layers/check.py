#!/usr/bin/env python3
"""Holds the layers: reads every #include line and every test of an OS macro, and compares them with the tables below.

usage: check.py [ROOT]

The tables are the rules of docs/architecture.md in another form; a new folder or library is a new row here. Prints
`ok NAME` or `FAIL NAME: why` for each rule, and exits with 1 if one failed.
"""
import pathlib
import re
import sys

# A folder of src/ may include its own level and those below, and no two folders may include each other.
LEVELS = {
    "base": 0, "crypto": 0, "id": 1, "tls": 2, "dns": 2, "web": 2, "quic": 3, "relay": 4, "net": 5, "lookup": 5,
    "sys": 5, "endpoint": 6, "relay_server": 6, "blobs": 7, "gossip": 7, "docs": 7,
}
# Folders whose reach is narrower than their level.
REACH = {
    "blobs": {"base", "crypto", "id"},
    "gossip": {"base", "crypto", "id"},
    "docs": {"base", "crypto", "id"},
    "sys": {"base", "crypto", "id"},
}
SHELL = {"sys", "endpoint", "relay_server"}  # may touch the outside world
SHELL_USERS = {"endpoint", "relay_server"}   # may include src/sys
# Files that may too: stores keep files, and the others are used by several threads.
STORES = ("blobs/store", "docs/store", "blobs/pool", "blobs/downloader", "blobs/buffers")

# Headers of a library, by prefix, and the folders that wrap it.
LIBRARIES = {
    "gnutls/": {"tls", "crypto", "sys"},
    "nettle/": {"crypto", "base"},
    "sodium": {"crypto", "base", "sys"},
    "openssl/": {"crypto"},
    "cpuid.h": {"crypto"},
    "immintrin.h": {"crypto"},
    "idn2.h": {"base", "id"},
    "immintrin.h": {"crypto"},
    "arm_neon.h": {"crypto"},
    "uv.h": SHELL,
    "curl/": SHELL,
    "ares": SHELL,
    "sqlite3.h": SHELL,
}
PURE_C = set("""assert.h complex.h ctype.h errno.h fenv.h float.h inttypes.h iso646.h limits.h math.h stdalign.h
    stdarg.h stdatomic.h stdbool.h stddef.h stdint.h stdio.h stdlib.h stdnoreturn.h string.h tgmath.h uchar.h wchar.h
    wctype.h""".split())
HOSTED_C = {"locale.h", "setjmp.h", "signal.h", "threads.h", "time.h"}  # of C, but with a clock, threads or a process
SYSTEM = re.compile(r"(sys|netinet|arpa|linux|net|netpacket|mach)/|(unistd|pthread|fcntl|poll|ifaddrs|netdb|dirent|"
                    r"termios|pwd|grp|sched|spawn|syslog|strings|libgen|getopt|dlfcn|semaphore|windows|winsock2|"
                    r"ws2tcpip|iphlpapi|endian|byteswap|malloc|execinfo|features)\.h$")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
OS_TEST = re.compile(r"^\s*#\s*(?:if|ifdef|ifndef|elif)\b.*\b(__linux__|__linux|__unix__|__APPLE__|__MACH__|_WIN32|"
                     r"_WIN64|__FreeBSD__|__OpenBSD__|__NetBSD__|__ANDROID__)\b")
EXPORT_HEADER = "include/iroh/error.h"  # says how a symbol is exported, which is a matter of the OS


class File:
    def __init__(self, root, path):
        self.name = path.relative_to(root).as_posix()
        self.parts = self.name.split("/")
        self.folder = self.parts[1] if self.parts[0] == "src" and len(self.parts) > 2 else ""
        self.header = path.suffix == ".h"
        self.includes, self.os_tests = [], []  # (line, is a system include, path); (line, macro)
        for number, text in enumerate(path.read_text(errors="replace").splitlines(), 1):
            found, tested = INCLUDE.match(text), OS_TEST.match(text)
            if found:
                self.includes.append((number, found[1] == "<", found[2]))
            if tested:
                self.os_tests.append((number, tested[1]))

    def at(self, number):
        return f"{self.name}:{number}"

    def public(self):
        return self.parts[0] == "include"

    def may_touch_outside(self):
        store = "/".join(self.parts[1:]).startswith(STORES)
        return self.folder in SHELL or store or self.parts[0] == "apps"

    def may_use(self, library):
        return self.folder in LIBRARIES[library] or (LIBRARIES[library] is SHELL and self.may_touch_outside())


def library_of(include):
    return next((prefix for prefix in LIBRARIES if include.startswith(prefix)), None)


def folder_of(include):
    """The folder of src/ that a quoted include names; empty for a file beside the including one."""
    return include.split("/")[0] if "/" in include else ""


def inner_includes(files):
    for file in files:
        for number, system, include in file.includes:
            if file.folder and not system:
                yield file, number, include, folder_of(include) or file.folder


# The rules: each yields a complaint.


def every_folder_has_a_level(files):
    for folder in sorted({file.folder for file in files if file.folder} - set(LEVELS)):
        yield f"src/{folder}: no row in the table of levels"


def includes_go_down(files):
    for file, number, include, target in inner_includes(files):
        if target not in LEVELS:
            yield f"{file.at(number)} includes {include}, which is in no known folder"
        elif LEVELS[target] > LEVELS.get(file.folder, -1):
            yield f"{file.at(number)} includes {include}, which is of a higher level"
        elif file.folder in REACH and target != file.folder and target not in REACH[file.folder]:
            yield f"{file.at(number)} includes {include}, which is out of reach for src/{file.folder}"
        elif target == "sys" and file.folder not in SHELL_USERS | {"sys"}:
            yield f"{file.at(number)} includes {include}: only the top of the library may use the shell"


def folders_have_no_cycle(files):
    edges = {(file.folder, target) for file, _, _, target in inner_includes(files) if target != file.folder}
    reached = set(edges)
    while True:
        more = {(a, d) for a, b in reached for c, d in edges if b == c} - reached
        if not more:
            break
        reached |= more
    for folder in sorted({a for a, b in reached if a == b}):
        yield f"src/{folder} includes itself through other folders"


def outside_stays_in_the_shell(files):
    for file in files:
        if not file.folder or file.may_touch_outside():
            continue
        for number, system, include in file.includes:
            if system and (include in HOSTED_C or SYSTEM.match(include)):
                yield f"{file.at(number)} includes <{include}>: the core has no system, clock or threads"


def os_macros_stay_in_the_shell(files):
    for file in files:
        if file.name != EXPORT_HEADER and (file.public() or file.folder) and not file.may_touch_outside():
            for number, macro in file.os_tests:
                yield f"{file.at(number)} tests {macro}"


def libraries_stay_in_their_adapters(files):
    for file in files:
        if not file.folder:
            continue
        for number, system, include in file.includes:
            library = library_of(include) if system else None
            if library and not file.may_use(library):
                owners = " and ".join(sorted(LIBRARIES[library]))
                yield f"{file.at(number)} includes <{include}>, which belongs to {owners}"


def library_types_stay_in_their_folders(files):
    """A header that includes a library's header is private to its folder, unless the other may use the library too."""
    tainted = {}
    for file in files:
        for _, system, include in file.includes:
            if file.header and file.folder and system and library_of(include):
                tainted["/".join(file.parts[1:])] = library_of(include)
    for file, number, include, target in inner_includes(files):
        if include in tainted and target != file.folder and not file.may_use(tainted[include]):
            yield f"{file.at(number)} includes {include}, which shows the types of {tainted[include]}"


def every_system_header_is_known(files):
    for file in files:
        for number, system, include in file.includes:
            known = (include in PURE_C or include in HOSTED_C or SYSTEM.match(include) or library_of(include)
                     or include.startswith("iroh/"))
            if file.folder and system and not known:
                yield f"{file.at(number)} includes <{include}>, which has no row in the table of libraries"


def public_headers_are_plain_c(files):
    for file in files:
        for number, system, include in file.includes if file.public() else ():
            if not system or not (include in PURE_C or include.startswith("iroh/")):
                yield f"{file.at(number)} includes {include}"


# What a program needs for itself, and the library does not.
OF_PROGRAMS = {"apps/iroh/share_qr.c": {"qrencode.h"}}


def apps_use_the_public_headers(files):
    beside = {file.name for file in files}
    for file in files:
        if file.parts[0] not in ("apps", "examples"):
            continue
        for number, system, include in file.includes:
            here = "/".join(file.parts[:-1] + [include])
            plain = include in PURE_C or include in HOSTED_C or include.startswith("iroh/") or SYSTEM.match(include)
            plain = plain or include in OF_PROGRAMS.get(file.name, ())
            if not (plain if system else here in beside):
                yield f"{file.at(number)} includes {include}"


RULES = [every_folder_has_a_level, includes_go_down, folders_have_no_cycle, outside_stays_in_the_shell,
         os_macros_stay_in_the_shell, libraries_stay_in_their_adapters, library_types_stay_in_their_folders,
         every_system_header_is_known, public_headers_are_plain_c, apps_use_the_public_headers]


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]).resolve()
    files = [File(root, path) for top in ("include", "src", "apps", "examples")
             for path in sorted((root / top).rglob("*.[ch]"))]
    if not files:
        print(f"FAIL layers: no sources under {root}")
        return 1
    failed = 0
    for rule in RULES:
        complaints = list(rule(files))
        failed += bool(complaints)
        print(f"FAIL {rule.__name__}: {'; '.join(complaints)}" if complaints else f"ok {rule.__name__}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
