"""Starts, pins, pauses and ends the processes of a run, and reads what they say. Every child is ended by its pid."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

from report import machine

SERVER_CPU = 0
GENERATOR_CPU = 1
START_SECONDS_MAX = 60
STATS_SECONDS = 0.25  # Some counters are brought up to date every 100 ms only.


class BenchError(Exception):
    """A child did not do what it was started for; the message says which and what it wrote last."""


class Server:
    """A process under measurement. Paused whenever it is not its turn, so that idle polling and housekeeping of one
    server never fall into the sample of another."""

    def __init__(self, bench, name, command, log_path):
        self.bench, self.name = bench, name
        self.log_path = log_path
        self.log = open(log_path, "w+", encoding="utf-8")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)
        self.paused = False
        bench.children.append(self)

    def said(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def check_alive(self):
        if self.process.poll() is not None:
            raise BenchError(f"{self.name} ended with status {self.process.returncode}: {self.said()[-2000:]}")

    def pause(self):
        if not self.paused and self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)
            self.paused = True

    def resume(self):
        if self.paused:
            self.process.send_signal(signal.SIGCONT)
            self.paused = False

    def end(self, how=signal.SIGTERM):
        self.resume()
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
        if self in self.bench.children:
            self.bench.children.remove(self)

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self):
        """Resident set and huge pages, now."""
        kib = 0
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as file:
            for line in file:
                if line.startswith(("VmRSS:", "HugetlbPages:")):
                    kib += int(line.split()[1])
        return kib / 1024


class NullLog(Server):
    """The null log server: `overlap` where throughput is compared, blocking where latency is; each is the stronger one there."""

    def __init__(self, bench, shards=4, overlap=False, commit_bytes=None):
        folder = bench.folder(f"null-{commit_bytes}" if commit_bytes else "null")
        super().__init__(bench, "null_log_server", [
            bench.binary("null_log_server"), "--file", os.path.join(folder, "log"), "--cpu", str(SERVER_CPU),
            "--commit-bytes", str(commit_bytes or bench.options.commit_bytes), "--shards", str(shards),
            *(["--overlap"] if overlap else [])], os.path.join(folder, "stdout"))
        end = time.monotonic() + START_SECONDS_MAX
        while not self.said().startswith("ready "):
            self.check_alive()
            if time.monotonic() > end:
                raise BenchError("null_log_server did not get ready")
            time.sleep(0.02)
        self.port = int(self.said().split()[1])


class Box(Server):
    """eagred on a data directory of its own."""

    def __init__(self, bench, name, shards=None, data=None, retention_ms=3600 * 1000, idle_shards=0, **flags):
        self.data = data or bench.folder(name)
        self.port = bench.next_port()
        self.started_ns = time.monotonic_ns()
        settings = {"cores": SERVER_CPU, **flags}
        settings.update({key: value for key in ("wait", "sched") if (value := getattr(bench.options, key)) is not None})
        command = [bench.binary("eagred"), "--data", self.data, "--listen", "127.0.0.1", "--port", str(self.port)]
        for key, value in settings.items():
            command += ["--" + key.replace("_", "-"), *([] if value is None else [str(value)])]  # None: a switch.
        super().__init__(bench, name, command, os.path.join(bench.root_folder, f"{name}-{self.started_ns}.log"))
        if shards is not None:
            self._create(shards, retention_ms, idle_shards)

    def _create(self, shards, retention_ms, idle_shards):
        # Control is only needed to make the stream; the dataplane serves alone, and core 1 is the generator's.
        control = Server(self.bench, "eagre-control", [self.bench.binary("eagre-control"), "--data", self.data],
                         os.path.join(self.bench.root_folder, f"{self.name}-control.log"))
        try:
            create = ["create", "--socket", os.path.join(self.data, "control.sock"), "--retention-ms", retention_ms]
            self.bench.driver(*create, "--shards", shards)
            if idle_shards:
                self.bench.driver(*create, "--stream", "idle", "--shards", idle_shards)
        except BenchError as error:
            said = f"eagre-control: {control.said()[-1500:]}\neagred: {self.said()[-1500:]}"
            raise BenchError(f"{error}\n{said}") from None
        finally:
            control.end()
        self.check_alive()

    def stats(self):
        self.check_alive()
        time.sleep(STATS_SECONDS)
        return self.bench.driver("stats", os.path.join(self.data, "stats.shm"))

    def wait_for_ready_segments(self, count, seconds_max=30):
        end = time.monotonic() + seconds_max
        while self.stats()["segments_ready"] < count and time.monotonic() < end:
            time.sleep(0.05)


class Bench:
    def __init__(self, root, options):
        self.root, self.options = root, options
        self.children = []
        self.root_folder = os.path.join(options.work, f"perf-{os.getpid()}")
        os.makedirs(self.root_folder)
        self.port = options.port
        self.noisy_samples = 0

    def binary(self, name):
        return os.path.join(self.options.build, "bin", name)

    def folder(self, name):
        path = os.path.join(self.root_folder, name)
        os.makedirs(path, exist_ok=True)
        return path

    def next_port(self):
        self.port += 1
        return self.port

    def close(self):
        for child in list(self.children):
            child.end(signal.SIGKILL)
        shutil.rmtree(self.root_folder, ignore_errors=True)

    def say(self, text):
        print(text, file=sys.stderr, flush=True)

    def run(self, name, *arguments, seconds_max=180):
        """Runs one of our programs on the generator's core; returns the JSON of its last line."""
        command = [self.binary(name), *map(str, arguments)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds_max, check=False)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{' '.join(command)}: not done after {seconds_max} s") from None
        if done.returncode != 0:
            raise BenchError(f"{' '.join(command)}: {done.stderr.strip()[-1000:]}")
        return json.loads(done.stdout.strip().splitlines()[-1])

    def driver(self, *arguments, server=None, spin=False, seconds_max=180):
        command = ["--cpu", GENERATOR_CPU]
        if server is not None:
            command += ["--port", server.port]
        if spin:
            command.append("--spin")
        return self.run("perf_driver", *command, *arguments, seconds_max=seconds_max)

    @contextmanager
    def turn_of(self, server):
        """Lets one server run and pauses all others."""
        for child in self.children:
            if child is not server:
                child.pause()
        if not machine.wait_until_quiet(self.options.quiet_seconds):
            self.noisy_samples += 1
        server.resume()
        server.check_alive()
        yield server
        if server in self.children:
            server.check_alive()
            server.pause()
