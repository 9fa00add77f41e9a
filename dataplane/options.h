#pragma once
// What eagred was asked to be. Parsed from the command line in options.cc; see `eagred --help`.

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/journal/journal.h"
#include "dataplane/reactor/wait_policy.h"
#include "wire/base/limits.h"
#include "wire/base/result.h"

namespace eagre {

struct Options {
    std::string data = "";                    // Data directory; must be given.
    std::vector<std::string> also;            // Further data directories: new ones, or where known ones are now.
    std::vector<uint32_t> cpus{0};            // One reactor on each.
    std::string listen = "127.0.0.1";
    uint16_t port = kPortDefault;             // Core k listens on port + k; 0: any, see DATA/ports.
    bool insecure = false;
    std::vector<std::string> nics;            // Devices that DPDK drives; empty: datagrams come through the kernel.
    std::string nic_address = "";             // IPv4, that we answer to there.
    uint32_t nic_prefix_bits = 24;
    std::string nic_gateway = "";             // Empty: everybody is on the link.
    bool nic_huge_pages = true;
    std::string tls_cert = "";                // PEM files; with them every TCP port speaks TLS 1.3 and nothing else.
    std::string tls_key = "";
    bool auth = false;                        // Nobody comes in without proving a key.
    reactor::WaitPolicy wait = reactor::WaitPolicy::kAdaptive;
    bool sched_idle = false;                  // SCHED_IDLE: on a core kept for Eagre kernel workers then preempt at once.
    bool lock_memory = false;
    uint32_t stats_shard_capacity = kBoxShardCountMax;  // Shards per core with counters of their own: tails are told from them.
    uint64_t store_bytes_max = 0;             // Of all journals together; 0: as much as the disk has.
    uint32_t ack_queue_count = 64U << 10U;    // Batches between append and durable, per journal.
    journal::JournalOptions journal;          // id, box and directory are filled in per journal.
};

/// Errors come as text for people (empty on success). `help` or `version` asked for: text on stdout, `exit_now` set.
struct ParsedOptions {
    Options options;
    std::string error;
    bool exit_now = false;
};
ParsedOptions parse_options(int argc, char** argv);

/// True for 127.0.0.0/8, ::1 and nothing else.
bool is_loopback(const std::string& address);

}  // namespace eagre
