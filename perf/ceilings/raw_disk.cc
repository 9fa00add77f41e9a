// raw_disk: what the disk gives to whoever asks plainly. Two ceilings: write + fdatasync in a loop
// at one size on a zero-filled file (what a synced commit costs), and direct reads with several
// under way (what catch-up can reach). Prints one JSON line per size.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "perf/ceilings/json_line.h"
#include "perf/ceilings/machine.h"
#include "perf/ceilings/zero_file.h"
#include "wire/base/limits.h"

namespace eagre::perf {
namespace {

struct Options {
    std::string mode = "write";
    std::vector<std::string> files;
    uint64_t file_bytes = 1024 * kMiB;
    std::vector<uint64_t> sizes{64 * kKiB, 256 * kKiB, kMiB};
    double seconds = 1.0;
    uint32_t depth = 8;
    uint64_t stride_bytes = 0;
    int cpu = -1;
};

JsonLine line_of(const Options& options, uint64_t size, uint64_t bytes, uint64_t wall_ns,
                 const Histogram& ns) {
    const double seconds = static_cast<double>(wall_ns) / 1e9;
    JsonLine line;
    line.add("mode", options.mode)
        .add("bytes", size)
        .add("depth", options.mode == "write" ? uint64_t{1} : uint64_t{options.depth})
        .add("total_bytes", bytes)
        .add("seconds", seconds)
        .add("mb_per_s", static_cast<double>(bytes) / 1e6 / seconds)
        .add_us("us", ns);
    return line;
}

Status measure_writes(const Options& options, ZeroFile& file, uint64_t size) {
    const AlignedBuffer buffer = make_aligned(size);
    std::memset(buffer.get(), 0x5A, size);
    Histogram ns;
    uint64_t bytes = 0;
    const uint64_t begin = monotonic_ns();
    const uint64_t end = begin + static_cast<uint64_t>(options.seconds * 1e9);
    uint64_t now = begin;
    while (now < end) {
        if (Status status = file.append({buffer.get(), size}); !status) return status;
        if (Status status = file.sync(); !status) return status;
        const uint64_t then = now;
        now = monotonic_ns();
        ns.record(now - then);
        bytes += size;
    }
    std::printf("%s\n", line_of(options, size, bytes, now - begin, ns).text().c_str());
    return {};
}

struct ReadPlace {
    int fd;
    uint64_t offset_bytes;
};

// `depth` threads, each with one pread under way, take the next place in order: a plain way to keep
// a queue of that depth, good for any size that takes the device longer than a wake-up does.
Status measure_reads(const Options& options, const std::vector<int>& fds, uint64_t size) {
    std::vector<ReadPlace> places;
    const uint64_t stride = std::max(options.stride_bytes, size);
    for (const int fd : fds) {
        struct stat status {};
        if (::fstat(fd, &status) != 0) return os_error(Errc::kIo, errno);
        for (uint64_t at = 0; at + size <= static_cast<uint64_t>(status.st_size); at += stride)
            places.push_back({fd, at});
    }
    if (places.empty()) return error_of(Errc::kBadLength, size);
    std::atomic<uint64_t> next{0};
    std::atomic<int> failed_errno{0};
    std::vector<Histogram> ns(options.depth);
    const uint64_t begin = monotonic_ns();
    const uint64_t end = begin + static_cast<uint64_t>(options.seconds * 1e9);
    std::vector<std::thread> threads;
    for (uint32_t t = 0; t < options.depth; ++t) {
        threads.emplace_back([&, t] {
            const AlignedBuffer buffer = make_aligned(size);
            for (uint64_t now = monotonic_ns(); now < end;) {
                const uint64_t index = next.fetch_add(1);
                // Once through, or until the time is up: a second pass would read what the host may
                // have cached by now.
                if (index >= places.size()) return;
                const ReadPlace& place = places[index];
                const ssize_t got =
                    ::pread(place.fd, buffer.get(), size, static_cast<off_t>(place.offset_bytes));
                if (got != static_cast<ssize_t>(size)) {
                    failed_errno = got < 0 ? errno : EIO;
                    return;
                }
                const uint64_t then = now;
                now = monotonic_ns();
                ns[t].record(now - then);
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    if (failed_errno != 0) return os_error(Errc::kIo, failed_errno);
    const uint64_t wall_ns = monotonic_ns() - begin;
    Histogram all;
    for (const Histogram& one : ns) all.merge(one);
    std::printf("%s\n", line_of(options, size, all.count() * size, wall_ns, all).text().c_str());
    return {};
}

Status run(const Options& options) {
    if (options.mode == "write") {
        auto file = ZeroFile::create(options.files.front(), options.file_bytes);
        if (!file) return file.error();
        for (const uint64_t size : options.sizes) {
            if (Status status = measure_writes(options, *file, size); !status) return status;
        }
        return {};
    }
    std::vector<int> fds;
    for (const std::string& path : options.files) {
        const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
        if (fd < 0) return os_error(Errc::kIo, errno);
        fds.push_back(fd);
    }
    for (const uint64_t size : options.sizes) {
        if (Status status = measure_reads(options, fds, size); !status) return status;
    }
    for (const int fd : fds) ::close(fd);
    return {};
}

}  // namespace
}  // namespace eagre::perf

int main(int argc, char** argv) {
    eagre::perf::Options options;
    CLI::App app{
        "Write+fdatasync and direct-read ceilings of a disk; one JSON line per size.\n"
        "Examples:\n  raw_disk --mode write --file build/raw.bin --size 262144 1048576\n"
        "  raw_disk --mode read --depth 8 --size 1048576 --file DATA/journal-0000/*"};
    app.add_option("--mode", options.mode,
                   "write: create --file with zeros, then write+fdatasync in a loop; read: direct "
                   "reads of --file, once through")
        ->check(CLI::IsMember({"write", "read"}));
    app.add_option("--file", options.files,
                   "write: one file, overwritten; read: any number of files")
        ->required();
    app.add_option("--file-bytes", options.file_bytes, "write: size of the file")
        ->check(CLI::Range(uint64_t{16} << 20U, uint64_t{1} << 40U));
    app.add_option("--size", options.sizes, "Bytes per operation, a multiple of 4096");
    app.add_option("--seconds", options.seconds, "At most this long per size")
        ->check(CLI::Range(0.01, 600.0));
    app.add_option("--depth", options.depth, "read: reads under way at once")
        ->check(CLI::Range(1U, 64U));
    app.add_option("--stride", options.stride_bytes,
                   "read: from one read's beginning to the next; 0: no gap");
    app.add_option("--cpu", options.cpu, "CPU to run on; -1: any");
    CLI11_PARSE(app, argc, argv);
    for (const uint64_t size : options.sizes) {
        if (size == 0 || size % eagre::perf::kDirectAlignment != 0 || size > options.file_bytes) {
            std::fprintf(stderr,
                         "raw_disk: --size must be a multiple of 4096, at most --file-bytes\n");
            return 2;
        }
    }
    options.file_bytes = options.file_bytes / eagre::kMiB * eagre::kMiB;
    if (options.cpu >= 0) eagre::perf::pin_to_cpu(static_cast<uint32_t>(options.cpu));
    const eagre::Status status = eagre::perf::run(options);
    if (!status) std::fprintf(stderr, "raw_disk: %s\n", std::strerror(status.error().os_errno));
    return status ? 0 : 1;
}
