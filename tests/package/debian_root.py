"""A small Debian root in a folder, copied from this machine's own packages: for installing a package without touching this machine."""

import os
import re
import stat
import subprocess
import tempfile

PATIENCE = 120
DPKG = "var/lib/dpkg"
LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")  # /bin -> usr/bin and so on, which no package has


def output(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE, **options).stdout


def names_in(relation):
    """Package names of a dependency field; of alternatives all."""
    return re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9.+-]+)", relation)


class DebianRoot:
    """With the essential packages and `wanted`, each with what it depends on; needs root, for chroot."""

    def __init__(self, wanted):
        self._folder = tempfile.TemporaryDirectory(prefix="lmcache-root-")
        self.path = self._folder.name
        os.chmod(self.path, 0o755)  # it is "/" to the users inside
        self._status = self._installed()
        packages = self._closure(wanted)
        for name in LINKS:
            if os.path.islink("/" + name):
                os.symlink(os.readlink("/" + name), self.at(name))
                os.makedirs(os.path.realpath(self.at(name)))
        self._copy_files(packages)
        self._make_database(packages)
        for folder in ("dev", "proc", "tmp", "run/systemd/system", "var/log", "etc/systemd/system"):
            os.makedirs(self.at(folder), exist_ok=True)
        os.mknod(self.at("dev/null"), 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        for name in ("passwd", "group"):
            output("cp", self.at(f"usr/share/base-passwd/{name}.master"), self.at("etc/" + name))
        self.run("ldconfig")

    @staticmethod
    def _installed():
        """What this machine has: name -> its paragraph in the database."""
        with open(f"/{DPKG}/status") as file:
            paragraphs = file.read().split("\n\n")
        found = {}
        for text in paragraphs:
            fields = dict(re.findall(r"^([A-Za-z-]+): (.*)", text, re.M))
            if fields.get("Status") == "install ok installed":
                found[fields["Package"]] = (fields, text)
        return found

    def _closure(self, wanted):
        left = [name for name, (fields, _) in self._status.items() if fields.get("Essential") == "yes"] + list(wanted)
        providers = {virtual: name for name, (fields, _) in self._status.items() for virtual in names_in(fields.get("Provides", ""))}
        closed = set()
        while left:
            name = left.pop()
            name = name if name in self._status else providers.get(name)
            if name is None or name in closed:
                continue
            closed.add(name)
            fields = self._status[name][0]
            left += names_in(fields.get("Depends", "")) + names_in(fields.get("Pre-Depends", ""))
        return sorted(closed)

    def _copy_files(self, packages):
        paths = sorted({path.lstrip("/") for path in output("dpkg-query", "-L", *packages).splitlines()
                        if path.startswith("/") and os.path.lexists(path) and path not in ("/", "/.")})
        listing = "\0".join(path for path in paths if path not in LINKS)
        # Its owners and modes too; what another process removes meanwhile is left out.
        pack = subprocess.run(["tar", "-C", "/", "--no-recursion", "--null", "--ignore-failed-read", "-T", "-", "-cf", "-"],
                              input=listing.encode(), capture_output=True, timeout=PATIENCE)
        subprocess.run(["tar", "-C", self.path, "--keep-directory-symlink", "-xpf", "-"], input=pack.stdout, check=True,
                       capture_output=True, timeout=PATIENCE)

    def _make_database(self, packages):
        os.makedirs(self.at(DPKG, "info"), exist_ok=True)
        os.makedirs(self.at(DPKG, "updates"), exist_ok=True)
        with open(self.at(DPKG, "status"), "w") as file:
            file.write("\n\n".join(self._status[name][1].strip("\n") for name in packages) + "\n\n")
        for name in os.listdir(f"/{DPKG}/info"):
            if re.sub(r"(:\w+)?\.\w+$", "", name) in packages:
                output("cp", "-p", f"/{DPKG}/info/{name}", self.at(DPKG, "info"))

    def at(self, *path):
        """The path outside of what is `path` inside."""
        return os.path.join(self.path, *(part.lstrip("/") for part in path))

    def exists(self, path):
        return os.path.lexists(self.at(path))

    def read(self, path):
        with open(self.at(path)) as file:
            return file.read()

    def write(self, path, text, mode=0o644):
        os.makedirs(os.path.dirname(self.at(path)), exist_ok=True)
        with open(self.at(path), "w") as file:
            file.write(text)
        os.chmod(self.at(path), mode)

    def run(self, *command):
        """Inside, with nobody to answer questions; its output, or AssertionError with it."""
        done = subprocess.run(["chroot", self.path, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=PATIENCE, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"})
        if done.returncode != 0:
            raise AssertionError(f"{command} ends with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def close(self):
        self._folder.cleanup()
