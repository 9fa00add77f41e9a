#include "dataplane/options.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <string_view>

#include "dataplane/io/address.h"
#include "wire/base/crash_point.h"

namespace eagre {
namespace {

constexpr const char* kHelp =
    R"(eagred: the dataplane of Eagre. Usually started by `eagre up`, which starts eagre-control beside it.

Usage: eagred --data DIR [options]

  --data DIR              data directory; created when empty
  --also DIR              one more data directory, as a rule on another device; may be given several times. Remembered: from
                          then on it is opened without being named; name it again where it is mounted elsewhere
  --cores LIST            CPUs to pin one reactor each to, as 0 or 0,2 or 0-3; may differ from start to start  (0)
  --listen ADDRESS        numeric address to listen on                          (127.0.0.1)
  --port P                core k listens on P + k; 0 takes any free ports       (4568)
  --auth on|off           on: nobody comes in without a key (eagre key create)  (off)
  --tls-cert FILE         certificate (PEM, with its chain): TCP speaks TLS 1.3 only
  --tls-key FILE          its private key (PEM)
  --nic uring|dpdk:DEVICE datagrams through the kernel, or through a device of Eagre's own: a PCI address (0000:03:00.0) or a
                          DPDK vdev (net_af_xdp0,iface=eth1). Several times: several devices, on one link    (uring)
  --nic-address ADDR/BITS the IPv4 address that Eagre answers to there, and its network; not one of the kernel's
  --nic-gateway ADDR      for those who are not on that network
  --nic-no-huge           without huge pages: slower, for trying it out
  --insecure              allow an address beyond loopback although --auth is off
  --wait POLICY           spin, adaptive or block                               (adaptive)
  --sched POLICY          other or idle: SCHED_IDLE, for cores kept for Eagre   (other)
  --segment-bytes N       size of a journal segment, fixed at the first start   (134217728)
  --ready-segments N      segments kept zeroed ahead, per journal               (2)
  --window-bytes N        memory for the recent past, per journal; there is one for every core in every data directory
                                                                                (33554432)
  --commit-bytes N        a commit is sealed at this size                       (1048576)
  --prepare-bytes-per-s N rate of zeroing ahead                                 (536870912)
  --cleaner on|off        move what is alive out of mostly dead segments        (on)
  --cleaner-bytes-per-s N read and written by it together, at most, per core    (67108864)
  --cleaner-pause-us N    it waits so long after each 256 KiB while commits wait (4000)
  --store-bytes-max N     all that is stored takes up at most so much; at least 6 segments per core  (as much as there is)
  --disk-reserve N        free space of the disk that is never used: writes are refused before       (268435456)
  --when-full WHAT        refuse: writes wait until there is room; trim-oldest: the oldest records make room  (refuse)
  --shards-max N          shards per core                                       (16384)
  --lock-memory           mlockall
  --mutant NAME           for tests: switch one protection off
  --list-crash-points     for tests: where EAGRE_CRASH_AT=NAME[:VISIT] in the environment kills this process
  --help, --version

Sizes take suffixes K, M, G (powers of 1024).

Examples:
  eagred --data /var/lib/eagre
  eagred --data /fast/eagre --cores 2,3 --wait spin --sched idle
  eagred --data /var/lib/eagre --also /mnt/nvme1/eagre
  eagred --data /var/lib/eagre --cores 2,3 --auth on --nic dpdk:0000:03:00.0 --nic-address 10.0.0.5/24
)";

bool parse_number(std::string_view text, uint64_t& value) {
    uint64_t factor = 1;
    if (!text.empty()) {
        const char last = text.back();
        if (last == 'K' || last == 'k') factor = 1ULL << 10U;
        if (last == 'M' || last == 'm') factor = 1ULL << 20U;
        if (last == 'G' || last == 'g') factor = 1ULL << 30U;
        if (factor != 1) text.remove_suffix(1);
    }
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (code != std::errc() || end != text.data() + text.size() || value > UINT64_MAX / factor) return false;
    value *= factor;
    return true;
}

bool parse_cpus(std::string_view text, std::vector<uint32_t>& cpus) {
    cpus.clear();
    if (text.ends_with(',')) return false;
    while (!text.empty()) {
        const size_t comma = text.find(',');
        const std::string_view part = text.substr(0, comma);
        text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
        const size_t dash = part.find('-');
        uint64_t first = 0;
        uint64_t last = 0;
        if (!parse_number(part.substr(0, dash), first)) return false;
        last = first;
        if (dash != std::string_view::npos && !parse_number(part.substr(dash + 1), last)) return false;
        if (last < first || last > 4095) return false;
        for (uint64_t cpu = first; cpu <= last; ++cpu) {
            // One reactor to a CPU: two would only take turns.
            if (std::find(cpus.begin(), cpus.end(), cpu) != cpus.end()) return false;
            cpus.push_back(static_cast<uint32_t>(cpu));
        }
    }
    return !cpus.empty() && cpus.size() <= kCoreCountMax;
}

bool parse_nic(std::string_view text, std::vector<std::string>& nics) {
    if (text == "uring") return nics.clear(), true;
    if (!text.starts_with("dpdk:") || text.size() == 5) return false;
    nics.emplace_back(text.substr(5));
    return true;
}

bool is_ip4(std::string_view text) { return io::parse_address(text, 0).family == 4; }

bool parse_network(std::string_view text, std::string& address, uint32_t& prefix_bits) {
    const size_t slash = text.find('/');
    uint64_t bits = 0;
    if (slash == std::string_view::npos || !parse_number(text.substr(slash + 1), bits) || bits < 1 || bits > 32) return false;
    address = std::string(text.substr(0, slash));
    prefix_bits = static_cast<uint32_t>(bits);
    return is_ip4(address);
}

bool set_mutant(std::string_view name, journal::Mutants& mutants) {
    if (name == "ack-before-sync") mutants.ack_before_sync = true;
    else if (name == "skip-one-sync") mutants.skip_one_sync = true;
    else if (name == "ignore-run-crc") mutants.ignore_run_crc = true;
    else if (name == "append-to-old-tail") mutants.append_to_old_tail = true;
    else if (name == "recycle-before-sync") mutants.recycle_before_sync = true;
    else if (name == "accept-repeated-batch") mutants.accept_repeated_batch = true;
    else return false;
    return true;
}

// One option with its value; false when the value is no good.
bool apply(Options& o, std::string_view name, std::string_view value) {
    uint64_t number = 0;
    const bool is_number = parse_number(value, number);
    if (name == "--also") return o.also.emplace_back(value), !value.empty();
    if (name == "--data") return o.data = std::string(value), !value.empty();
    if (name == "--cores") return parse_cpus(value, o.cpus);
    if (name == "--listen") return o.listen = std::string(value), !value.empty();
    if (name == "--tls-cert") return o.tls_cert = std::string(value), !value.empty();
    if (name == "--tls-key") return o.tls_key = std::string(value), !value.empty();
    if (name == "--nic") return parse_nic(value, o.nics);
    if (name == "--nic-address") return parse_network(value, o.nic_address, o.nic_prefix_bits);
    if (name == "--nic-gateway") return o.nic_gateway = std::string(value), is_ip4(value);
    if (name == "--auth") return o.auth = value == "on", value == "on" || value == "off";
    if (name == "--cleaner") return o.journal.cleaner = value == "on", value == "on" || value == "off";
    if (name == "--mutant") return set_mutant(value, o.journal.mutants);
    if (name == "--wait") {
        if (value == "spin") o.wait = reactor::WaitPolicy::kSpin;
        else if (value == "adaptive") o.wait = reactor::WaitPolicy::kAdaptive;
        else if (value == "block") o.wait = reactor::WaitPolicy::kBlock;
        else return false;
        return true;
    }
    if (name == "--sched") return o.sched_idle = value == "idle", value == "idle" || value == "other";
    if (name == "--when-full") return o.journal.trim_when_full = value == "trim-oldest", o.journal.trim_when_full || value == "refuse";
    if (!is_number) return false;
    if (name == "--store-bytes-max") return o.store_bytes_max = number, number > 0;
    if (name == "--disk-reserve") return o.journal.disk_reserve_bytes = number, number <= 1ULL << 50U;
    if (name == "--port") return o.port = static_cast<uint16_t>(number), number <= 65535 - kCoreCountMax;
    if (name == "--segment-bytes") return o.journal.segment_bytes = number, number >= 4 * kMiB && number <= 4ULL << 30U && number % kMiB == 0;
    if (name == "--ready-segments") return o.journal.ready_segment_count = static_cast<uint32_t>(number), number >= 1 && number <= 1024;
    if (name == "--window-bytes") return o.journal.window_bytes = number, number >= 16 * kMiB && number <= 64ULL << 30U && number % kMiB == 0;
    if (name == "--commit-bytes") return o.journal.commit_bytes_max = static_cast<uint32_t>(number), number >= 64 * kKiB && number <= 4 * kMiB;
    if (name == "--prepare-bytes-per-s") return o.journal.prepare_bytes_per_s = number, number >= kMiB;
    if (name == "--cleaner-bytes-per-s") return o.journal.cleaner_bytes_per_s = number, number >= kMiB && number <= 1ULL << 40U;
    if (name == "--cleaner-pause-us") return o.journal.cleaner_pause_ns = number * 1000, number <= 10'000'000;
    if (name == "--shards-max") return o.journal.shard_count_max = static_cast<uint32_t>(number), number >= 1 && number <= kBoxShardCountMax;
    return false;
}

}  // namespace

ParsedOptions parse_options(int argc, char** argv) {
    static constexpr std::string_view kWithValue[] = {
        "--data", "--also", "--cores", "--listen", "--port", "--nic", "--nic-address", "--nic-gateway", "--auth", "--tls-cert", "--tls-key", "--wait", "--sched", "--segment-bytes", "--ready-segments",
        "--store-bytes-max", "--disk-reserve", "--when-full", "--window-bytes", "--commit-bytes", "--prepare-bytes-per-s", "--cleaner",
        "--cleaner-bytes-per-s", "--cleaner-pause-us", "--shards-max", "--mutant"};
    ParsedOptions parsed;
    for (int i = 1; i < argc; ++i) {
        std::string_view name = argv[i];
        if (name == "--help" || name == "-h") {
            std::fputs(kHelp, stdout);
            parsed.exit_now = true;
            return parsed;
        }
        if (name == "--version") {
            std::puts("eagred 0.1.0");
            parsed.exit_now = true;
            return parsed;
        }
        if (name == "--list-crash-points") {
            std::fputs(CrashPoint::list().c_str(), stdout);
            parsed.exit_now = true;
            return parsed;
        }
        if (name == "--insecure") {
            parsed.options.insecure = true;
            continue;
        }
        if (name == "--nic-no-huge") {
            parsed.options.nic_huge_pages = false;
            continue;
        }
        if (name == "--lock-memory") {
            parsed.options.lock_memory = true;
            continue;
        }
        std::string_view value;
        const size_t equals = name.find('=');
        if (equals != std::string_view::npos) {
            value = name.substr(equals + 1);
            name = name.substr(0, equals);
        }
        bool known = false;
        for (const std::string_view each : kWithValue) known = known || each == name;
        if (!known) {
            parsed.error = "unknown option " + std::string(name) + ": see eagred --help";
            return parsed;
        }
        if (equals == std::string_view::npos) {
            if (i + 1 == argc) {
                parsed.error = std::string(name) + " needs a value: see eagred --help";
                return parsed;
            }
            value = argv[++i];
        }
        if (!apply(parsed.options, name, value)) {
            parsed.error = std::string(name) + " can't be '" + std::string(value) + "': see eagred --help";
            return parsed;
        }
    }
    if (parsed.options.tls_cert.empty() != parsed.options.tls_key.empty()) {
        parsed.error = "--tls-cert and --tls-key go together: see eagred --help";
    }
    if (!parsed.options.nics.empty() && parsed.options.nic_address.empty()) {
        parsed.error = "--nic dpdk: needs an address to answer to: --nic-address 10.0.0.5/24";
    }
    if (parsed.options.data.empty()) parsed.error = "say where the data lives: --data DIR";
    return parsed;
}

bool is_loopback(const std::string& address) { return address.starts_with("127.") || address == "::1"; }

}  // namespace eagre
