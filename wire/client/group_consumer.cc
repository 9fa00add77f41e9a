// A member of a consumer group: one question of each kind under way at most (join, heartbeat, checkpoint, leave), one consumer
// per leased shard.
#include "wire/frame/aligned.h"
#include "wire/client/group_consumer.h"

#include <flatbuffers/flatbuffers.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "wire/base/assert.h"
#include "wire/client/client_impl.h"
#include "wire/schema/groups_generated.h"

namespace eagre::client {
namespace {

using frame::FrameHeader;
using frame::FrameKind;
using wire::GroupOp;

constexpr uint64_t kMarkEnd = 1;
constexpr uint64_t kMarkRelease = 2;
constexpr uint64_t kLeaseRelease = 1;
constexpr uint64_t kRetryNsMin = 10'000'000ULL;   // After a refusal that may pass, doubling ...
constexpr uint64_t kRetryNsMax = 500'000'000ULL;  // ... to here.

/// What is to be told to control of one shard.
struct Due {
    uint64_t token = 0;
    uint64_t next = 0;  // 0: no checkpoint.
    uint64_t flags = 0;
};

struct Held {
    uint64_t token = 0;
    uint64_t stored = 0;     // Checkpoint as control has it.
    uint64_t due = 0;        // Checkpoint asked for; 0: none beyond `stored`.
    uint64_t handed = 0;     // Behind the last record handed out; 0: none yet.
    bool releasing = false;  // Its last mark is on the way.
    bool ended = false;      // Read to the end of a closed shard.
    bool end_due = false;    // And done with.
    bool wants_map = false;  // Reading waits for a new map.
    std::unique_ptr<Consumer> consumer;  // Null: not yet, or no longer.
};

class GroupConsumerImpl final : public GroupConsumer, public Asker {
  public:
    GroupConsumerImpl(ClientImpl& client, const StreamDescription& stream, std::string group, GroupOptions options)
        : client_(client), options_(std::move(options)), stream_(stream), group_(std::move(group)), id_(client.enlist(this)) {
        if (options_.member.empty()) options_.member = made_up_name();
    }
    ~GroupConsumerImpl() override {
        held_.clear();
        client_.dismiss(id_);
    }
    GroupConsumerImpl(const GroupConsumerImpl&) = delete;
    GroupConsumerImpl& operator=(const GroupConsumerImpl&) = delete;

    /// Waits for the first answer.
    Status open();

    void on_delivery(std::function<void(const Delivery&)> callback) override { delivery_ = std::move(callback); }
    void on_event(std::function<void(ShardId, Error)> callback) override { event_ = std::move(callback); }
    void on_granted(std::function<void(const GroupLease&)> callback) override { granted_ = std::move(callback); }
    void on_release(std::function<void(ShardId)> callback) override { release_ = std::move(callback); }
    Status checkpoint(ShardId shard, SequenceNumber done) override;
    Status flush(uint64_t timeout_ns) override;
    Status leave(uint64_t timeout_ns) override;
    std::vector<GroupLease> leases() const override;
    bool at_tail() const override { return all_read(false); }
    bool at_tail_but_for_unavailable() const override { return all_read(true); }
    void hold(bool held) override;
    const std::string& member() const override { return options_.member; }
    Error ended() const override { return ended_; }
    const GroupStats& stats() const override { return stats_; }

    // -- Asker
    void on_frame(uint32_t core, const FrameHeader& header, std::span<const std::byte> payload) override;
    void on_lost(uint32_t core, Error why) override;
    void on_ready(uint32_t) override {}
    void on_map(const StreamDescription& stream) override;
    bool on_poll(uint64_t now_ns) override;
    uint64_t next_timer_ns() const override;

  private:
    /// A question of one kind: at most one is under way.
    struct Question {
        uint64_t correlation = 0;  // 0: none under way.
        uint64_t not_before_ns = 0;
        uint64_t back_off_ns = 0;
        uint64_t deadline_ns = 0;
    };

    std::string made_up_name();
    bool over() const { return left_ || ended_.code != Errc::kOk; }
    bool ask(Question& question, GroupOp op, const std::vector<wire::GroupMark>& marks, uint64_t now_ns);
    void again_later(Question& question, uint64_t now_ns);
    void take_reply(Question& question, GroupOp op, const FrameHeader& header, std::span<const std::byte> payload);
    void take_error(Question& question, GroupOp op, Error error);
    void take_leases(const wire::GroupReply& reply);
    void settle_marks(const wire::GroupReply* reply);
    void grant(ShardId shard, const wire::GroupLease& lease);
    void lose(ShardId shard, Error why);
    void lose_all(Error why);
    void end_with(Error why);
    void let_go(ShardId shard, Held& held);
    bool start_all();
    void start_reading(ShardId shard, Held& held);
    void mark_all_read();
    std::vector<wire::GroupMark> due_marks();
    void on_reader_event(ShardId shard, Error error);
    bool all_read(bool but_for_unavailable) const;

    ClientImpl& client_;
    GroupOptions options_;
    StreamDescription stream_;
    std::string group_;
    uint64_t id_;
    uint64_t session_ = 0;  // 0: not joined.
    uint64_t version_ = 0;
    uint64_t heartbeat_ns_ = uint64_t{kGroupHeartbeatMsDefault} * 1'000'000;
    Question join_;
    Question beat_;
    Question mark_;
    Question leave_;
    std::map<ShardId, Held> held_;
    std::map<ShardId, Due> told_;  // With the checkpoint request under way.
    uint64_t checkpoint_at_ns_ = 0;
    bool fresh_map_ = true;  // stream_ was asked for just before we joined.
    bool unstarted_ = false;  // Some shard may be waiting to be read.
    bool on_hold_ = false;
    bool leaving_ = false;
    bool left_ = false;
    Error ended_;
    Error last_error_;
    std::function<void(const Delivery&)> delivery_;
    std::function<void(ShardId, Error)> event_;
    std::function<void(const GroupLease&)> granted_;
    std::function<void(ShardId)> release_;
    GroupStats stats_;
};

std::string GroupConsumerImpl::made_up_name() {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string name = "member-";
    uint64_t bits = client_.transport().random();
    for (int i = 0; i < 12; ++i, bits >>= 4U) name += kDigits[bits & 15U];
    return name;
}

Status GroupConsumerImpl::open() {
    const uint64_t deadline = client_.now_ns() + client_.options().request_timeout_ns;
    const bool answered = client_.wait_until(deadline, [this] { return session_ != 0 || over() || last_error_.code == Errc::kUnavailable; });
    if (session_ != 0) return {};
    if (ended_.code != Errc::kOk) return ended_;
    if (last_error_.code != Errc::kOk) return last_error_;
    EAGRE_ASSERT(!answered);
    return Errc::kTimeout;
}

// ------------------------------------------------------------------------------------------------------------- asking

bool GroupConsumerImpl::ask(Question& question, GroupOp op, const std::vector<wire::GroupMark>& marks, uint64_t now_ns) {
    Connection* connection = client_.connection(0);
    if (connection == nullptr || !connection->ready()) return false;
    flatbuffers::FlatBufferBuilder builder;
    const auto stream = builder.CreateString(stream_.name);
    const auto group = builder.CreateString(group_);
    const auto member = builder.CreateString(options_.member);
    flatbuffers::Offset<flatbuffers::Vector<const wire::GroupMark*>> mark_vector;
    if (!marks.empty()) mark_vector = builder.CreateVectorOfStructs(marks);
    // A third: two may be lost before the group takes us for dead.
    const uint64_t wait_ms = heartbeat_ns_ / 3 / 1'000'000;
    wire::GroupRequestBuilder table(builder);
    table.add_op(op);
    table.add_stream(stream);
    table.add_group(group);
    table.add_member(member);
    table.add_session(session_);
    table.add_version(version_);
    table.add_wait_ms(static_cast<uint32_t>(wait_ms));
    if (op == GroupOp::Join) {
        table.add_heartbeat_ms(static_cast<uint32_t>(options_.heartbeat_ns / 1'000'000));
        table.add_start_position(static_cast<uint16_t>(options_.start.position));
        table.add_start_value(options_.start.value);
    }
    if (!marks.empty()) table.add_marks(mark_vector);
    builder.Finish(table.Finish());
    std::vector<std::byte> payload(std::max<size_t>(16, (builder.GetSize() + 7) / 8 * 8));
    std::memcpy(payload.data(), builder.GetBufferPointer(), builder.GetSize());
    FrameHeader header;
    header.kind = FrameKind::kGroup;
    header.correlation = client_.next_correlation(id_);
    question.correlation = header.correlation;
    question.deadline_ns = now_ns + client_.options().request_timeout_ns + (op == GroupOp::Heartbeat ? heartbeat_ns_ / 3 : 0);
    connection->push(header, payload);
    return true;
}

void GroupConsumerImpl::again_later(Question& question, uint64_t now_ns) {
    question.correlation = 0;
    question.back_off_ns = std::clamp(question.back_off_ns * 2, kRetryNsMin, kRetryNsMax);
    question.not_before_ns = now_ns + question.back_off_ns;
}

bool GroupConsumerImpl::on_poll(uint64_t now_ns) {
    if (over()) return false;
    bool moved = start_all();
    for (Question* question : {&join_, &beat_, &mark_, &leave_}) {
        if (question->correlation != 0 && now_ns >= question->deadline_ns) again_later(*question, now_ns);
    }
    const auto free = [now_ns](const Question& question) { return question.correlation == 0 && now_ns >= question.not_before_ns; };
    if (session_ == 0) {
        if (!leaving_ && free(join_)) moved = ask(join_, GroupOp::Join, {}, now_ns);
        return moved;
    }
    // Leaving says everything that a heartbeat or a checkpoint would.
    if (leaving_) {
        if (mark_.correlation == 0 && free(leave_)) moved = ask(leave_, GroupOp::Leave, due_marks(), now_ns);
        return moved;
    }
    if (free(beat_)) moved = ask(beat_, GroupOp::Heartbeat, {}, now_ns);
    if (options_.auto_checkpoint && now_ns >= checkpoint_at_ns_) {
        checkpoint_at_ns_ = now_ns + options_.checkpoint_interval_ns;
        mark_all_read();
    }
    if (free(mark_)) {
        const auto marks = due_marks();
        if (!marks.empty()) moved = ask(mark_, GroupOp::Checkpoint, marks, now_ns) || moved;
    }
    return moved;
}

uint64_t GroupConsumerImpl::next_timer_ns() const {
    if (over()) return UINT64_MAX;
    uint64_t next = session_ != 0 && options_.auto_checkpoint && !leaving_ ? checkpoint_at_ns_ : UINT64_MAX;
    for (const Question* question : {&join_, &beat_, &mark_, &leave_}) {
        if (question->correlation != 0) {
            next = std::min(next, question->deadline_ns);
        } else if (question->not_before_ns != 0) {
            next = std::min(next, question->not_before_ns);
        }
    }
    return next;
}

void GroupConsumerImpl::on_lost(uint32_t core, Error) {
    if (core != 0) return;
    for (Question* question : {&join_, &beat_, &mark_, &leave_}) question->correlation = 0;
}

// ------------------------------------------------------------------------------------------------------------ answers

void GroupConsumerImpl::on_frame(uint32_t, const FrameHeader& header, std::span<const std::byte> payload) {
    if (header.kind != FrameKind::kGroupReply || over()) return;
    static constexpr GroupOp kOps[] = {GroupOp::Join, GroupOp::Heartbeat, GroupOp::Checkpoint, GroupOp::Leave};
    Question* const questions[] = {&join_, &beat_, &mark_, &leave_};
    for (size_t i = 0; i < 4; ++i) {
        if (questions[i]->correlation == header.correlation) return take_reply(*questions[i], kOps[i], header, payload);
    }
}

void GroupConsumerImpl::take_reply(Question& question, GroupOp op, const FrameHeader& header, std::span<const std::byte> payload) {
    if (const Errc code = frame::errc_of(header); code != Errc::kOk) return take_error(question, op, error_of(code, header.detail));
    const auto* bytes = reinterpret_cast<const uint8_t*>(payload.data());
    flatbuffers::Verifier verifier(bytes, payload.size(), 4, 2);
    if (payload.size() < 16 || !verifier.VerifyBuffer<wire::GroupReply>(nullptr)) return take_error(question, op, error_of(Errc::kBadSchema));
    const auto& reply = *flatbuffers::GetRoot<wire::GroupReply>(bytes);
    if (!frame::lies_aligned(reply.leases()) || !frame::lies_aligned(reply.refusals()))
        return take_error(question, op, error_of(Errc::kBadSchema));
    question = {};
    last_error_ = {};
    switch (op) {
        case GroupOp::Join:
            session_ = reply.session();
            heartbeat_ns_ = uint64_t{reply.heartbeat_ms()} * 1'000'000;
            checkpoint_at_ns_ = client_.now_ns() + options_.checkpoint_interval_ns;
            break;
        case GroupOp::Checkpoint:
            settle_marks(&reply);
            break;
        case GroupOp::Leave:
            left_ = true;
            held_.clear();
            return;
        default:
            break;
    }
    take_leases(reply);
    fresh_map_ = false;
}

void GroupConsumerImpl::take_error(Question& question, GroupOp op, Error error) {
    last_error_ = error;
    const uint64_t now = client_.now_ns();
    if (op == GroupOp::Checkpoint) settle_marks(nullptr);
    switch (error.code) {
        case Errc::kUnknownMember:
            // Taken for dead: what we had may be somebody else's by now.
            question = {};
            if (leaving_) {
                left_ = true;
                return;
            }
            session_ = 0;
            join_ = {};
            beat_ = {};
            mark_ = {};
            ++stats_.rejoin_count;
            lose_all(error_of(Errc::kLeaseLost));
            if (event_) event_(ShardId{}, error);
            return;
        case Errc::kBusy:
        case Errc::kUnavailable:
        case Errc::kTimeout:
        case Errc::kShuttingDown:
        case Errc::kDiskFull:
        case Errc::kIo:
            // Control is away, or somebody is in the way: what we have is ours until we hear otherwise.
            return again_later(question, now);
        default:
            break;
    }
    end_with(error);
}

void GroupConsumerImpl::end_with(Error why) {
    ended_ = why;
    lose_all(error_of(Errc::kLeaseLost));
    if (event_) event_(ShardId{}, why);
}

void GroupConsumerImpl::take_leases(const wire::GroupReply& reply) {
    version_ = reply.version();
    std::map<ShardId, const wire::GroupLease*> now;
    for (uint32_t i = 0; reply.leases() != nullptr && i < reply.leases()->size(); ++i) {
        const wire::GroupLease* lease = reply.leases()->Get(i);
        now[ShardId{lease->shard()}] = lease;
    }
    std::vector<ShardId> gone;
    for (const auto& [shard, held] : held_) {
        const auto still = now.find(shard);
        if (still == now.end() || still->second->token() != held.token) gone.push_back(shard);
    }
    for (const ShardId shard : gone) {
        // What we gave back is gone in good order.
        if (held_.at(shard).releasing) {
            held_.erase(shard);
        } else {
            lose(shard, error_of(Errc::kLeaseLost));
        }
    }
    for (const auto& [shard, lease] : now) {
        const auto known = held_.find(shard);
        if (known == held_.end()) {
            grant(shard, *lease);
        } else {
            known->second.stored = std::max(known->second.stored, lease->next());
            if ((lease->flags() & kLeaseRelease) != 0) let_go(shard, known->second);
        }
    }
}

void GroupConsumerImpl::grant(ShardId shard, const wire::GroupLease& lease) {
    Held& held = held_[shard];
    held.token = lease.token();
    held.stored = lease.next();
    ++stats_.granted_count;
    // How much there is to read, and where a new child lies, our map may not know.
    held.wants_map = !fresh_map_;
    if (held.wants_map) client_.refresh(stream_.name);
    unstarted_ = true;
    if (granted_) granted_({shard, held.token, SequenceNumber{held.stored}, SequenceNumber{held.stored}, false});
}

void GroupConsumerImpl::start_reading(ShardId shard, Held& held) {
    const auto known = std::find_if(stream_.shards.begin(), stream_.shards.end(), [shard](const auto& each) { return each.id == shard; });
    if (known == stream_.shards.end()) {
        held.wants_map = true;
        client_.refresh(stream_.name);
        return;
    }
    ConsumerOptions options;
    options.shards = {shard};
    options.credit_bytes = options_.credit_bytes;
    if (held.stored != 0) options.resume = {{shard, SequenceNumber{held.stored}}};
    held.consumer = make_consumer_impl(client_, stream_, options);
    held.consumer->hold(on_hold_);
    held.consumer->on_delivery([this](const Delivery& delivery) {
        const auto found = held_.find(delivery.shard);
        if (found == held_.end() || found->second.releasing) return;
        stats_.record_count += delivery.batch.record_count() - delivery.skip;
        // Before the callback: it may checkpoint what it is being given.
        found->second.handed = delivery.first_sequence.value + delivery.batch.record_count();
        if (delivery_) delivery_(delivery);
    });
    held.consumer->on_event([this](ShardId of, Error error) { on_reader_event(of, error); });
}

void GroupConsumerImpl::on_reader_event(ShardId shard, Error error) {
    const auto found = held_.find(shard);
    if (found == held_.end()) return;
    if (error.code == Errc::kShardClosed) {
        found->second.ended = true;
        if (options_.auto_checkpoint) found->second.end_due = true;
    }
    if (event_) event_(shard, error);
}

void GroupConsumerImpl::on_map(const StreamDescription& stream) {
    if (stream.name != stream_.name || stream.shards.empty()) return;
    stream_ = stream;
    for (auto& [shard, held] : held_) held.wants_map = false;
    unstarted_ = true;
}

// Not before there is somebody to hand records to.
bool GroupConsumerImpl::start_all() {
    if (!unstarted_ || !delivery_ || leaving_) return false;
    unstarted_ = false;
    for (auto& [shard, held] : held_) {
        if (held.consumer == nullptr && !held.releasing && !held.ended && !held.wants_map) start_reading(shard, held);
    }
    return true;
}

// ------------------------------------------------------------------------------------------------------- giving it up

void GroupConsumerImpl::lose(ShardId shard, Error why) {
    held_.erase(shard);
    ++stats_.lost_count;
    if (event_) event_(shard, why);
}

void GroupConsumerImpl::lose_all(Error why) {
    while (!held_.empty()) lose(held_.begin()->first, why);
    told_.clear();
}

// Asked back: nothing more is read, and the last checkpoint goes with the lease.
void GroupConsumerImpl::let_go(ShardId shard, Held& held) {
    if (held.releasing) return;
    if (options_.auto_checkpoint) held.due = std::max(held.due, held.handed);
    if (release_) release_(shard);
    held.releasing = true;
    held.consumer.reset();
    ++stats_.released_count;
}

void GroupConsumerImpl::mark_all_read() {
    for (auto& [shard, held] : held_) held.due = std::max(held.due, held.handed);
}

// What control has not been told, or has not confirmed.
std::vector<wire::GroupMark> GroupConsumerImpl::due_marks() {
    std::vector<wire::GroupMark> marks;
    told_.clear();
    for (auto& [shard, held] : held_) {
        Due due{held.token, held.due > held.stored ? held.due : 0, 0};
        if (held.end_due) due.flags |= kMarkEnd;
        if (held.releasing || leaving_) due.flags |= kMarkRelease;
        if ((due.next == 0 && due.flags == 0)) continue;
        marks.emplace_back(shard.value, due.token, due.next, due.flags);
        told_[shard] = due;
    }
    return marks;
}

// `reply`: what was refused; null: the request failed, and everything in it is still due.
void GroupConsumerImpl::settle_marks(const wire::GroupReply* reply) {
    const auto told = std::exchange(told_, {});
    if (reply == nullptr) return;
    std::map<ShardId, Error> refused;
    for (uint32_t i = 0; reply->refusals() != nullptr && i < reply->refusals()->size(); ++i) {
        const wire::GroupRefusal* refusal = reply->refusals()->Get(i);
        refused[ShardId{refusal->shard()}] = error_of(static_cast<Errc>(refusal->code()), refusal->detail());
    }
    for (const auto& [shard, due] : told) {
        const auto found = held_.find(shard);
        if (found == held_.end() || found->second.token != due.token) continue;
        Held& held = found->second;
        const auto no = refused.find(shard);
        if (no == refused.end()) {
            if (due.next != 0) ++stats_.checkpoint_count;
            held.stored = std::max(held.stored, due.next);
            if ((due.flags & kMarkEnd) != 0) ++stats_.released_count;
            if (due.flags != 0) held_.erase(found);
            continue;
        }
        if (no->second.code == Errc::kBusy) {
            again_later(mark_, client_.now_ns());  // The end of a shard that control does not know to be closed yet.
        } else if (no->second.code == Errc::kCheckpointBehind) {
            held.stored = std::max(held.stored, no->second.detail);
            held.due = 0;
        } else if (held.releasing) {
            held_.erase(found);  // Given back by an earlier request whose answer was lost.
        } else {
            lose(shard, no->second);
        }
    }
}

// ----------------------------------------------------------------------------------------------------- for the program

Status GroupConsumerImpl::checkpoint(ShardId shard, SequenceNumber done) {
    const auto found = held_.find(shard);
    if (found == held_.end() || found->second.releasing) return Errc::kLeaseLost;
    Held& held = found->second;
    if (done == kShardEnd) {
        if (!held.ended) return error_of(Errc::kBadArgument, held.handed);
        held.due = std::max(held.due, held.handed);
        held.end_due = true;
        return {};
    }
    const uint64_t next = done.value + 1;
    if (next > held.handed) return error_of(Errc::kBadArgument, held.handed);
    if (next < std::max(held.stored, held.due)) return error_of(Errc::kCheckpointBehind, std::max(held.stored, held.due));
    held.due = next;
    return {};
}

Status GroupConsumerImpl::flush(uint64_t timeout_ns) {
    const auto all_stored = [this] {
        return over() || (mark_.correlation == 0 && std::all_of(held_.begin(), held_.end(), [](const auto& entry) {
                   return entry.second.due <= entry.second.stored && !entry.second.end_due && !entry.second.releasing;
               }));
    };
    if (client_.wait_until(client_.now_ns() + timeout_ns, all_stored)) return ended_.code == Errc::kOk ? Status{} : Status(ended_);
    return last_error_.code != Errc::kOk ? last_error_ : error_of(Errc::kTimeout);
}

Status GroupConsumerImpl::leave(uint64_t timeout_ns) {
    if (over()) return ended_.code == Errc::kOk ? Status{} : Status(ended_);
    if (options_.auto_checkpoint) mark_all_read();
    for (auto& [shard, held] : held_) {
        if (release_ && !held.releasing) release_(shard);
        held.consumer.reset();
    }
    leaving_ = true;
    leave_ = {};
    if (session_ == 0) left_ = true;
    (void)client_.wait_until(client_.now_ns() + timeout_ns, [this] { return over(); });
    if (left_) return {};
    const Error why = ended_.code != Errc::kOk ? ended_ : last_error_;
    left_ = true;
    held_.clear();
    return why.code != Errc::kOk ? why : error_of(Errc::kTimeout);
}

std::vector<GroupLease> GroupConsumerImpl::leases() const {
    std::vector<GroupLease> list;
    for (const auto& [shard, held] : held_) {
        if (held.releasing) continue;
        const bool at_tail = held.consumer != nullptr && held.consumer->at_tail();
        list.push_back({shard, held.token, SequenceNumber{std::max(held.handed, held.stored)}, SequenceNumber{held.stored}, at_tail});
    }
    return list;
}

void GroupConsumerImpl::hold(bool held) {
    on_hold_ = held;
    for (auto& [shard, each] : held_) {
        if (each.consumer != nullptr) each.consumer->hold(held);
    }
}

bool GroupConsumerImpl::all_read(bool but_for_unavailable) const {
    return !unstarted_ && !held_.empty() && std::all_of(held_.begin(), held_.end(), [&](const auto& entry) {
        // Until the group knows that a parent has been read to its end nobody has its children, and there is more to come.
        if (entry.second.ended) return !entry.second.end_due;
        const Consumer* consumer = entry.second.consumer.get();
        return consumer != nullptr && (but_for_unavailable ? consumer->at_tail_but_for_unavailable() : consumer->at_tail());
    });
}

}  // namespace

Result<std::unique_ptr<GroupConsumer>> ClientImpl::join_group(std::string_view stream, std::string_view group, const GroupOptions& options) {
    auto described = describe(stream);
    if (!described) return described.error();
    auto member = std::make_unique<GroupConsumerImpl>(*this, *described, std::string(group), options);
    if (const Status opened = member->open(); !opened) return opened.error();
    return std::unique_ptr<GroupConsumer>(std::move(member));
}

}  // namespace eagre::client
