"""The Debian package: installed by dpkg into a clean root, run there, removed. What the programs say of themselves in --help
must be in the man pages and completions."""
import glob
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import box

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.dirname(os.path.abspath(box.BIN))
sys.path.insert(0, os.path.join(ROOT, "tools", "package"))
import help_tree  # noqa: E402

PROGRAMS = {"eagre": 1, "eagred": 8, "eagre-control": 8, "eagre-gateway": 8}
STEP_S = 120
# Bash with a command line typed so far; prints what the completion offers.
COMPLETE = r"""
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_eagre
printf '%s\n' "${COMPREPLY[@]}"
"""


def run(*args, status=0, **more):
    done = subprocess.run(args, capture_output=True, text=True, timeout=STEP_S, **more)
    if status is not None:
        assert done.returncode == status, f"{args}: status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def need(*tools):
    for tool in tools:
        if shutil.which(tool) is None:
            box.cannot_run(f"{tool} is not installed (tools/setup)")


def libraries_of(path):
    """What the loader would map for a program, loader included."""
    return sorted(set(re.findall(r"(/\S+) \(0x", run("ldd", path))))


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        need("cpack", "dpkg", "dpkg-shlibdeps", "systemd-sysusers")
        if not os.path.exists(os.path.join(BUILD, "package", "completion.zsh")):
            box.cannot_run("the target package_documents is not built")
        cls.folder = tempfile.mkdtemp(prefix="eagre-deb-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        # Compressing for the mirrors takes longer than everything else; here it need not.
        run("cpack", "--config", os.path.join(BUILD, "CPackConfig.cmake"), "-B", cls.folder, "-D",
            "CPACK_DEBIAN_COMPRESSION_TYPE=none", "-D", "CPACK_COMPONENTS_ALL=appliance")
        cls.deb, = glob.glob(os.path.join(cls.folder, "eagre_*.deb"))
        cls.root = os.path.join(cls.folder, "root")
        for folder in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "etc", "tmp", "proc", "dev"):
            os.makedirs(os.path.join(cls.root, folder))
        open(os.path.join(cls.root, "var/lib/dpkg/status"), "w", encoding="utf-8").close()
        cls.dpkg("--install", cls.deb)

    @classmethod
    def dpkg(cls, *args):
        """In the clean root, where no other package is; the maintainer scripts are told about it by DPKG_ROOT."""
        if os.getuid() != 0:
            box.cannot_run("installing into a root of its own needs root")
        return run("dpkg", f"--root={cls.root}", "--force-script-chrootless", "--force-depends", *args)

    def path(self, *names):
        return os.path.join(self.root, *names)

    def trees(self):
        return [help_tree.help_of(self.path("usr/bin", name)) for name in PROGRAMS]

    def test_it_is_installed_with_its_user_and_its_configuration(self):
        fields = run("dpkg-query", f"--admindir={self.path('var/lib/dpkg')}", "-W",
                     "-f=${Status}|${Conffiles}", "eagre")
        self.assertTrue(fields.startswith("install ok installed|"), fields)
        self.assertIn("/etc/default/eagre", fields)
        with open(self.path("etc/passwd"), encoding="utf-8") as file:
            self.assertRegex(file.read(), r"(?m)^eagre:.*:/var/lib/eagre:.*nologin$")
        for name in ("usr/share/doc/eagre/copyright", "usr/share/doc/eagre/changelog.gz"):
            self.assertTrue(os.path.exists(self.path(name)), name)

    def test_every_library_comes_from_a_package_it_depends_on(self):
        depends = re.findall(r"(?:^|, )([\w.+-]+)", run("dpkg-deb", "-f", self.deb, "Depends"))
        for name in PROGRAMS:
            needed = re.findall(r"NEEDED\s+(\S+)", run("objdump", "-p", self.path("usr/bin", name)))
            self.assertTrue(needed)
            places = {os.path.basename(path): path for path in libraries_of(self.path("usr/bin", name))}
            for library in needed:
                owner = None
                # The loader's path and dpkg's differ by the merge of /lib into /usr/lib.
                for path in (os.path.realpath(places[library]), places[library], f"/usr{places[library]}",
                             os.path.realpath(places[library]).removeprefix("/usr")):
                    owner = owner or run("dpkg", "-S", path, status=None).split(":")[0]
                self.assertIn(owner, depends, f"{name} needs {library}")

    def test_the_appliance_runs_from_there(self):
        tools = [self.path("usr/bin", name) for name in PROGRAMS] + ["/bin/sh", "/usr/bin/env"]
        for library in {library for tool in tools for library in libraries_of(tool)}:
            os.makedirs(os.path.dirname(self.root + library), exist_ok=True)
            shutil.copy(os.path.realpath(library), self.root + library)
        enter = ["unshare", "--mount", "sh", "-c", f"mount --rbind /proc '{self.root}/proc' && "
                 f"mount --rbind /dev '{self.root}/dev' && exec chroot '{self.root}' \"$@\"", "sh"]
        if subprocess.run([*enter, "/usr/bin/eagre", "--version"], capture_output=True, check=False).returncode != 0:
            box.cannot_run("no mounts in a namespace of our own")
        data = "/var/lib/eagre"
        up = box.Process([*enter, "/usr/bin/eagre", "up", "--data", data, "--port", "0", "--wait", "block",
                          "--eagred=--segment-bytes=16M", "--eagred=--ready-segments=1"], "eagre up")
        self.addCleanup(lambda: up.running() and up.stop())
        up.wait_for("listening on")

        def eagre(*args, **more):
            return run(*enter, "/usr/bin/eagre", *args, "--data", data, **more)
        eagre("stream", "create", "quotes", "--shards", "2")
        lines = [f"{i},{i * i}" for i in range(100)]
        eagre("put", "quotes", input="\n".join(lines) + "\n")
        read = eagre("tail", "quotes", "--from", "trim_horizon", "--no-follow").splitlines()
        self.assertEqual(sorted(read), sorted(lines))
        self.assertEqual(up.stop(), 0)

    def test_man_pages_say_what_the_programs_say(self):
        for tree in self.trees():
            name = tree.path[0]
            page = self.path(f"usr/share/man/man{PROGRAMS[name]}/{name}.{PROGRAMS[name]}.gz")
            with gzip.open(page, "rt", encoding="utf-8") as file:
                text = file.read().replace("\\-", "-")
            for command in tree.walk():
                if command is not tree:
                    self.assertIn(f'.SS "{" ".join(command.path)}"', text)
                for option in command.options:
                    self.assertIn(f"\\fB{option.names[-1]}\\fR", text)
            plain = os.path.join(self.folder, os.path.basename(page)[:-3])
            with gzip.open(page, "rb") as packed, open(plain, "wb") as file:
                file.write(packed.read())
            if shutil.which("mandoc"):
                self.assertEqual(run("mandoc", "-T", "lint", plain, status=None), "")
            if shutil.which("man"):
                done = subprocess.run(["man", "--warnings", "-l", plain], capture_output=True, text=True, check=True,
                                      timeout=STEP_S, env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"})
                self.assertEqual(done.stderr, "")

    def test_completion_offers_what_the_programs_take(self):
        script = self.path("usr/share/bash-completion/completions/eagre")
        with open(self.path("usr/share/zsh/vendor-completions/_eagre"), encoding="utf-8") as file:
            zsh = file.read()
        for tree in self.trees():
            self.assertTrue(os.path.exists(self.path("usr/share/bash-completion/completions", tree.path[0])))
            for command in tree.walk():
                offered = run("bash", "-c", COMPLETE, "bash", script, *command.path, "").split()
                wanted = [name for option in command.options for name in option.names]
                wanted += [each.path[-1] for each in command.subcommands]
                self.assertEqual(sorted(offered), sorted(wanted), command.path)
                # A quote within is written as quote, backslash, two quotes; a line that ends in these is not the end.
                said = re.search(rf"^    '{' '.join(command.path)}' '(.*?)(?<!\\')'$", zsh, re.M | re.S)
                for name in wanted:
                    self.assertRegex(said.group(1), rf"(?m)^{name}:", command.path)
        offered = run("bash", "-c", COMPLETE, "bash", script, "eagre", "up", "--wait", "").split()
        self.assertEqual(offered, ["spin", "adaptive", "block"])
        offered = run("bash", "-c", COMPLETE, "bash", script, "eagre", "stream", "cr").split()
        self.assertEqual(offered, ["create"])
        if shutil.which("zsh"):
            run("zsh", "-n", self.path("usr/share/zsh/vendor-completions/_eagre"))

    def test_the_unit_is_sound_and_shut(self):
        unit = self.path("usr/lib/systemd/system/eagre.service")
        with open(unit, encoding="utf-8") as file:
            settings = dict(re.findall(r"^(\w+)=(.*)$", file.read(), re.M))
        for name, value in (("User", "eagre"), ("ProtectSystem", "strict"), ("NoNewPrivileges", "yes"),
                            ("LimitMEMLOCK", "infinity"), ("StateDirectory", "eagre"), ("Restart", "on-failure"),
                            ("CapabilityBoundingSet", "")):
            self.assertEqual(settings[name], value)
        with open(self.path("etc/default/eagre"), encoding="utf-8") as file:
            arguments = re.search(r'^EAGRE_UP_ARGUMENTS="(.*)"$', file.read(), re.M).group(1)
        known = {name for each in self.trees()[0].subcommands if each.path[-1] == "up"
                 for option in each.options for name in option.names}
        self.assertLessEqual(set(re.findall(r"--[\w-]+", arguments)), known)
        need("systemd-analyze")
        # It looks for the program in its root, and for units that only a whole system has: --man=no, and only this one.
        said = subprocess.run(["systemd-analyze", "verify", "--man=no", f"--root={self.root}", "eagre.service"],
                              capture_output=True, text=True, timeout=STEP_S, check=False)
        self.assertNotRegex(said.stderr, r"eagre\.service:(?!.*(?:network-online|sysinit|basic)\.target)")
        said = run("systemd-analyze", "security", "--offline=yes", f"--root={self.root}", "eagre.service", status=None)
        exposure = re.search(r"Overall exposure level for eagre\.service: ([\d.]+)", said)
        self.assertLess(float(exposure.group(1)), 2.0, said)

    def test_purged_it_leaves_the_records(self):
        copy = os.path.join(self.folder, "purged")
        shutil.copytree(self.root, copy, symlinks=True, ignore=shutil.ignore_patterns("proc", "dev"))
        os.makedirs(os.path.join(copy, "var/lib/eagre"), exist_ok=True)
        with open(os.path.join(copy, "var/lib/eagre/record"), "w", encoding="utf-8") as file:
            file.write("kept")
        said = run("dpkg", f"--root={copy}", "--force-script-chrootless", "--force-depends", "--purge", "eagre")
        self.assertIn("/var/lib/eagre", said)
        self.assertTrue(os.path.exists(os.path.join(copy, "var/lib/eagre/record")))
        left = [name for name in ("usr/bin/eagre", "etc/default/eagre", "usr/lib/systemd/system/eagre.service")
                if os.path.exists(os.path.join(copy, name))]
        self.assertEqual(left, [])


if __name__ == "__main__":
    box.main()
