// raw_scatter: what a core gives that only sorts records into batches, one batch a shard, checksums each whole batch and sends it over
// loopback TCP to a core that copies what it receives. No hash of keys, no headers, no answers. Of as many bytes in open batches a
// thousand batches are out of the core's cache where four are in it: how much that costs on this machine is what no producer can do
// better. Prints one JSON line.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "perf/ceilings/json_line.h"
#include "perf/ceilings/machine.h"
#include "perf/ceilings/tcp_pair.h"
#include "wire/base/crc32c.h"
#include "wire/base/limits.h"
#include "wire/base/prng.h"

namespace eagre::perf {
namespace {

constexpr size_t kLine = 64;
constexpr size_t kRecordCount = 16 * 1024;      // Made before the clock starts, then repeated.
constexpr size_t kSourceBytes = 128 * 1024;     // Data are windows of it: the source stays in the L2 cache.
constexpr size_t kBurst = 32;                   // Records whose cache misses overlap.
constexpr size_t kBatchBytesMax = 64 * kKiB;
constexpr size_t kSendBytes = 64 * kKiB;        // Closed batches go out together, from here on.
constexpr size_t kReceiverBytes = 64 * kMiB;    // Where the receiver copies to, as a log must.

struct Options {
    uint32_t shards = 4;
    uint64_t window_bytes = 16 * kMiB;  // Half of it in open batches, as the client library does.
    uint32_t record_bytes = 268;        // Key and data.
    double seconds = 1.0;
    uint32_t server_cpu = 0;
    uint32_t client_cpu = 1;
};

void receive_and_copy(int fd) {
    std::vector<std::byte> inbox(kMiB);
    std::vector<std::byte> log(kReceiverBytes);
    size_t at = 0;
    for (;;) {
        const ssize_t got = ::recv(fd, inbox.data(), inbox.size(), 0);
        if (got <= 0) return;
        if (at + static_cast<size_t>(got) > log.size()) at = 0;
        std::memcpy(log.data() + at, inbox.data(), static_cast<size_t>(got));
        at += static_cast<size_t>(got);
    }
}

class Scatter {
  public:
    Scatter(const Options& options, int fd) : options_(options), fd_(fd), batches_(options.shards), source_(kSourceBytes + options.record_bytes) {
        Prng prng(1);
        for (std::byte& byte : source_) byte = static_cast<std::byte>(prng.next());
        for (Record& record : records_)
            record = {static_cast<uint32_t>(prng.below(options.shards)), static_cast<uint32_t>(prng.below(kSourceBytes / kLine) * kLine)};
        // No batch is larger than what the window leaves each shard, twice over: some run ahead of others.
        capacity_ = std::min<size_t>(kBatchBytesMax, 2 * options.window_bytes / options.shards) + 2 * options.record_bytes;
    }

    /// Records per second. 0: the receiver went away.
    double run() {
        const uint64_t begin = monotonic_ns() + static_cast<uint64_t>(0.3e9);  // Until then every batch has been touched.
        const uint64_t end = begin + static_cast<uint64_t>(options_.seconds * 1e9);
        uint64_t counted_from = 0;
        uint64_t began = 0;
        for (uint64_t index = 0; good_; index += kBurst) {
            if (index % 4096 == 0) {
                const uint64_t now = monotonic_ns();
                if (began == 0 && now >= begin) {
                    began = now;
                    counted_from = index;
                }
                if (now >= end) return static_cast<double>(index - counted_from) * 1e9 / static_cast<double>(now - began);
            }
            burst(index);
        }
        return 0;
    }

  private:
    struct Record {
        uint32_t shard = 0;
        uint32_t source = 0;
    };
    struct Batch {
        std::byte* bytes = nullptr;  // Null: none is open.
        size_t size = 0;
        Batch* before = nullptr;  // The list of open ones, oldest first.
        Batch* after = nullptr;
    };

    void burst(uint64_t index) {
        for (size_t i = 0; i < kBurst; ++i) {
            const Batch& batch = batches_[records_[(index + i) % kRecordCount].shard];
            for (size_t at = 0; batch.bytes != nullptr && at < options_.record_bytes + kLine; at += kLine)
                __builtin_prefetch(batch.bytes + batch.size + at, 1);
        }
        for (size_t i = 0; i < kBurst; ++i) {
            const Record& record = records_[(index + i) % kRecordCount];
            Batch& batch = batches_[record.shard];
            if (batch.bytes != nullptr && batch.size + options_.record_bytes > capacity_) close(batch);
            if (batch.bytes == nullptr) open(batch);
            std::memcpy(batch.bytes + batch.size, source_.data() + record.source, options_.record_bytes);
            batch.size += options_.record_bytes;
            open_bytes_ += options_.record_bytes;
            look_ahead();
            if (open_bytes_ > options_.window_bytes / 2) close(*oldest_);
        }
    }

    // The oldest is closed next: as many bytes of it are asked for as went in.
    void look_ahead() {
        if (ahead_of_ != oldest_) {
            ahead_of_ = oldest_;
            ahead_ = 0;
        }
        const size_t end = std::min(ahead_ + options_.record_bytes + 2 * kLine, oldest_->size);
        for (; ahead_ < end; ahead_ += kLine) __builtin_prefetch(oldest_->bytes + ahead_);
    }

    void open(Batch& batch) {
        if (free_.empty()) {
            auto& block = blocks_.emplace_back(capacity_ + kLine);
            free_.push_back(block.data());
        }
        batch.bytes = free_.back();
        free_.pop_back();
        batch.size = kLine;  // Where a header would be.
        batch.before = newest_;
        batch.after = nullptr;
        (newest_ != nullptr ? newest_->after : oldest_) = &batch;
        newest_ = &batch;
    }

    void close(Batch& batch) {
        (batch.before != nullptr ? batch.before->after : oldest_) = batch.after;
        (batch.after != nullptr ? batch.after->before : newest_) = batch.before;
        const uint32_t crc = crc32c({batch.bytes + kLine, batch.size - kLine});
        std::memcpy(batch.bytes, &crc, sizeof(crc));
        open_bytes_ -= batch.size - kLine;
        sent_[slice_count_] = batch.bytes;
        slices_[slice_count_++] = {batch.bytes, batch.size};
        send_bytes_ += batch.size;
        batch.bytes = nullptr;
        if (send_bytes_ >= kSendBytes || slice_count_ == slices_.size()) send();
    }

    void send() {
        for (size_t first = 0; first < slice_count_;) {
            msghdr message{};
            message.msg_iov = &slices_[first];
            message.msg_iovlen = slice_count_ - first;
            const ssize_t sent = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
            if (sent <= 0) {
                good_ = false;
                break;
            }
            for (auto left = static_cast<size_t>(sent); left > 0;) {
                iovec& slice = slices_[first];
                const size_t taken = std::min(left, slice.iov_len);
                left -= taken;
                slice.iov_base = static_cast<std::byte*>(slice.iov_base) + taken;
                slice.iov_len -= taken;
                if (slice.iov_len == 0) free_.push_back(sent_[first++]);
            }
        }
        slice_count_ = 0;
        send_bytes_ = 0;
    }

    const Options& options_;
    int fd_;
    std::vector<Batch> batches_;
    std::vector<std::byte> source_;
    std::array<Record, kRecordCount> records_;
    std::vector<std::vector<std::byte>> blocks_;
    std::vector<std::byte*> free_;
    size_t capacity_ = 0;
    Batch* oldest_ = nullptr;
    Batch* newest_ = nullptr;
    const Batch* ahead_of_ = nullptr;
    size_t ahead_ = 0;
    uint64_t open_bytes_ = 0;
    std::array<iovec, 64> slices_;
    std::array<std::byte*, 64> sent_;  // Where each slice began.
    size_t slice_count_ = 0;
    size_t send_bytes_ = 0;
    bool good_ = true;
};

}  // namespace
}  // namespace eagre::perf

int main(int argc, char** argv) {
    using namespace eagre::perf;
    Options options;
    CLI::App app{"Sorts records into batches, checksums and sends them, and nothing else.\nExample: raw_scatter --shards 1000"};
    app.add_option("--shards", options.shards, "Batches that are filled at once")->check(CLI::Range(1U, 65536U));
    app.add_option("--window-bytes", options.window_bytes, "Twice what lies in open batches");
    app.add_option("--record-bytes", options.record_bytes, "Key and data of a record")->check(CLI::Range(1U, 4096U));
    app.add_option("--seconds", options.seconds, "How long")->check(CLI::Range(0.01, 600.0));
    app.add_option("--server-cpu", options.server_cpu, "CPU of the receiving thread");
    app.add_option("--client-cpu", options.client_cpu, "CPU of the sending thread");
    CLI11_PARSE(app, argc, argv);
    const TcpPair pair = connect_tcp_pair();
    std::thread server([&] {
        pin_to_cpu(options.server_cpu);
        receive_and_copy(pair.server);
    });
    pin_to_cpu(options.client_cpu);
    const double rate = std::make_unique<Scatter>(options, pair.client)->run();
    ::close(pair.client);
    server.join();
    ::close(pair.server);
    JsonLine line;
    line.add("shards", uint64_t{options.shards}).add("window_bytes", options.window_bytes).add("records_per_s", rate);
    std::printf("%s\n", line.text().c_str());
    return rate > 0 ? 0 : 1;
}
