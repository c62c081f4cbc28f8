#!/usr/bin/env python3
"""Adds up what the tests said, case by case, and prints the one closing line.

usage: tally.py FILE...        *.xml is a JUnit file of ctest; anything else is plain output of a runner

Counted are the lines `[       OK ] NAME`, `[  FAILED  ] NAME`, `[  SKIPPED ] NAME` and `ok NAME`, `FAIL NAME: why`,
`skip NAME: reason`. A NAME may have any signs, blanks and commas too; in the second kind it ends before the first `: `.
A case that failed once has failed. One that was begun (`[ RUN      ] NAME` or `[ RUN      ] NAME (note)`) and never ended
is a failed one, and a program that ends badly without naming a failed case is one failed case itself. Failures and skips
are listed before the closing line `N passed, N failed, N skipped`. The exit status is 1 if anything failed, if nothing
was counted or, with CI=true, if anything was skipped.
"""
import os
import re
import sys
import xml.etree.ElementTree

RUN = re.compile(r"^\[ RUN +\] (\S.*)$")
NOTE = re.compile(r" \([^()]*\)$")
BRACKETS = re.compile(r"^\[ +(OK|FAILED|SKIPPED) +\] (\S.*)$")
WORDS = re.compile(r"^(ok|FAIL|skip) (\S.*?)(?:: (.*))?$")
# What cmocka says of all together; newer ones put the name of the group in front.
SUMMARY = re.compile(r"^(.*: )?\d+ test\(s\)(\.|, listed below:)$")
KIND = {"OK": "passed", "FAILED": "failed", "SKIPPED": "skipped", "ok": "passed", "FAIL": "failed", "skip": "skipped"}
EXCERPT_LINES = 40


class Tally:
    def __init__(self):
        self.cases = {}  # (program, case) -> (kind, reason)

    def add(self, program, case, kind, why=""):
        if self.cases.get((program, case), ("", ""))[0] != "failed":
            self.cases[program, case] = (kind, why)

    def read(self, program, text):
        """Counts the cases in a program's output and returns how many failed."""
        lines = [line.rstrip() for line in text.split("\n")]
        begun = {}
        for number, line in enumerate(lines):
            run, bracket, word = RUN.match(line), BRACKETS.match(line), WORDS.match(line)
            if run:
                begun[run[1]] = number
            if bracket and not SUMMARY.match(bracket[2]):
                # A name that failed or was skipped appears once more in the program's own summary.
                kind = KIND[bracket[1]]
                if self.cases.get((program, bracket[2]), ("", ""))[0] != kind:
                    self.add(program, bracket[2], kind, lines_before(lines, number) if kind != "passed" else "")
            elif word:
                self.add(program, word[2], KIND[word[1]], word[3] or "")
        for case, number in begun.items():
            if not {(program, case), (program, NOTE.sub("", case))} & self.cases.keys():
                self.add(program, case, "failed", "did not end\n" + excerpt("\n".join(lines[number:])))
        return sum(kind == "failed" for (name, _), (kind, _) in self.cases.items() if name == program)

    def read_junit(self, path):
        for test in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
            name, status = test.get("name"), test.get("status")
            text = test.findtext("system-out") or ""
            failed = self.read(name, text)
            if status != "run" and not failed:
                reason = next((child.get("message") for child in test if child.get("message")), "")
                self.add(name, "(program)", "failed", f"{reason or status}\n{excerpt(text)}")

    def of_kind(self, wanted):
        return [(program, case, why) for (program, case), (kind, why) in self.cases.items() if kind == wanted]


def lines_before(lines, number):
    """What a case said between its `[ RUN` line and its verdict."""
    start = number
    while start > 0 and not RUN.match(lines[start - 1]) and not BRACKETS.match(lines[start - 1]):
        start -= 1
    return excerpt("\n".join(lines[start:number]))


def excerpt(text):
    text = text.split("\nShadow bytes around")[0]  # AddressSanitizer's map of memory explains nothing here
    return "\n".join(text.strip().splitlines()[-EXCERPT_LINES:])


def show(word, rows):
    for program, case, why in rows:
        first, *rest = why.strip().splitlines() or [""]
        print(f"{word} {program}/{case}{': ' + first if first else ''}")
        for line in rest:
            print(f"    {line}")


def main():
    tally = Tally()
    for path in sys.argv[1:]:
        if path.endswith(".xml"):
            tally.read_junit(path)
        else:
            with open(path, errors="replace") as file:
                tally.read(os.path.splitext(os.path.basename(path))[0], file.read())
    passed, failed, skipped = (tally.of_kind(kind) for kind in ("passed", "failed", "skipped"))
    show("skip", skipped)
    show("FAIL", failed)
    print(f"{len(passed)} passed, {len(failed)} failed, {len(skipped)} skipped")
    strict = os.environ.get("CI") == "true"
    return 1 if failed or (strict and skipped) or not (passed or skipped) else 0


if __name__ == "__main__":
    sys.exit(main())
