"""kill -9 of eagred under load, again and again, with a producer that never stops: whatever was acknowledged is read
back after each restart, exactly once, in order, byte for byte; and in the end nothing that was sent is missing.
EAGRE_CRASHES (20) says how often."""
import os
import random
import signal
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


class Crash(unittest.TestCase):
    def setUp(self):
        if not os.access(WITNESS, os.X_OK):
            box.cannot_run(f"{WITNESS} is not built")

    def begin(self, cores, *args):
        self.box = box.Box(cores=cores).__enter__()
        self.addCleanup(self.box.__exit__)
        self.log, self.port = self.box.path("acknowledged.log"), box.free_port(cores.count(",") + 1)
        # Segments as small as they may be: crashes fall on the seams between them, too.
        self.args = ["--port", str(self.port), "--segment-bytes", "4M", *args]
        self.box.start_eagred(*self.args)
        self.box.start_control().wait_for("agreed with the dataplane")
        with self.box.admin() as admin:
            admin.create("quotes", 4)
        self.feeder = subprocess.Popen([WITNESS, "feed", str(self.port), "quotes", self.log, RATE],
                                       stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.feeder.kill)
        self.addCleanup(self.feeder.stdout.close)

    def check(self, *more):
        result = subprocess.run([WITNESS, "check", str(self.port), "quotes", self.log, *more], capture_output=True,
                                text=True, timeout=120)
        self.assertEqual(result.returncode, 0, f"{result.stderr}\n{self.box.eagred.text()}")
        return int(result.stdout.split()[1])

    def crash(self, number, chance):
        # Some hundred acknowledgements, then the kill: no two at the same place of a commit.
        for _ in range(chance.randint(1, 4)):
            line = self.feeder.stdout.readline()
            self.assertTrue(line.startswith("acknowledged"), f"the feeder ended: {line!r}")
        with_control = number % 4 == 3
        if with_control:
            self.box.control.kill()
        self.box.eagred.kill()
        if number % 3 == 2:
            # Once more while it recovers. The delay only spreads the kills: wherever it falls is right.
            recovering = self.box.spawn_eagred(*self.args)
            try:
                recovering.child.wait(chance.random() * 0.05)
            except subprocess.TimeoutExpired:
                pass
            recovering.kill()
        self.box.start_eagred(*self.args)
        if with_control:
            self.box.start_control()

    def end(self):
        self.feeder.send_signal(signal.SIGTERM)
        said = self.feeder.communicate(timeout=90)[0]
        self.assertEqual(self.feeder.returncode, 0, said)
        count = self.check("all")
        print(f"{count} records, none lost, none doubled; {said.splitlines()[-1]}", file=sys.stderr)

    def run_crashes(self, count, cores, *args):
        chance = random.Random(SEED)
        self.begin(cores, *args)
        for number in range(count):
            self.crash(number, chance)
            with self.subTest(crash=number, seed=SEED):
                self.check()
        self.end()

    def test_acknowledged_records_survive(self):
        self.run_crashes(CRASHES, "0")

    def test_acknowledged_records_survive_on_two_cores(self):
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("needs two CPUs")
        self.run_crashes(CRASHES // 2, "0,1", "--wait", "adaptive")


if __name__ == "__main__":
    box.main()
