"""What all parts of the lane share: where things are, and how it speaks."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).absolute()
PROFILE = os.environ.get("PROFILE", "ci")


class Trouble(Exception):
    """Why the lane cannot go on."""


def say(text):
    """Tells how far the lane is."""
    print(f"regress: {text}", flush=True)
