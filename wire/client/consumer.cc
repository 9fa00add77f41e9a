// The consumer: subscriptions or pulls, one per shard, resumed at the next wanted record whatever
// happens to a connection.
#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <unordered_set>
#include <vector>

#include "wire/base/assert.h"
#include "wire/client/client_impl.h"

namespace eagre::client {
namespace {

using frame::FrameHeader;
using frame::FrameKind;

constexpr uint64_t kRetryNsMin = 1'000'000ULL;
constexpr uint64_t kRetryNsMax = 200'000'000ULL;
constexpr uint64_t kCheckNs = 10'000'000ULL;  // Between two looks for questions without an answer.
constexpr uint32_t kMapsWithoutChildrenMax = 100;  // Then the children that were told have gone, too.

struct Reader {
    enum class State : uint8_t {
        kLocate,  // The start position must be asked for.
        kLocating,
        kStart,    // `wanted` is known; nothing is under way.
        kReading,  // A subscription or a read is under way.
        kWaiting,  // Until its parents have been read.
        kEnded,
    };
    ShardDescription shard;
    State state = State::kLocate;
    uint64_t wanted = 0;
    uint64_t tail = 0;  // As last reported; 0: not yet.
    bool tail_known = false;
    uint64_t correlation = 0;       // Of what is under way.
    uint64_t uncredited_bytes = 0;  // Received since the last credit.
    uint64_t retry_at_ns = 0;
    uint64_t back_off_ns = 0;
    uint64_t asked_ns = 0;
    uint64_t gap_at = 0;  // `wanted` when a delivery last began behind it; 0: never.
    bool unavailable = false;   // The box said so, and has not given anything since.
    bool from_horizon = false;  // A child: whatever position the consumer began at, all of it is wanted.
};

class ConsumerImpl final : public Consumer, public Asker {
  public:
    ConsumerImpl(ClientImpl& client, const StreamDescription& stream,
                 const ConsumerOptions& options)
        : client_(client), options_(options), stream_(stream.name), id_(client.enlist(this)) {
        for (const ShardDescription& shard : stream.shards) {
            newest_shard_ = std::max(newest_shard_, shard.id);
            if (!options.shards.empty() && std::find(options.shards.begin(), options.shards.end(),
                                                     shard.id) == options.shards.end()) {
                continue;
            }
            // Parents have lower ids, and are in readers_ if they are to be read.
            const bool is_child = follows() && (is_read(shard.parent) || is_read(shard.adjacent_parent));
            const auto resumed = std::find_if(options.resume.begin(), options.resume.end(),
                                              [&](const auto& each) { return each.first == shard.id; });
            const bool latest = options.start.position == frame::Position::kLatest;
            if (resumed == options.resume.end() && follows() && latest && !shard.open && !is_child)
                continue;  // Nothing will ever come behind its end.
            Reader& reader = add_reader(shard);
            reader.from_horizon = is_child && latest;
            if (resumed != options.resume.end()) {
                reader.wanted = resumed->second.value;
                reader.state = Reader::State::kStart;
            } else if (is_child) {
                reader.state = Reader::State::kWaiting;
            }
        }
        release_children();
    }
    ~ConsumerImpl() override {
        for (const Reader& reader : readers_) {
            Connection* connection = client_.connection(reader.shard.core);
            if (reader.state != Reader::State::kReading || connection == nullptr ||
                !connection->ready())
                continue;
            FrameHeader header;
            header.kind = FrameKind::kUnsubscribe;
            header.shard = reader.shard.id.value;
            header.correlation = reader.correlation;
            connection->push(header);
        }
        client_.dismiss(id_);
    }
    ConsumerImpl(const ConsumerImpl&) = delete;
    ConsumerImpl& operator=(const ConsumerImpl&) = delete;

    void on_delivery(std::function<void(const Delivery&)> callback) override {
        delivery_ = std::move(callback);
    }
    void on_event(std::function<void(ShardId, Error)> callback) override {
        event_ = std::move(callback);
    }
    std::vector<std::pair<ShardId, SequenceNumber>> position() const override {
        std::vector<std::pair<ShardId, SequenceNumber>> positions;
        for (const Reader& reader : readers_) {
            if (reader.state != Reader::State::kWaiting)
                positions.emplace_back(reader.shard.id, SequenceNumber{reader.wanted});
        }
        return positions;
    }
    bool at_tail() const override {
        if (!children_told_.empty() || !lost_.empty()) return false;
        return std::all_of(readers_.begin(), readers_.end(), has_all);
    }
    std::vector<ShardId> unavailable() const override {
        std::vector<ShardId> shards;
        for (const Reader& reader : readers_) {
            if (reader.unavailable) shards.push_back(reader.shard.id);
        }
        return shards;
    }
    bool at_tail_but_for_unavailable() const override {
        if (!children_told_.empty() || !lost_.empty()) return false;
        const bool any = std::any_of(readers_.begin(), readers_.end(), [](const Reader& reader) { return reader.unavailable; });
        return std::all_of(readers_.begin(), readers_.end(), [any](const Reader& reader) {
            return reader.unavailable || (any && reader.state == Reader::State::kWaiting) || has_all(reader);
        });
    }
    void hold(bool held) override {
        if (std::exchange(hold_, held) == held || held) return;
        for (Reader& reader : readers_) {
            if (reader.state == Reader::State::kReading) give_credit(reader);
        }
    }
    const ConsumerStats& stats() const override { return stats_; }

    // -- Asker
    bool on_poll(uint64_t now_ns) override {
        bool moved = false;
        if (now_ns >= next_check_ns_) check_answers(now_ns);
        if (std::exchange(some_ended_, false)) release_children();
        for (Reader& reader : readers_) {
            const bool idle = is_idle(reader);
            if (!idle || now_ns < reader.retry_at_ns) continue;
            Connection* connection = client_.connection(reader.shard.core);
            if (connection == nullptr || !connection->ready()) continue;
            start(reader, *connection);
            moved = true;
        }
        return moved;
    }
    uint64_t next_timer_ns() const override {
        uint64_t next = UINT64_MAX;
        for (const Reader& reader : readers_) {
            const bool idle = is_idle(reader);
            if (idle && reader.retry_at_ns != 0) next = std::min(next, reader.retry_at_ns);
        }
        return next;
    }
    void on_ready(uint32_t) override {}
    void on_map(const StreamDescription& stream) override {
        if (stream.name != stream_) return;
        if (!lost_.empty()) tell_lost(stream.shards.empty());
        for (Reader& reader : readers_) {
            for (const ShardDescription& shard : stream.shards) {
                if (shard.id != reader.shard.id) continue;
                // Moved to another core: what was asked of the old one is asked anew.
                if (shard.core != reader.shard.core && reader.state == Reader::State::kLocating)
                    reader.state = Reader::State::kLocate;
                if (shard.core != reader.shard.core && reader.state == Reader::State::kReading)
                    reader.state = Reader::State::kStart;
                reader.shard = shard;
            }
        }
        if (!follows()) return;
        for (const ShardDescription& shard : stream.shards) {
            if (shard.id <= newest_shard_) continue;
            Reader& reader = add_reader(shard);
            reader.from_horizon = true;
            reader.state = Reader::State::kWaiting;
            some_ended_ = true;
        }
        for (const ShardDescription& shard : stream.shards) newest_shard_ = std::max(newest_shard_, shard.id);
        std::erase_if(children_told_, [this](ShardId child) { return child <= newest_shard_; });
        if (children_told_.empty()) return;
        if (++maps_without_children_ < kMapsWithoutChildrenMax) {
            client_.refresh(stream_);
        } else {
            children_told_.clear();
        }
    }
    void on_lost(uint32_t core, Error) override {
        for (Reader& reader : readers_) {
            if (reader.shard.core != core) continue;
            if (reader.state == Reader::State::kLocating) reader.state = Reader::State::kLocate;
            if (reader.state == Reader::State::kReading) {
                reader.state = Reader::State::kStart;
                ++stats_.reconnect_count;
            }
        }
    }
    void on_frame(uint32_t core, const FrameHeader& header,
                  std::span<const std::byte> payload) override {
        // Deliveries of one shard come in a row: the last reader is the likely one.
        if (last_ >= readers_.size() || readers_[last_].correlation != header.correlation) {
            for (last_ = 0;
                 last_ < readers_.size() && readers_[last_].correlation != header.correlation;
                 ++last_) {
            }
            if (last_ == readers_.size()) return;
        }
        Reader& reader = readers_[last_];
        switch (header.kind) {
            case FrameKind::kDeliver:
                if (reader.state == Reader::State::kReading) deliver(reader, core, header, payload);
                return;
            case FrameKind::kLocateReply:
                if (reader.state == Reader::State::kLocating) located(reader, header);
                return;
            case FrameKind::kSubscribed:
                if (reader.state == Reader::State::kReading) subscribed(reader, header);
                return;
            case FrameKind::kReadEnd:
            case FrameKind::kDeliverEnd:
                if (reader.state == Reader::State::kReading) ended(reader, header, payload);
                return;
            default:
                return;
        }
    }

  private:
    // There is something to ask for. While on hold no records are.
    bool is_idle(const Reader& reader) const {
        return reader.state == Reader::State::kLocate || (reader.state == Reader::State::kStart && !hold_);
    }
    static bool has_all(const Reader& reader) {
        if (reader.state == Reader::State::kWaiting || reader.unavailable) return false;
        if (reader.state == Reader::State::kEnded) return true;
        // Whoever reads a closed shard has yet to be told so: what follows in its children is not read before.
        return reader.shard.open && reader.tail_known && reader.wanted >= reader.tail;
    }

    // With shards chosen by the application, their children are its choice too.
    bool follows() const { return options_.shards.empty(); }
    bool is_read(ShardId shard) const {
        return shard.value != 0 && std::any_of(readers_.begin(), readers_.end(),
                                               [shard](const Reader& reader) { return reader.shard.id == shard; });
    }

    Reader& add_reader(const ShardDescription& shard) {
        Reader& reader = readers_.emplace_back();
        reader.shard = shard;
        // Until the first delivery the map is what is known of the tail.
        reader.tail = shard.next_sequence.value;
        reader.tail_known = reader.tail != 0;
        return reader;
    }

    // Parents before children: a child begins when each of its parents has been read to its end, or is not read here.
    void release_children() {
        std::unordered_set<uint64_t> unread;
        for (const Reader& reader : readers_) {
            if (reader.state != Reader::State::kEnded) unread.insert(reader.shard.id.value);
        }
        for (Reader& reader : readers_) {
            if (reader.state != Reader::State::kWaiting || unread.count(reader.shard.parent.value) != 0 ||
                unread.count(reader.shard.adjacent_parent.value) != 0)
                continue;
            reader.state = Reader::State::kLocate;
            reader.retry_at_ns = 0;
        }
    }

    void end(Reader& reader) {
        reader.state = Reader::State::kEnded;
        some_ended_ = true;
    }

    // A subscription may be silent for ever; a question must be answered. A connection that doesn't
    // is replaced.
    void check_answers(uint64_t now_ns) {
        next_check_ns_ = now_ns + kCheckNs;
        for (const Reader& reader : readers_) {
            const bool asks = reader.state == Reader::State::kLocating ||
                              (reader.state == Reader::State::kReading &&
                               options_.mode == ConsumerOptions::Mode::kPull);
            if (!asks || now_ns < reader.asked_ns + client_.options().request_timeout_ns) continue;
            Connection* connection = client_.connection(reader.shard.core);
            if (connection != nullptr && connection->ready())
                connection->drop(error_of(Errc::kTimeout));
        }
    }

    void start(Reader& reader, Connection& connection) {
        FrameHeader header;
        reader.asked_ns = client_.now_ns();
        header.shard = reader.shard.id.value;
        reader.correlation = client_.next_correlation(id_);
        header.correlation = reader.correlation;
        if (reader.state == Reader::State::kLocate) {
            header.kind = FrameKind::kLocate;
            const StartAt at = reader.from_horizon ? StartAt{} : options_.start;
            header.flags = static_cast<uint16_t>(at.position);
            header.sequence = at.value;
            reader.state = Reader::State::kLocating;
        } else {
            const bool pull = options_.mode == ConsumerOptions::Mode::kPull;
            header.kind = pull ? FrameKind::kRead : FrameKind::kSubscribe;
            header.number = pull ? options_.pull_bytes : options_.credit_bytes;
            header.sequence = reader.wanted;
            if (!pull) header.detail = options_.owner;
            reader.uncredited_bytes = 0;
            reader.state = Reader::State::kReading;
        }
        connection.push(header);
    }

    void subscribed(Reader& reader, const FrameHeader& header) {
        reader.tail = std::max(reader.tail, header.number);
        reader.tail_known = true;
        reader.unavailable = false;
        tell(reader, error_of(Errc::kOk));
    }

    void pause(Reader& reader, Reader::State state) {
        reader.state = state;
        reader.back_off_ns = std::clamp(reader.back_off_ns * 2, kRetryNsMin, kRetryNsMax);
        reader.retry_at_ns = client_.now_ns() + reader.back_off_ns;
    }

    void located(Reader& reader, const FrameHeader& header) {
        const Errc code = frame::errc_of(header);
        if (code == Errc::kOk || code == Errc::kSequenceTrimmed) {
            reader.unavailable = false;
            reader.wanted = code == Errc::kOk ? header.sequence : header.detail;
            reader.tail = header.number;
            reader.tail_known = true;
            reader.state = Reader::State::kStart;
            reader.retry_at_ns = 0;
            reader.back_off_ns = 0;
            if (code == Errc::kSequenceTrimmed) {
                ++stats_.trimmed_count;
                tell(reader, error_of(code, header.detail));
            }
        } else if (errc_is_retryable(code)) {
            follow(reader, code, header.detail);
            tell_unavailable(reader, code, header.detail);
            pause(reader, Reader::State::kLocate);
        } else if (code == Errc::kUnknownShard) {
            lose(reader);
        } else {
            end(reader);
            tell(reader, error_of(code, header.detail));
        }
    }

    // Records are missing in front of a delivery. They are asked for once more; a gap that comes
    // again is real.
    bool ask_again(Reader& reader, uint32_t core) {
        if (reader.gap_at == reader.wanted) return false;
        reader.gap_at = reader.wanted;
        Connection* connection = client_.connection(core);
        if (connection != nullptr && options_.mode == ConsumerOptions::Mode::kSubscribe) {
            FrameHeader header;
            header.kind = FrameKind::kUnsubscribe;
            header.shard = reader.shard.id.value;
            header.correlation = reader.correlation;
            connection->push(header);
        }
        reader.correlation = 0;  // What still comes of that subscription is nobody's.
        reader.state = Reader::State::kStart;
        return true;
    }

    void deliver(Reader& reader, uint32_t core, const FrameHeader& header,
                 std::span<const std::byte> payload) {
        const uint64_t charged = frame::kHeaderBytes + payload.size();
        reader.tail = std::max(reader.tail, header.number);
        reader.tail_known = true;
        reader.unavailable = false;
        reader.back_off_ns = 0;
        const uint64_t end = header.sequence + header.record_count;
        if (header.sequence > reader.wanted && ask_again(reader, core)) return;
        if (end > reader.wanted) {
            if (header.sequence > reader.wanted) {
                ++stats_.damaged_count;
                tell(reader, error_of(Errc::kDamaged, header.sequence));
                reader.wanted = header.sequence;
            }
            // The bytes were checked by their CRC; that they are a batch is checked here, once more
            // and always.
            const auto batch = frame::BatchView::verify(payload, header.record_count);
            if (!batch) {
                ++stats_.damaged_count;
                tell(reader, error_of(Errc::kDamaged, end));
            } else {
                Delivery delivery;
                delivery.shard = reader.shard.id;
                delivery.first_sequence = SequenceNumber{header.sequence};
                delivery.skip = static_cast<uint32_t>(reader.wanted - header.sequence);
                delivery.arrival_ns = header.detail;
                delivery.tail = SequenceNumber{header.number};
                delivery.batch = *batch;
                stats_.record_count += header.record_count - delivery.skip;
                stats_.blob_bytes += batch->blob_bytes();
                ++stats_.run_count;
                if (delivery_) delivery_(delivery);
            }
            reader.wanted = end;
        }
        reader.uncredited_bytes += charged;
        give_credit(reader);
    }

    void give_credit(Reader& reader) {
        if (options_.mode != ConsumerOptions::Mode::kSubscribe || hold_) return;
        if (reader.uncredited_bytes < options_.credit_bytes / 2) return;
        Connection* connection = client_.connection(reader.shard.core);
        if (connection == nullptr || !connection->ready()) return;
        FrameHeader credit;
        credit.kind = FrameKind::kCredit;
        credit.correlation = reader.correlation;
        credit.shard = reader.shard.id.value;
        credit.number = std::exchange(reader.uncredited_bytes, 0);
        connection->push(credit);
    }

    void ended(Reader& reader, const FrameHeader& header, std::span<const std::byte> payload) {
        const Errc code = frame::errc_of(header);
        if (code == Errc::kOk) {
            reader.unavailable = false;
            reader.tail = std::max(reader.tail, header.number);
            reader.tail_known = true;
            reader.state = Reader::State::kStart;
            // A pull that reached the tail pauses; one that was cut by its bounds goes on at once.
            reader.retry_at_ns =
                reader.wanted >= reader.tail ? client_.now_ns() + options_.pull_interval_ns : 0;
            return;
        }
        if (code == Errc::kSequenceTrimmed || code == Errc::kDamaged) {
            ++(code == Errc::kDamaged ? stats_.damaged_count : stats_.trimmed_count);
            reader.wanted = std::max(reader.wanted, header.detail);
            reader.state = Reader::State::kStart;
            tell(reader, error_of(code, header.detail));
            return;
        }
        if (errc_is_retryable(code)) {
            follow(reader, code, header.detail);
            tell_unavailable(reader, code, header.detail);
            pause(reader, Reader::State::kStart);
            return;
        }
        if (code == Errc::kUnknownShard) {
            lose(reader);
            return;
        }
        end(reader);
        if (code == Errc::kShardClosed && follows()) {
            maps_without_children_ = 0;
            for (size_t at = 0; at + sizeof(uint64_t) <= payload.size(); at += sizeof(uint64_t)) {
                uint64_t child = 0;
                std::memcpy(&child, payload.data() + at, sizeof(child));
                if (ShardId{child} > newest_shard_) children_told_.push_back(ShardId{child});
            }
            if (!children_told_.empty()) client_.refresh(stream_);
        }
        tell(reader, error_of(code, header.detail));
    }

    // Once for each outage. A directory that is away stays away for minutes, and whoever waits for it should know.
    void tell_unavailable(Reader& reader, Errc code, uint64_t detail) {
        if ((code != Errc::kUnavailable && code != Errc::kJournalFailed) || std::exchange(reader.unavailable, true)) return;
        tell(reader, error_of(code, detail));
    }

    // The box does not know the shard any more: retention took it, read or not, or the stream was deleted. The map tells which, and
    // what was opened since: children of which nobody was there to be told.
    void lose(Reader& reader) {
        end(reader);
        lost_.push_back(reader.shard.id);
        client_.refresh(stream_);
    }

    void tell_lost(bool stream_gone) {
        const std::vector<ShardId> lost = std::exchange(lost_, {});
        if (stream_gone) {
            for (Reader& reader : readers_) reader.state = Reader::State::kEnded;
        }
        for (const ShardId shard : lost) {
            if (event_) event_(shard, error_of(stream_gone ? Errc::kUnknownStream : Errc::kUnknownShard));
            if (stream_gone) return;  // One is enough.
        }
    }

    void follow(Reader& reader, Errc code, uint64_t detail) {
        if (code != Errc::kNotOwner) return;
        reader.shard.core = client_.core_of_port(static_cast<uint16_t>(detail));
        client_.refresh(stream_);
    }

    void tell(const Reader& reader, Error error) {
        if (event_) event_(reader.shard.id, error);
    }

    ClientImpl& client_;
    ConsumerOptions options_;
    std::string stream_;
    uint64_t id_;
    std::deque<Reader> readers_;           // References stay: a map may come in while one is in use.
    size_t last_ = 0;
    ShardId newest_shard_;                 // Shards with higher ids are children that are not read yet.
    std::vector<ShardId> children_told_;   // At the ends of their parents; the map does not have them yet.
    std::vector<ShardId> lost_;            // The box does not know them; the map will say why.
    uint32_t maps_without_children_ = 0;
    bool some_ended_ = false;              // Or came: somebody may be waiting for it.
    bool hold_ = false;                    // The application can't take more just now.
    uint64_t next_check_ns_ = 0;
    std::function<void(const Delivery&)> delivery_;
    std::function<void(ShardId, Error)> event_;
    ConsumerStats stats_;
};

}  // namespace

std::unique_ptr<Consumer> make_consumer_impl(ClientImpl& client, const StreamDescription& stream,
                                             const ConsumerOptions& options) {
    return std::make_unique<ConsumerImpl>(client, stream, options);
}

}  // namespace eagre::client
