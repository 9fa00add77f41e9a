#include "perf/scenarios/udp_blast.h"

#include <cstring>
#include <memory>
#include <vector>

#include "perf/ceilings/machine.h"
#include "wire/base/limits.h"
#include "wire/client/client.h"
#include "wire/client/connection.h"

namespace eagre::perf {
namespace {

using client::SendBuffer;
using client::SendBufferPointer;
using frame::FrameHeader;
using frame::FrameKind;

constexpr uint32_t kSlotBits = 20;
constexpr uint64_t kIdleNs = 1'000'000;
constexpr uint64_t kLooseQueued = 64;

// One producer of one shard, and its batches on their way.
struct Lane {
    uint64_t shard = 0;
    uint64_t producer_id = 0;
    uint64_t next_number = 0;
    uint64_t map_version = 0;
};
struct Slot {
    SendBufferPointer frame;
    size_t lane = 0;
    uint64_t correlation = 0;  // Of the batch on its way.
    uint32_t record_count = 0;
};

class UdpBlast final : public client::ConnectionEvents {
  public:
    explicit UdpBlast(UdpBlastOptions options)
        : options_(std::move(options)), pool_(options_.pool), transport_(options_.transport != nullptr ? std::move(options_.transport) : client::make_tcp_transport()) {}

    Status prepare() {
        client_options_.port = options_.port;
        auto client = client::Client::connect(client::make_tcp_transport(), client_options_);
        if (!client) return client.error();
        const auto stream = (*client)->describe(options_.stream);
        if (!stream) return stream.error();
        uint64_t cursor = 0;
        for (const client::ShardDescription& shard : stream->shards) {
            for (uint32_t i = 0; i < options_.producer_count; ++i) {
                lanes_.push_back({shard.id.value, options_.loose ? 0 : transport_->random() | 1, 0, stream->map_version});
                for (uint32_t batch = 0; batch < kProducerWindow; ++batch) {
                    if (Status made = make_slot(shard.range, cursor); !made) return made;
                }
            }
        }
        if (slots_.size() >= 1U << kSlotBits) return error_of(Errc::kBadArgument, slots_.size());
        client_options_.datagrams = true;
        client_options_.datagram_bytes = options_.datagram_bytes;
        connection_ = std::make_unique<client::Connection>(*transport_, *this, client_options_, 0, options_.port);
        return {};
    }

    Result<JsonLine> run() {
        const uint64_t start_ns = monotonic_ns();
        const uint64_t begin_ns = start_ns + static_cast<uint64_t>(options_.warmup_s * 1e9);
        const uint64_t end_ns = begin_ns + static_cast<uint64_t>(options_.seconds * 1e9);
        if (!poll_until(begin_ns)) return error_;
        const uint64_t records = records_;
        const uint64_t batches = batches_;
        const uint64_t cpu_ns = thread_cpu_ns();
        const uint64_t counted_ns = monotonic_ns();
        if (!poll_until(end_ns)) return error_;
        if (options_.loose) return loose_report();
        const double seconds = static_cast<double>(monotonic_ns() - counted_ns) / 1e9;
        const client::DatagramPathStats& path = connection_->datagrams()->stats();
        JsonLine line;
        line.add("datagrams_per_s", static_cast<double>(batches_ - batches) / seconds)
            .add("records_per_s", static_cast<double>(records_ - records) / seconds)
            .add("records_per_datagram", static_cast<double>(records_) / static_cast<double>(std::max<uint64_t>(batches_, 1)))
            .add("frame_bytes", static_cast<uint64_t>(slots_.front().frame->bytes.size()))
            .add("generator_cpu_share", static_cast<double>(thread_cpu_ns() - cpu_ns) / 1e9 / seconds)
            .add("round_trip_us", static_cast<double>(connection_->datagrams()->round_trip_ns()) / 1e3)
            .add("packets", path.packet_count)
            .add("resent", path.resend_count)
            .add("timeouts", path.timeout_count)
            .add("asked_again", path.ask_count);
        return line;
    }

    void on_ready(uint32_t, const std::vector<uint16_t>&, uint64_t) override {
        ready_ns_ = monotonic_ns();
        for (size_t slot = 0; !options_.loose && slot < slots_.size(); ++slot) send(slot);
    }
    void on_lost(uint32_t, Error why) override { error_ = why; }
    void on_frame(uint32_t, const FrameHeader& header, std::span<const std::byte>) override {
        if (header.kind != FrameKind::kAppendReply) return;
        if (const Errc code = frame::errc_of(header); code != Errc::kOk) {
            // The first is the cause; what follows is refused because of it.
            if (error_.code == Errc::kOk) error_ = error_of(code, header.detail);
            return;
        }
        const size_t slot = header.correlation & ((1U << kSlotBits) - 1);
        if (slots_[slot].correlation != header.correlation) return;  // Asked for twice, answered twice.
        records_ += slots_[slot].record_count;
        ++batches_;
        send(slot);
    }

  private:
    Status make_slot(const HashKeyRange& range, uint64_t& cursor) {
        Slot slot;
        slot.frame = std::make_shared<SendBuffer>();
        slot.lane = lanes_.size() - 1;
        frame::BatchBuilder& builder = slot.frame->builder;
        const size_t room = options_.datagram_bytes - frame::kDatagramHeaderBytes - frame::kHeaderBytes;
        const uint64_t tries_end = cursor + RecordPool::kRecordCount;
        while (cursor < tries_end && (options_.record_count == 0 || builder.record_count() < options_.record_count)) {
            const frame::RecordView record = pool_.record(cursor++);
            if (!range.contains(frame::hash_of(record))) continue;
            if (builder.payload_bytes() + record.partition_key.size() + record.data.size() + sizeof(uint64_t) > room) break;
            if (Status added = builder.add(record); !added) return added;
        }
        slot.record_count = builder.record_count();
        if (slot.record_count == 0) return error_of(Errc::kRecordTooLarge, room);
        FrameHeader header;
        header.kind = FrameKind::kAppend;
        header.record_count = slot.record_count;
        const auto whole = builder.finish_frame();
        frame::seal_frame(header, whole.subspan(frame::kHeaderBytes));
        std::memcpy(whole.data(), &header, sizeof(header));
        slot.frame->bytes = whole;
        slots_.push_back(std::move(slot));
        return {};
    }

    void send(size_t index) {
        Slot& slot = slots_[index];
        Lane& lane = lanes_[slot.lane];
        if (options_.loose && slot.correlation != 0) return connection_->push_shared(slot.frame);  // Nothing in it changes.
        auto* bytes = const_cast<std::byte*>(slot.frame->bytes.data());
        FrameHeader header;
        std::memcpy(&header, bytes, sizeof(header));
        header.correlation = slot.correlation = (++serial_ << kSlotBits) | index;
        header.shard = lane.shard;
        header.detail = lane.producer_id;
        header.number = options_.loose ? 0 : lane.next_number++;
        if (options_.loose) header.flags = static_cast<uint16_t>(frame::AckMode::kNone);
        header.sequence = lane.map_version;
        frame::seal_header(header);
        std::memcpy(bytes, &header, sizeof(header));
        connection_->push_shared(slot.frame);
    }

    bool poll_until(uint64_t end_ns) {
        for (uint64_t now = monotonic_ns(); now < end_ns; now = monotonic_ns()) {
            // So many wait at most: what a device's ring takes at once.
            while (options_.loose && ready_ns_ != 0 && pushed_ < connection_->datagrams()->stats().loose_count + kLooseQueued) {
                send(pushed_++ % slots_.size());
            }
            if (!connection_->poll(now)) transport_->wait(options_.loose ? 0 : kIdleNs);
            if (error_.code != Errc::kOk) return false;
        }
        return true;
    }

    Result<JsonLine> loose_report() {
        const uint64_t sent = connection_->datagrams()->stats().loose_count;
        JsonLine line;
        line.add("sent", sent)
            .add("seconds", static_cast<double>(monotonic_ns() - ready_ns_) / 1e9)
            .add("frame_bytes", static_cast<uint64_t>(slots_.front().frame->bytes.size()))
            .add("generator_cpu_share", 1.0);
        return line;
    }

    UdpBlastOptions options_;
    RecordPool pool_;
    std::unique_ptr<client::Transport> transport_;
    client::ClientOptions client_options_;
    std::vector<Lane> lanes_;
    std::vector<Slot> slots_;
    std::unique_ptr<client::Connection> connection_;
    Error error_;
    uint64_t serial_ = 0;
    uint64_t ready_ns_ = 0;
    uint64_t pushed_ = 0;
    uint64_t records_ = 0;
    uint64_t batches_ = 0;
};

}  // namespace

Result<JsonLine> run_udp_blast(UdpBlastOptions options) {
    UdpBlast blast(std::move(options));
    if (Status prepared = blast.prepare(); !prepared) return prepared.error();
    return blast.run();
}

}  // namespace eagre::perf
