"""Who may come in and what they may do, with real processes: keys, policies, the key file, the control sockets, and
where a box listens."""
import json
import os
import socket
import struct
import subprocess
import unittest

import box
import wire

EAGRE = os.path.join(box.BIN, "eagre")
UNAUTHENTICATED = 90
NOBODY = 65534


class Identity(unittest.TestCase):
    def setUp(self):
        if not os.access(EAGRE, os.X_OK):
            box.cannot_run(f"{EAGRE} is not built")
        self.box = box.Box().__enter__()
        self.addCleanup(self.box.__exit__)

    def spawn_up(self, *args):
        up = box.Process([EAGRE, "up", "--data", self.box.data, "--port", "0", "--wait", "block",
                          "--eagred=--segment-bytes=16M", "--eagred=--ready-segments=1", *args], "eagre up")
        self.addCleanup(lambda: up.running() and up.stop())
        return up

    def start_up(self, *args):
        up = self.spawn_up(*args)
        up.wait_for("listening on")
        with open(self.box.path("ports")) as file:
            self.box.ports = [int(line) for line in file.read().split()]
        return up

    def eagre(self, *args, text=None, status=0, key=None):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("EAGRE_")}
        if key:
            environment.update(EAGRE_KEY_ID=key["id"], EAGRE_SECRET=key["secret"])
        command = [EAGRE, *args, "--data", self.box.data]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, env=environment)
        self.assertEqual(done.returncode, status, f"{command}: {done.stdout}{done.stderr}")
        return done.stdout if status == 0 else done.stderr

    def create_key(self, name, *rules, more=()):
        allow = [part for rule in rules for part in ("--allow", rule)]
        return json.loads(self.eagre("key", "create", name, *allow, *more, "--json"))

    def test_nobody_comes_in_without_a_key(self):
        up = self.start_up("--auth", "on")
        self.eagre("stream", "create", "ticks-a")
        key = self.create_key("feed", "put:ticks-*", "get:ticks-*")
        self.assertIn("Unauthenticated", self.eagre("put", "ticks-a", text="k,1\n", status=1))
        up.wait_for(r"refused: Unauthenticated: no key, key none, client 'eagre-client' at 127\.0\.0\.1:\d+")
        self.eagre("put", "ticks-a", text="k,1\n", key=key)
        self.assertEqual(self.eagre("tail", "ticks-a", "--from", "trim_horizon", "--no-follow", key=key), "k,1\n")

        wrong = dict(key, secret="es-" + "0" * 64)
        self.assertIn("Unauthenticated", self.eagre("put", "ticks-a", text="k,2\n", key=wrong, status=1))
        up.wait_for(f"wrong secret, key {key['id']}")
        unknown = dict(key, id="ek-0123456789abcdef")
        self.assertIn("Unauthenticated", self.eagre("put", "ticks-a", text="k,2\n", key=unknown, status=1))
        self.assertIn("secret", self.eagre("put", "ticks-a", text="k,2\n", key=dict(key, secret="x"), status=1))
        for line in up.text().splitlines():
            self.assertNotIn(key["secret"][3:], line)
        for root, _, names in os.walk(self.box.data):  # Neither as text nor as bytes.
            for name in names:
                path = os.path.join(root, name)
                if os.path.isfile(path) and not name.startswith("segment"):
                    with open(path, "rb") as file:
                        content = file.read()
                    self.assertNotIn(key["secret"].encode(), content, path)
                    self.assertNotIn(bytes.fromhex(key["secret"][3:]), content, path)

    def test_policies_hold_for_every_request(self):
        up = self.start_up("--auth", "on")
        for name in ("ticks-a", "orders"):
            self.eagre("stream", "create", name)
        everything = self.create_key("admin", "all:*")
        feed = self.create_key("feed", "put:ticks-*")
        reader = self.create_key("desk", "get:*")
        self.eagre("put", "orders", text="k,1\n", key=everything)
        self.eagre("put", "ticks-a", text="k,1\n", key=feed)
        self.assertIn("AccessDenied", self.eagre("put", "orders", text="k,2\n", key=feed, status=1))
        self.assertIn("AccessDenied", self.eagre("put", "no-such-stream", text="k,2\n", key=feed, status=1))
        self.assertIn("AccessDenied", self.eagre("tail", "ticks-a", "--from", "trim_horizon", "--no-follow", key=feed, status=1))
        self.assertEqual(self.eagre("tail", "orders", "--from", "trim_horizon", "--no-follow", key=reader), "k,1\n")
        denied = self.eagre("put", "orders", text="k,3\n", key=reader, status=1)
        self.assertIn("AccessDenied", denied)
        up.wait_for(rf"refused: AccessDenied: put orders, key {reader['id']} \(desk\)")
        self.assertEqual(self.eagre("tail", "orders", "--from", "trim_horizon", "--no-follow", key=everything), "k,1\n")
        self.box.wait_for_statistics()
        stats = json.loads(self.eagre("stats", "--json").strip().splitlines()[-1])
        self.assertGreaterEqual(json.dumps(stats).count("AccessDenied"), 1, stats)

    def test_a_key_ends_when_it_is_revoked_rotated_or_expired(self):
        up = self.start_up("--auth", "on")
        self.eagre("stream", "create", "ticks")
        key = self.create_key("feed", "all:*")
        environment = dict(os.environ, EAGRE_KEY_ID=key["id"], EAGRE_SECRET=key["secret"])
        tail = subprocess.Popen([EAGRE, "tail", "ticks", "--from", "trim_horizon", "--data", self.box.data],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
        self.addCleanup(tail.stdout.close)
        self.addCleanup(tail.wait)
        self.addCleanup(tail.kill)
        self.eagre("put", "ticks", text="k,1\n", key=key)
        self.assertEqual(tail.stdout.readline(), "k,1\n")
        rotated = json.loads(self.eagre("key", "rotate", "feed", "--json"))
        self.assertEqual(rotated["id"], key["id"])
        self.assertNotEqual(rotated["secret"], key["secret"])
        up.wait_for(rf"refused: Unauthenticated: key revoked, rotated or expired: connection closed, key {key['id']} \(feed\)")
        self.eagre("put", "ticks", text="k,2\n", key=key, status=1)
        self.eagre("put", "ticks", text="k,2\n", key=rotated)
        self.eagre("key", "revoke", "feed")
        self.eagre("put", "ticks", text="k,3\n", key=rotated, status=1)
        self.assertEqual(json.loads(self.eagre("key", "list", "--json"))["keys"], [])
        listed = json.loads(self.eagre("key", "list", "--all", "--json"))["keys"]
        self.assertEqual([(each["name"], each["state"]) for each in listed], [("feed", "revoked")])
        self.assertNotIn("secret", listed[0])

        brief = self.create_key("brief", "all:*", more=("--expires", "1s"))
        up.wait_for("CreateKey name=brief")
        deadline_passed = False
        for _ in range(200):  # The box's clock decides; each try takes a while.
            environment = {"EAGRE_KEY_ID": brief["id"], "EAGRE_SECRET": brief["secret"]}
            done = subprocess.run([EAGRE, "put", "ticks", "--data", self.box.data], input="k,4\n", capture_output=True,
                                  text=True, env=environment, timeout=60)
            if done.returncode:
                self.assertIn("Unauthenticated", done.stderr)
                deadline_passed = True
                break
        self.assertTrue(deadline_passed)

    def test_the_box_knows_its_keys_without_control(self):
        self.box.start_eagred("--auth", "on")
        self.box.start_control()
        self.eagre("stream", "create", "ticks")
        key = self.create_key("feed", "all:*")
        gone = self.create_key("gone", "all:*")
        self.eagre("key", "revoke", "gone")
        self.box.control.kill()
        self.box.eagred.kill()
        self.box.start_eagred("--auth", "on")
        self.eagre("put", "ticks", text="k,1\n", key=key)
        self.assertIn("Unauthenticated", self.eagre("put", "ticks", text="k,1\n", key=gone, status=1))

    def test_an_old_catalogue_brings_no_revoked_key_back(self):
        self.box.start_eagred("--auth", "on")
        self.box.start_control()
        self.eagre("stream", "create", "ticks")
        key = self.create_key("feed", "all:*")
        self.box.control.stop()
        with open(self.box.path("catalog.sqlite"), "rb") as file:
            copy = file.read()
        self.box.start_control()
        self.eagre("key", "revoke", "feed")
        self.box.control.stop()
        with open(self.box.path("catalog.sqlite"), "wb") as file:
            file.write(copy)
        self.box.start_control().wait_for("the dataplane honours keys of a later catalogue")
        self.assertIn("Unauthenticated", self.eagre("put", "ticks", text="k,1\n", key=key, status=1))

    def test_the_key_file_must_be_private(self):
        self.box.start_eagred()
        self.box.eagred.stop()
        path = self.box.path("master.key")
        self.assertEqual(os.stat(path).st_mode & 0o7777, 0o600)
        os.chmod(path, 0o640)
        eagred = self.box.spawn_eagred()
        eagred.wait_for("KeyFileUnsafe")
        self.assertEqual(eagred.wait_exit(), 1)
        control = self.box.spawn_control()
        control.wait_for("KeyFileUnsafe")
        self.assertEqual(control.wait_exit(), 1)
        os.chmod(path, 0o600)
        self.box.start_eagred()

    def test_beyond_loopback_only_with_keys_or_on_ones_own_word(self):
        refused = self.box.spawn_eagred("--listen", "0.0.0.0")
        refused.wait_for("Insecure.*--auth on")
        self.assertEqual(refused.wait_exit(), 1)
        self.box.start_eagred("--listen", "0.0.0.0", "--auth", "on")
        self.assertNotIn("WARNING", self.box.eagred.text())
        self.box.eagred.stop()
        self.box.start_eagred("--listen", "0.0.0.0", "--insecure")
        self.assertIn("WARNING", self.box.eagred.text())

    def test_control_sockets_are_for_our_own_user(self):
        if os.geteuid() != 0:
            self.skipTest("only root can become somebody else")
        self.box.start_eagred()
        self.box.start_control()
        os.chmod(self.box.data, 0o755)
        for name in ("eagred.sock", "control.sock"):
            path = self.box.path(name)
            os.chmod(path, 0o666)  # As an operator might, by mistake.
            code = f"""if 1:
                import os, socket
                os.setgid({NOBODY}); os.setuid({NOBODY})
                s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect({path!r})
                got = b''
                while len(got) < 64:
                    more = s.recv(64)
                    if not more: break
                    got += more
                os.write(1, got)"""
            said = subprocess.run(["/usr/bin/python3", "-c", code], capture_output=True, timeout=30)
            self.assertEqual(len(said.stdout), 64, said.stderr)
            self.assertEqual((said.stdout[5], struct.unpack_from("<H", said.stdout, 6)[0]), (30, UNAUTHENTICATED), name)
        self.eagre("stream", "list")

    def make_certificate(self, name, address="127.0.0.1"):
        pem, key = self.box.path(f"{name}.pem.tmp"), self.box.path(f"{name}.key.tmp")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                        "2", "-subj", "/CN=eagre", "-addext", f"subjectAltName=IP:{address},DNS:box.example", "-out", pem,
                        "-keyout", key], check=True, capture_output=True)
        return pem, key

    def test_tls_and_nothing_else(self):
        pem, key = self.make_certificate("box")
        other_pem, _ = self.make_certificate("other")
        up = self.start_up("--auth", "on", "--tls-cert", pem, "--tls-key", key)
        self.eagre("stream", "create", "ticks", "--shards", "3")
        feed = self.create_key("feed", "all:*")
        lines = "".join(f"k{i},{'x' * (i % 700)}\n" for i in range(5000))
        self.eagre("put", "ticks", "--tls-ca", pem, text=lines, key=feed)
        read = self.eagre("tail", "ticks", "--from", "trim_horizon", "--no-follow", "--tls-ca", pem, key=feed)
        self.assertEqual(sorted(read.splitlines()), sorted(lines.splitlines()))
        self.eagre("put", "ticks", "--tls-ca", pem, "--tls-name", "box.example", text="k,1\n", key=feed)
        for wrong in (["--tls-ca", other_pem], ["--tls-ca", pem, "--tls-name", "elsewhere.example"], ["--tls"]):
            self.assertIn("TlsFailed", self.eagre("put", "ticks", *wrong, text="k,2\n", key=feed, status=1), wrong)
        self.assertIn("BadCertificate", self.eagre("put", "ticks", "--tls-ca", "/none.pem", text="k,2\n", key=feed, status=1))
        self.assertIn("TlsRequired", self.eagre("put", "ticks", text="k,2\n", key=feed, status=1))
        # Who connects and says nothing, or nonsense, is in nobody's way.
        silent = [socket.create_connection(("127.0.0.1", self.box.ports[0]), timeout=15) for _ in range(100)]
        with socket.create_connection(("127.0.0.1", self.box.ports[0]), timeout=15) as nonsense:
            nonsense.sendall(b"GET / HTTP/1.1\r\n\r\n")
            while nonsense.recv(1000):
                pass
        for pipe in silent:
            pipe.close()
        self.eagre("put", "ticks", "--tls-ca", pem, text="k,3\n", key=feed)
        self.assertEqual(up.stop(), 0)

    def test_a_plain_port_is_no_tls_port(self):
        pem, key = self.make_certificate("box")
        self.start_up()
        self.eagre("stream", "create", "ticks")
        self.assertIn("TlsFailed", self.eagre("put", "ticks", "--tls-ca", pem, text="k,1\n", status=1))

    def test_certificates_that_do_not_fit_are_told_at_the_start(self):
        pem, key = self.make_certificate("box")
        _, other_key = self.make_certificate("other")
        for files in ((pem, other_key), (self.box.path("none"), key), (pem, pem)):
            eagred = self.box.spawn_eagred("--tls-cert", files[0], "--tls-key", files[1])
            eagred.wait_for("BadCertificate")
            self.assertEqual(eagred.wait_exit(), 1)
        eagred = self.box.spawn_eagred("--tls-cert", pem)
        eagred.wait_for("--tls-cert and --tls-key go together")
        self.assertEqual(eagred.wait_exit(), 2)

    def test_hellos_out_of_turn_are_refused(self):
        self.box.start_eagred("--auth", "on")
        for kind in (3, 5, 7, 11, 16, 25):  # Everything before hello; a proof that nobody asked for.
            with socket.create_connection(("127.0.0.1", self.box.ports[0]), timeout=15) as pipe:
                pipe.sendall(wire.frame(kind, correlation=1))
                header = pipe.recv(64, socket.MSG_WAITALL)
                self.assertEqual(header[5], 30)
                self.assertEqual(pipe.recv(1), b"")


if __name__ == "__main__":
    box.main()
