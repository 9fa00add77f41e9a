"""What a run is measured on, and whether anybody else is using it."""
import os
import platform
import subprocess
import time


def facts(root):
    def first(path, key):
        try:
            with open(path, encoding="utf-8") as file:
                return next(line.split(":", 1)[1].strip() for line in file if line.startswith(key))
        except (OSError, StopIteration):
            return "unknown"

    def git(*arguments):
        done = subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    return {
        "commit": git("rev-parse", "--short=12", "HEAD") or "unknown",
        "dirty": git("status", "--porcelain", "--untracked-files=no") != "",
        "kernel": platform.release(),
        "cpu": first("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": int(first("/proc/meminfo", "MemTotal").split()[0]) // 1024,
    }


def _cpu_times():
    with open("/proc/stat", encoding="utf-8") as file:
        fields = [int(field) for field in file.readline().split()[1:]]
    return sum(fields), fields[3] + fields[4]


def wait_until_quiet(seconds_max, idle_share=0.95):
    """Waits until the machine has been idle for a quarter of a second. False when it never was: then the figures are
    somebody else's too."""
    end = time.monotonic() + seconds_max
    while True:
        total, idle = _cpu_times()
        time.sleep(0.25)
        total_after, idle_after = _cpu_times()
        if idle_after - idle >= idle_share * (total_after - total):
            return True
        if time.monotonic() >= end:
            return False
