"""kill -9 of eagred under load, again and again, with a producer that never stops: whatever was acknowledged is read
back after each restart, exactly once, in order, byte for byte; and in the end nothing that was sent is missing.
EAGRE_CRASHES (20) says how often."""
import os
import random
import signal
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import box  # noqa: E402

WITNESS = os.path.join(box.BIN, "witness")
CRASHES = int(os.environ.get("EAGRE_CRASHES", "20"))
SEED = int(os.environ.get("EAGRE_SEED", "1"))
# Records per second: enough to have commits under way at every instant, little enough to read all of it 20 times.
RATE = "6000"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Crash(unittest.TestCase):
    def setUp(self):
        if not os.access(WITNESS, os.X_OK):
            box.cannot_run(f"{WITNESS} is not built")
        self.box = box.Box().__enter__()
        self.addCleanup(self.box.__exit__)
        self.log = self.box.path("acknowledged.log")

    def check(self, *more):
        result = subprocess.run([WITNESS, "check", str(self.port), "quotes", self.log, *more], capture_output=True,
                                text=True, timeout=120)
        self.assertEqual(result.returncode, 0, f"{result.stderr}\n{self.box.eagred.text()}")
        return int(result.stdout.split()[1])

    def test_acknowledged_records_survive(self):
        chance = random.Random(SEED)
        self.port = free_port()
        args = ["--port", str(self.port)]
        self.box.start_eagred(*args)
        self.box.start_control().wait_for("agreed with the dataplane")
        with self.box.admin() as admin:
            admin.create("quotes", 4)
        feeder = subprocess.Popen([WITNESS, "feed", str(self.port), "quotes", self.log, RATE], stdout=subprocess.PIPE,
                                  text=True)
        self.addCleanup(feeder.kill)
        for crash in range(CRASHES):
            # Some hundred acknowledgements, then the kill: no two at the same place of a commit.
            for _ in range(chance.randint(1, 4)):
                line = feeder.stdout.readline()
                self.assertTrue(line.startswith("acknowledged"),
                                f"the feeder ended: {line!r} seed {SEED} crash {crash}")
            if crash % 4 == 3:
                self.box.control.kill()
            self.box.eagred.kill()
            self.box.start_eagred(*args)
            if crash % 4 == 3:
                self.box.start_control()
            with self.subTest(crash=crash, seed=SEED):
                self.check()
        feeder.send_signal(signal.SIGTERM)
        said = feeder.communicate(timeout=90)[0]
        self.assertEqual(feeder.returncode, 0, said)
        count = self.check("all")
        print(f"{CRASHES} crashes, {count} records, none lost, none doubled; {said.splitlines()[-1]}", file=sys.stderr)


if __name__ == "__main__":
    box.main()
