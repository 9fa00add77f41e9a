#include "perf/scenarios/blast.h"

#include <cerrno>
#include <cstring>
#include <vector>

#include <arpa/inet.h>
#include <flatbuffers/flatbuffers.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "perf/ceilings/machine.h"
#include "wire/base/assert.h"
#include "wire/frame/frame.h"
#include "wire/schema/request_generated.h"

namespace eagre::perf {
namespace {

using frame::FrameHeader;
using frame::FrameKind;

// Frames are sent in a cycle; one per shard, at most this many.
constexpr size_t kFrameCountMax = 1024;
// Records looked at for one frame before giving up: the pool may have no key of a shard.
constexpr uint64_t kRecordTriesMax = 16 * uint64_t{RecordPool::kRecordCount};

// A whole frame: header and payload. `header`: its kind and other fields; lengths and CRCs are
// filled in.
std::vector<std::byte> frame_of(FrameHeader header, std::span<const std::byte> payload) {
    std::vector<std::byte> bytes(sizeof header + (payload.size() + 7) / 8 * 8);
    if (!payload.empty()) std::memcpy(bytes.data() + sizeof header, payload.data(), payload.size());
    frame::seal_frame(header, std::span(bytes).subspan(sizeof header));
    std::memcpy(bytes.data(), &header, sizeof header);
    return bytes;
}

std::vector<std::byte> frame_of(FrameKind kind, const flatbuffers::FlatBufferBuilder& payload) {
    FrameHeader header;
    header.kind = kind;
    return frame_of(header,
                    std::as_bytes(std::span(payload.GetBufferPointer(), payload.GetSize())));
}

std::vector<std::byte> append_frame(const wire::StreamInfo& stream, const wire::ShardInfo& shard,
                                    const BlastOptions& options, const RecordPool& pool,
                                    uint64_t* cursor) {
    const HashKeyRange range{{shard.starting_hash_high(), shard.starting_hash_low()},
                             {shard.ending_hash_high(), shard.ending_hash_low()}};
    frame::BatchBuilder builder;
    // Only keys of this shard: the server hashes a sample again.
    const uint64_t tries_end = *cursor + kRecordTriesMax;
    while (builder.payload_bytes() < options.batch_bytes && *cursor < tries_end) {
        const frame::RecordView record = pool.record((*cursor)++);
        if (!range.contains(frame::hash_of(record))) continue;
        if (!builder.add(record)) break;
    }
    FrameHeader header;
    header.kind = FrameKind::kAppend;
    header.shard = shard.id();
    header.sequence = stream.map_version();
    header.record_count = builder.record_count();
    if (header.record_count == 0) return {};
    return frame_of(header, builder.finish());
}

class Pipe {
  public:
    Pipe()
        : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
          buffer_(frame::kHeaderBytes + kControlPayloadBytesMax) {}
    ~Pipe() { ::close(fd_); }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;

    Status connect(uint16_t port) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(port);
        if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
            return os_error(Errc::kDisconnected, errno);
        const int on = 1;
        ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        return {};
    }

    /// Blocks until all is sent.
    Status send(std::span<const std::byte> bytes) {
        while (!bytes.empty()) {
            const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent <= 0) return os_error(Errc::kDisconnected, errno);
            bytes = bytes.subspan(static_cast<size_t>(sent));
        }
        return {};
    }

    /// Receives what is there (`wait`: at least something) and hands out whole frames: take(header,
    /// payload).
    template <class Take>
    Status receive(bool wait, Take take) {
        const ssize_t got =
            ::recv(fd_, buffer_.data() + held_, buffer_.size() - held_, wait ? 0 : MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return {};
        if (got <= 0) return os_error(Errc::kDisconnected, errno);
        held_ += static_cast<size_t>(got);
        size_t at = 0;
        while (held_ - at >= frame::kHeaderBytes) {
            FrameHeader header;
            std::memcpy(&header, buffer_.data() + at, sizeof header);
            if (held_ - at < frame::kHeaderBytes + header.payload_bytes) break;
            take(header,
                 std::span(buffer_).subspan(at + frame::kHeaderBytes, header.payload_bytes));
            at += frame::kHeaderBytes + header.payload_bytes;
        }
        if (at > 0) std::memmove(buffer_.data(), buffer_.data() + at, held_ - at);
        held_ -= at;
        return {};
    }

    /// Sends `request` and waits for the one frame that answers it. Errors: kDisconnected,
    /// kBadLength.
    Result<std::vector<std::byte>> ask(std::span<const std::byte> request) {
        if (Status status = send(request); !status) return status.error();
        std::vector<std::byte> answer;
        bool answered = false;
        while (!answered) {
            if (held_ == buffer_.size()) return Errc::kBadLength;
            const Status status =
                receive(true, [&](const FrameHeader&, std::span<const std::byte> payload) {
                    answer.assign(payload.begin(), payload.end());
                    answered = true;
                });
            if (!status) return status.error();
        }
        return answer;
    }

  private:
    int fd_;
    size_t held_ = 0;
    std::vector<std::byte> buffer_;
};

}  // namespace

Result<JsonLine> run_blast(const BlastOptions& options) {
    Pipe pipe;
    if (Status status = pipe.connect(options.port); !status) return status.error();
    flatbuffers::FlatBufferBuilder hello;
    hello.Finish(wire::CreateHelloDirect(hello, "perf_blast"));
    if (auto answer = pipe.ask(frame_of(FrameKind::kHello, hello)); !answer) return answer.error();
    flatbuffers::FlatBufferBuilder question;
    question.Finish(wire::CreateMetadataRequestDirect(question, options.stream.c_str()));
    const auto answer = pipe.ask(frame_of(FrameKind::kMetadata, question));
    if (!answer) return answer.error();
    if (answer->empty()) return Errc::kUnknownStream;
    const auto* streams = flatbuffers::GetRoot<wire::MetadataReply>(answer->data())->streams();
    if (streams == nullptr || streams->size() != 1 || streams->Get(0)->shards() == nullptr)
        return Errc::kUnknownStream;
    const wire::StreamInfo& stream = *streams->Get(0);

    const RecordPool pool(options.pool);
    std::vector<std::vector<std::byte>> frames;
    std::vector<uint32_t> counts;
    uint64_t cursor = 0;
    for (const wire::ShardInfo* shard : *stream.shards()) {
        if (frames.size() == kFrameCountMax) break;
        frames.push_back(append_frame(stream, *shard, options, pool, &cursor));
        if (frames.back().empty()) return error_of(Errc::kBadPartitionKey, shard->id());
        FrameHeader header;
        std::memcpy(&header, frames.back().data(), sizeof header);
        counts.push_back(header.record_count);
    }
    if (frames.empty()) return Errc::kUnknownShard;

    const size_t frame_bytes = frames.front().size();
    const uint64_t window_frames = std::max<uint64_t>(1, options.window_bytes / frame_bytes);
    std::vector<uint64_t> sent_ns(window_frames);
    auto ack_ns = std::make_unique<Histogram>();
    uint64_t sent = 0;
    uint64_t acked = 0;
    uint64_t records = 0;
    Error refused;
    bool counting = false;
    const uint64_t start = monotonic_ns();
    const uint64_t begin = start + static_cast<uint64_t>(options.warmup_s * 1e9);
    const uint64_t end = begin + static_cast<uint64_t>(options.seconds * 1e9);
    uint64_t first_ns = start;
    uint64_t first_cpu_ns = process_cpu_ns();
    uint64_t now = start;
    const auto take = [&](const FrameHeader& reply, std::span<const std::byte>) {
        if (frame::errc_of(reply) != Errc::kOk)
            refused = error_of(frame::errc_of(reply), reply.detail);
        if (counting) {
            ack_ns->record(monotonic_ns() - sent_ns[acked % window_frames]);
            records += counts[acked % frames.size()];
        }
        ++acked;
    };
    while (now < end && refused.code == Errc::kOk) {
        const bool full = sent - acked == window_frames;
        if (!full) {
            sent_ns[sent % window_frames] = now;
            if (Status status = pipe.send(frames[sent % frames.size()]); !status)
                return status.error();
            ++sent;
        }
        if (Status status = pipe.receive(full, take); !status) return status.error();
        now = monotonic_ns();
        if (!counting && now >= begin) {
            counting = true;
            first_ns = now;
            first_cpu_ns = process_cpu_ns();
        }
    }
    const double wall_s = static_cast<double>(now - first_ns) / 1e9;
    const uint64_t cpu_ns = process_cpu_ns() - first_cpu_ns;
    while (acked < sent && refused.code == Errc::kOk) {
        counting = false;
        if (Status status = pipe.receive(true, take); !status) return status.error();
    }
    if (refused.code != Errc::kOk) return refused;
    JsonLine line;
    line.add("records_per_s", static_cast<double>(records) / wall_s)
        .add("records", records)
        .add("mb_per_s", static_cast<double>(ack_ns->count() * frame_bytes) / 1e6 / wall_s)
        .add("records_per_batch", uint64_t{counts.front()})
        .add("seconds", wall_s)
        .add("generator_cpu_share", static_cast<double>(cpu_ns) / 1e9 / wall_s)
        .add_us("ack_us", *ack_ns);
    return line;
}

}  // namespace eagre::perf
