"""`eagre doctor` on the machine that runs the tests: it measures within its time, answers in both forms, and leaves
nothing behind."""
import json
import os
import subprocess
import tempfile
import time
import unittest

import box

EAGRE = os.path.join(box.BIN, "eagre")
FAMILIES = {"kernel", "memory", "limits", "cpu", "interrupts", "storage"}
MEASURED = {"disk", "scheduling", "pauses"}


class Doctor(unittest.TestCase):
    def setUp(self):
        if not os.access(EAGRE, os.X_OK):
            box.cannot_run(f"{EAGRE} is not built")

    def run_doctor(self, *args):
        return subprocess.run([EAGRE, "doctor", *args], capture_output=True, text=True, timeout=60)

    def test_measures_within_its_time_and_leaves_nothing(self):
        with tempfile.TemporaryDirectory(prefix="eagre-e2e-") as data:
            begin = time.monotonic()
            done = self.run_doctor("--data", data, "--json")
            self.assertLess(time.monotonic() - begin, 15)
            answer = json.loads(done.stdout)
            self.assertEqual({check["family"] for check in answer["checks"]}, FAMILIES | MEASURED, done.stdout)
            self.assertEqual(os.listdir(data), [])
        self.assertEqual(done.returncode, 0 if answer["bad"] == 0 else 1)
        self.assertEqual(answer["ok"], answer["bad"] == 0)
        for check in answer["checks"]:
            self.assertIn(check["grade"], ("good", "warn", "bad"))
            self.assertTrue(check["value"], check)
            self.assertEqual(check["mend"] == "", check["grade"] == "good", check)

    def test_looks_without_measuring_and_answers_in_columns(self):
        done = self.run_doctor("--data", "/tmp/eagre-nowhere/at/all", "--no-measure")
        lines = done.stdout.splitlines()
        self.assertTrue(lines[0].startswith(("good  kernel", "bad   kernel")), done.stdout)
        self.assertEqual(len({line.index("io_uring") for line in lines if " io_uring " in line}), 1)
        self.assertNotIn("disk", done.stdout)
        self.assertRegex(lines[-1], r"^\d+ good, \d+ warn, \d+ bad$")
        self.assertFalse(os.path.exists("/tmp/eagre-nowhere"))

    def test_what_is_bad_gives_a_status(self):
        done = self.run_doctor("--data", "/tmp", "--cores", "4095", "--no-measure")
        self.assertEqual(done.returncode, 1)
        self.assertIn("CPU 4095 is not among", done.stdout)
        done = self.run_doctor("--cores", "one")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--cores can't be 'one'", done.stderr)


if __name__ == "__main__":
    box.main()
