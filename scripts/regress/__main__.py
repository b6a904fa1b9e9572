"""PostgreSQL's own regression suite, against a server directly and through pgherd.

Every test file must end the same way and leave the same output. The suite is that of the installed
PostgreSQL, from the distribution's source package: it is fetched into target/regress and stays
there. The servers live in a temporary directory and go with it.
"""

import argparse
import signal
import sys
import time

from ground import Ground
from outcome import compare, keep, summarize
from passes import DEFAULT_PASSES, PASSES
from suite import fetch_suite, find_bindir, find_pgherd
from terms import Trouble, say


def main():
    """Runs the suite directly and in each pass, and compares. Ends with 0 if all of it agrees."""
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    bindir = find_bindir()
    pgherd = find_pgherd()
    with Ground(fetch_suite(bindir), bindir, pgherd) as ground:
        failed = judge(ground, options)
    say(f"the lane took {time.monotonic() - started:.0f} s")
    return 1 if failed else 0


def judge(ground, options):
    """Runs the suite on every way and compares; says whether a pass that counts has failed."""
    direct = ground.play("direct", None, options.tests)
    ways = {name: ground.play(name, PASSES[name], options.tests) for name in options.passes}
    compare(direct, ways)
    judged = [way for way in ways.values() if way.way.judged]
    if any(way.differing for way in judged):
        again = ground.play("again", None, options.tests)
        unstable = {test for way in judged for test in way.excuse(direct, again)}
        say(f"not the same twice without pgherd: {' '.join(sorted(unstable)) or 'none'}")
    for name, way in ways.items():
        summarize(name, way)
    if any(way.differing for way in ways.values()):
        keep(ground.dir, ["direct", *ways])
    return any(way.differing for way in judged)


def arguments():
    """Reads the command line."""
    about = [f"{name:<12} {way.about}" for name, way in PASSES.items()]
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog="passes:\n  " + "\n  ".join(about),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--passes", nargs="+", choices=PASSES, default=DEFAULT_PASSES, metavar="PASS",
        help=f"how to go through pgherd; by default {' '.join(DEFAULT_PASSES)}",
    )
    parser.add_argument(
        "--tests", nargs="+", metavar="TEST",
        help="run only these, one after the other, behind test_setup",
    )
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Trouble as trouble:
        sys.exit(f"regress: {trouble}")
    except KeyboardInterrupt:
        sys.exit(130)
