// eagred: the dataplane. Reads as the life of the process: options, safety, directory, cores, serve, stop.
#include <unistd.h>

#include <barrier>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/box.h"
#include "dataplane/core.h"
#include "dataplane/directory_set.h"
#include "dataplane/feed/feed_store.h"
#include "dataplane/gate/key_store.h"
#include "dataplane/io/nic.h"
#include "dataplane/io/uring/shared_file.h"
#include "dataplane/io/uring/system_clock.h"
#include "dataplane/io/uring/threads.h"
#include "dataplane/io/uring/uring_io.h"
#include "dataplane/options.h"
#include "dataplane/recovered.h"
#include "dataplane/tls/tls_connections.h"
#include "wire/base/crash_point.h"
#include "wire/identity/key_file.h"

#if EAGRE_HAVE_DPDK
#include "dataplane/io/dpdk/dpdk_nic.h"
#endif

namespace eagre {
namespace {

// Exit codes: 2 for a wrong command line, 1 for everything else that keeps us from serving.
int fail(const char* what, const Error& error) {
    const std::string_view name = errc_name(error.code);
    const std::string_view advice = errc_advice(error.code);
    std::fprintf(stderr, "eagred: %s: %.*s: %.*s", what, static_cast<int>(name.size()), name.data(),
                 static_cast<int>(advice.size()), advice.data());
    if (error.os_errno != 0) std::fprintf(stderr, " (%s)", std::strerror(error.os_errno));
    if (error.detail != 0) std::fprintf(stderr, " [%" PRIu64 "]", error.detail);
    std::fputc('\n', stderr);
    return 1;
}

/// What the cores tell each other while they start: written by one before a barrier, read by all behind it.
struct Startup {
    explicit Startup(uint32_t count) : errors(count), cores(count), barrier(count) {}
    std::vector<std::optional<Error>> errors;
    std::vector<Core*> cores;
    std::barrier<> barrier;
    bool failed() const {
        for (const auto& error : errors) {
            if (error) return true;
        }
        return false;
    }
};

identity::Bytes32 random_bytes() {
    identity::Bytes32 bytes;
    for (size_t i = 0; i < bytes.size(); i += sizeof(uint64_t)) {
        const uint64_t value = io::kernel_random();
        std::memcpy(bytes.data() + i, &value, sizeof(value));
    }
    return bytes;
}

void report_recovery(uint32_t index, const Core& core) {
    for (const journal::RecoveryReport& report : core.reports()) {
        std::fprintf(stderr,
                     "eagred: core %u: journal recovered in %.1f ms: incarnation %" PRIu64 ", %" PRIu64 " sealed segments, %" PRIu64
                     " commits scanned (%.1f MiB), %" PRIu64 " bytes cut, %" PRIu64 " damaged runs\n",
                     index, static_cast<double>(report.duration_ns) / 1e6, report.incarnation, report.sealed_segment_count,
                     report.commit_count, static_cast<double>(report.scanned_bytes) / (1024.0 * 1024.0), report.cut_bytes,
                     report.damaged_run_count);
    }
}

// Null: `wrong` says why.
std::unique_ptr<io::Nic> start_nic([[maybe_unused]] const Options& options, [[maybe_unused]] uint64_t seed, std::string& wrong) {
#if EAGRE_HAVE_DPDK
    io::NicOptions nic;
    nic.devices = options.nics;
    nic.address = io::parse_address(options.nic_address, 0);
    nic.prefix_bits = options.nic_prefix_bits;
    nic.gateway = io::parse_address(options.nic_gateway, 0);
    nic.huge_pages = options.nic_huge_pages;
    nic.cpus = options.cpus;
    nic.seed = seed;
    return io::DpdkNic::start(nic, wrong);
#else
    wrong = "this eagred was built without DPDK (Debian: install libdpdk-dev, configure with -DEAGRE_DPDK=ON)";
    return nullptr;
#endif
}

// The life of one core's thread.
void core_main(Box& box, uint32_t index, const tls::TlsContext* tls, io::Nic* nic, Startup& startup, std::optional<Error>& close_error) {
    const auto give_up = [&](Error error) { startup.errors[index] = error; };
    std::unique_ptr<io::UringIo> io;
    std::unique_ptr<io::TlsConnections> encrypted;
    std::unique_ptr<io::Datagrams> device;
    std::unique_ptr<Core> core;
    auto made = io::UringIo::create({box.options.data});
    Status rooted = made ? Status() : made.error();
    for (size_t number = 1; rooted && number < box.directory_paths.size(); ++number) {
        const auto root = (*made)->add_root(box.directory_available[number] ? box.directory_paths[number] : std::string(), false);
        if (!root) rooted = root.error();
    }
    if (!rooted) {
        give_up(rooted.error());
    } else {
        io = std::move(*made);
        const io::Io plain = io->io();
        if (tls != nullptr) {
            encrypted = std::make_unique<io::TlsConnections>(plain.connections, *tls, *shm::core_stats(box.board, index));
        }
        io::Connections& connections = encrypted != nullptr ? *encrypted : plain.connections;
        if (nic != nullptr) device = nic->datagrams(index);
        io::Datagrams& datagrams = device != nullptr ? *device : plain.datagrams;
        auto created = Core::create(box, CoreIndex{index},
                                    {plain.events, connections, datagrams, plain.storage, plain.files, plain.clock, plain.seed,
                                     plain.further});
        if (!created) give_up(created.error());
        else if (nic != nullptr && device == nullptr) give_up(error_of(Errc::kLimitExceeded));
        else core = std::move(*created);
    }
    startup.cores[index] = core.get();
    startup.barrier.arrive_and_wait();  // All have recovered, or not.
    if (startup.failed()) return;
    if (index == 0) {
        for (const Core* each : startup.cores) box.incarnation = std::max(box.incarnation, each->incarnation());
    }
    const Recovered recovered = merge_recovered(startup.cores);
    report_recovery(index, *core);
    startup.barrier.arrive_and_wait();  // All have read what all recovered.
    core->start(recovered);
    if (const Status listening = core->listen(); !listening) give_up(listening.error());
    if (index == 0 && !startup.errors[0]) {
        if (const Status control = core->listen_control(box.options.data + "/eagred.sock"); !control) give_up(control.error());
    }
    startup.barrier.arrive_and_wait();  // All listen, or not.
    if (startup.failed()) return;
    if (index == 0) {
        std::string ports;
        for (const uint16_t port : box.ports) ports += std::to_string(port) + "\n";
        // The file appears when all is ready: who starts us waits for it.
        const Status written = io->io().files.replace("ports", std::as_bytes(std::span(ports.data(), ports.size())));
        if (!written) fail("can't write the ports file", written.error());
        std::fprintf(stderr, "eagred: serving on %s port %u (%u core%s), data in %s\n", box.options.listen.c_str(), box.ports[0],
                     box.core_count, box.core_count == 1 ? "" : "s", box.options.data.c_str());
        auto* header = static_cast<shm::StatsHeader*>(box.board);
        header->incarnation = box.incarnation;
    }
    core->run();
    if (const Status closed = core->close(); !closed) close_error = closed.error();
    startup.barrier.arrive_and_wait();  // Nobody wakes a core that is gone.
}

// Further directories as absolute paths without links; the main one stays as it was given. Returns what is wrong.
std::string settle_paths(Options& options) {
    std::vector<std::string> paths{options.data};
    paths.insert(paths.end(), options.also.begin(), options.also.end());
    for (std::string& path : paths) {
        std::error_code error;
        std::filesystem::path settled = std::filesystem::weakly_canonical(path, error);
        if (!settled.has_filename() && settled.has_parent_path()) settled = settled.parent_path();  // "DIR/" is DIR.
        if (!error) path = settled.string();
    }
    if (const std::string wrong = check_paths(paths); !wrong.empty()) return wrong;
    options.also.assign(paths.begin() + 1, paths.end());
    return {};
}

int serve(Options options) {
    for (const uint32_t cpu : options.cpus) {
        if (!io::cpu_is_usable(cpu)) {
            std::fprintf(stderr, "eagred: CPU %u does not exist or may not be used here: see --cores\n", cpu);
            return 2;
        }
    }
    if (!is_loopback(options.listen) && !options.insecure && !options.auth) {
        return fail(options.listen.c_str(), error_of(Errc::kInsecure));
    }
    if (const std::string wrong = settle_paths(options); !wrong.empty()) {
        std::fprintf(stderr, "eagred: --also: %s\n", wrong.c_str());
        return 2;
    }
    if (!options.nics.empty() && !options.insecure && !options.auth) {
        return fail(options.nic_address.c_str(), error_of(Errc::kInsecure));
    }
    if (!options.auth && !options.nics.empty()) {
        std::fprintf(stderr, "eagred: WARNING: at %s without authentication: anybody who reaches it can write\n", options.nic_address.c_str());
    }
    if (!options.auth && !is_loopback(options.listen)) {
        std::fprintf(stderr, "eagred: WARNING: listening on %s without authentication: anybody who reaches it can read and write\n",
                     options.listen.c_str());
    }

    // Blocks the signals before any thread exists, so that all of them inherit the mask.
    Box box;
    std::thread signals = io::watch_signals(box.stop, [&box] {
        for (io::Events* events : box.events) {
            if (events != nullptr) events->wake();
        }
    });
    const auto end = [&signals](int status) {
        io::end_signals(signals);
        return status;
    };

    box.core_count = static_cast<uint32_t>(options.cpus.size());
    // Identity and locks live as long as this back end: the directories are ours until the end.
    auto directory_io = io::UringIo::create({options.data});
    if (!directory_io) return end(fail(options.data.c_str(), directory_io.error()));
    io::Files& files = (*directory_io)->io().files;
    DirectoryRequest request{options.data, options.also, box.core_count, options.journal.segment_bytes, (*directory_io)->io().seed};
    DirectoryFault fault;
    const auto directories = open_directories(
        files, [&](const std::string& path, bool create) { return (*directory_io)->add_root(path, create); }, request, fault);
    if (!directories) return end(fail(fault.path.c_str(), fault.error));
    for (const std::string& note : directories->notes) std::fprintf(stderr, "eagred: %s\n", note.c_str());
    for (size_t at = 0; at < box.datagram_secret.size(); at += sizeof(uint64_t)) {
        const uint64_t random = io::kernel_random();
        std::memcpy(box.datagram_secret.data() + at, &random, sizeof(random));
    }
    box.options = options;
    box.take(*directories);
    auto map = load_box_map(files, box.box_id_high, box.box_id_low);
    if (map) box.last_map = std::move(*map);
    else fail("eagred.map can't be used; which shards lie in a missing journal is not known", map.error());
    std::unique_ptr<tls::TlsContext> tls;
    if (!options.tls_cert.empty()) {
        auto made = tls::TlsContext::server(options.tls_cert, options.tls_key);
        if (!made) return end(fail(options.tls_cert.c_str(), made.error()));
        tls = std::move(*made);
    }
    const auto master = identity::open_key_file(options.data, random_bytes());
    if (!master) return end(fail((options.data + "/" + identity::kKeyFileName).c_str(), master.error()));
    box.master_key = *master;
    box.nonce_seed = random_bytes();
    auto keys = gate::load_keys(files, box.master_key, box.box_id_high, box.box_id_low);
    if (keys) {
        box.keys = std::move(*keys);
    } else {
        fail("keys.sealed does not open; no key is honoured until eagre-control has told them anew", keys.error());
    }
    auto feeds = feed::load_feeds(files);
    if (feeds) box.feeds = std::move(*feeds);
    else fail("feeds.set can't be read; no feed is served until eagre-control has told them anew", feeds.error());
    if (options.store_bytes_max != 0) {
        const uint64_t guaranteed = box.journal_count * journal::kGuaranteedSegments * box.options.journal.segment_bytes;
        if (options.store_bytes_max < guaranteed) {
            std::fprintf(stderr, "eagred: --store-bytes-max must be at least %" PRIu64 " here: %" PRIu64 " segments of %" PRIu64
                         " bytes for each of %u journals\n", guaranteed, journal::kGuaranteedSegments,
                         box.options.journal.segment_bytes, box.journal_count);
            return end(2);
        }
        box.store.shared_bytes_max = options.store_bytes_max - guaranteed;
    }
    if (files.exists("ports")) (void)files.remove("ports");
    auto board = io::SharedFile::create(options.data + "/stats.shm",
                                        shm::stats_file_bytes(box.core_count, options.stats_shard_capacity));
    if (!board) return end(fail("stats.shm", board.error()));
    box.board = board->base();
    if (const Status prepared = box.prepare(); !prepared) return end(fail("memory", prepared.error()));
    auto* header = static_cast<shm::StatsHeader*>(box.board);
    header->pid = static_cast<uint32_t>(::getpid());
    header->started_wall_ns = io::SystemClock().wall_ns();
    if (options.lock_memory) {
        if (const Status locked = io::lock_memory(); !locked) fail("--lock-memory", locked.error());
    }

    std::unique_ptr<io::Nic> nic;
    if (!options.nics.empty()) {
        std::string wrong;
        nic = start_nic(options, (*directory_io)->io().seed, wrong);
        if (nic == nullptr) {
            std::fprintf(stderr, "eagred: --nic: %s\n", wrong.c_str());
            return end(1);
        }
        std::fprintf(stderr, "eagred: datagrams at %s through %s\n", options.nic_address.c_str(), nic->describe().c_str());
    }
    Startup startup(box.core_count);
    std::vector<std::optional<Error>> close_errors(box.core_count);
    std::vector<std::thread> threads;
    for (uint32_t index = 0; index < box.core_count; ++index) {
        shm::core_stats(box.board, index)->os_cpu = options.cpus[index];
        const io::ThreadOptions thread{options.cpus[index], options.sched_idle, "eagre-core"};
        threads.push_back(io::start_pinned(
            thread, [&box, &tls, &nic, &startup, &close_errors, index] { core_main(box, index, tls.get(), nic.get(), startup, close_errors[index]); }));
    }
    for (std::thread& thread : threads) thread.join();
    int status = 0;
    for (const auto& error : startup.errors) {
        if (error) status = fail("can't serve", *error);
    }
    for (const auto& error : close_errors) {
        if (error) status = fail("stopped, but a journal could not be sealed (it will be scanned at the next start)", *error);
    }
    if (status == 0) std::fprintf(stderr, "eagred: stopped in good order\n");
    return end(status);
}

}  // namespace
}  // namespace eagre

int main(int argc, char** argv) {
    eagre::ParsedOptions parsed = eagre::parse_options(argc, argv);
    if (parsed.exit_now) return 0;
    if (!parsed.error.empty()) {
        std::fprintf(stderr, "eagred: %s\n", parsed.error.c_str());
        return 2;
    }
    if (eagre::CrashPoint::arm_from_environment()) std::fputs("eagred: EAGRE_CRASH_AT is set: this process will kill itself\n", stderr);
    return eagre::serve(std::move(parsed.options));
}
