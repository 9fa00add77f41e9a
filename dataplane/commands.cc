// Commands of control: opened, changed and deleted streams. Core 0 takes the command, every core writes the facts of its
// own shards, and only when all of them are durable is the command answered and the directory changed everywhere.
#include <flatbuffers/flatbuffers.h>

#include <algorithm>

#include "dataplane/core.h"
#include "dataplane/gate/key_store.h"
#include "wire/base/assert.h"

namespace eagre {

using frame::FrameHeader;
using frame::FrameKind;
using ingress::Handled;
using ingress::Session;

namespace {

constexpr flatbuffers::uoffset_t kCommandDepthMax = 8;
constexpr flatbuffers::uoffset_t kCommandTableMax = kStreamShardCountMax + 16;

Error validate(const wire::StreamInfo* stream, uint32_t journal_count) {
    if (stream == nullptr || stream->id() == 0 || stream->name() == nullptr || stream->shards() == nullptr) {
        return error_of(Errc::kBadArgument);
    }
    const auto* shards = stream->shards();
    if (stream->name()->size() == 0 || stream->name()->size() > kStreamNameBytesMax) return error_of(Errc::kBadArgument);
    if (shards->size() == 0 || shards->size() > kStreamShardCountMax) {
        return error_of(Errc::kLimitExceeded, kStreamShardCountMax);
    }
    for (const wire::ShardInfo* shard : *shards) {
        if (shard->id() == 0) return error_of(Errc::kBadArgument);
        if (shard->journal() >= journal_count) return error_of(Errc::kUnavailable, shard->journal());
    }
    return {};
}

void take_limits(shard::StreamEntry& stream, const wire::StreamInfo& info) {
    stream.retention_ms = info.retention_ms();
    stream.retention_bytes = info.retention_bytes();
    stream.quota_bytes_per_s = info.quota_bytes_per_s();
    stream.quota_records_per_s = info.quota_records_per_s();
    if (info.record_bytes_max() != 0) stream.record_bytes_max = std::min<uint64_t>(info.record_bytes_max(), kRecordDataBytesMax);
    if (stream.record_bytes_max == 0) stream.record_bytes_max = kRecordDataBytesDefault;
}

void take_limits(journal::ShardFacts& facts, const shard::StreamEntry& stream) {
    facts.retention_ms = stream.retention_ms;
    facts.retention_bytes = stream.retention_bytes;
    facts.quota_bytes_per_s = stream.quota_bytes_per_s;
    facts.quota_records_per_s = stream.quota_records_per_s;
    facts.record_bytes_max = stream.record_bytes_max;
}

}  // namespace

Handled Core::on_command(Session& session, const FrameHeader& header, std::span<const std::byte> payload) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(payload.data());
    flatbuffers::Verifier verifier(bytes, payload.size(), kCommandDepthMax, kCommandTableMax);
    if (payload.size() < 16 || !verifier.VerifyBuffer<wire::Command>(nullptr)) {
        sessions_->close_bad(session, header, error_of(Errc::kBadSchema));
        return Handled::kClose;
    }
    const auto& command = *flatbuffers::GetRoot<wire::Command>(bytes);
    const auto answer = [&](Error error, bool with_facts = false) {
        answer_command(session.id, header.correlation, command.id(), error, with_facts);
        return Handled::kDone;
    };

    if (command.op() == wire::CommandOp::TakeEpoch) {
        // Equal is a repeat by the same control process: its catalogue never gives an epoch twice.
        if (command.epoch() < epoch_) return answer(error_of(Errc::kStaleEpoch, epoch_));
        epoch_ = command.epoch();
        attach_control(session);
        return answer({});
    }
    if (command.op() == wire::CommandOp::ListFacts) return answer({}, true);
    if (command.epoch() < epoch_) return answer(error_of(Errc::kStaleEpoch, epoch_));
    if (command.op() == wire::CommandOp::Stop) {
        box_.stop.store(true);
        for (io::Events* events : box_.events) {
            if (events != nullptr) events->wake();
        }
        return answer({});
    }
    const uint64_t subject = command.stream() != nullptr ? command.stream()->id() : 0;
    const bool under_way = std::any_of(commands_.begin(), commands_.end(),
                                       [subject](const auto& each) { return each.stream_id.value == subject; });
    if (commands_.size() >= kCommandPendingMax || under_way) return answer(error_of(Errc::kBusy));

    CommandPending pending;
    pending.token = next_token_++;
    pending.outlet = session.id;
    pending.correlation = header.correlation;
    pending.command_id = command.id();
    pending.op = command.op();
    ColdMessage::Kind kind{};
    switch (command.op()) {
        case wire::CommandOp::OpenStream:
        case wire::CommandOp::SetStream: {
            const bool opening = command.op() == wire::CommandOp::OpenStream;
            const wire::StreamInfo* info = command.stream();
            if (info == nullptr) return answer(error_of(Errc::kBadArgument));
            auto stream = std::make_shared<shard::StreamEntry>();
            const shard::StreamEntry* known = directory_.find(StreamId{info->id()});
            if (opening) {
                const Error invalid = validate(info, box_.journal_count);
                if (invalid.code != Errc::kOk) return answer(invalid);
                const shard::StreamEntry* named = directory_.find(info->name()->string_view());
                if (named != nullptr && named->id.value != info->id()) return answer(error_of(Errc::kStreamExists));
                // Ids are never used twice, whatever an old copy of the catalogue believes: an unknown stream's id is new,
                // and so are its shards'. A known one is a repeated command, or one that got half way.
                if (known == nullptr && info->id() <= stream_id_max_) return answer(error_of(Errc::kBadArgument, stream_id_max_));
                if (known != nullptr && known->name != info->name()->string_view()) {
                    return answer(error_of(Errc::kBadArgument, stream_id_max_));
                }
                const size_t more = known == nullptr ? info->shards()->size() : 0;
                if (directory_.shard_count() + more > kBoxShardCountMax) {
                    return answer(error_of(Errc::kLimitExceeded, kBoxShardCountMax));
                }
                if (known != nullptr) *stream = *known;
                stream->id = StreamId{info->id()};
                stream->name = info->name()->str();
                stream->map_version = std::max<uint64_t>(1, info->map_version());
                take_limits(*stream, *info);
                stream->created_ns = info->created_ns() != 0 ? info->created_ns() : wall_ns_;
                for (const wire::ShardInfo* spec : *info->shards()) {
                    const JournalId journal{spec->journal()};
                    if (!box_.journal_available[journal.value]) return answer(error_of(Errc::kUnavailable, journal.value));
                    const bool there = std::any_of(stream->shards.begin(), stream->shards.end(),
                                                   [&](const auto& entry) { return entry.id.value == spec->id(); });
                    if (there) continue;
                    if (known == nullptr && spec->id() <= shard_id_max_) {
                        return answer(error_of(Errc::kBadArgument, shard_id_max_));
                    }
                    shard::ShardEntry entry;
                    entry.id = ShardId{spec->id()};
                    entry.range = {{spec->starting_hash_high(), spec->starting_hash_low()},
                                   {spec->ending_hash_high(), spec->ending_hash_low()}};
                    if (entry.range.ending < entry.range.starting) return answer(error_of(Errc::kBadArgument));
                    entry.parent = ShardId{spec->parent()};
                    entry.adjacent_parent = ShardId{spec->adjacent_parent()};
                    entry.first_sequence = SequenceNumber{std::max<uint64_t>(1, spec->first_sequence())};
                    entry.opened_ns = wall_ns_;
                    entry.journal = journal;
                    entry.core = box_.core_of(journal);
                    stream->shards.push_back(entry);
                }
                stream->index();
            } else {
                if (known == nullptr) return answer(error_of(Errc::kUnknownStream));
                *stream = *known;
                take_limits(*stream, *info);
                // Another record limit comes with another version, so that producers ask for the map.
                stream->map_version = std::max(stream->map_version, info->map_version());
            }
            const uint64_t storable = std::max<uint64_t>(kRecordDataBytesDefault, journal::record_bytes_storable(box_.options.journal));
            if (stream->record_bytes_max > storable) return answer(error_of(Errc::kRecordTooLarge, storable));
            pending.stream_id = stream->id;
            pending.stream = std::move(stream);
            kind = opening ? ColdMessage::Kind::kOpenShards : ColdMessage::Kind::kSetStream;
            break;
        }
        case wire::CommandOp::DeleteStream: {
            if (command.stream() == nullptr) return answer(error_of(Errc::kBadArgument));
            pending.stream_id = StreamId{command.stream()->id()};
            // Asked of every core even when the directory does not know it: an opening that failed on one core may have left
            // shards on another, and they would come back as facts at the next start. With none left it is a repeated command.
            kind = ColdMessage::Kind::kDeleteShards;
            break;
        }
        case wire::CommandOp::AcceptClock:
            kind = ColdMessage::Kind::kAcceptClock;
            break;
        case wire::CommandOp::PutKeys: {
            auto keys = identity::key_set_from(command.key_set());
            if (!keys) return answer(keys.error());
            // An old copy of the catalogue must not bring back what was revoked.
            if ((*keys)->number < gate_.keys().number) return answer(error_of(Errc::kStaleKeys, gate_.keys().number));
            // Durable first: a key that is revoked stays so after a restart without control. The sync holds this core up for a
            // moment; administrators change keys seldom.
            const Status stored =
                gate::store_keys(io_.files, **keys, box_.master_key, box_.box_id_high, box_.box_id_low, gate_.draw());
            if (!stored) return answer(stored.error());
            pending.keys = std::move(*keys);
            kind = ColdMessage::Kind::kPutKeys;
            break;
        }
        default:
            return answer(error_of(Errc::kBadArgument, static_cast<uint64_t>(command.op())));
    }
    pending.cores_left = box_.core_count;
    commands_.push_back(pending);
    for (uint32_t core = 0; core < box_.core_count; ++core) {
        auto message = std::make_unique<ColdMessage>();
        message->kind = kind;
        message->token = pending.token;
        message->command_id = command.id();
        message->epoch = command.epoch();
        message->stream_id = pending.stream_id;
        message->stream = pending.stream;
        message->keys = pending.keys;
        send_cold(CoreIndex{core}, std::move(message));
    }
    return Handled::kDone;
}

void Core::send_cold(CoreIndex to, std::unique_ptr<ColdMessage> message) {
    if (to == index_) {
        on_cold(index_, std::move(message));
        return;
    }
    reactor::SpscRing& ring = box_.rings[index_.value][to.value];
    const auto room = ring.reserve(sizeof(CoreMessage));
    if (room.empty() || !cold_waiting_.empty()) {
        cold_waiting_.emplace_back(to, std::move(message));  // In order, next turn. Bounded by kCommandPendingMax and kRelayPerSessionMax.
        return;
    }
    CoreMessage envelope;
    envelope.kind = CoreMessage::Kind::kCold;
    envelope.cold = message.release();
    std::memcpy(room.data(), &envelope, sizeof(envelope));
    ring.publish();
    wake_[to.value] = true;
}

size_t Core::send_waiting_cold() {
    auto waiting = std::move(cold_waiting_);
    cold_waiting_.clear();
    const size_t before = waiting.size();
    for (auto& [to, message] : waiting) send_cold(to, std::move(message));
    return before - cold_waiting_.size();
}

void Core::on_cold(CoreIndex from, std::unique_ptr<ColdMessage> message) {
    switch (message->kind) {
        case ColdMessage::Kind::kOpenShards:
        case ColdMessage::Kind::kDeleteShards:
        case ColdMessage::Kind::kSetStream:
            begin_job(from, *message);
            return;
        case ColdMessage::Kind::kAcceptClock:
        case ColdMessage::Kind::kPutKeys: {
            if (message->kind == ColdMessage::Kind::kAcceptClock) retention_clock_->accept(wall_ns_);
            if (message->kind == ColdMessage::Kind::kPutKeys) put_keys(message->keys);
            auto done = std::make_unique<ColdMessage>();
            done->kind = ColdMessage::Kind::kDone;
            done->token = message->token;
            send_cold(from, std::move(done));
            return;
        }
        case ColdMessage::Kind::kDone:
            finish_command(message->token, message->error);
            return;
        case ColdMessage::Kind::kPutStream:
            directory_.put(message->stream);
            return;
        case ColdMessage::Kind::kEraseStream:
            directory_.erase(message->stream_id);
            return;
        case ColdMessage::Kind::kRelay:
            relay_request(from, *message);
            return;
        case ColdMessage::Kind::kRelayed:
            finish_relayed(*message);
            return;
    }
}

// Works out which facts this core must write; work_on_jobs appends them as the journal takes them.
void Core::begin_job(CoreIndex from, const ColdMessage& message) {
    FactJob job;
    job.token = message.token;
    job.reply_core = from;
    job.kind = message.kind;
    job.stream_id = message.stream_id;
    job.stream = message.stream;
    if (message.kind == ColdMessage::Kind::kOpenShards) {
        for (const shard::ShardEntry& entry : message.stream->shards) {
            if (entry.core != index_ || shard(entry.id) != nullptr) continue;
            journal::ShardFacts facts;
            facts.shard = entry.id;
            facts.stream = message.stream->id;
            facts.stream_name = message.stream->name;
            facts.range = entry.range;
            facts.parent = entry.parent;
            facts.adjacent_parent = entry.adjacent_parent;
            facts.first_sequence = entry.first_sequence;
            facts.next_sequence = entry.first_sequence;
            facts.trim_horizon = entry.first_sequence;
            facts.last_arrival_ns = entry.opened_ns;
            facts.opened_ns = entry.opened_ns;
            facts.map_version = message.stream->map_version;
            take_limits(facts, *message.stream);
            facts.stream_created_ns = message.stream->created_ns;
            facts.command_id = message.command_id;
            facts.epoch = message.epoch;
            job.to_append.push_back(std::move(facts));
        }
    } else {
        std::vector<shard::Shard*> mine;
        for (const auto& [id, candidate] : shards_) {
            if (candidate->facts.stream == message.stream_id) mine.push_back(candidate.get());
        }
        std::sort(mine.begin(), mine.end(), [](const auto* a, const auto* b) { return a->facts.shard < b->facts.shard; });
        for (shard::Shard* each : mine) {
            journal::ShardFacts facts = each->facts;
            facts.next_sequence = each->appended;
            facts.trim_horizon = each->trim_horizon();
            facts.last_arrival_ns = each->last_arrival_ns;
            facts.command_id = message.command_id;
            facts.epoch = message.epoch;
            if (message.kind == ColdMessage::Kind::kDeleteShards) {
                facts.open = false;
                facts.deleted = true;
                each->facts.open = false;  // From now on nothing is appended behind the fact.
            } else {
                facts.map_version = message.stream->map_version;
                take_limits(facts, *message.stream);
            }
            job.to_append.push_back(std::move(facts));
        }
    }
    jobs_.push_back(std::move(job));
}

// Where a shard of the job lives, or is about to; null when its journal is missing.
Core::JournalSlot* Core::slot_for(const FactJob& job, ShardId id) {
    if (const shard::Shard* known = shard(id)) return slot_of(known->journal);
    EAGRE_ASSERT(job.stream != nullptr);
    const auto& entries = job.stream->shards;
    const auto entry = std::find_if(entries.begin(), entries.end(), [id](const auto& each) { return each.id == id; });
    EAGRE_ASSERT(entry != entries.end());
    for (auto& slot : journals_) {
        if (slot->id == entry->journal) return slot.get();
    }
    return nullptr;
}

size_t Core::work_on_jobs() {
    size_t moved = 0;
    for (FactJob& job : jobs_) {
        while (!job.to_append.empty() && job.error.code == Errc::kOk) {
            const journal::ShardFacts& facts = job.to_append.front();
            JournalSlot* slot = slot_for(job, facts.shard);
            if (slot == nullptr) {
                job.error = error_of(Errc::kUnavailable);
                break;
            }
            const auto commit = slot->journal->append_fact(facts);
            if (!commit) {
                if (commit.error().code == Errc::kBusy) break;  // Next turn.
                job.error = commit.error();
                break;
            }
            const auto awaited = std::find_if(job.awaited.begin(), job.awaited.end(),
                                              [slot](const auto& entry) { return entry.first == slot; });
            if (awaited == job.awaited.end()) {
                job.awaited.emplace_back(slot, *commit);
            } else {
                awaited->second = *commit;
            }
            job.appended.push_back(facts);
            job.to_append.pop_front();
            ++moved;
        }
    }
    for (size_t i = 0; i < jobs_.size();) {
        FactJob& job = jobs_[i];
        bool done = job.to_append.empty() || job.error.code != Errc::kOk;
        for (const auto& [slot, commit] : job.awaited) {
            if (slot->journal->failed()) {
                job.error = error_of(Errc::kOutcomeUnknown);
                done = true;
            } else if (slot->journal->durable() < commit) {
                done = false;
                break;
            }
        }
        if (!done) {
            ++i;
            continue;
        }
        FactJob finished = std::move(job);
        jobs_.erase(jobs_.begin() + static_cast<ptrdiff_t>(i));
        finish_job(finished);
        ++moved;
    }
    return moved;
}

// The facts are durable: now, and not before, they count.
void Core::finish_job(FactJob& job) {
    auto done = std::make_unique<ColdMessage>();
    done->kind = ColdMessage::Kind::kDone;
    done->token = job.token;
    done->error = job.error;
    if (job.error.code == Errc::kOk) {
        for (const journal::ShardFacts& facts : job.appended) {
            shard::Shard* known = shard(facts.shard);
            if (job.kind == ColdMessage::Kind::kOpenShards && known == nullptr) {
                adopt(facts, *slot_for(job, facts.shard)->journal);
            } else if (job.kind == ColdMessage::Kind::kSetStream && known != nullptr) {
                known->facts.map_version = facts.map_version;
                take_limits(known->facts, *job.stream);
                known->quota.set(facts.quota_bytes_per_s, facts.quota_records_per_s);
            } else if (job.kind == ColdMessage::Kind::kDeleteShards && known != nullptr) {
                fanout_->end_shard(*known);
                producers_.forget_shard(facts.shard);
                known->stats->shard = 0;
                shards_.erase(facts.shard);
            }
        }
    }
    send_cold(job.reply_core, std::move(done));
}

void Core::finish_command(uint64_t token, Error error) {
    const auto found = std::find_if(commands_.begin(), commands_.end(), [token](const auto& c) { return c.token == token; });
    EAGRE_ASSERT(found != commands_.end());
    if (error.code != Errc::kOk) found->error = error;
    EAGRE_ASSERT_GT(found->cores_left, 0U);
    if (--found->cores_left > 0) return;
    const CommandPending pending = *found;
    commands_.erase(found);
    const bool of_stream = pending.op != wire::CommandOp::AcceptClock && pending.op != wire::CommandOp::PutKeys;
    if (pending.error.code == Errc::kOk && of_stream) {
        shard::StreamPointer published = pending.stream;
        if (published != nullptr) {
            for (const auto& each : published->shards) shard_id_max_ = std::max(shard_id_max_, each.id.value);
            stream_id_max_ = std::max(stream_id_max_, published->id.value);
            // Tails and horizons are read from the owners' slots on the board.
            auto entry = std::make_shared<shard::StreamEntry>(*published);
            for (auto& each : entry->shards) {
                for (uint32_t slot = 0; slot < box_.options.stats_shard_capacity && each.stats == nullptr; ++slot) {
                    const shm::ShardStats* candidate = shm::shard_stats(box_.board, each.core.value, slot);
                    if (candidate->shard == each.id.value) each.stats = candidate;
                }
            }
            entry->index();
            published = std::move(entry);
        }
        for (uint32_t core = 0; core < box_.core_count; ++core) {
            auto message = std::make_unique<ColdMessage>();
            message->kind = published != nullptr ? ColdMessage::Kind::kPutStream : ColdMessage::Kind::kEraseStream;
            message->stream = published;
            message->stream_id = pending.stream_id;
            send_cold(CoreIndex{core}, std::move(message));
        }
    }
    answer_command(pending.outlet, pending.correlation, pending.command_id, pending.error, false);
}

void Core::answer_command(reactor::OutletId outlet, uint64_t correlation, uint64_t command_id, Error error,
                          bool with_facts) {
    if (error.code != Errc::kOk) count_error(error.code);
    Session* session = sessions_->find(outlet);
    if (session == nullptr) return;
    flatbuffers::FlatBufferBuilder builder;
    std::vector<flatbuffers::Offset<wire::StreamInfo>> streams;
    if (with_facts) {
        for (const auto& [name, stream] : directory_.streams()) {
            streams.push_back(encode_stream(builder, *stream, box_, true));
        }
    }
    const auto list = builder.CreateVector(streams);
    std::vector<uint32_t> missing;
    for (uint32_t id = 0; id < box_.journal_count; ++id) {
        if (!box_.journal_available[id]) missing.push_back(id);
    }
    const auto journals_missing = builder.CreateVector(missing);
    wire::CommandReplyBuilder table(builder);
    table.add_id(command_id);
    table.add_code(static_cast<uint16_t>(error.code));
    table.add_detail(error.detail);
    table.add_streams(list);
    table.add_journal_count(box_.journal_count);
    table.add_shard_id_max(shard_id_max_);
    table.add_stream_id_max(stream_id_max_);
    table.add_clock_waits(retention_clock_->waits());
    table.add_journals_missing(journals_missing);
    builder.Finish(table.Finish());
    const auto bytes = std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize()));
    cold_payload_.assign((bytes.size() + 7) / 8 * 8, std::byte{0});
    std::copy(bytes.begin(), bytes.end(), cold_payload_.begin());
    FrameHeader header;
    header.kind = FrameKind::kCommandReply;
    header.correlation = correlation;
    header.flags = static_cast<uint16_t>(error.code);
    header.detail = error.detail;
    session->outlet.push(header, cold_payload_);
    sessions_->mark_dirty(*session);
}

}  // namespace eagre
