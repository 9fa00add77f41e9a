"""`eagre top` as people see it: in a real terminal (tmux) of 80 x 24 and of 200 x 50, with keys pressed and the screen
read back; when the box dies and comes back, when control is down, when it is killed; and as scripts use it. Every line
must fit, and what was fed must be on the screen."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import box

EAGRE = os.path.join(box.BIN, "eagre")
TMUX = shutil.which("tmux")


def until(condition, what, timeout_s=box.WAIT_S):
    """A screen has no way to tell us."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not in {timeout_s} s: {what() if callable(what) else what}"
        time.sleep(0.05)


class Screen:
    """A terminal of its own: a tmux server with one window."""

    def __init__(self, columns, rows, command):
        self.columns, self.rows = columns, rows
        self.folder = tempfile.mkdtemp(prefix="eagre-top-")
        self.socket = os.path.join(self.folder, "tmux")
        # The shell stays when `top` has ended: what it leaves behind is looked at.
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows),
                  "env PS1='$ ' TERM=screen-256color LC_ALL=C.UTF-8 sh -i")
        self.run(command)

    def tmux(self, *args):
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        environment.pop("TMUX", None)
        return subprocess.run([TMUX, "-S", self.socket, *args], check=True, capture_output=True, text=True, timeout=20,
                              env=environment).stdout

    def run(self, command):
        self.tmux("send-keys", "-l", command)
        self.keys("Enter")

    def keys(self, *names):
        self.tmux("send-keys", *names)

    def lines(self):
        lines = self.tmux("capture-pane", "-p").split("\n")
        for line in lines:
            assert len(line) <= self.columns, line
        return lines

    def text(self):
        return "\n".join(self.lines())

    def wait_for(self, pattern, timeout_s=box.WAIT_S):
        return until(lambda: re.search(pattern, self.text(), re.M),
                     lambda: f"{pattern!r} on the screen:\n{self.text()}", timeout_s)

    def wait_gone(self, pattern):
        until(lambda: not re.search(pattern, self.text(), re.M), lambda: f"no {pattern!r} on the screen:\n{self.text()}")

    def close(self):
        self.tmux("kill-server")
        shutil.rmtree(self.folder, ignore_errors=True)


class Top(unittest.TestCase):
    def setUp(self):
        if not TMUX:
            box.cannot_run("tmux is not installed (tools/setup)")
        if not os.access(EAGRE, os.X_OK):
            box.cannot_run(f"{EAGRE} is not built")
        self.box = box.Box().__enter__()
        self.addCleanup(self.box.__exit__)

    def feed(self, *streams):
        self.box.start()
        for name in streams:
            with self.box.admin() as admin:
                stream = admin.create(name, 2)
            feeder = box.Feeder(self.box, stream)
            feeder.start()
            self.addCleanup(feeder.stop)
            feeder.wait_for(10)

    def screen(self, columns, rows, *args):
        screen = Screen(columns, rows, f"{EAGRE} top --interval 0.2 --data {self.box.data} {' '.join(args)}")
        self.addCleanup(screen.close)
        return screen

    def expect_whole(self, screen):
        """The screen is full, and nothing stands outside of it or wraps: first line, headings and last line are where
        they belong."""
        lines = screen.lines()
        self.assertTrue(lines[0].startswith("eagre top"), lines)
        self.assertTrue(re.match(r"q quit|filter:", lines[screen.rows - 1]), lines)
        self.assertEqual(sum(line.startswith("eagre top") for line in lines), 1)

    def test_small_terminal(self):
        self.feed("quotes", "ticks-nyse")
        subprocess.run([EAGRE, "group", "create", "quotes", "billing", "--data", self.box.data], check=True,
                       capture_output=True, timeout=30)
        screen = self.screen(80, 24)
        screen.wait_for(r"^in +[1-9][\d.,]*k?")
        screen.wait_for(r"^acknowledge +\d")
        screen.wait_for(r"^disk +\S+ [kMG]B ours")
        screen.wait_for(r"^quotes +2 +[1-9]")
        self.expect_whole(screen)
        text = screen.text()
        for words in ("1 core", "2 streams", "4 shards", "p99.9", "busy", "in rec/s", "ticks-nyse", "errors"):
            self.assertIn(words, text)
        # To the shards, and a filter.
        screen.keys("Tab")
        screen.wait_for(r"^stream +shard ")
        self.assertEqual(len(re.findall(r"^(?:quotes|ticks-nyse) +\d+ ", screen.text(), re.M)), 4)
        screen.keys("/", "t", "i", "c")
        screen.wait_for(r"^filter: tic")
        screen.wait_gone(r"^quotes")
        screen.keys("Enter")
        screen.wait_for(r"filter tic$")
        self.expect_whole(screen)
        screen.keys("Escape")
        screen.wait_for(r"^quotes")
        screen.keys("Tab")
        screen.wait_for(r"^billing +quotes +0 +[1-9]")  # Group, stream, members, unread.
        self.expect_whole(screen)
        screen.keys("Tab")
        # Sorted by name, the other way round; then into the shards of the first.
        screen.wait_for(r"^stream +▾?shards")
        for _ in range(12):
            if re.search(r"^stream▴", screen.text(), re.M):
                break
            screen.keys("s")
            time.sleep(0.1)
        screen.keys("r")
        screen.wait_for(r"^stream▾[^\n]*\nticks-nyse[^\n]*\nquotes")
        screen.keys("Down", "Enter")
        screen.wait_for(r"of ticks-nyse$")
        screen.wait_gone(r"^quotes")
        screen.keys("?")
        screen.wait_for(r"p, space +pause")
        self.expect_whole(screen)
        screen.keys("Escape", "p")
        screen.wait_for("PAUSED")
        screen.keys("q")
        screen.wait_gone("eagre top  up")  # The screen before is back, with the cursor and the echo.
        screen.run("stty -a | tr ' ' '\\n' | grep -c -x -e 'icanon;\\?' -e 'echo;\\?'; echo all-$((6*7))")
        screen.wait_for(r"^2\nall-42")

    def test_large_terminal(self):
        self.feed("quotes")
        screen = self.screen(200, 50)
        screen.wait_for(r"^quotes +2 +[1-9].*[▁▂▃▄▅▆▇█]")
        self.expect_whole(screen)
        text = screen.text()
        for words in ("retention", "newest", "closed", "segments", "ready", "in rec/s over time", "24 h"):
            self.assertIn(words, text)
        self.assertRegex(text, r"(?m)^in .* acknowledge +\d", "rates and latencies are side by side")
        # The window gets smaller: nothing wraps.
        screen.tmux("resize-window", "-x", "80", "-y", "24")
        screen.columns, screen.rows = 80, 24
        until(lambda: len(screen.lines()) <= 26 and screen.lines()[23].startswith("q quit"), screen.text)
        self.expect_whole(screen)
        self.assertNotIn("retention", screen.text())

    def test_the_box_dies_and_comes_back(self):
        screen = self.screen(80, 24)
        screen.wait_for("DATAPLANE DOWN")
        screen.wait_for("eagred has not run with this --data; waiting for it")
        self.expect_whole(screen)
        self.feed("quotes")
        screen.wait_for(r"^quotes +2 +[1-9]")
        self.assertNotIn("DOWN", screen.text())
        self.box.control.kill()
        screen.wait_for("CONTROL DOWN")
        screen.wait_for(r"^quotes +2 +[1-9]")
        self.box.eagred.kill()
        screen.wait_for("no sign of life for")
        self.assertRegex(screen.text(), r"(?m)^quotes ", "the last figures stay in sight")
        self.expect_whole(screen)
        self.box.start()
        screen.wait_gone("DOWN")
        screen.wait_for(r"^quotes +2 ")

    def test_control_that_hangs_does_not_hold_up_keys(self):
        self.feed("quotes")
        screen = self.screen(80, 24)
        screen.wait_for(r"^quotes")
        self.box.control.child.send_signal(signal.SIGSTOP)
        self.addCleanup(self.box.control.child.send_signal, signal.SIGCONT)
        screen.wait_for("CONTROL DOWN")
        begin = time.monotonic()
        screen.keys("?")
        screen.wait_for("p, space")
        self.assertLess(time.monotonic() - begin, 1)

    def test_signals_give_the_terminal_back(self):
        self.box.start()
        for name in ("TERM", "INT", "HUP", "SEGV"):
            with self.subTest(signal=name):
                screen = self.screen(80, 24)
                screen.wait_for("q quit")
                [pid] = self.tops()
                os.kill(pid, getattr(signal, f"SIG{name}"))
                screen.wait_gone("q quit")
                screen.run("stty -a | tr ' ' '\\n' | grep -c -x -e 'icanon;\\?' -e 'echo;\\?'; echo all-$((6*7))")
                screen.wait_for(r"^2\nall-42")
                self.assertEqual(self.tops(), [])

    def tops(self):
        """Processes that look at our box."""
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
                with open(f"/proc/{name}/stat", encoding="utf-8") as file:
                    dead = file.read().rsplit(")", 1)[1].split()[0] == "Z"
            except OSError:
                continue
            if not dead and words[1:2] == [b"top"] and self.box.data.encode() in words:
                found.append(int(name))
        return found

    def run_top(self, *args, status=0):
        done = subprocess.run([EAGRE, "top", "--interval", "0.3", "--data", self.box.data, *args], text=True,
                              capture_output=True, timeout=30, env={**os.environ, "LC_ALL": "C.UTF-8"})
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout

    def test_once_and_json(self):
        down = json.loads(self.run_top("--json", status=1))
        self.assertEqual((down["dataplane"], down["control"], down["streams"]), ("down", "down", []))
        self.feed("quotes")
        for width in (40, 80, 200):
            text = self.run_top("--once", "--width", str(width))
            self.assertRegex(text, r"(?m)^quotes +")
            self.assertLessEqual(max(map(len, text.splitlines())), width)
            self.assertNotIn("\x1b", text)
        self.assertIn("quotes", self.run_top(), "no terminal: one frame")
        found = json.loads(self.run_top("--json"))
        self.assertEqual((found["dataplane"], found["control"]), ("up", "up"))
        [stream] = found["streams"]
        self.assertEqual((stream["stream"], stream["open_shards"], stream["retention_ms"]), ("quotes", 2, 86400000))
        self.assertGreater(stream["records_in_per_s"], 0)
        self.assertEqual(len(found["shards"]), 2)
        self.assertGreater(found["ack_us"]["p50"], 0)
        self.assertGreater(found["disk"]["used_bytes"], 0)
        self.assertLess(found["cores"][0]["busy"], 1.5)


if __name__ == "__main__":
    box.main()
