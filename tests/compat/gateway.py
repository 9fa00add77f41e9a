"""A gateway under test: eagred, eagre-control and eagre-gateway as real processes, and the endpoint that AWS's clients are given."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import box  # noqa: E402

GATEWAY = os.path.join(box.BIN, "eagre-gateway")
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "eagre", "AWS_SECRET_ACCESS_KEY": "nobody checks it on loopback", "AWS_DEFAULT_REGION": "us-east-1",
               "AWS_EC2_METADATA_DISABLED": "true"}


class Gateway(box.Box):
    def start(self, *args):
        if not os.access(GATEWAY, os.X_OK):
            box.cannot_run(f"{GATEWAY} is not built")
        super().start()
        return self.start_gateway(*args)

    def start_gateway(self, *args):
        self.gateway = box.Process([GATEWAY, "--data", self.data, "--port", "0", "--box-port", str(self.ports[0]), *args], "eagre-gateway")
        self.processes.append(self.gateway)
        self.url = re.search(r"https?://\S+", self.gateway.wait_for("serving at .* auth=")).group(0)
        return self.gateway
