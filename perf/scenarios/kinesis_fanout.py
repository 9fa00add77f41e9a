"""SubscribeToShard, put to delivery."""
from report.bench import BenchError


def measure(bench):
    raise BenchError("SubscribeToShard is not available yet: from put to delivery nothing can be measured")
