"""What came out of the suite, and whether it is the same on every way."""

import shutil
import subprocess

from terms import TARGET, say

# Lines of a difference that are shown; the files stay for the rest.
DIFF_LINES = 40
# The status of a test of which pg_regress said nothing.
UNENDED = "unended"


class Outcome:
    """What one run of the suite left behind."""

    def __init__(self, place, statuses, way):
        self.place = place
        self.statuses = statuses
        self.way = way
        # What the comparison found: tests that differ as they should not, and those that may.
        self.differing = []
        self.known = []

    def path(self, test):
        """Says where a test's output is."""
        return self.place / "results" / f"{test}.out"

    def output(self, test):
        """Returns what a test printed, or nothing if it never ran."""
        path = self.path(test)
        return path.read_bytes() if path.exists() else None

    def like(self, other, test):
        """Says whether a test came to its end here and there, in the same way and words."""
        ended = self.statuses[test]
        same = ended != UNENDED and ended == other.statuses[test]
        return same and self.output(test) == other.output(test)

    def judge(self, test, direct):
        """Compares how a test ended with how it does without pgherd; returns that in a word."""
        ended = self.statuses[test]
        if self.like(direct, test):
            return ended
        known = self.way.known.get(test)
        if ended != UNENDED and known and known.lines == difference(test, direct, self)[1]:
            self.known.append(test)
            return f"{ended} (known)"
        self.differing.append(test)
        return f"{ended} DIFFERS"

    def excuse(self, direct, again):
        """Lets go of tests whose output is not even the same twice without pgherd."""
        unstable = [
            test for test in self.differing
            if self.statuses[test] == direct.statuses[test] != UNENDED
            and not again.like(direct, test)
        ]
        self.differing = [test for test in self.differing if test not in unstable]
        return unstable


def compare(direct, ways):
    """Prints a table of every test, and then the differences."""
    print(f"\n{'test':<28} {'direct':<10} " + " ".join(f"{name:<16}" for name in ways))
    for test, ended in direct.statuses.items():
        cells = " ".join(f"{way.judge(test, direct):<16}" for way in ways.values())
        print(f"{test:<28} {ended:<10} {cells}".rstrip())
    for name, way in ways.items():
        for test in way.differing:
            show_difference(name, test, direct, way)
    print()


def summarize(name, way):
    """Prints what a pass amounts to."""
    differing, known, total = len(way.differing), len(way.known), len(way.statuses)
    same = total - differing - known
    print(f"{name}: {total} test files, {same} the same, {known} known, {differing} different")
    for test in way.known:
        print(f"{name}: {test}: {way.way.known[test].why}")


def difference(test, direct, way):
    """Returns the lines of `diff -u` for a test, and the same without their places."""
    paths = [side.path(test) for side in (direct, way)]
    command = ["diff", "-U3", "-N", *paths]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, errors="replace")
    lines = ran.stdout.splitlines(keepends=True)
    return lines, "".join(line for line in lines[2:] if not line.startswith("@@"))


def show_difference(name, test, direct, way):
    """Prints where two outputs of a test part, up to a limit."""
    lines, _ = difference(test, direct, way)
    print(f"\n--- {test} ({name}): {len(lines)} lines of difference")
    print("".join(lines[:DIFF_LINES]), end="")


def keep(place, names):
    """Copies what explains a difference to where it outlives the lane."""
    kept = TARGET / "regress" / "failed"
    shutil.rmtree(kept, ignore_errors=True)
    for name in names:
        shutil.copytree(place / name / "results", kept / name)
    for log in place.glob("*.log"):
        shutil.copy(log, kept)
    say(f"outputs and logs are in {kept}")
