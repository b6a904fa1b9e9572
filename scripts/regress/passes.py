"""The ways through pgherd, and what may differ on them."""

from pathlib import Path


class Pass:
    """One way through pgherd."""

    def __init__(self, about, settings="", known=None, judged=True, standby=False):
        self.about = about
        self.settings = settings
        self.known = known or {}
        self.judged = judged
        self.standby = standby


class Known:
    """A difference that is no mistake: why, and the lines of `diff -u` without their places."""

    def __init__(self, path):
        first, _, self.lines = path.read_text().partition("\n")
        self.why = first.removeprefix("# ")


# What a used connection cannot forget, because the server has no statement for it. After
# `DISCARD ALL` on a connection without pgherd the same is left.
USED = {path.stem: Known(path) for path in (Path(__file__).parent / "known").glob("*.diff")}

# Each session gets a server connection of its own.
UNCACHED = "connection_cache = false\n"

PASSES = {
    "fresh": Pass("in session mode, each session on a server connection of its own", UNCACHED),
    "reused": Pass("in session mode, on connections that others have used", known=USED),
    "split": Pass(
        "with reads on a standby; told, not judged", UNCACHED, judged=False, standby=True,
    ),
    "transaction": Pass(
        "in transaction mode; told, not judged", 'pool_mode = "transaction"\n', judged=False,
    ),
}
DEFAULT_PASSES = ["fresh", "reused"]
