#include "perf/scenarios/box.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "perf/ceilings/machine.h"
#include "wire/client/control_client.h"
#include "wire/shm/stats.h"

namespace eagre::perf {
namespace {

void pause_ns(int64_t ns) {
    const timespec pause{0, ns};
    ::nanosleep(&pause, nullptr);
}

// One whole attempt at being served.
Status try_serving(const ServingOptions& options) {
    auto client = client::Client::connect(client::make_tcp_transport(options.spin), options.client);
    if (!client) return client.error();
    const auto stream = (*client)->describe(options.stream);
    if (!stream) return stream.error();
    for (const client::ShardDescription& shard : stream->shards) {
        if (!shard.open || !shard.available) return error_of(Errc::kUnavailable, shard.id.value);
    }
    auto producer = (*client)->make_producer(options.stream, {});
    if (!producer) return producer.error();
    frame::RecordView record;
    record.partition_key = "after the restart";
    const std::string data = "served";
    record.data = std::as_bytes(std::span(data));
    const auto stored = (*producer)->put_sync(record);
    if (!stored) return stored.error();

    client::ConsumerOptions consumer_options;
    consumer_options.shards = {stored->first};
    consumer_options.start = {frame::Position::kAtSequenceNumber, stored->second.value};
    auto consumer = (*client)->make_consumer(options.stream, consumer_options);
    if (!consumer) return consumer.error();
    bool read = false;
    (*consumer)->on_delivery([&](const client::Delivery&) { read = true; });
    const uint64_t end = monotonic_ns() + options.client.request_timeout_ns;
    while (!read && monotonic_ns() < end) (*client)->poll(1'000'000);
    if (!read) return Errc::kTimeout;
    return {};
}

struct Mapping {
    void* base = MAP_FAILED;
    size_t bytes = 0;
    ~Mapping() {
        if (base != MAP_FAILED) ::munmap(base, bytes);
    }
};

Status map_file(const std::string& path, Mapping& mapping) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return os_error(Errc::kIo, errno);
    struct stat status {};
    if (::fstat(fd, &status) == 0) {
        mapping.bytes = static_cast<size_t>(status.st_size);
        if (mapping.bytes >= sizeof(shm::StatsHeader))
            mapping.base = ::mmap(nullptr, mapping.bytes, PROT_READ, MAP_SHARED, fd, 0);
    }
    ::close(fd);
    if (mapping.base == MAP_FAILED) return os_error(Errc::kIo, errno);
    return {};
}

}  // namespace

Result<JsonLine> create_stream(const CreateOptions& options) {
    const uint64_t end = monotonic_ns() + options.timeout_ns;
    while (true) {
        Error error;
        auto control = client::ControlClient::connect(options.socket_path, options.timeout_ns);
        if (control) {
            const auto stream = (*control)->create_stream({.name = options.stream,
                                                           .shard_count = options.shard_count,
                                                           .retention_ms = options.retention_ms});
            if (stream) {
                JsonLine line;
                line.add("stream", options.stream)
                    .add("shards", static_cast<uint64_t>(stream->shards.size()));
                return line;
            }
            error = stream.error();
            // Control is up, but has not yet found the dataplane.
            if (error.code != Errc::kUnavailable && error.code != Errc::kDisconnected) return error;
        } else {
            error = control.error();
        }
        if (monotonic_ns() >= end) return error;
        pause_ns(10'000'000);
    }
}

Result<JsonLine> wait_until_serving(const ServingOptions& options) {
    const uint64_t end = monotonic_ns() + options.timeout_ns;
    uint64_t attempts = 0;
    while (monotonic_ns() < end) {
        ++attempts;
        if (try_serving(options)) {
            JsonLine line;
            line.add("serving_ns", monotonic_ns()).add("attempts", attempts);
            return line;
        }
        pause_ns(1'000'000);
    }
    return error_of(Errc::kTimeout, attempts);
}

Result<JsonLine> read_stats(const std::string& path) {
    Mapping mapping;
    if (Status status = map_file(path, mapping); !status) return status.error();
    const auto* header = static_cast<const shm::StatsHeader*>(mapping.base);
    if (header->magic != shm::kStatsMagic || header->version != shm::kStatsVersion)
        return error_of(Errc::kBadVersion, header->version);
    if (mapping.bytes < shm::stats_file_bytes(header->core_count, header->shard_capacity))
        return Errc::kBadLength;

    using Member = uint64_t shm::CoreStats::*;
    static constexpr std::pair<const char*, Member> kCounters[] = {
        {"cpu_ns", &shm::CoreStats::cpu_ns},
        {"frames_in", &shm::CoreStats::frames_in},
        {"batches_appended", &shm::CoreStats::batches_appended},
        {"records_appended", &shm::CoreStats::records_appended},
        {"payload_bytes_appended", &shm::CoreStats::payload_bytes_appended},
        {"payload_bytes_delivered", &shm::CoreStats::payload_bytes_delivered},
        {"records_delivered", &shm::CoreStats::records_delivered},
        {"deliveries_from_memory", &shm::CoreStats::deliveries_from_memory},
        {"deliveries_from_device", &shm::CoreStats::deliveries_from_device},
        {"commit_count", &shm::CoreStats::commit_count},
        {"journal_bytes", &shm::CoreStats::journal_bytes},
        {"device_written_bytes", &shm::CoreStats::device_written_bytes},
        {"device_read_bytes", &shm::CoreStats::device_read_bytes},
        {"segments_live", &shm::CoreStats::segments_live},
        {"segments_ready", &shm::CoreStats::segments_ready},
        {"segments_recycled", &shm::CoreStats::segments_recycled},
        {"alive_bytes", &shm::CoreStats::alive_bytes},
        {"used_bytes", &shm::CoreStats::used_bytes},
        {"relocated_bytes", &shm::CoreStats::relocated_bytes},
    };
    JsonLine line;
    line.add("incarnation", header->incarnation).add("cores", uint64_t{header->core_count});
    for (const auto& [name, member] : kCounters) {
        uint64_t sum = 0;
        for (uint32_t core = 0; core < header->core_count; ++core)
            sum += shm::core_stats(mapping.base, core)->*member;
        line.add(name, sum);
    }
    uint64_t busy_ns = 0;
    for (uint32_t core = 0; core < header->core_count; ++core) busy_ns += shm::core_stats(mapping.base, core)->turn_ns.sum();
    line.add("turn_busy_ns", busy_ns);  // Of turns that did something: what a core that polls has really worked.
    return line;
}

}  // namespace eagre::perf
