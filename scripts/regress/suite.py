"""What the lane needs: PostgreSQL, pgherd, and the suite with its library."""

import os
import pwd
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from terms import PROFILE, ROOT, TARGET, Trouble, say


def find_bindir():
    """Finds PostgreSQL's programs: in $PG_BINDIR, else the newest that packages installed."""
    named = os.environ.get("PG_BINDIR")
    if named:
        return Path(named)
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    versions = sorted((int(path.parts[4]), path.parent) for path in found if path.parts[4].isdigit())
    if not versions:
        raise Trouble("no PostgreSQL server under /usr/lib/postgresql; set PG_BINDIR")
    return versions[-1][1]


def find_pgherd():
    """Builds pgherd, unless $PGHERD_BIN names one."""
    named = os.environ.get("PGHERD_BIN")
    if named:
        return Path(named).absolute()
    say("building pgherd")
    subprocess.run(
        ["cargo", "build", "--profile", PROFILE, "--locked", "--package", "pgherd"],
        cwd=ROOT, check=True,
    )
    return TARGET / ("debug" if PROFILE == "dev" else PROFILE) / "pgherd"


def fetch_suite(bindir):
    """Returns the directory of the suite, which is fetched if it is not there yet."""
    said = output([bindir / "postgres", "--version"])
    major = re.search(r"\(PostgreSQL\) (\d+)", said)[1]
    source, version = installed_source(f"postgresql-{major}")
    place = TARGET / "regress" / f"{source}_{version}".replace(":", "_")
    if (place / "complete").exists():
        return place
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="pgherd-apt-") as scratch:
        apt = Apt(Path(scratch), f"postgresql-{major}")
        say(f"fetching the source package {source} {version}")
        tarball = apt.source(source, version)
        headers = apt.binary(f"postgresql-server-dev-{major}", version)
        say("unpacking and compiling regress.so")
        unpack_suite(tarball, place)
        compile_library(place, headers / f"usr/include/postgresql/{major}/server")
    (place / "complete").touch()
    return place


def installed_source(package):
    """Says which source package, in which version, an installed package was built from."""
    form = "${source:Package} ${source:Version}"
    try:
        return output(["dpkg-query", "-W", "-f", form, package]).split()
    except (OSError, subprocess.CalledProcessError) as error:
        raise Trouble(f"the suite comes with the Debian package {package}, which is not installed") from error


class Apt:
    """apt with lists and caches of its own, and with the archives of one package as only ones."""

    def __init__(self, scratch, package):
        """Takes what the system says of those archives, and asks them for sources as well."""
        self.scratch = scratch
        for name in ["lists/partial", "cache/archives/partial", "parts"]:
            (scratch / name).mkdir(parents=True)
        madison = output(["apt-cache", "madison", package])
        archives = {line.split("|")[2].split()[0].rstrip("/") for line in madison.splitlines()}
        write_sources(archives, scratch / "parts")
        self.options = [
            f"-oDir::Etc::SourceList={os.devnull}",
            f"-oDir::Etc::SourceParts={scratch}/parts",
            f"-oDir::State::Lists={scratch}/lists",
            f"-oDir::Cache={scratch}/cache",
            # The temporary directory is closed to apt's own user.
            f"-oAPT::Sandbox::User={pwd.getpwuid(os.geteuid()).pw_name}",
        ]
        self.run("update")

    def run(self, *command):
        """Runs apt-get in the scratch directory; what it says is shown only if it fails."""
        ran = subprocess.run(
            ["apt-get", "-qq", *self.options, *command],
            cwd=self.scratch, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        if ran.returncode:
            raise Trouble(f"apt-get {' '.join(command)} failed:\n{ran.stdout.rstrip()}")

    def source(self, package, version):
        """Fetches a source package and returns its main archive."""
        self.get("source", "--download-only", package, version)
        return next(self.scratch.glob(f"{package}_*.orig.tar.*"))

    def binary(self, package, version):
        """Fetches a binary package and returns where its files are, without installing it."""
        self.get("download", package, version)
        unpacked = self.scratch / package
        subprocess.run(["dpkg", "-x", next(self.scratch.glob(f"{package}_*.deb")), unpacked], check=True)
        return unpacked

    def get(self, *command):
        """Fetches a package in this version or, if the archives have moved on, in their newest."""
        *command, package, version = command
        try:
            self.run(*command, f"{package}={version}")
        except Trouble:
            self.run(*command, package)


def write_sources(archives, parts):
    """Copies the system's entries for these archives to `parts`, each for packages and sources."""
    etc = Path("/etc/apt")
    for path in [etc / "sources.list", *(etc / "sources.list.d").glob("*")]:
        if not path.is_file():
            continue
        text = path.read_text()
        if path.suffix == ".sources":
            wanted = [s for s in re.split(r"\n\s*\n", text) if stanza_archives(s) & archives]
            both = [re.sub(r"(?im)^Types:.*$", "Types: deb deb-src", s) for s in wanted]
            (parts / path.name).write_text("\n\n".join(both) + "\n")
        elif path.suffix == ".list":
            entries = re.findall(r"(?m)^deb\s+((?:\[.*?\]\s+)?(\S+)\s.*)$", text)
            both = [f"deb {e}\ndeb-src {e}\n" for e, uri in entries if uri.rstrip("/") in archives]
            (parts / path.name).write_text("".join(both))


def stanza_archives(stanza):
    """Lists the archives that a stanza of a .sources file names."""
    uris = re.search(r"(?im)^URIs:(.*)$", stanza)
    return {uri.rstrip("/") for uri in uris[1].split()} if uris else set()


def unpack_suite(tarball, place):
    """Takes the tests, their data and their library's source out of PostgreSQL's sources."""
    inside = "/src/test/regress/"
    with tarfile.open(tarball) as archive:
        for member in archive:
            _, found, name = member.name.partition(inside)
            # Paths are checked here because not every Python can do it itself.
            if not found or not member.isfile() or ".." in Path(name).parts:
                continue
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.extractfile(member) as source, open(path, "wb") as copy:
                shutil.copyfileobj(source, copy)


def compile_library(place, headers):
    """Compiles the functions in C that the tests call."""
    include = ["-I", headers]
    result = place / "regress.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-fwrapv", "-fno-strict-aliasing", "-D_GNU_SOURCE"]
    subprocess.run([*command, *include, "-o", result, place / "regress.c"], check=True)


def output(command):
    """Runs a program for what it prints."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
