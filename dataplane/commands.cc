// Commands of control: opened, changed and deleted streams. Core 0 takes the command, every core writes the facts of its
// own shards, and only when all of them are durable is the command answered and the directory changed everywhere.
#include <flatbuffers/flatbuffers.h>

#include <algorithm>

#include "dataplane/core.h"
#include "dataplane/gate/key_store.h"
#include "wire/base/assert.h"
#include "wire/base/crash_point.h"

namespace eagre {

using frame::FrameHeader;
using frame::FrameKind;
using ingress::Handled;
using ingress::Session;

namespace {

constexpr flatbuffers::uoffset_t kCommandDepthMax = 8;
constexpr flatbuffers::uoffset_t kCommandTableMax = kStreamShardCountMax + 16;

CrashPoint crash_delete_begun("delete-begun", "the shards take no more batches, no fact is written");
CrashPoint crash_delete_appended("delete-facts-appended", "facts of deleted shards are in the open commit, not durable");
CrashPoint crash_delete_durable("delete-facts-durable", "the shards of one core are deleted, the directories still show them");
CrashPoint crash_delete_published("delete-published", "the stream is gone, control has not been told");
CrashPoint crash_close_appended("reshard-close-appended", "facts of closed parents are in the open commit, not durable");
CrashPoint crash_open_appended("reshard-open-appended", "parents are closed; facts of opened shards are not durable (also of a new stream)");
CrashPoint crash_open_durable("reshard-open-durable", "the children of one core are open, the map is the old one (also of a new stream)");
CrashPoint crash_reshard_published("reshard-published", "the new map is in force, control has not been told");

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

// kUnavailable (detail = data directory) when a part of the stream lies in a journal that is missing.
Error missing_part(const shard::StreamEntry* stream, const Box& box) {
    if (stream == nullptr) return {};
    for (const shard::ShardEntry& each : stream->shards) {
        if (!each.available) return error_of(Errc::kUnavailable, box.journal_directory[each.journal.value]);
    }
    return {};
}

// What the journals say of the stream: without the shards that only the map of an earlier start knows.
shard::StreamEntry facts_of(const shard::StreamEntry& stream) {
    shard::StreamEntry facts = stream;
    std::erase_if(facts.shards, [](const shard::ShardEntry& each) { return !each.available; });
    facts.open_by_range.clear();
    return facts;
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
    if (commands_.size() >= kCommandPendingMax || stream_is_changing(StreamId{subject})) return answer(error_of(Errc::kBusy));

    CommandPending pending;
    pending.token = next_token_++;
    pending.outlet = session.id;
    pending.correlation = header.correlation;
    pending.command_id = command.id();
    pending.op = command.op();
    pending.epoch = command.epoch();
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
                    entry.ordinal = spec->ordinal();
                    entry.journal = journal;
                    entry.core = box_.core_of(journal);
                    stream->shards.push_back(entry);
                }
                stream->index();
            } else {
                if (known == nullptr) return answer(error_of(Errc::kUnknownStream));
                const Error incomplete = missing_part(known, box_);
                if (incomplete.code != Errc::kOk) return answer(incomplete);
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
            // What is forgotten here would come back with its directory.
            const Error incomplete = missing_part(directory_.find(StreamId{command.stream()->id()}), box_);
            if (incomplete.code != Errc::kOk) return answer(incomplete);
            pending.stream_id = StreamId{command.stream()->id()};
            // Asked of every core even when the directory does not know it: an opening that failed on one core may have left
            // shards on another, and they would come back as facts at the next start. With none left it is a repeated command.
            kind = ColdMessage::Kind::kDeleteShards;
            break;
        }
        case wire::CommandOp::Reshard: {
            const Error invalid = plan_reshard(command, pending);
            if (invalid.code != Errc::kOk) return answer(invalid);
            if (!pending.closing) {  // A repeated command: all its children are there.
                answer_command(session.id, header.correlation, command.id(), {}, false, pending.stream_id);
                return Handled::kDone;
            }
            kind = ColdMessage::Kind::kCloseShards;
            break;
        }
        case wire::CommandOp::AcceptClock:
            kind = ColdMessage::Kind::kAcceptClock;
            break;
        case wire::CommandOp::PutKeys: {
            auto keys = identity::key_set_from(command.key_set());
            if (!keys) return answer(keys.error());
            // An old copy of the catalogue must not bring back what was revoked.
            if ((*keys)->number < gate_.keys_number()) return answer(error_of(Errc::kStaleKeys, gate_.keys_number()));
            // Durable first: a key that is revoked stays so after a restart without control. The sync holds this core up for a
            // moment; administrators change keys seldom.
            const Status stored =
                gate::store_keys(io_.files, **keys, box_.master_key, box_.box_id_high, box_.box_id_low, gate_.draw());
            if (!stored) return answer(stored.error());
            pending.keys = std::move(*keys);
            kind = ColdMessage::Kind::kPutKeys;
            break;
        }
        case wire::CommandOp::PutFeeds: {
            const Error refused = plan_feeds(command.feed_set(), pending);
            if (refused.code != Errc::kOk) return answer(refused);
            kind = ColdMessage::Kind::kPutFeeds;
            break;
        }
        default:
            return answer(error_of(Errc::kBadArgument, static_cast<uint64_t>(command.op())));
    }
    pending.cores_left = box_.core_count;
    commands_.push_back(pending);
    order_all(pending, kind);
    return Handled::kDone;
}

bool Core::stream_is_changing(StreamId stream) const {
    return std::any_of(commands_.begin(), commands_.end(), [stream](const auto& each) { return each.stream_id == stream; });
}

// `pending` by a copy: core 0 answers its own order at once, and commands_ may move.
void Core::order_all(const CommandPending& pending, ColdMessage::Kind kind) {
    for (uint32_t core = 0; core < box_.core_count; ++core) {
        auto message = std::make_unique<ColdMessage>();
        message->kind = kind;
        message->token = pending.token;
        message->command_id = pending.command_id;
        message->epoch = pending.epoch;
        message->stream_id = pending.stream_id;
        message->stream = pending.stream;
        message->keys = pending.keys;
        message->feeds = pending.feeds;
        message->shards = pending.shards;
        send_cold(CoreIndex{core}, std::move(message));
    }
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
        case ColdMessage::Kind::kCloseShards:
        case ColdMessage::Kind::kDropShards:
            begin_job(from, *message);
            return;
        case ColdMessage::Kind::kReleaseShards:
            release_shards(message->stream_id);
            return;
        case ColdMessage::Kind::kShardsSpent:
            begin_dropping(*message);
            return;
        case ColdMessage::Kind::kAcceptClock:
        case ColdMessage::Kind::kPutFeeds:
        case ColdMessage::Kind::kPutKeys: {
            if (message->kind == ColdMessage::Kind::kAcceptClock) retention_clock_->accept(wall_ns_);
            if (message->kind == ColdMessage::Kind::kPutKeys) put_keys(message->keys);
            if (message->kind == ColdMessage::Kind::kPutFeeds) feeds_->apply(message->feeds, index_, feed_now());
            auto done = std::make_unique<ColdMessage>();
            done->kind = ColdMessage::Kind::kDone;
            done->token = message->token;
            send_cold(from, std::move(done));
            return;
        }
        case ColdMessage::Kind::kDone:
            finish_command(*message);
            return;
        case ColdMessage::Kind::kPutStream:
            map_changed_ = true;
            for (const shard::ShardEntry& each : message->stream->shards) {
                if (directory_.find_shard(each.id).shard == nullptr) first_new_shard_ = std::min(first_new_shard_, each.id.value);
            }
            if (directory_.find(message->stream->id) == nullptr) {
                first_new_stream_ = std::min(first_new_stream_, message->stream->id.value);
            }
            put_stream(message->stream);
            return;
        case ColdMessage::Kind::kEraseStream:
            map_changed_ = true;
            directory_.erase(message->stream_id);
            box_.usage.publish(index_, message->stream_id, 0);
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
            if (entry.core != index_ || !entry.available || shard(entry.id) != nullptr) continue;
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
            facts.ordinal = entry.ordinal;
            facts.map_version = message.stream->map_version;
            take_limits(facts, *message.stream);
            facts.stream_created_ns = message.stream->created_ns;
            facts.command_id = message.command_id;
            facts.epoch = message.epoch;
            job.to_append.push_back(std::move(facts));
        }
    } else if (message.kind == ColdMessage::Kind::kCloseShards) {
        begin_closing(message, job);
    } else {
        const bool some = message.kind == ColdMessage::Kind::kDropShards;
        const auto meant = [&](const shard::Shard& each) {
            return each.facts.stream == message.stream_id &&
                   (!some || std::find(message.shards.begin(), message.shards.end(), each.facts.shard) != message.shards.end());
        };
        std::vector<shard::Shard*> mine;
        for (const auto& [id, candidate] : shards_) {
            if (meant(*candidate)) mine.push_back(candidate.get());
        }
        std::sort(mine.begin(), mine.end(), [](const auto* a, const auto* b) { return a->facts.shard < b->facts.shard; });
        for (shard::Shard* each : mine) {
            journal::ShardFacts facts = each->facts;
            facts.next_sequence = each->appended;
            facts.trim_horizon = each->trim_horizon();
            facts.last_arrival_ns = each->last_arrival_ns;
            facts.command_id = message.command_id;
            facts.epoch = message.epoch;
            if (some || message.kind == ColdMessage::Kind::kDeleteShards) {
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
    if (message.kind == ColdMessage::Kind::kDeleteShards) crash_delete_begun.reach();
    jobs_.push_back(std::move(job));
}

// Where a shard of the job lives, or is about to; null when its journal is missing.
Core::JournalSlot* Core::slot_for(const FactJob& job, ShardId id) {
    if (const shard::Shard* known = shard(id)) return slot_of(known->journal);
    EAGRE_ASSERT(job.stream != nullptr);
    const auto& entries = job.stream->shards;
    const auto entry = std::lower_bound(entries.begin(), entries.end(), id,
                                        [](const auto& each, ShardId wanted) { return each.id < wanted; });
    EAGRE_ASSERT(entry != entries.end());
    EAGRE_ASSERT_EQ(entry->id.value, id.value);
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
            if (job.kind == ColdMessage::Kind::kDeleteShards) crash_delete_appended.reach();
            if (job.kind == ColdMessage::Kind::kCloseShards) crash_close_appended.reach();
            if (job.kind == ColdMessage::Kind::kOpenShards) crash_open_appended.reach();
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
    if (job.kind == ColdMessage::Kind::kCloseShards) {
        finish_closing(job, *done);
    } else if (job.error.code == Errc::kOk) {
        for (const journal::ShardFacts& facts : job.appended) {
            shard::Shard* known = shard(facts.shard);
            if (job.kind == ColdMessage::Kind::kOpenShards && known == nullptr) {
                adopt(facts, *slot_for(job, facts.shard)->journal);
            } else if (job.kind == ColdMessage::Kind::kSetStream && known != nullptr) {
                known->facts.map_version = facts.map_version;
                take_limits(known->facts, *job.stream);
                known->quota.set(facts.quota_bytes_per_s, facts.quota_records_per_s);
            } else if (facts.deleted && known != nullptr) {
                forget(*known);
            }
        }
        if (job.kind == ColdMessage::Kind::kDeleteShards) crash_delete_durable.reach();
        if (job.kind == ColdMessage::Kind::kOpenShards) crash_open_durable.reach();
    }
    send_cold(job.reply_core, std::move(done));
}

void Core::forget(shard::Shard& shard) {
    const ShardId id = shard.facts.shard;
    fanout_->end_shard(shard);
    producers_.forget_shard(id);
    shard.stats->shard = 0;
    if (shard.stats != &spare_shard_stats_) {
        const auto slot = static_cast<size_t>(shard.stats - shm::shard_stats(box_.board, index_.value, 0));
        free_stats_slots_.push_back(static_cast<uint32_t>(slot));
    }
    shards_.erase(id);
}

void Core::put_stream(const shard::StreamPointer& stream) {
    directory_.put(stream);
    // Who waits at the end of a closed shard, to write or to read, is told where to go on.
    for (const shard::ShardEntry& entry : stream->shards) {
        shard::Shard* const known = entry.open ? nullptr : shard(entry.id);
        if (known == nullptr || known->facts.open) continue;
        known->closing = false;
        fanout_->wake_shard(*known);
    }
}

void Core::finish_command(const ColdMessage& done) {
    const auto found =
        std::find_if(commands_.begin(), commands_.end(), [&done](const auto& c) { return c.token == done.token; });
    EAGRE_ASSERT(found != commands_.end());
    if (done.error.code != Errc::kOk) found->error = done.error;
    found->closed.insert(found->closed.end(), done.closed.begin(), done.closed.end());
    EAGRE_ASSERT_GT(found->cores_left, 0U);
    if (--found->cores_left > 0) return;
    if (found->closing && found->error.code == Errc::kOk) {
        found->error = unclosed_parent(*found);
        if (found->error.code == Errc::kOk) return open_children(*found);
    }
    const CommandPending pending = *found;
    commands_.erase(found);
    publish(pending);
    const bool resharded = pending.op == wire::CommandOp::Reshard && pending.error.code == Errc::kOk;
    if (pending.op == wire::CommandOp::DeleteStream) crash_delete_published.reach();
    if (resharded) crash_reshard_published.reach();
    answer_command(pending.outlet, pending.correlation, pending.command_id, pending.error, false,
                   resharded ? pending.stream_id : StreamId{});
}

// All cores have done their part: what the directories say follows, or, after an error, stays.
void Core::publish(const CommandPending& pending) {
    if (pending.error.code != Errc::kOk && pending.op == wire::CommandOp::Reshard) {
        order_all(pending, ColdMessage::Kind::kReleaseShards);
    }
    const bool of_stream = pending.op != wire::CommandOp::AcceptClock && pending.op != wire::CommandOp::PutKeys;
    if (pending.error.code == Errc::kOk && of_stream) {
        shard::StreamPointer published = pending.stream;
        if (published != nullptr) {
            for (const auto& each : published->shards) shard_id_max_ = std::max(shard_id_max_, each.id.value);
            stream_id_max_ = std::max(stream_id_max_, published->id.value);
            // Tails and horizons are read from the owners' slots on the board.
            auto entry = std::make_shared<shard::StreamEntry>(*published);
            for (auto& each : entry->shards) {
                for (uint32_t slot = 0; slot < box_.options.stats_shard_capacity && each.available && each.stats == nullptr; ++slot) {
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
}

void Core::answer_command(reactor::OutletId outlet, uint64_t correlation, uint64_t command_id, Error error,
                          bool with_facts, StreamId only) {
    if (error.code != Errc::kOk) count_error(error.code);
    // Where a directory may be missing next time, what was made is in the map before anybody hears of it.
    if (box_.directory_paths.size() > 1) keep_map(true);
    Session* session = sessions_->find(outlet);
    if (session == nullptr) return;
    flatbuffers::FlatBufferBuilder builder;
    std::vector<flatbuffers::Offset<wire::StreamInfo>> streams;
    for (const auto& [name, stream] : directory_.streams()) {
        if (!with_facts && stream->id != only) continue;
        const shard::StreamEntry facts = facts_of(*stream);
        if (!facts.shards.empty()) streams.push_back(encode_stream(builder, facts, box_, true));
    }
    const auto list = builder.CreateVector(streams);
    std::vector<uint32_t> missing;
    std::vector<flatbuffers::Offset<wire::JournalInfo>> journals;
    std::vector<flatbuffers::Offset<wire::DirectoryInfo>> directories;
    for (uint32_t id = 0; id < box_.journal_count; ++id) {
        const bool there = box_.journal_available[id];
        if (!there) missing.push_back(id);
        if (!with_facts) continue;
        journals.push_back(wire::CreateJournalInfo(builder, id, box_.journal_directory[id], box_.core_of(JournalId{id}).value, there));
    }
    for (uint32_t number = 0; with_facts && number < box_.directory_paths.size(); ++number) {
        directories.push_back(wire::CreateDirectoryInfo(builder, number, builder.CreateString(box_.directory_paths[number]),
                                                        box_.directory_available[number]));
    }
    const auto journals_missing = builder.CreateVector(missing);
    const auto journal_list = builder.CreateVector(journals);
    const auto directory_list = builder.CreateVector(directories);
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
    table.add_journals(journal_list);
    table.add_directories(directory_list);
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
