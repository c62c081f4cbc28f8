#!/usr/bin/env python3
"""Installs a build to a prefix of its own and uses what is there as a stranger would: both ways to find the library,
all libraries, every header by itself in C and in C++, and the programs.

usage: check.py BUILD_FOLDER [SANITIZERS]     such as build/dev address,undefined, with which programs are then linked

Prints `ok NAME`, `FAIL NAME: why` or `skip NAME: reason` for each case, and exits with 1 if one failed.
"""
import itertools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[2].resolve()
EXAMPLE = ROOT / "examples/echo_client.c"
PROGRAMS = ("iroh", "iroh-relay")
STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic"]
C_STANDARDS = ("c11", "c17")
CXX_STANDARDS = ("c++17",)
CXX_COMPILERS = ("g++", "clang++")
DECLARED = re.compile(r"\bIROH_API\b[^;{]*?\b(iroh_\w+)\s*(?:\(|;)")
PROJECT = """cmake_minimum_required(VERSION 3.25)
project(stranger LANGUAGES C)
find_package(iroh 0.1 REQUIRED)
foreach(kind iroh static blobs)
    add_executable(client_${kind} "%s")
    target_link_libraries(client_${kind} PRIVATE iroh::${kind})
endforeach()
"""


class Failure(Exception):
    pass


class Skip(Exception):
    pass


def run(words, **more):
    words = [str(word) for word in words]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **more)
    if done.returncode != 0:
        lines = [line for line in done.stdout.splitlines() if re.search("error|undefined|warning", line, re.I)]
        raise Failure(f"{words[0]}: {' | '.join((lines or done.stdout.splitlines())[:3]) or done.returncode}"[:600])
    return done.stdout


class Installed:
    """The prefix, and a folder to work in."""

    def __init__(self, build, sanitizers, folder):
        self.prefix, self.folder = folder / "prefix", folder
        self.flags = [f"-fsanitize={sanitizers}"] if sanitizers else []
        run(["cmake", "--install", build, "--prefix", self.prefix])
        self.headers = sorted((self.prefix / "include/iroh").glob("*.h"))
        self.libraries = sorted(self.prefix.rglob("libiroh*.so"))  # the names that programs are linked with
        self.library = next((path for path in self.libraries if path.name == "libiroh.so"), None)
        if not self.headers or self.library is None:
            raise Failure("neither headers nor libiroh.so were installed")
        self.environment = {**os.environ, "PKG_CONFIG_PATH": str(self.library.parent / "pkgconfig"),
                            "LD_LIBRARY_PATH": str(self.library.parent)}

    def pkg_config(self, *words, packages=("iroh",)):
        return run(["pkg-config", *words, *packages], env=self.environment).split()

    def packages(self):
        """Of all shared libraries."""
        return [path.stem.removeprefix("lib") for path in self.libraries]

    def compile(self, compiler, source, *words):
        out = self.folder / "program"
        run([compiler, *self.flags, source, *words, "-o", out], env=self.environment)
        return out

    def exported_by(self, library):
        """The names that it defines for others; without what the sanitizers add."""
        lines = run(["nm", "-D", "--defined-only", library]).splitlines()
        names = {line.split()[2] for line in lines if len(line.split()) == 3}
        return {name for name in names if not (self.flags and name.startswith("__odr_asan"))}

    def exported(self):
        return set().union(*map(self.exported_by, self.libraries))

    def declared(self):
        return {name for header in self.headers for name in DECLARED.findall(header.read_text())}


def try_client(program, environment):
    """The echo client without a ticket says so: it was loaded, and calls the library."""
    done = subprocess.run([str(program)], capture_output=True, text=True, env=environment)
    if done.returncode != 1 or not done.stderr.startswith("echo_client: "):
        raise Failure(f"{program.name} ended with {done.returncode}: {done.stderr.strip()[-300:]}")


def all_is_there(i):
    wanted = {path.name for path in (ROOT / "include/iroh").glob("*.h")}
    missing = sorted(wanted - {path.name for path in i.headers})
    missing += [name for name in PROGRAMS if not os.access(i.prefix / "bin" / name, os.X_OK)]
    for name in ("libiroh.a", "libiroh-blobs.so", "iroh.pc", "iroh-blobs.pc", "iroh-config.cmake", "iroh-config-version.cmake", "LICENSE-MIT",
                 "LICENSE-APACHE"):
        missing += [name] if next(i.prefix.rglob(name), None) is None else []
    if missing:
        raise Failure(f"not installed: {', '.join(missing)}")


def programs_run(i):
    version = run([i.prefix / "bin/iroh", "--version"])
    if version != f"iroh {' '.join(i.pkg_config('--modversion'))}\n":
        raise Failure(f"iroh --version says {version!r}")


def only_iroh_symbols_are_exported(i):
    strange = sorted(name for name in i.exported() if not name.startswith("iroh_"))
    if strange:
        raise Failure(f"exported: {', '.join(strange[:5])}")
    for one, other in itertools.combinations(i.libraries, 2):
        twice = sorted(i.exported_by(one) & i.exported_by(other))
        if twice:
            raise Failure(f"{one.name} and {other.name} both export {', '.join(twice[:5])}")


def headers_declare_what_the_library_has(i):
    exported = i.exported()
    declared = i.declared()
    if exported != declared:
        raise Failure(f"exported but not declared: {sorted(exported - declared)[:5]}, "
                      f"declared but not exported: {sorted(declared - exported)[:5]}")


def pkg_config_links_the_shared_library(i):
    program = i.compile("cc", EXAMPLE, *STRICT, *i.pkg_config("--cflags", "--libs"))
    if "libiroh.so" not in run(["ldd", program], env=i.environment):
        raise Failure("the program does not use libiroh.so")
    try_client(program, i.environment)


def pkg_config_links_the_static_library(i):
    """With its dependencies as shared ones; `--static` would want static ones, which not all packages have."""
    needed = [name.split()[0] for name in i.pkg_config("--print-requires-private")]
    words = run(["pkg-config", "--libs", *needed], env=i.environment).split()
    archive = i.library.parent / "libiroh.a"
    program = i.compile("cc", EXAMPLE, *i.pkg_config("--cflags"), archive, "-pthread", *words)
    if "libiroh.so" in run(["ldd", program], env=i.environment):
        raise Failure("the program uses libiroh.so")
    try_client(program, i.environment)


def find_package_links_the_libraries(i):
    source, build = i.folder / "project", i.folder / "project-build"
    source.mkdir()
    (source / "CMakeLists.txt").write_text(PROJECT % EXAMPLE)
    run(["cmake", "-S", source, "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={i.prefix}",
         f"-DCMAKE_C_FLAGS={' '.join(i.flags)}"])
    run(["cmake", "--build", build])
    for kind in ("iroh", "static", "blobs"):
        try_client(build / f"client_{kind}", i.environment)


def compile_alone(i, compiler, standards, suffix):
    source = i.folder / f"alone.{suffix}"
    for header in i.headers:
        source.write_text(f"#include <iroh/{header.name}>\n#include <iroh/{header.name}>\n")
        for standard in standards:
            run([compiler, f"-std={standard}", *STRICT, "-fsyntax-only", f"-I{i.prefix}/include", source])


def link_all(i, compiler, suffix):
    """A program with the address of every function, so that each is declared with C linkage."""
    source = i.folder / f"all.{suffix}"
    names = ",\n".join(f"(function){name}" for name in sorted(i.exported() & i.declared()))
    source.write_text("".join(f"#include <iroh/{header.name}>\n" for header in i.headers) +
                      f"typedef void (*function)(void);\nstatic const function all[] = {{{names}}};\n"
                      "int main(int argc, char **argv) { (void)argv; return all[argc] == 0; }\n")
    compiled = i.folder / f"all-{compiler}.o"
    run([compiler, "-fPIE", "-c", source, *i.pkg_config("--cflags"), "-o", compiled], env=i.environment)
    # By the C compiler, whose sanitizers the library has.
    run([i.compile("cc", compiled, *i.pkg_config("--libs", packages=i.packages()))], env=i.environment)


def headers_stand_alone_in_c(i):
    compile_alone(i, "cc", C_STANDARDS, "c")
    link_all(i, "cc", "c")


def headers_stand_alone_in_cxx(i):
    compilers = [name for name in CXX_COMPILERS if shutil.which(name)]
    if not compilers:
        raise Skip("no C++ compiler is here")
    for compiler in compilers:
        compile_alone(i, compiler, CXX_STANDARDS, "cc")
        link_all(i, compiler, "cc")


CASES = [all_is_there, programs_run, only_iroh_symbols_are_exported, headers_declare_what_the_library_has,
         pkg_config_links_the_shared_library, pkg_config_links_the_static_library, find_package_links_the_libraries,
         headers_stand_alone_in_c, headers_stand_alone_in_cxx]


def attempt(case, installed):
    name = f"install_{case.__name__}"
    try:
        case(installed)
    except Skip as reason:
        print(f"skip {name}: {reason}", flush=True)
    except Failure as why:
        print(f"FAIL {name}: {why}", flush=True)
        return False
    else:
        print(f"ok {name}", flush=True)
    return True


def main():
    if not 2 <= len(sys.argv) <= 3:
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        try:
            installed = Installed(sys.argv[1], "".join(sys.argv[2:]), pathlib.Path(folder))
        except Failure as why:
            print(f"FAIL install: {why}")
            return 1
        return 0 if all([attempt(case, installed) for case in CASES]) else 1


if __name__ == "__main__":
    sys.exit(main())
