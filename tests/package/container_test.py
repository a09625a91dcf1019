"""configs/Containerfile against what it copies, runs and starts. A build of it needs a container engine; this needs none."""

import json
import os
import re
import shlex
import subprocess
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
BINARY = os.environ["LMCACHE_BINARY"]
INSTRUCTIONS = {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "USER", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL", "ENTRYPOINT", "CMD"}


def read(*path):
    with open(os.path.join(ROOT, *path)) as file:
        return file.read()


def instructions():
    """(instruction, its words) in order, with continued lines joined."""
    text = re.sub(r"^#.*\n", "", read("configs", "Containerfile"), flags=re.M).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


def words_of(name):
    """Of an instruction that stands once in its JSON form, that form; its text otherwise."""
    found = [words for instruction, words in instructions() if instruction == name]
    assert len(found) == 1, (name, found)
    start = found[0].find("[")
    return found[0] if start < 0 else json.loads(found[0][start:])


class Containerfile(unittest.TestCase):
    def test_instructions_are_known_and_stages_named_before_they_are_used(self):
        stages, last = set(), None
        for name, words in instructions():
            self.assertIn(name, INSTRUCTIONS)
            if name == "FROM" and " AS " in words:
                stages.add(words.split(" AS ")[1])
            for used in re.findall(r"--from=(\S+)", words):
                self.assertIn(used, stages)
            last = name
        self.assertEqual((instructions()[0][0], last), ("ARG", "CMD"))
        # Both stages are the Debian that the package is for.
        bases = [words.split("=")[-1] for name, words in instructions() if name in ("ARG", "FROM") and "$" not in words]
        self.assertEqual(bases, ["debian:12-slim"] * 2)

    def test_what_is_copied_is_in_the_repository(self):
        copied = [shlex.split(words) for name, words in instructions() if name == "COPY" and "--from" not in words]
        self.assertTrue(copied)
        for *sources, _ in copied:
            for source in sources:
                self.assertTrue(subprocess.run(["git", "-C", ROOT, "ls-files", "--error-unmatch", source],
                                               capture_output=True, timeout=60).returncode == 0, source)
        ignored = read(".dockerignore").split()
        self.assertIn("/build/", ignored)  # or COPY takes what was built here along

    def test_it_is_built_as_the_readme_says(self):
        runs = [words for name, words in instructions() if name == "RUN"]
        readme = read("README.md")
        commands = [command.strip(" ()") for words in runs for command in words.split("&&")]
        build = [command for command in commands if "install_deps" in command or command.startswith("cmake")]
        self.assertEqual(len(build), 3)
        for command in build:
            self.assertIn(command, readme)
        self.assertIn("cd build/server && cpack", readme)
        self.assertIn("cd build/server", commands)
        packed = next(command for command in commands if command.startswith("cpack"))
        self.assertIn(packed.split()[-1] + "/*.deb", next(words for name, words in instructions() if name == "COPY" and "--from" in words))

    def test_it_runs_as_the_packages_user(self):
        self.assertIn(" " + words_of("USER"), read("configs", "debian", "postinst").replace("\n", " "))

    def test_it_starts_what_there_is(self):
        help_text = subprocess.run([BINARY, "server", "--help"], capture_output=True, text=True, check=True, timeout=60).stdout
        command = words_of("ENTRYPOINT") + words_of("CMD")
        self.assertEqual(command[:2], ["lmcache", "server"])
        flags = [word for word in command if word.startswith("--")]
        flags += re.findall(r"^#.*?(--(?:l1|isolated|http)[a-z0-9-]+)", read("configs", "Containerfile"), re.M)
        for flag in flags:
            self.assertRegex(help_text, rf"(?m)^\s+{flag}\b")
        ports = re.findall(r'^#?(?:http-)?port = (\d+)', read("configs", "server.toml"), re.M)
        self.assertEqual(sorted(words_of("EXPOSE").split()), sorted(ports))

    def test_its_health_check_is_a_command_of_the_documents(self):
        self.assertIn("\n" + " ".join(words_of("HEALTHCHECK")), read("docs", "OPERATIONS.md"))

    def test_what_to_run_it_with_is_said(self):
        text = read("configs", "Containerfile")
        for option in ("--ipc=host", "--shm-size", "memlock", "--gpus", "--user"):
            self.assertIn(option, text)


if __name__ == "__main__":
    unittest.main()
