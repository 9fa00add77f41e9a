"""AWS's SDK for JavaScript, version 3, from npm: its default handler, which is HTTP/2 with prior knowledge, and HTTP/1.1; and curl over HTTP/2,
with what a good client does not send."""
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import unittest
import urllib.parse

import gateway
import test_http
from gateway import box

NODE, NPM, CURL = (shutil.which(name) for name in ("node", "npm", "curl"))
# Beside the build: installed once a tree. The version is the one whose model the gateway follows.
FOLDER = os.path.join(os.path.dirname(os.path.abspath(box.BIN)), "compat-javascript")
PACKAGE = "@aws-sdk/client-kinesis@3.1143.0"
INSTALL_S = 100
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def installed():
    """False: there is no npm here, or it can't reach its packages."""
    modules = os.path.join(FOLDER, "node_modules", "@aws-sdk", "client-kinesis")
    if NODE and NPM and not os.path.exists(modules):
        os.makedirs(FOLDER, exist_ok=True)
        command = [NPM, "install", "--no-audit", "--no-fund", "--silent", "--fetch-retries", "1", "--fetch-timeout", "20000", "--prefix", FOLDER, PACKAGE]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S)
            why = "" if done.returncode == 0 else done.stdout + done.stderr or f"status {done.returncode}"
        except subprocess.TimeoutExpired:
            why = f"not done after {INSTALL_S} s"
        if why:  # Half of it is worse than nothing.
            print(f"npm install {PACKAGE}: {why}", file=sys.stderr)
            shutil.rmtree(FOLDER, ignore_errors=True)
    return os.path.exists(modules)


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


class Http2(unittest.TestCase):
    def setUp(self):
        self.box = gateway.Gateway().__enter__()
        self.addCleanup(self.box.__exit__)
        self.box.start()

    def life(self, version):
        if not installed():
            self.skipTest("the SDK for JavaScript can't be installed here (node, npm)")
        env = {**os.environ, **gateway.CREDENTIALS, "EAGRE_NODE_MODULES": os.path.join(FOLDER, "node_modules"), "NODE_NO_WARNINGS": "1"}
        life = os.path.join(os.path.dirname(os.path.abspath(__file__)), "life.mjs")
        done = subprocess.run([NODE, life, self.box.url, version], env=env, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        self.assertEqual(json.loads(done.stdout), {"records": 10_001, "fanned": 2_000})

    def test_javascript_as_it_comes(self):
        self.life("http2")

    def test_the_table_has_every_operation_of_this_sdk(self):
        if not installed():
            self.skipTest("the SDK for JavaScript can't be installed here (node, npm)")
        code = "console.log(JSON.stringify(Object.keys(require('@aws-sdk/client-kinesis')).filter((name) => /^[A-Z]\\w+Command$/.test(name))))"
        done = subprocess.run([NODE, "-e", code], cwd=FOLDER, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        names = {name.removesuffix("Command") for name in json.loads(done.stdout)} - {"$"}
        self.assertGreater(len(names), 40)
        self.assertEqual(names - set(test_http.operations()), set())

    def test_javascript_over_http_1(self):
        self.life("http1")

    def curl(self, *args):
        if not CURL:
            self.skipTest("curl is not installed (tools/setup)")
        done = subprocess.run([CURL, "-sS", "--http2-prior-knowledge", "-w", "\n%{http_version} %{http_code}", "-H", "Content-Type: application/x-amz-json-1.1",
                               *args], capture_output=True, text=True, timeout=60)
        return done.stdout, done.stderr

    def test_curl(self):
        said, why = self.curl("-H", "X-Amz-Target: Kinesis_20131202.ListStreams", "-d", "{}", self.box.url)
        self.assertTrue(said.endswith("\n2 200"), (said, why))
        # A head and a body over their limits.
        said, why = self.curl("-H", "X: " + "y" * 40_000, "-d", "{}", self.box.url)
        self.assertNotIn(" 200", said)
        large = self.box.path("large")
        with open(large, "wb") as file:
            file.truncate(20 * 1024 * 1024)
        said, why = self.curl("--data-binary", "@" + large, self.box.url)
        self.assertNotIn(" 200", said)
        said, why = self.curl("-H", "X-Amz-Target: Kinesis_20131202.ListStreams", "-d", "{}", self.box.url)
        self.assertTrue(said.endswith("\n2 200"), (said, why))

    def test_a_subscriber_that_closes_is_let_go(self):
        # As node closes an HTTP/2 session with a stream on it: a FIN, and then it waits for ours. Else each that was closed goes on for minutes.
        address = urllib.parse.urlsplit(self.box.url)

        def text(name, value):  # A header that is not to be remembered.
            return b"\x00" + b"".join(bytes([len(each)]) + each.encode() for each in (name, value))

        def call(operation, **body):
            said, why = self.curl("-H", "X-Amz-Target: Kinesis_20131202." + operation, "-d", json.dumps(body), self.box.url)
            self.assertTrue(said.endswith("\n2 200"), (said, why))
            return said.rsplit("\n", 1)[0]
        call("CreateStream", StreamName="quotes", ShardCount=1)
        arn = json.loads(call("DescribeStreamSummary", StreamName="quotes"))["StreamDescriptionSummary"]["StreamARN"]
        reset, away = frame(3, 0, 1, bytes(4)), frame(7, 0, 0, bytes(8))
        for i, last_words in enumerate((reset + away, reset, away, b"", None)):  # None: HTTP/1.1.
            consumer = json.loads(call("RegisterStreamConsumer", StreamARN=arn, ConsumerName=f"c{i}"))["Consumer"]["ConsumerARN"]
            body = json.dumps({"ConsumerARN": consumer, "ShardId": "shardId-000000000000", "StartingPosition": {"Type": "LATEST"}})
            headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "Kinesis_20131202.SubscribeToShard"}
            http2 = (PREFACE + frame(4, 0, 0, b"") +
                     frame(1, 4, 1, b"\x83\x86\x84\x41\x01x" + b"".join(text(*each) for each in headers.items())) + frame(0, 1, 1, body.encode()))
            http1 = "".join(f"{name}: {value}\r\n" for name, value in {**headers, "host": "x", "content-length": len(body)}.items())
            with self.subTest(last_words=last_words), socket.create_connection((address.hostname, address.port), timeout=20) as sock:
                sock.sendall(f"POST / HTTP/1.1\r\n{http1}\r\n{body}".encode() if last_words is None else http2)
                said = b""
                while b"initial-response" not in said:
                    said += sock.recv(65536)
                sock.sendall(last_words or b"")
                sock.shutdown(socket.SHUT_WR)
                deadline = time.monotonic() + 10  # Events of an idle one come more often.
                while sock.recv(65536):
                    self.assertLess(time.monotonic(), deadline, "it goes on")

    def test_frames_that_are_wrong_end_their_connection_alone(self):
        address = urllib.parse.urlsplit(self.box.url)
        settings = frame(4, 0, 0, b"")
        begun = frame(1, 4, 1, b"\x83\x86\x84\x41\x01x")  # POST http / with authority x; no end.
        # Opened and reset, over and over (rapid reset), is a connection's end; so is what is no frame.
        reset = b"".join(frame(1, 4, 1 + 2 * i, b"\x83\x86\x84\x41\x01x") + frame(3, 0, 1 + 2 * i, bytes(4)) for i in range(20_000))
        for wrong in (b"\xff" * 100, frame(0, 0, 1, b"data of no stream"), frame(4, 0, 3, b""), frame(8, 0, 0, bytes(4)), frame(1, 4, 2, b"\x82"),
                      frame(9, 4, 1, b""), frame(1, 4, 1, b"\xff\xff\xff\xff\xff"), reset):
            with socket.create_connection((address.hostname, address.port), timeout=20) as sock:
                try:
                    sock.sendall(PREFACE + settings + wrong)
                    while sock.recv(65536):
                        pass
                except ConnectionError:
                    pass  # Closed while we still sent.
        # One that is silent with a request half sent holds up nobody.
        with socket.create_connection((address.hostname, address.port), timeout=20) as silent:
            silent.sendall(PREFACE + settings + begun)
            begin = time.monotonic()
            said, why = self.curl("-H", "X-Amz-Target: Kinesis_20131202.ListStreams", "-d", "{}", self.box.url)
            self.assertTrue(said.endswith("\n2 200"), (said, why))
            self.assertLess(time.monotonic() - begin, 5)
        self.assertTrue(self.box.gateway.running())
        self.assertFalse(re.search("expected|assert", self.box.gateway.text()))


if __name__ == "__main__":
    box.main()
