"""Who may call the gateway: signatures of real clients against keys of the box, what keys and policies allow, TLS. Clocks that are off are
clients' own; nothing here changes the machine's."""
import contextlib
import datetime
import json
import os
import re
import subprocess
import time
import types
import unittest
import unittest.mock
import urllib.error
import urllib.request

import gateway
import test_javascript
from gateway import box

try:
    import boto3
    import botocore.auth
    import botocore.awsrequest
    import botocore.config
    import botocore.credentials
    import botocore.exceptions
except ImportError:
    boto3 = None

EAGRE = os.path.join(box.BIN, "eagre")
TARGET = "Kinesis_20131202."


class Access(unittest.TestCase):
    def setUp(self):
        if boto3 is None:
            self.skipTest("boto3 is not installed (tools/setup)")
        self.box = gateway.Gateway().__enter__()
        self.addCleanup(self.box.__exit__)

    def start(self, *more):
        """`eagre up --auth on`, with a gateway where it likes."""
        self.up = box.Process([EAGRE, "up", "--data", self.box.data, "--port", "0", "--auth", "on", "--eagred=--segment-bytes=16777216", *more], "eagre up")
        self.box.processes.append(self.up)
        self.url = re.search(r"https?://\S+", self.up.wait_for("serving at .* auth=on")).group(0)

    def eagre(self, *args):
        done = subprocess.run([EAGRE, *args, "--data", self.box.data], capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def create_key(self, name, allow, *more):
        return json.loads(self.eagre("key", "create", name, "--allow", allow, "--json", *more))

    def client(self, key, **more):
        config = botocore.config.Config(retries={"max_attempts": 1}, read_timeout=20, connect_timeout=5)
        made = boto3.client("kinesis", endpoint_url=self.url, aws_access_key_id=key["id"], aws_secret_access_key=key["secret"], config=config,
                            **{"region_name": "eu-west-1", **more})
        self.addCleanup(made.close)
        return made

    def create(self, client, name, shards=1):
        client.create_stream(StreamName=name, ShardCount=shards)
        client.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 10})

    def refused(self, code, call, *, words="", **arguments):
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(**arguments)
        error = caught.exception.response["Error"]
        self.assertEqual(error["Code"], code, error)
        self.assertIn(words, error["Message"])

    def raw(self, key, how, body=b"{}", target="ListStreams", shift_s=0):
        """A request as botocore signs it, in header or query form, with its clock `shift_s` seconds off: (status, answer)."""
        credentials = botocore.credentials.Credentials(key["id"], key["secret"])
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": TARGET + target}
        request = botocore.awsrequest.AWSRequest("POST", self.url + "/", headers=headers, data=body)
        auth = how(credentials, "kinesis", "eu-west-1")
        now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) + datetime.timedelta(seconds=shift_s)

        class Shifted(datetime.datetime):
            @classmethod
            def utcnow(cls):
                return now

            @classmethod
            def now(cls, tz=None):
                return now
        with contextlib.ExitStack() as patches:
            # An older botocore asks the module, a newer one a function of its own.
            module = types.SimpleNamespace(**{**vars(datetime), "datetime": Shifted})
            for name, patch in (("datetime", module), ("get_current_datetime", lambda *_, **__: now)):
                if hasattr(botocore.auth, name):
                    patches.enter_context(unittest.mock.patch.object(botocore.auth, name, patch))
            auth.add_auth(request)
        prepared = request.prepare()
        return self.send(prepared.url, prepared.body or b"", dict(prepared.headers.items()))

    def send(self, url, body, headers):
        request = urllib.request.Request(url, body, {name: value.decode() if isinstance(value, bytes) else value for name, value in headers.items()})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def test_only_keys_of_the_box_come_in(self):
        self.start()
        key = self.create_key("app", "all:*")
        kinesis = self.client(key)
        self.create(kinesis, "quotes")
        self.assertEqual(kinesis.describe_stream_summary(StreamName="quotes")["StreamDescriptionSummary"]["StreamARN"],
                         "arn:aws:kinesis:eu-west-1:000000000000:stream/quotes")
        self.refused("InvalidSignatureException", self.client({**key, "secret": "es-" + "0" * 64}).list_streams, words="does not match")
        self.refused("UnrecognizedClientException", self.client({**key, "id": "ek-00000000000000ff"}).list_streams)
        self.refused("UnrecognizedClientException", self.client({**key, "id": "ek-0000000000000000"}).list_streams)
        self.refused("UnrecognizedClientException", self.client(key, aws_session_token="from elsewhere").list_streams)
        plain = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": TARGET + "ListStreams"}
        self.assertEqual(self.send(self.url, b"{}", plain)[1]["__type"], "MissingAuthenticationTokenException")
        half = {**plain, "Authorization": "AWS4-HMAC-SHA256 Credential=a/b"}
        self.assertEqual(self.send(self.url, b"{}", half)[1]["__type"], "IncompleteSignatureException")
        # No refusal opened anything, and none is in the way of who may.
        self.assertEqual(kinesis.list_streams()["StreamNames"], ["quotes"])

    def test_clocks_and_both_forms(self):
        self.start()
        key = self.create_key("app", "all:*")

        class InQuery(botocore.auth.SigV4QueryAuth):
            """With the body where it was: botocore moves it into the query."""

            def _modify_request_before_signing(self, request):
                body = request.data
                super()._modify_request_before_signing(request)
                request.data = body
        for how, long_ago_s in ((botocore.auth.SigV4Auth, -400), (InQuery, -3700)):  # In the query it says itself how long it is good: an hour.
            for shift_s in (0, -200, 200, long_ago_s + 200):
                self.assertEqual(self.raw(key, how, shift_s=shift_s)[0], 200, (how, shift_s))
            for shift_s, words in ((long_ago_s, "Signature expired"), (400, "Signature not yet current")):
                status, answer = self.raw(key, how, shift_s=shift_s)
                self.assertEqual((status, answer["__type"]), (400, "InvalidSignatureException"))
                self.assertIn(words, answer["message"])

    def test_keys_that_are_revoked_rotated_or_expired(self):
        self.start()
        key = self.create_key("app", "all:*")
        admin = self.create_key("admin", "all:*")
        self.client(key).list_streams()
        rotated = json.loads(self.eagre("key", "rotate", "app", "--json"))
        self.client(rotated).list_streams()
        self.refused("InvalidSignatureException", self.client(key).list_streams)
        short = self.create_key("short", "all:*", "--expires", "6s")
        self.client(short).list_streams()
        self.eagre("key", "revoke", "app")
        for name, key in (("revoked", rotated), ("expired", short)):
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                try:
                    self.client(key).list_streams()
                except botocore.exceptions.ClientError as error:
                    self.assertEqual(error.response["Error"]["Code"], "UnrecognizedClientException")
                    break
                time.sleep(0.1)
            else:
                self.fail(f"a key that is {name} still works")
        self.client(admin).list_streams()

    def test_keys_and_policies_decide(self):
        self.start()
        admin_key = self.create_key("admin", "all:*")
        admin = self.client(admin_key)
        reader_key = self.create_key("reader", "get:ticks-*")
        reader, feeder = self.client(reader_key), self.client(self.create_key("feeder", "put:ticks-*"))
        for name in ("ticks-a", "other"):
            self.create(admin, name)
        feeder.put_record(StreamName="ticks-a", PartitionKey="k", Data=b"one")
        self.refused("AccessDeniedException", feeder.put_record, StreamName="other", PartitionKey="k", Data=b"x", words="is not authorized to perform: kinesis:PutRecord")
        self.refused("AccessDeniedException", reader.put_records, StreamName="ticks-a", Records=[{"PartitionKey": "k", "Data": b"x"}])
        self.refused("AccessDeniedException", feeder.get_shard_iterator, StreamName="ticks-a", ShardId="shardId-000000000000", ShardIteratorType="LATEST")
        self.refused("AccessDeniedException", reader.create_stream, StreamName="ticks-b", ShardCount=1)
        self.refused("AccessDeniedException", reader.delete_stream, StreamName="ticks-a")
        self.assertEqual(reader.list_streams()["StreamNames"], ["ticks-a"])  # What he may do nothing with, he does not see.
        self.refused("AccessDeniedException", reader.describe_stream_summary, StreamName="other")
        where = {"ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
        iterator = reader.get_shard_iterator(StreamName="ticks-a", **where)["ShardIterator"]
        self.assertEqual([record["Data"] for record in reader.get_records(ShardIterator=iterator)["Records"]], [b"one"])
        # An iterator is no key: who brings it is asked for himself.
        self.refused("AccessDeniedException", feeder.get_records, ShardIterator=iterator)
        arn = "arn:aws:kinesis:eu-west-1:000000000000:stream/"

        def policy(operation, name, **statement):  # Not every boto3 knows them.
            body = {"ResourceARN": arn + name}
            if statement:
                body["Policy"] = json.dumps({"Version": "2012-10-17", "Statement": [{**statement, "Resource": arn + name}]})
            self.assertEqual(self.raw(admin_key, botocore.auth.SigV4Auth, json.dumps(body).encode(), operation)[0], 200)
        policy("PutResourcePolicy", "other", Effect="Allow", Principal={"AWS": "arn:aws:iam::000000000000:user/feeder"}, Action="kinesis:Put*")
        feeder.put_record(StreamName="other", PartitionKey="k", Data=b"two")
        self.refused("AccessDeniedException", reader.put_record, StreamName="other", PartitionKey="k", Data=b"x")
        # What is denied is denied whichever region one says that one is in.
        policy("PutResourcePolicy", "ticks-a", Effect="Deny", Principal={"AWS": reader_key["id"]}, Action=["kinesis:GetRecords"])
        self.refused("AccessDeniedException", reader.get_records, ShardIterator=iterator, words="explicit deny")
        elsewhere = self.client(reader_key, region_name="us-west-2")
        self.refused("AccessDeniedException", elsewhere.get_records, ShardIterator=iterator, words="explicit deny")
        policy("DeleteResourcePolicy", "ticks-a")
        self.assertEqual(len(reader.get_records(ShardIterator=iterator)["Records"]), 1)

    def make_certificate(self):
        pem, key = self.box.path("box.pem.tmp"), self.box.path("box.key.tmp")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=eagre",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-out", pem, "-keyout", key], check=True, capture_output=True)
        return pem, key

    def test_tls(self):
        pem, private = self.make_certificate()
        self.start("--tls-cert", pem, "--tls-key", private, "--gateway=--plain-port", "--gateway=0")
        self.assertTrue(self.url.startswith("https://"))
        plain = re.search(r"http://\S+", self.up.text()).group(0)
        key = self.create_key("app", "all:*")
        kinesis = self.client(key, verify=pem)
        self.create(kinesis, "quotes", 2)
        data = bytes(range(256)) * 4000
        for number in range(5):
            kinesis.put_records(StreamName="quotes", Records=[{"PartitionKey": f"k{number}{i}", "Data": data} for i in range(5)])
        got = 0
        for shard in kinesis.list_shards(StreamName="quotes")["Shards"]:
            iterator = kinesis.get_shard_iterator(StreamName="quotes", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
            while True:
                answer = kinesis.get_records(ShardIterator=iterator)
                self.assertTrue(all(record["Data"] == data for record in answer["Records"]))
                got += len(answer["Records"])
                iterator = answer["NextShardIterator"]
                if answer["MillisBehindLatest"] == 0:
                    break
        self.assertEqual(got, 25)
        with self.assertRaises(botocore.exceptions.SSLError):
            self.client(key).list_streams()
        self.url, secure = plain, self.url
        self.assertEqual(self.client(key).list_streams()["StreamNames"], ["quotes"])
        self.url = secure
        if test_javascript.CURL:
            for version, asked in (("2", "--http2"), ("1.1", "--http1.1"), ("1.1", "--tls-max=1.2 --http1.1")):
                done = subprocess.run([test_javascript.CURL, "-sS", "--cacert", pem, *asked.replace("=", " ").split(), "-w", "\n%{http_version} %{http_code}", "-d", "{}",
                                       "-H", "Content-Type: application/x-amz-json-1.1", "-H", f"X-Amz-Target: {TARGET}ListStreams", secure],
                                      capture_output=True, text=True, timeout=60)
                self.assertTrue(done.stdout.endswith(f"\n{version} 400"), (asked, done.stdout, done.stderr))
                self.assertIn("MissingAuthenticationTokenException", done.stdout)
        if test_javascript.installed():
            for version in ("http2", "http1"):
                env = {**os.environ, **gateway.CREDENTIALS, "EAGRE_NODE_MODULES": os.path.join(test_javascript.FOLDER, "node_modules"), "NODE_NO_WARNINGS": "1",
                       "NODE_EXTRA_CA_CERTS": pem, "AWS_ACCESS_KEY_ID": key["id"], "AWS_SECRET_ACCESS_KEY": key["secret"]}
                life = os.path.join(os.path.dirname(os.path.abspath(__file__)), "life.mjs")
                done = subprocess.run([test_javascript.NODE, life, secure, version], env=env, capture_output=True, text=True, timeout=120)
                self.assertEqual(done.returncode, 0, done.stderr[-3000:])

    def test_what_is_not_tls_is_in_nobodys_way(self):
        import socket
        import urllib.parse
        pem, private = self.make_certificate()
        self.start("--tls-cert", pem, "--tls-key", private)
        key = self.create_key("app", "all:*")
        address = urllib.parse.urlsplit(self.url)
        silent = [socket.create_connection((address.hostname, address.port), timeout=20) for _ in range(50)]
        with socket.create_connection((address.hostname, address.port), timeout=20) as sock:
            sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\n\r\n")
            try:
                while sock.recv(65536):
                    pass
            except ConnectionError:
                pass
        self.assertEqual(self.client(key, verify=pem).list_streams()["StreamNames"], [])
        for sock in silent:
            sock.close()

    def test_no_address_beyond_loopback_without_a_door(self):
        command = [gateway.GATEWAY, "--data", self.box.data, "--port", "0", "--listen", "0.0.0.0"]
        refused = box.Process(command, "eagre-gateway")
        refused.wait_for("refusing to listen at 0.0.0.0")
        self.assertEqual(refused.wait_exit(), 1)
        self.start("--listen", "0.0.0.0")
        self.assertRegex(self.url, r"http://0\.0\.0\.0:\d+")


if __name__ == "__main__":
    box.main()
