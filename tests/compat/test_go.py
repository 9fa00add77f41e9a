"""AWS's SDK for Go, version 2, as Debian has it, against the gateway: the scenes of go/, each on a box of its own."""
import json
import os
import shutil
import subprocess
import unittest

import gateway
from gateway import box

GO = shutil.which("go")
GOPATH = "/usr/share/gocode"  # Where Debian keeps sources of libraries.
SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "go")
# Beside the build: compiled once a tree.
FOLDER = os.path.join(os.path.dirname(os.path.abspath(box.BIN)), "compat-go")
LIFE = os.path.join(FOLDER, "life")


def built():
    """None, or why there is no program."""
    if not GO or not os.path.isdir(os.path.join(GOPATH, "src/github.com/aws/aws-sdk-go-v2/service/kinesis")):
        return "golang-go or golang-github-aws-aws-sdk-go-v2-dev is not installed"
    # Without modules, nothing is ever fetched.
    env = {**os.environ, "GOPATH": GOPATH, "GO111MODULE": "off", "GOPROXY": "off", "GOFLAGS": "", "GOCACHE": os.path.join(FOLDER, "cache")}
    sources = sorted(os.path.join(SOURCES, name) for name in os.listdir(SOURCES) if name.endswith(".go"))
    os.makedirs(FOLDER, exist_ok=True)
    done = subprocess.run([GO, "build", "-o", LIFE, *sources], env=env, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise AssertionError(f"go build: {done.stdout}{done.stderr}")
    return None


class Go(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        why = built()
        if why:
            raise unittest.SkipTest(why)

    def scene(self, name):
        with gateway.Gateway() as one:
            one.start()
            done = subprocess.run([LIFE, one.url, name], env={**os.environ, **gateway.CREDENTIALS}, capture_output=True, text=True, timeout=120)
            self.assertEqual(done.returncode, 0, done.stderr[-3000:] + one.gateway.text()[-3000:])
            return json.loads(done.stdout)

    def test_many_producers_a_split_and_a_merge(self):
        said = self.scene("pipeline")
        self.assertGreater(said["records"], 16_000)
        self.assertEqual(said["shards"], 5)

    def test_every_kind_of_iterator_on_an_open_and_a_closed_shard(self):
        self.scene("iterators")

    def test_enhanced_fan_out(self):
        said = self.scene("fan_out")
        self.assertGreater(said["records"], 10_000)
        self.assertGreater(said["cuts"], 0)

    def test_errors(self):
        self.scene("errors")


if __name__ == "__main__":
    box.main()
