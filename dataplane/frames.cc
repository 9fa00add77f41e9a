// What a core does with each kind of frame.
#include <flatbuffers/flatbuffers.h>

#include <algorithm>

#include "dataplane/core.h"
#include "wire/base/assert.h"
#include "wire/base/crc32c.h"
#include "wire/frame/batch.h"
#include "wire/schema/request_generated.h"
#include "wire/shards/shard_info.h"

namespace eagre {

using frame::FrameHeader;
using frame::FrameKind;
using ingress::Handled;
using ingress::Session;

namespace {

// Cold tables are small: anything deeper or with more tables than this lies.
constexpr flatbuffers::uoffset_t kColdDepthMax = 8;
constexpr flatbuffers::uoffset_t kColdTableMax = 64;

template <class Table>
const Table* verified(std::span<const std::byte> payload) {
    if (payload.size() < 16) return nullptr;
    const auto* bytes = reinterpret_cast<const uint8_t*>(payload.data());
    flatbuffers::Verifier verifier(bytes, payload.size(), kColdDepthMax, kColdTableMax);
    return verifier.VerifyBuffer<Table>(nullptr) ? flatbuffers::GetRoot<Table>(bytes) : nullptr;
}

// FlatBuffers need not be a multiple of 8 bytes; frames must be. Trailing zeros don't disturb a root table.
std::span<const std::byte> padded(const flatbuffers::FlatBufferBuilder& builder, std::vector<std::byte>& into) {
    const auto bytes = std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize()));
    into.assign((bytes.size() + 7) / 8 * 8, std::byte{0});
    std::copy(bytes.begin(), bytes.end(), into.begin());
    return into;
}

}  // namespace

Handled Core::on_frame(Session& session, const FrameHeader& header, std::span<const std::byte> payload) {
    switch (header.kind) {
        case FrameKind::kHello:
            return on_hello(session, header, payload);
        case FrameKind::kProof:
            return on_proof(session, header, payload);
        case FrameKind::kAppend:
            return on_append(session, header, payload, {ack::ReplyTo::Kind::kConnection, index_, session.id});
        case FrameKind::kOpenDatagrams:
            on_open_datagrams(session, header, payload);
            return Handled::kDone;
        case FrameKind::kCredit:
            fanout_->credit(session.id, header);
            return Handled::kDone;
        case FrameKind::kUnsubscribe:
            fanout_->close(session.id, header.correlation);
            return Handled::kDone;
        case FrameKind::kRead:
        case FrameKind::kSubscribe: {
            const bool read = header.kind == FrameKind::kRead;
            if (!may(session, identity::kGet, ShardId{header.shard})) {
                reply_error(session, header, read ? FrameKind::kReadEnd : FrameKind::kDeliverEnd,
                            error_of(Errc::kAccessDenied, identity::kGet));
                return Handled::kDone;
            }
            Status opened = fanout_->open(session.id, header);
            if (!opened && opened.error().code == Errc::kUnknownShard) {
                // Another core's? Deliveries are not handed over: the client goes there.
                const auto place = directory_.find_shard(ShardId{header.shard});
                if (place.shard != nullptr && place.shard->available && place.shard->core != index_) {
                    opened = error_of(Errc::kNotOwner, box_.ports[place.shard->core.value]);
                } else {
                    opened = why_absent(ShardId{header.shard});
                }
            }
            if (!opened) {
                reply_error(session, header, read ? FrameKind::kReadEnd : FrameKind::kDeliverEnd, opened.error());
            }
            return Handled::kDone;
        }
        case FrameKind::kLocate: {
            if (!may(session, identity::kGet, ShardId{header.shard})) {
                reply_error(session, header, FrameKind::kLocateReply, error_of(Errc::kAccessDenied, identity::kGet));
                return Handled::kDone;
            }
            const ack::ReplyTo to{ack::ReplyTo::Kind::kConnection, index_, session.id};
            const auto place = directory_.find_shard(ShardId{header.shard});
            if (place.shard != nullptr && place.shard->core != index_) {
                if (!hand_over(place.shard->core, session.id, header, {})) {
                    reply_error(session, header, FrameKind::kLocateReply, error_of(Errc::kBusy));
                }
                return Handled::kDone;
            }
            locate(header, to);
            return Handled::kDone;
        }
        case FrameKind::kMetadata:
            on_metadata(session, header, payload);
            return Handled::kDone;
        case FrameKind::kGroup:
            return on_group(session, header, payload);
        case FrameKind::kMeasure:
            on_measure(session, header);
            return Handled::kDone;
        case FrameKind::kGroupReply:
            if (session.control) return on_group_reply(session, header, payload);
            break;
        case FrameKind::kCommand:
            if (session.control) return on_command(session, header, payload);
            break;
        default:
            break;
    }
    sessions_->close_bad(session, header, error_of(Errc::kBadKind, static_cast<uint64_t>(header.kind)));
    return Handled::kClose;
}

void Core::on_metadata(Session& session, const FrameHeader& header, std::span<const std::byte> payload) {
    const auto* request = verified<wire::MetadataRequest>(payload);
    if (request == nullptr) {
        sessions_->close_bad(session, header, error_of(Errc::kBadSchema));
        return;
    }
    flatbuffers::FlatBufferBuilder builder;
    std::vector<flatbuffers::Offset<wire::StreamInfo>> streams;
    if (request->stream_name() != nullptr && request->stream_name()->size() > 0) {
        const std::string_view name = request->stream_name()->string_view();
        if (!may_see(session, name)) {
            report_denied(session, "metadata", name);
            reply_error(session, header, FrameKind::kMetadataReply, error_of(Errc::kAccessDenied, identity::kAllActions));
            return;
        }
        const shard::StreamEntry* stream = directory_.find(name);
        if (stream == nullptr) {
            reply_error(session, header, FrameKind::kMetadataReply, error_of(Errc::kUnknownStream));
            return;
        }
        streams.push_back(encode_stream(builder, *stream, box_, true));
    } else {
        for (const auto& [name, stream] : directory_.streams()) {
            if (may_see(session, name)) streams.push_back(encode_stream(builder, *stream, box_, false));
        }
    }
    builder.Finish(wire::CreateMetadataReply(builder, builder.CreateVector(streams)));
    EAGRE_ASSERT_LE(builder.GetSize(), kListPayloadBytesMax);
    session.outlet.push(frame::reply_to(header, FrameKind::kMetadataReply), padded(builder, cold_payload_));
    sessions_->mark_dirty(session);
}

flatbuffers::Offset<wire::StreamInfo> encode_stream(flatbuffers::FlatBufferBuilder& builder,
                                                    const shard::StreamEntry& stream, const Box& box,
                                                    bool with_shards) {
    shards::StreamDescription description;
    description.id = stream.id;
    description.name = stream.name;
    description.map_version = stream.map_version;
    description.retention_ms = stream.retention_ms;
    description.record_bytes_max = stream.record_bytes_max;
    description.created_ns = stream.created_ns;
    description.retention_bytes = stream.retention_bytes;
    description.quota_bytes_per_s = stream.quota_bytes_per_s;
    description.quota_records_per_s = stream.quota_records_per_s;
    if (with_shards) {
        description.stored_bytes = box.usage.total(stream.id);
        for (const shard::ShardEntry& entry : stream.shards) {
            const bool here = entry.stats != nullptr;
            shards::ShardDescription shard;
            shard.id = entry.id;
            shard.range = entry.range;
            shard.parent = entry.parent;
            shard.adjacent_parent = entry.adjacent_parent;
            shard.open = entry.open;
            shard.available = entry.available;
            shard.journal = entry.journal;
            shard.core = entry.core;
            shard.port = box.ports[entry.core.value];
            shard.trim_horizon = SequenceNumber{here ? entry.stats->trim_horizon : 0};
            shard.next_sequence = SequenceNumber{here ? entry.stats->durable_sequence : 0};
            shard.first_sequence = entry.first_sequence;
            shard.opened_ns = entry.opened_ns;
            shard.ordinal = entry.ordinal;
            description.shards.push_back(shard);
        }
    }
    return shards::encode_stream(builder, description, static_cast<uint32_t>(stream.shards.size()));
}

// The right to send datagrams is a connection's: what it may do by frame it may do by datagram, and both end together.
void Core::on_open_datagrams(Session& session, const FrameHeader& header, std::span<const std::byte> payload) {
    const auto* request = verified<wire::OpenDatagrams>(payload);
    if (request == nullptr) {
        sessions_->close_bad(session, header, error_of(Errc::kBadSchema));
        return;
    }
    const std::string_view name = request->client_name() != nullptr ? request->client_name()->string_view() : std::string_view{};
    io::Address peer = io_.connections.peer_of(session.connection);
    // Datagrams through a device of ours may come another way than the connection. A false address gains nothing: nothing goes
    // there before a datagram with the token has come from there.
    const bool device = !box_.options.nics.empty();
    if (device && request->from() != nullptr) peer = io::parse_address(request->from()->string_view(), 0);
    const auto token = door_->admit(session, peer, request->datagram_bytes(), name);
    if (!token) {
        reply_error(session, header, FrameKind::kDatagramsOpened, token.error());
        return;
    }
    flatbuffers::FlatBufferBuilder builder;
    const auto address = device ? builder.CreateString(box_.options.nic_address) : flatbuffers::Offset<flatbuffers::String>();
    builder.Finish(wire::CreateDatagramsOpened(builder, ingress::DatagramDoor::session_number(session), token->high, token->low,
                                               box_.ports[index_.value], kDatagramWindow, kDatagramBytesMax, address));
    session.outlet.push(frame::reply_to(header, FrameKind::kDatagramsOpened), padded(builder, cold_payload_));
    sessions_->mark_dirty(session);
}

Handled Core::on_datagram(Session& session, const FrameHeader& header, std::span<const std::byte> payload) {
    const ack::ReplyTo to{ack::ReplyTo::Kind::kDatagram, index_, session.id};
    if (header.kind != FrameKind::kAppend) {
        count_error(Errc::kBadKind);
        reply(to, frame::reply_to(header, FrameKind::kError, error_of(Errc::kBadKind, static_cast<uint64_t>(header.kind))));
        return Handled::kDone;
    }
    if (session.unanswered >= ingress::kUnansweredMax) return Handled::kBlocked;
    return on_append(session, header, payload, to);
}

void Core::refuse_append(const ack::ReplyTo& to, const FrameHeader& header, Error error) {
    count_error(error.code);
    if (frame::ack_mode_of(header) == frame::AckMode::kNone) return;
    FrameHeader answer = frame::reply_to(header, FrameKind::kAppendReply, error);
    answer.number = header.number;
    reply(to, answer);
}

Handled Core::on_append(Session& session, const FrameHeader& header, std::span<const std::byte> payload,
                        const ack::ReplyTo& to) {
    const bool by_datagram = to.kind == ack::ReplyTo::Kind::kDatagram;
    FrameHeader routed = header;
    bool check_map = true;
    if ((header.flags & frame::kAppendRouteForMe) != 0) {
        // The sender doesn't know the map: every key is hashed here, and all must agree on the shard.
        const shard::StreamEntry* stream = directory_.find(StreamId{header.shard});
        Errc refused = Errc::kOk;
        const shard::ShardEntry* target = nullptr;
        if (stream == nullptr) {
            const bool may_be_missing = header.shard > box_.last_map.stream_id_max && header.shard < first_new_stream_ &&
                                        box_.misses_journals();
            refused = may_be_missing ? Errc::kUnavailable : Errc::kUnknownStream;
        } else if ((session.grant.everywhere & identity::kPut) == 0 &&
                   !may_slowly(session, identity::kPut, header.shard | gate::kStreamMark, stream->name)) {
            refused = Errc::kAccessDenied;
        } else if (crc32c(payload) != header.payload_crc) {
            refused = Errc::kBadCrc;
        } else {
            const auto batch = frame::BatchView::verify(payload, header.record_count, stream->record_bytes_max);
            if (!batch) refused = batch.error().code;
            for (uint32_t i = 0; batch && i < batch->record_count() && refused == Errc::kOk; ++i) {
                const shard::ShardEntry* at = stream->route(frame::hash_of(batch->record(i)));
                if (at == nullptr) refused = Errc::kUnavailable;
                if (target != nullptr && at != target) refused = Errc::kWrongShard;
                target = at;
            }
        }
        if (refused != Errc::kOk) {
            if (refused == Errc::kBadCrc && by_datagram) return Handled::kClose;  // Lost on the way, so to speak.
            refuse_append(to, header, error_of(refused));
            return refused == Errc::kBadCrc ? Handled::kClose : Handled::kDone;
        }
        routed.shard = target->id.value;
        check_map = false;
    } else if (!may(session, identity::kPut, ShardId{header.shard})) {
        refuse_append(to, header, error_of(Errc::kAccessDenied, identity::kPut));
        return Handled::kDone;
    }
    shard::Shard* here = shard(ShardId{routed.shard});
    if (here != nullptr) return append_here(*here, routed, payload, to, check_map, true);

    const auto place = directory_.find_shard(ShardId{routed.shard});
    if (place.shard == nullptr || place.shard->core == index_ || !place.shard->available) {
        refuse_append(to, header, why_absent(ShardId{routed.shard}));
        return Handled::kDone;
    }
    // Datagrams are not handed over: their client has a token from each core, and goes there.
    if (payload.size() > kHandoverPayloadBytesMax || by_datagram) {
        refuse_append(to, header, error_of(Errc::kNotOwner, box_.ports[place.shard->core.value]));
    } else if (!hand_over(place.shard->core, session.id, routed, payload)) {
        refuse_append(to, header, error_of(Errc::kBusy));
    } else if (frame::ack_mode_of(header) != frame::AckMode::kNone) {
        ++session.unanswered;
    }
    return Handled::kDone;
}

// `may_block`: the frame can be kept and tried again (it came by our own connection); else a full window answers kBusy.
Handled Core::append_here(shard::Shard& shard, const FrameHeader& header, std::span<const std::byte> payload,
                          const ack::ReplyTo& to, bool check_map, bool may_block) {
    JournalSlot* slot = slot_of(shard.journal);
    EAGRE_ASSERT(slot != nullptr);
    const shard::StreamEntry* stream = stream_of(shard.facts.shard);
    if (slot->acks.full() && may_block) return Handled::kBlocked;

    Result<shard::Appended> appended = Errc::kBusy;
    if (!slot->acks.full()) {
        shard::AppendContext context;
        context.map_version = stream != nullptr ? stream->map_version : shard.facts.map_version;
        context.wall_ns = wall_ns_;
        context.now_ns = now_ns_;
        context.sample = static_cast<uint32_t>(prng_.next());
        context.check_map = check_map && to.outlet != kFeedOutlet;
        context.accept_repeated = box_.options.journal.mutants.accept_repeated_batch;
        context.own = to.outlet == kFeedOutlet;
        appended = shard::append(shard, producers_, header, payload, context);
    }
    const frame::AckMode mode = frame::ack_mode_of(header);
    if (!appended) {
        const Error error = appended.error();
        if (error.code == Errc::kBusy && may_block) return Handled::kBlocked;
        // A datagram that was corrupted on the way counts as lost: no answer, or it would not come again.
        if (error.code == Errc::kBadCrc && to.kind == ack::ReplyTo::Kind::kDatagram) return Handled::kClose;
        count_error(error.code);
        // Who wants no answers is told all the same that the map is another, or every batch from now on would be for nobody.
        const bool map_changed = error.code == Errc::kStaleMap || error.code == Errc::kShardClosed;
        if (mode != frame::AckMode::kNone || (map_changed && to.kind == ack::ReplyTo::Kind::kConnection)) {
            FrameHeader answer = frame::reply_to(header, FrameKind::kAppendReply, error);
            answer.number = header.number;
            reply(to, answer);
        } else if (to.kind == ack::ReplyTo::Kind::kCore) {
            reply({to.kind, to.core, {}}, frame::reply_to(header, FrameKind::kAppendReply, error));
        }
        return error.code == Errc::kBadCrc ? Handled::kClose : Handled::kDone;
    }

    ack::AckEntry entry = note_appended(*slot, shard, header, *appended);
    if (mode == frame::AckMode::kDurable) {
        entry.to = to;
        if (to.kind == ack::ReplyTo::Kind::kConnection || to.kind == ack::ReplyTo::Kind::kDatagram) {
            if (Session* session = sessions_->find(to.outlet)) ++session->unanswered;
        }
    } else if (mode == frame::AckMode::kAppended || to.kind == ack::ReplyTo::Kind::kCore) {
        FrameHeader answer = frame::reply_to(header, FrameKind::kAppendReply);
        answer.number = header.number;
        answer.sequence = appended->first_sequence.value;
        answer.record_count = appended->record_count;
        ack::ReplyTo target = to;
        if (mode == frame::AckMode::kNone) target.outlet = {};  // Only gives the hand-over's place back.
        reply(target, answer);
    }
    slot->acks.push(entry);
    return Handled::kDone;
}

ack::AckEntry Core::note_appended(JournalSlot& slot, const shard::Shard& shard, const FrameHeader& header, const shard::Appended& appended) {
    ack::AckEntry entry;
    entry.commit = appended.commit;
    entry.shard = shard.facts.shard;
    entry.first_sequence = appended.first_sequence;
    entry.record_count = appended.record_count;
    entry.correlation = header.correlation;
    entry.batch = BatchNumber{header.number};
    entry.received_ns = now_ns_;
    if (appended.repeated) {
        ++stats_->batches_repeated;
        return entry;
    }
    entry.durable_after = shard.appended;
    entry.payload_bytes = header.payload_bytes;
    slot.waiting_bytes += header.payload_bytes;
    ++stats_->batches_appended;
    stats_->records_appended += header.record_count;
    stats_->payload_bytes_appended += header.payload_bytes;
    return entry;
}

void Core::locate(const FrameHeader& header, const ack::ReplyTo& to) {
    shard::Shard* shard = this->shard(ShardId{header.shard});
    Error error;
    uint64_t next = 0;
    if (shard == nullptr) {
        error = why_absent(ShardId{header.shard});
    } else {
        const uint64_t tail = shard->durable.value;
        const uint64_t horizon = shard->trim_horizon().value;
        switch (static_cast<frame::Position>(header.flags)) {
            case frame::Position::kTrimHorizon:
                next = horizon;
                break;
            case frame::Position::kLatest:
                next = tail;
                break;
            case frame::Position::kAtSequenceNumber:
            case frame::Position::kAfterSequenceNumber: {
                const bool after = static_cast<frame::Position>(header.flags) == frame::Position::kAfterSequenceNumber;
                next = header.sequence + (after ? 1 : 0);
                if (header.sequence > tail || next > tail) error = error_of(Errc::kSequenceInFuture, tail);
                if (next < horizon) error = error_of(Errc::kSequenceTrimmed, horizon);
                break;
            }
            case frame::Position::kAtTimestamp: {
                const auto located = shard->journal->locate_time(shard->facts.shard, header.sequence);
                if (located) {
                    next = located->value;
                } else if (located.error().code == Errc::kBusy && locates_.size() < kLocatePendingMax) {
                    locates_.push_back({to, header.correlation, shard->facts.shard, header.sequence, FrameKind::kLocate});
                    return;
                } else {
                    error = located.error();
                }
                break;
            }
            default:
                error = error_of(Errc::kBadArgument, header.flags);
        }
    }
    if (error.code != Errc::kOk) count_error(error.code);
    FrameHeader answer = frame::reply_to(header, FrameKind::kLocateReply, error);
    answer.sequence = next;
    answer.number = shard != nullptr ? shard->durable.value : 0;
    reply(to, answer);
}

bool Core::hand_over(CoreIndex to, reactor::OutletId outlet, const FrameHeader& header,
                     std::span<const std::byte> payload) {
    EAGRE_ASSERT_NE(to.value, index_.value);
    if (handed_over_[to.value] == kHandoverQuota) {
        ++stats_->handover_refused;
        return false;
    }
    reactor::SpscRing& ring = box_.rings[index_.value][to.value];
    const auto room = ring.reserve(sizeof(CoreMessage) + payload.size());
    if (room.empty()) {
        ++stats_->handover_refused;
        return false;
    }
    CoreMessage message;
    message.kind = CoreMessage::Kind::kRequest;
    message.outlet = outlet;
    message.header = header;
    std::memcpy(room.data(), &message, sizeof(message));
    if (!payload.empty()) std::memcpy(room.data() + sizeof(message), payload.data(), payload.size());
    ring.publish();
    ++handed_over_[to.value];
    ++stats_->handed_over;
    wake_[to.value] = true;
    return true;
}

void Core::reply(const ack::ReplyTo& to, const FrameHeader& header) {
    switch (to.kind) {
        case ack::ReplyTo::Kind::kNobody:
            return;
        case ack::ReplyTo::Kind::kConnection:
            if (Session* session = sessions_->find(to.outlet)) {
                session->outlet.push(header);
                sessions_->mark_dirty(*session);
            }
            return;
        case ack::ReplyTo::Kind::kDatagram:
            if (Session* session = sessions_->find(to.outlet)) door_->answer(*session, header);
            return;
        case ack::ReplyTo::Kind::kCore: {
            reactor::SpscRing& ring = box_.reply_rings[index_.value][to.core.value];
            const auto room = ring.reserve(sizeof(CoreMessage));
            EAGRE_ASSERT(!room.empty());  // Reserved: the asking core has at most kHandoverQuota requests here.
            CoreMessage message;
            message.kind = CoreMessage::Kind::kReply;
            message.outlet = to.outlet;
            message.header = header;
            std::memcpy(room.data(), &message, sizeof(message));
            ring.publish();
            wake_[to.core.value] = true;
            return;
        }
    }
}

void Core::reply_error(Session& session, const FrameHeader& header, FrameKind kind, Error error) {
    count_error(error.code);
    if (header.kind == FrameKind::kAppend && frame::ack_mode_of(header) == frame::AckMode::kNone) return;
    FrameHeader answer = frame::reply_to(header, kind, error);
    if (kind == FrameKind::kAppendReply) answer.number = header.number;
    session.outlet.push(answer);
    sessions_->mark_dirty(session);
}

Error Core::why_absent(ShardId id) const {
    const shard::ShardEntry* entry = directory_.find_shard(id).shard;
    if (entry != nullptr && !entry->available) {
        return error_of(Errc::kUnavailable, box_.journal_directory[entry->journal.value]);
    }
    const bool between = id.value > box_.last_map.shard_id_max && id.value < first_new_shard_;
    if (entry == nullptr && between && box_.misses_journals()) {
        const auto missing = std::find(box_.journal_available.begin(), box_.journal_available.end(), false);
        const auto journal = static_cast<size_t>(missing - box_.journal_available.begin());
        return error_of(Errc::kUnavailable, box_.journal_directory[journal]);
    }
    return error_of(Errc::kUnknownShard);
}

const shard::StreamEntry* Core::stream_of(ShardId shard) const { return directory_.find_shard(shard).stream; }

}  // namespace eagre
