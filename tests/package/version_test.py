"""The version that a build writes (cmake/write_version.cmake) in trees of every kind, and when ninja writes it anew."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
PATIENCE = 60
# A project whose only part is the version.
PROJECT = f"""cmake_minimum_required(VERSION 3.25)
project(p VERSION 1.2.3 LANGUAGES CXX)
include(cmake/GitVersion.cmake)
add_executable(p p.cpp)
target_link_libraries(p PRIVATE lmcache_version)
"""
SOURCE = "#include <lmcache/version.hpp>\n#include <cstdio>\nint main() { std::puts(lmcache::kVersion); std::puts(lmcache::kCommit); }\n"


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout


class Version(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree, self.build_folder = os.path.join(folder.name, "a tree"), os.path.join(folder.name, "build")
        shutil.copytree(os.path.join(ROOT, "cmake"), os.path.join(self.tree, "cmake"))
        for name, text in (("CMakeLists.txt", PROJECT), ("p.cpp", SOURCE), ("notes.md", "x\n")):
            self.write(name, text)

    def write(self, name, text):
        with open(os.path.join(self.tree, name), "w") as file:
            file.write(text)

    def git(self, *words):
        return output("git", "-C", self.tree, "-c", "user.name=t", "-c", "user.email=t@t.invalid", *words).strip()

    def commit(self, text):
        self.git("add", "-A")
        self.git("commit", "-q", "-m", text)
        return "g" + self.git("rev-parse", "--short=8", "HEAD")

    def make(self, tree=None):
        """What ninja said; configured once."""
        if not os.path.exists(self.build_folder):
            output("cmake", "-G", "Ninja", "-S", tree or self.tree, "-B", self.build_folder)
        return output("ninja", "-C", self.build_folder)

    def said(self):
        return output(os.path.join(self.build_folder, "p")).split()

    def test_follows_the_tree_without_configuring_again(self):
        self.git("init", "-q")
        first = self.commit("one")
        self.make()
        self.assertEqual(self.said(), [f"1.2.3+1.{first}", first])
        self.assertIn("no work to do", self.make())
        self.write("notes.md", "y\n")
        self.make()
        self.assertEqual(self.said(), [f"1.2.3+1.{first}.dirty", first + ".dirty"])
        self.assertIn("no work to do", self.make())
        self.write("notes.md", "z\n")  # no other version, so nothing is compiled
        self.assertNotIn("p.cpp", self.make())
        self.assertIn("no work to do", self.make())
        second = self.commit("two")
        self.make()
        self.assertEqual(self.said(), [f"1.2.3+2.{second}", second])
        with open(os.path.join(self.build_folder, "generated", "package_version.cmake")) as file:
            self.assertIn(f'"1.2.3+2.{second}"', file.read())
        os.unlink(os.path.join(self.tree, "notes.md"))
        self.make()
        self.assertEqual(self.said()[1], second + ".dirty")
        self.assertIn("no work to do", self.make())

    def test_of_a_work_tree_beside_the_clone(self):
        self.git("init", "-q")
        self.commit("one")
        beside = self.tree + " 2"
        self.git("worktree", "add", "-q", "-b", "other", beside)
        self.make(beside)
        self.tree = beside
        second = self.commit_empty()
        self.make()
        self.assertEqual(self.said()[1], second)

    def commit_empty(self):
        self.git("commit", "-q", "--allow-empty", "-m", "two")
        return "g" + self.git("rev-parse", "--short=8", "HEAD")

    def test_of_a_shallow_clone_has_no_count(self):
        self.git("init", "-q")
        self.commit("one")
        self.write("notes.md", "y\n")
        second = self.commit("two")
        shallow = self.tree + " 2"
        output("git", "clone", "-q", "--depth", "1", "file://" + self.tree, shallow)
        self.make(shallow)
        self.assertEqual(self.said(), [f"1.2.3+{second}", second])

    def test_outside_a_checkout_is_the_plain_one(self):
        self.make()
        self.assertEqual(self.said(), ["1.2.3", "unknown"])
        self.assertIn("no work to do", self.make())

    def test_of_the_program_is_of_this_tree(self):
        said = output(os.environ["LMCACHE_BINARY"], "--version")
        self.assertTrue(re.fullmatch(r"lmcache \d+\.\d+\.\d+(\+(\d+\.)?g[0-9a-f]{8}(\.dirty)?)?\n", said), said)


if __name__ == "__main__":
    unittest.main()
