"""The client library as others get it: `cmake --install` into a folder of its own, `find_package(eagre)` from a project
outside, its programs run against a real box. The tutorial is held to its word: its ```cpp blocks are the programs, its
```console blocks are run, and what they print is compared with what the page says."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import box

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.dirname(os.path.abspath(box.BIN))
TUTORIAL = os.path.join(ROOT, "wire", "client", "README.md")
PORT_IN_TUTORIAL = "4568"
STEP_S = 120


def command(*args, cwd=None, env=None, status=0):
    done = subprocess.run(args, cwd=cwd, env=env, capture_output=True, text=True, timeout=STEP_S)
    assert done.returncode == status, f"{' '.join(args)}: status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def blocks_of(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.M | re.S)


def programs_of(page):
    """{file name: text}: a block that begins with `// NAME.cc` begins a program, the others go on with it."""
    programs, name = {}, None
    for block in blocks_of(page, "cpp"):
        named = re.match(r"// (\w+\.cc)\b", block)
        if named:
            name = named.group(1)
            assert name not in programs, f"{name} begins twice"
            programs[name] = ""
        assert name, f"belongs to no program:\n{block}"
        programs[name] += block
    return programs


def commands_of(page):
    """[(command, what it prints)] of the console blocks, in order."""
    found = []
    for block in blocks_of(page, "console"):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


class InstalledClient(unittest.TestCase):
    """One tree and one build for all, as each costs seconds."""

    @classmethod
    def setUpClass(cls):
        if not os.path.exists(os.path.join(BUILD, "wire", "libeagre_client.a")):
            box.cannot_run("libeagre_client.a is not built")
        cls.folder = tempfile.mkdtemp(prefix="eagre-package-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.prefix = os.path.join(cls.folder, "prefix")
        command("cmake", "--install", BUILD, "--prefix", cls.prefix, "--component", "client")
        with open(TUTORIAL, encoding="utf-8") as file:
            cls.page = file.read()
        sources = [os.path.join(HERE, "outside", "round_trip.cc"), os.path.join(cls.folder, "every_header.cc")]
        cls.headers = [os.path.relpath(os.path.join(folder, name), os.path.join(cls.prefix, "include", "eagre"))
                       for folder, _, names in os.walk(os.path.join(cls.prefix, "include")) for name in names]
        with open(sources[-1], "w", encoding="utf-8") as file:
            file.write("".join(f'#include "{header}"\n' for header in cls.headers) + "int main() { return 0; }\n")
        for name, text in programs_of(cls.page).items():
            sources.append(os.path.join(cls.folder, name))
            with open(sources[-1], "w", encoding="utf-8") as file:
                file.write(text)
        cls.out = os.path.join(cls.folder, "out")
        command("cmake", "-G", "Ninja", "-S", os.path.join(HERE, "outside"), "-B", cls.out,
                f"-DCMAKE_PREFIX_PATH={cls.prefix}", f"-DPROGRAMS={';'.join(sources)}",
                "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror")
        command("cmake", "--build", cls.out)

    def setUp(self):
        self.box = box.Box().__enter__()
        self.addCleanup(self.box.__exit__)
        self.box.start()

    def test_a_program_outside_produces_and_consumes(self):
        said = command(os.path.join(self.out, "round_trip"), "127.0.0.1", str(self.box.ports[0]),
                       self.box.path("control.sock"))
        self.assertEqual(said, "1000 records in 10 keys came back\n")

    def test_installed_headers_are_the_public_ones(self):
        self.assertIn("wire/client/client.h", self.headers)
        text = ""
        for header in self.headers:
            with open(os.path.join(self.prefix, "include", "eagre", header), encoding="utf-8") as file:
                text += file.read()
        self.assertEqual(set(re.findall(r'#include "([^"]+)"', text)) - set(self.headers), set(), "not installed")
        self.assertNotIn("generated", text)
        self.assertFalse([header for header in self.headers if "impl" in header])

    def test_pkg_config_finds_it_too(self):
        env = dict(os.environ, PKG_CONFIG_PATH=os.path.join(self.prefix, "lib", "pkgconfig"))
        flags = command("pkg-config", "--static", "--cflags", "--libs", "eagre-client", env=env).split()
        program = os.path.join(self.folder, "by_pkg_config")
        command("g++", "-std=c++20", os.path.join(HERE, "outside", "round_trip.cc"), "-o", program, *flags)
        said = command(program, "127.0.0.1", str(self.box.ports[0]), self.box.path("control.sock"))
        self.assertEqual(said, "1000 records in 10 keys came back\n")

    def test_another_version_is_refused(self):
        out = os.path.join(self.folder, "too_new")
        project = os.path.join(self.folder, "wants_more")
        os.mkdir(project)
        with open(os.path.join(project, "CMakeLists.txt"), "w", encoding="utf-8") as file:
            file.write("cmake_minimum_required(VERSION 3.25)\nproject(p LANGUAGES CXX)\nfind_package(eagre 99 REQUIRED)\n")
        done = subprocess.run(["cmake", "-S", project, "-B", out, f"-DCMAKE_PREFIX_PATH={self.prefix}"],
                              capture_output=True, text=True, timeout=STEP_S)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("eagre", done.stderr)

    def test_the_tutorial_does_what_it_says(self):
        env = dict(os.environ, EAGRE_DATA=self.box.data, PATH=f"{os.path.abspath(box.BIN)}:{os.environ['PATH']}")
        commands = commands_of(self.page)
        self.assertGreater(len(commands), 3)
        for line, expected in commands:
            with self.subTest(line):
                done = subprocess.run(["bash", "-c", line.replace(PORT_IN_TUTORIAL, str(self.box.ports[0]))],
                                      cwd=self.out, env=env, capture_output=True, text=True, timeout=STEP_S)
                self.assertEqual((done.stdout + done.stderr).splitlines(), expected)
        ran = {line.split()[0][2:] + ".cc" for line, _ in commands if line.startswith("./")}
        self.assertEqual(ran, set(programs_of(self.page)), "each program of the tutorial is run")


if __name__ == "__main__":
    box.main()
