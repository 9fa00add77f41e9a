"""Consumer groups with real processes: `eagre tail --group` members that come, leave and die by SIGKILL while records are
fed; control dies and comes back; the stream is deleted under its readers; keys that may not read. What each member
printed is compared with what the box acknowledged."""
import json
import os
import signal
import subprocess
import time
import unittest

import box
import wire

EAGRE = os.path.join(box.BIN, "eagre")
HEARTBEAT_S = 1.0


class Member(box.Process):
    """`eagre tail --group`: its records as (shard, sequence number), and what it says."""

    def __init__(self, test, name, *args, group="g", stream="quotes", environment=None):
        arguments = [EAGRE, "tail", stream, "--group", group, "--member", name, "--format", "json", "--data", test.box.data,
                     *args]
        self.environment = environment
        super().__init__(arguments, name)
        test.members.append(self)

    def records(self):
        rows = [json.loads(line) for line in self.lines if line and line.startswith("{")]
        return [(row["shard"], row["sequence"]) for row in rows]

    def wait_records(self, test, want, timeout_s=box.WAIT_S):
        deadline = time.monotonic() + timeout_s
        with self.changed:
            while not want(self.records()):
                left = deadline - time.monotonic()
                if left <= 0 or None in self.lines:
                    raise AssertionError(f"{self.name} printed only {len(self.records())} records:\n{self.text()[-2000:]}")
                self.changed.wait(min(left, 0.2))


class Groups(unittest.TestCase):
    def setUp(self):
        if not os.access(EAGRE, os.X_OK):
            box.cannot_run(f"{EAGRE} is not built")
        self.members = []
        self.box = box.Box().__enter__()
        self.addCleanup(self.box.__exit__)
        self.addCleanup(lambda: [member.kill() for member in self.members if member.running()])
        self.box.start()

    def create(self, name="quotes", shards=6):
        with self.box.admin() as admin:
            return admin.create(name, shards)

    def eagre(self, *args, status=0, words=""):
        done = subprocess.run([EAGRE, *args, "--data", self.box.data], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, status, f"{args}: {done.stdout}{done.stderr}")
        self.assertIn(words, done.stderr)
        return done.stdout

    def group(self, name="g", stream="quotes"):
        return json.loads(self.eagre("group", "describe", stream, name, "--json"))

    def make_group(self):
        self.eagre("group", "create", "quotes", "g", "--heartbeat", f"{int(HEARTBEAT_S * 1000)}ms")

    def until(self, want, what, timeout_s=box.WAIT_S):
        deadline = time.monotonic() + timeout_s
        while not want():
            self.assertLess(time.monotonic(), deadline, f"{what}; {[m.text()[-600:] for m in self.members]}")

    def shared_out(self, *counts):
        """True when members have so many shards each, and nobody is asked for one."""
        group = self.group()
        states = {shard["state"] for shard in group["shards"]}
        return sorted(member["shard_count"] for member in group["members"]) == sorted(counts) and states == {"leased"}

    def feed(self, stream, count, number=0):
        """`count` records to every shard; returns their (shard, sequence number)."""
        sent = []
        for shard in stream.shards:
            if not hasattr(shard, "key"):
                shard.key = box.key_for(stream, shard)
            with self.box.connect(shard.core) as data:
                first = data.append(shard.id, [(shard.key, b"%d" % (number + i)) for i in range(count)], stream.map_version)
                sent += [(shard.id, first + i) for i in range(count)]
        return sent

    def all_read(self, sent, timeout_s=box.WAIT_S):
        sent = set(sent)
        self.until(lambda: sent <= {record for member in self.members for record in member.records()},
                   "records were not read", timeout_s)

    def test_three_members_one_dies_and_one_leaves(self):
        stream = self.create()
        self.make_group()
        a, b, c = (Member(self, name) for name in "abc")
        self.until(lambda: self.shared_out(2, 2, 2), "the shards were not shared out")
        sent = self.feed(stream, 50)
        self.all_read(sent)
        # Nobody has moved anything: each record was printed once.
        printed = [record for member in self.members for record in member.records()]
        self.assertEqual(sorted(printed), sorted(sent))

        # SIGKILL: the others have its shards within the heartbeat limit, and nothing is lost.
        killed_at = time.monotonic()
        c.kill()
        sent += self.feed(stream, 50, 50)
        self.all_read(sent, 10)
        took = time.monotonic() - killed_at
        self.assertLess(took, HEARTBEAT_S + 1.5, "the takeover took longer than the heartbeat limit")
        self.until(lambda: self.shared_out(3, 3), "the shards of the dead were not shared out")

        # A clean leave: what the leaver printed is not printed again.
        before = len(a.records()) + len(b.records())
        left_at = time.monotonic()
        self.assertEqual(a.stop(), 0)
        more = self.feed(stream, 50, 100)
        self.all_read(sent + more, 10)
        self.assertLess(time.monotonic() - left_at, HEARTBEAT_S, "a clean leave waited for the heartbeat limit")
        self.assertEqual(len(a.records()) + len(b.records()), before + len(more), "something was printed twice")
        # What is read is checkpointed within a second or two, and then nothing is behind.
        self.until(lambda: self.group()["lag"] == {"records": 0, "bytes": 0, "age_ms": 0}, "lag stays")
        for shard in self.group()["shards"]:
            self.assertEqual(shard["checkpoint"], 151)
        self.assertEqual(b.stop(), 0)
        self.assertEqual(self.group()["members"], [])

    def test_lag_counts_what_is_unread(self):
        stream = self.create(shards=2)
        self.make_group()
        self.feed(stream, 10)
        group = self.group()
        self.assertEqual(group["lag"]["records"], 20)
        self.assertGreater(group["lag"]["bytes"], 20)
        self.assertEqual([shard["state"] for shard in group["shards"]], ["nobody reads it"] * 2)
        # Seven of twenty are read: thirteen are left, whichever shard they lie in.
        one = Member(self, "a", "--count", "7")
        self.assertEqual(one.wait_exit(), 0)
        self.assertEqual(len(one.records()), 7)
        group = self.group()
        self.assertEqual(group["lag"]["records"], 13)
        self.assertEqual(sum(shard["lag"]["records"] for shard in group["shards"]), 13)
        self.assertGreaterEqual(group["lag"]["age_ms"], 0)
        listed = json.loads(self.eagre("group", "list", "--json"))["groups"]
        self.assertEqual([(each["stream"], each["group"], each["lag"]["records"]) for each in listed], [("quotes", "g", 13)])
        described = json.loads(self.eagre("stream", "describe", "quotes", "--json"))
        self.assertEqual(described["groups"][0]["lag"]["records"], 13)
        # The next one goes on right there.
        rest = Member(self, "b", "--no-follow")
        self.assertEqual(rest.wait_exit(), 0)
        self.assertEqual(len(set(one.records()) | set(rest.records())), 20)
        self.assertEqual(len(rest.records()), 13)
        self.assertEqual(self.group()["lag"]["records"], 0)
        # A new group that begins at the tail has nothing to read.
        self.eagre("group", "create", "quotes", "late", "--from", "latest")
        self.assertEqual(self.group("late")["lag"]["records"], 0)
        self.feed(stream, 1, 10)
        self.assertEqual(self.group("late")["lag"]["records"], 2)
        # Likewise one that its first member makes.
        fresh = Member(self, "c", "--from", "latest", group="fresh")
        fresh.wait_for("is in group fresh")
        self.feed(stream, 1, 11)
        fresh.wait_records(self, lambda records: len(records) == 2)
        self.assertEqual(sorted(fresh.records()), [(shard.id, 12) for shard in stream.shards])
        # Without its dataplane control does not claim to know.
        self.box.eagred.kill()
        self.box.control.wait_for("dataplane lost")
        self.assertIsNone(self.group()["lag"])

    def test_control_dies_and_reading_goes_on(self):
        stream = self.create(shards=2)
        self.make_group()
        a = Member(self, "a")
        self.until(lambda: self.shared_out(2), "a has not joined")
        sent = self.feed(stream, 10)
        self.all_read(sent)
        self.box.control.kill()
        sent += self.feed(stream, 10, 10)
        self.all_read(sent)
        late = Member(self, "b")
        self.assertNotEqual(late.wait_exit(), 0)
        self.assertIn("Unavailable", late.text())
        self.members.remove(late)
        self.box.start_control().wait_for("agreed with the dataplane")
        # The member is known as if nothing had been, and what it has read meanwhile is checkpointed.
        self.until(lambda: self.group()["lag"]["records"] == 0, "no checkpoint came through")
        self.assertEqual([member["name"] for member in self.group()["members"]], ["a"])
        b = Member(self, "b")
        self.until(lambda: self.shared_out(1, 1), "b has got nothing")
        more = self.feed(stream, 10, 20)
        self.all_read(sent + more)
        self.assertEqual(len(a.records()) + len(b.records()), len(sent) + len(more), "something was printed twice")
        self.assertNotIn("LeaseLost", a.text())

    def test_reset_and_what_is_refused(self):
        stream = self.create(shards=2)
        self.feed(stream, 5)
        first, second = (shard.id for shard in stream.shards)
        self.make_group()
        self.eagre("group", "create", "quotes", "g", status=1, words="GroupExists")
        self.eagre("group", "create", "nothing", "g", status=1, words="UnknownStream")
        self.eagre("group", "create", "quotes", "no blanks", status=1, words="1 to 128 characters")
        self.eagre("group", "describe", "quotes", "h", status=1, words="UnknownGroup")
        self.eagre("group", "delete", "quotes", "h", status=1, words="UnknownGroup")
        self.eagre("group", "reset", "quotes", "h", "--to", "latest", status=1, words="UnknownGroup")
        self.eagre("group", "reset", "quotes", "g", "--to", "latest")
        self.assertEqual([shard["checkpoint"] for shard in self.group()["shards"]], [6, 6])
        self.eagre("group", "reset", "quotes", "g", "--to", "3", status=1, words="say which with --shard")
        self.eagre("group", "reset", "quotes", "g", "--to", "3", "--shard", str(second))
        self.assertEqual([shard["checkpoint"] for shard in self.group()["shards"]], [6, 3])
        self.eagre("group", "reset", "quotes", "g", "--to", "99", "--shard", str(first), status=1, words="next record gets sequence number 6")
        self.eagre("group", "reset", "quotes", "g", "--to", "0", "--shard", str(first), status=1, words="oldest record there has sequence number 1")
        self.eagre("group", "reset", "quotes", "g", "--to", "latest", "--shard", "999", status=1, words="no shard 999")
        self.eagre("group", "reset", "quotes", "g", "--to", "2026-01-01T00:00:00Z")
        self.assertEqual(self.group()["lag"]["records"], 10)
        a = Member(self, "a")
        a.wait_records(self, lambda records: len(records) == 10)
        self.eagre("group", "reset", "quotes", "g", "--to", "latest", status=1, words="1 member is active")
        self.eagre("group", "delete", "quotes", "g", status=1, words="GroupBusy")
        # By force it reads everything again.
        self.eagre("group", "reset", "quotes", "g", "--to", "trim_horizon", "--force")
        a.wait_records(self, lambda records: len(records) == 20)
        self.assertIn("LeaseLost", a.text())
        # Another process under its name ends it; both at once is what must not be.
        twin = Member(self, "a")
        self.assertNotEqual(a.wait_exit(), 0)
        self.assertIn("MemberReplaced", a.text())
        self.eagre("group", "delete", "quotes", "g", "--force")
        self.assertNotEqual(twin.wait_exit(), 0)
        self.assertIn("UnknownGroup", twin.text())

    def test_members_go_through_splits_and_merges(self):
        stream = self.create(shards=2)
        self.make_group()
        a, b = Member(self, "a"), Member(self, "b")
        self.until(lambda: self.shared_out(1, 1), "the shards were not shared out")
        sent = self.feed(stream, 20)
        self.eagre("stream", "scale", "quotes", "--shards", "8")
        with self.box.admin() as admin:
            wider = [shard for shard in admin.describe("quotes").shards if shard.open]
        self.assertEqual(len(wider), 8)

        def settled():
            """Parents have been read to their end, children are leased."""
            states = [shard["state"] for shard in self.group()["shards"]]
            return states.count("leased") == 8 and set(states) == {"leased", "read to its end"}
        self.until(settled, "the children were not shared out")
        self.assertEqual(sorted(member["shard_count"] for member in self.group()["members"]), [4, 4])
        with self.box.connect() as data:
            scaled = data.metadata("quotes")[0]
        scaled.shards = [shard for shard in scaled.shards if shard.open]
        sent += self.feed(scaled, 20, 20)
        self.all_read(sent)
        self.eagre("stream", "scale", "quotes", "--shards", "2")
        self.until(lambda: self.group()["lag"] == {"records": 0, "bytes": 0, "age_ms": 0}, "lag stays")
        self.assertEqual(len(a.records()) + len(b.records()), len(sent), "something was printed twice")
        self.assertNotIn("LeaseLost", a.text() + b.text())

    def test_no_follow_reads_the_children_too(self):
        stream = self.create(shards=1)
        sent = self.feed(stream, 20)
        self.eagre("stream", "split", "quotes", "--shard", "1")
        with self.box.connect() as data:
            split = data.metadata("quotes")[0]
        split.shards = [shard for shard in split.shards if shard.open]
        self.assertEqual(len(split.shards), 2)
        sent += self.feed(split, 20, 20)

        def read():
            said = self.eagre("tail", "quotes", "--group", "g", "--from", "trim_horizon", "--no-follow", "--format", "json")
            return [(row["shard"], row["sequence"]) for row in map(json.loads, said.splitlines())]
        self.assertEqual(sorted(read()), sorted(sent))
        self.assertEqual(read(), [], "all of it was checkpointed")

    def test_no_follow_ends_for_a_member_that_gets_no_shard(self):
        stream = self.create(shards=1)
        self.make_group()
        a = Member(self, "a")
        self.until(lambda: self.shared_out(1), "a has not joined")
        self.all_read(self.feed(stream, 5))
        said = subprocess.run([EAGRE, "tail", "quotes", "--group", "g", "--no-follow", "--data", self.box.data],
                              capture_output=True, text=True, timeout=30)
        self.assertEqual((said.returncode, said.stdout), (0, ""), said.stderr)
        self.assertIn("other members of the group read all shards", said.stderr)
        self.assertTrue(a.running())

    def test_a_slow_reader_is_not_a_dead_member(self):
        stream = self.create(shards=2)
        self.make_group()
        sent = []
        for number in range(0, 5000, 500):
            sent += self.feed(stream, 500, number)
        # More than a pipe takes, and for longer than the heartbeat limit nobody reads it.
        said = open(os.path.join(self.box.data, "slow.txt"), "w+")
        self.addCleanup(said.close)
        slow = subprocess.Popen([EAGRE, "tail", "quotes", "--group", "g", "--member", "slow", "--no-follow", "--format", "json",
                                 "--data", self.box.data], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, text=True)
        self.addCleanup(lambda: (slow.kill(), slow.wait(), slow.stdout.close()))
        self.until(lambda: self.shared_out(2), "the member has not joined")
        idle_until = time.monotonic() + 5 * HEARTBEAT_S
        while time.monotonic() < idle_until:
            self.assertEqual([member["name"] for member in self.group()["members"]], ["slow"], "taken for dead")
            time.sleep(0.2)
        self.assertGreater(self.group()["lag"]["records"], 0, "what nobody has read was checkpointed")
        rows = [json.loads(line) for line in slow.stdout]
        self.assertEqual(slow.wait(box.WAIT_S), 0)
        self.assertEqual(sorted((row["shard"], row["sequence"]) for row in rows), sorted(sent), "lost, or printed twice")
        said.seek(0)
        self.assertNotIn("LeaseLost", said.read())
        self.assertEqual(self.group()["lag"]["records"], 0)

    def test_a_stream_is_deleted_under_its_readers(self):
        self.create(shards=2)
        self.make_group()
        a = Member(self, "a")
        self.until(lambda: self.shared_out(2), "a has not joined")
        self.eagre("stream", "delete", "quotes")
        self.assertEqual(a.wait_exit(), 1)
        self.assertIn("UnknownStream", a.text())
        # The same name is another stream; none of the old one's groups.
        self.create(shards=1)
        self.assertEqual(json.loads(self.eagre("group", "list", "--json"))["groups"], [])

    def test_a_member_taken_for_dead_does_not_checkpoint(self):
        stream = self.create(shards=1)
        self.make_group()
        a = Member(self, "a")
        self.until(lambda: self.shared_out(1), "a has not joined")
        sent = self.feed(stream, 10)
        a.wait_records(self, lambda records: len(records) == 10)
        self.until(lambda: self.group()["lag"]["records"] == 0, "no checkpoint")
        a.child.send_signal(signal.SIGSTOP)
        b = Member(self, "b")
        self.until(lambda: [m["name"] for m in self.group()["members"]] == ["b"], "a was not taken for dead")
        sent += self.feed(stream, 10, 10)
        b.wait_records(self, lambda records: len(records) == 10)
        self.until(lambda: self.group()["shards"][0]["checkpoint"] == 21, "no checkpoint of b's")
        # It wakes up, is told, and comes back as a member that has nothing to take from the other.
        a.child.send_signal(signal.SIGCONT)
        a.wait_for("UnknownMember")
        self.until(lambda: self.shared_out(0, 1), "a has not come back")
        self.assertEqual(self.group()["shards"][0]["checkpoint"], 21)
        self.assertEqual(self.group()["shards"][0]["member"], "b")


class Keys(unittest.TestCase):
    def test_a_key_without_get_is_refused(self):
        with box.Box() as here:
            here.start_eagred("--auth", "on")
            here.start_control().wait_for("agreed with the dataplane")
            with here.admin() as admin:
                admin.create("quotes", 1)

            def key(name, allow):
                done = subprocess.run([EAGRE, "key", "create", name, "--allow", allow, "--json", "--data", here.data],
                                      capture_output=True, text=True, check=True, timeout=60)
                made = json.loads(done.stdout)
                path = here.path(name + ".secret")
                with open(path, "w", encoding="utf-8") as file:
                    file.write(made["secret"] + "\n")
                return ["--key-id", made["id"], "--secret-file", path]

            def tail(*args):
                return subprocess.run([EAGRE, "tail", "quotes", "--group", "g", "--no-follow", "--data", here.data, *args],
                                      capture_output=True, text=True, timeout=60)

            refused = tail(*key("feed", "put:*"))
            self.assertEqual(refused.returncode, 1)
            self.assertIn("AccessDenied", refused.stderr)
            self.assertEqual(tail(*key("desk", "get:quotes")).returncode, 0)


if __name__ == "__main__":
    box.main()
