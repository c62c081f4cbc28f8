#!/usr/bin/env python3
"""Holds tests/tally.py to what its header says, as a program: files go in, lines and an exit status come out.

usage: tally_check.py        prints `ok NAME` or `FAIL NAME: why` for each case; exit status 1 if one failed
"""
import os
import pathlib
import subprocess
import sys
import tempfile
from xml.sax.saxutils import escape, quoteattr

TALLY = pathlib.Path(__file__).with_name("tally.py")


def junit(text, status="run", message=""):
    """What ctest writes of one test, named `program`."""
    failure = f"<failure message={quoteattr(message)}/>" if message else ""
    return (f'<testsuite><testcase name="program" status="{status}">{failure}'
            f"<system-out>{escape(text)}</system-out></testcase></testsuite>")


def cmocka(*cases):
    """The output of a test program: (name, verdict) a case, without a verdict for one that never ended."""
    lines = [f"[==========] Running {len(cases)} test(s)."]
    for name, verdict in cases:
        lines.append(f"[ RUN      ] {name}")
        lines += [f"[ {verdict} ] {name}"] if verdict else ["and then it fell"]
    return "\n".join(lines)


OK, FAILED, SKIPPED = "      OK", " FAILED ", " SKIPPED"
# As cmocka 1.1.5 closes a run, and as later ones do.
SUMMARY = """
[==========] {group}3 test(s) run.
[  PASSED  ] {group}1 test(s).
[  SKIPPED ] {group}1 test(s), listed below:
[  SKIPPED ] away, for now

 1 SKIPPED TEST(S)
[  FAILED  ] {group}1 test(s), listed below:
[  FAILED  ] wrong, and so on

 1 FAILED TEST(S)
"""
MIXED = cmocka(("right, of course", OK), ("wrong, and so on", FAILED), ("away, for now", SKIPPED))

# name: ({file: text}, the lines that come out, whether the exit status is 0)
CASES = {
    "plain_names": (
        {"a.log": "ok one\nFAIL two: it broke\nskip three: not here\nnoise\nokay four\n"},
        ["skip a/three: not here", "FAIL a/two: it broke", "1 passed, 1 failed, 1 skipped"], False),
    "names_with_blanks_commas_and_colons": (
        {"a.log": "ok one corpus\nok one, two\nok by:relay/x->y\nFAIL by:relay/y, z: why: because\nskip an other: no\n"},
        ["skip a/an other: no", "FAIL a/by:relay/y, z: why: because", "3 passed, 1 failed, 1 skipped"], False),
    "brackets": (
        {"a.xml": junit(cmocka(("one", OK), ("two, and three", OK), ("four: five", OK)))},
        ["3 passed, 0 failed, 0 skipped"], True),
    "notes_are_no_part_of_a_name": (
        {"a.xml": junit("[ RUN      ] one (30 seeds)\n[       OK ] one\n[ RUN      ] two (x)\n[       OK ] two (x)\n"
                        "[ RUN      ] three (40 seeds)\n", "fail", "Timeout")},
        ["FAIL program/three (40 seeds): did not end", "    [ RUN      ] three (40 seeds)",
         "2 passed, 1 failed, 0 skipped"], False),
    "summary_is_not_counted_again": (
        {"a.xml": junit(MIXED + SUMMARY.format(group=""), "fail", "Failed")},
        ["skip program/away, for now", "FAIL program/wrong, and so on", "1 passed, 1 failed, 1 skipped"], False),
    "summary_with_a_group_is_not_counted_again": (
        {"a.xml": junit(MIXED + SUMMARY.format(group="group: "), "fail", "Failed")},
        ["skip program/away, for now", "FAIL program/wrong, and so on", "1 passed, 1 failed, 1 skipped"], False),
    "case_that_never_ends_has_failed": (
        {"a.xml": junit(cmocka(("one, two", OK), ("one, three", None)), "fail", "SEGFAULT")},
        ["FAIL program/one, three: did not end", "    [ RUN      ] one, three", "    and then it fell",
         "1 passed, 1 failed, 0 skipped"], False),
    "program_that_ends_badly_has_failed": (
        {"a.xml": junit(cmocka(("one", OK)) + "\nleak", "fail", "Failed")},
        ["FAIL program/(program): Failed", "    [==========] Running 1 test(s).", "    [ RUN      ] one",
         "    [       OK ] one", "    leak", "1 passed, 1 failed, 0 skipped"], False),
    "what_failed_once_has_failed": (
        {"a.log": "FAIL one: first\nok one\n", "b.log": "ok one\n"},
        ["FAIL a/one: first", "1 passed, 1 failed, 0 skipped"], False),
    "nothing_counted_is_no_success": ({"a.log": "hello\n"}, ["0 passed, 0 failed, 0 skipped"], False),
    "skips_alone_are_no_failure": (
        {"a.log": "skip one: away\n"}, ["skip a/one: away", "0 passed, 0 failed, 1 skipped"], True),
}


def run(files, **environment):
    clean = {name: value for name, value in os.environ.items() if name != "CI"}
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            pathlib.Path(folder, name).write_text(text)
        done = subprocess.run([sys.executable, TALLY, *sorted(files)], cwd=folder, env=clean | environment, text=True,
                              capture_output=True, timeout=30)
    return done.stdout.splitlines() + done.stderr.splitlines(), done.returncode


def complaint(files, lines, success):
    said, status = run(files)
    if said != lines:
        return f"{said} instead of {lines}"
    if status != (0 if success else 1):
        return f"exit status {status}"
    # Where nothing may be missing, a skip is a failure.
    strict = 0 if success and not any(line.startswith("skip") for line in lines) else 1
    status = run(files, CI="true")[1]
    return f"exit status {status} with CI=true" if status != strict else ""


def main():
    failed = 0
    for name, case in CASES.items():
        why = complaint(*case)
        failed += bool(why)
        print(f"FAIL tally_{name}: {why}" if why else f"ok tally_{name}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
