// Opening, closing, facts and searches: what is not on the hot path (journal_hot.cc).
#include "dataplane/journal/journal.h"

#include <algorithm>

#include "dataplane/journal/journal_core.h"
#include "dataplane/journal/recovery.h"
#include "wire/base/assert.h"
#include "wire/base/limits.h"

namespace eagre::journal {
namespace {

constexpr uint32_t kCloseStepsMax = 60'000;

uint32_t extent_count_max(const JournalOptions& options) {
    return static_cast<uint32_t>(
        std::clamp<uint64_t>(options.segment_bytes / kPageBytes, 1024, 65536));
}

FooterCounts footer_counts_max(const JournalOptions& options) {
    return {options.shard_count_max, extent_count_max(options), options.producer_state_count_max};
}

size_t op_count(const JournalOptions& options) {
    return SegmentPool::kOpCount + SegmentSealer::kOpCount + PageCache::kOpCount +
           CommitWriter::kOpCount + ReadPool::op_count(options) + Recovery::kOpCount + Cleaner::kOpCount;
}

}  // namespace

uint64_t record_bytes_storable(const JournalOptions& options) {
    constexpr uint64_t kOverhead = kFramePayloadBytesMax - kRecordDataBytesMax;
    const uint64_t run = std::min({options.window_bytes / 2, options.segment_bytes / 2, uint64_t{kFramePayloadBytesMax}});
    return run - std::min(run, kOverhead);
}

JournalCore::JournalCore(io::Io& io, const JournalOptions& options, io::MirroredBuffer ring)
    : context_(io, options, op_count(options)),
      window_(std::move(ring)),
      runs_(options.run_index_count),
      shards_(options.shard_count_max),
      producers_(options.producer_state_count_max, options.producer_idle_ns_max),
      extents_(extent_count_max(options), options.shard_count_max),
      pool_(context_),
      sealer_(context_, footer_counts_max(options)),
      pages_(context_, sealer_),
      chain_(pages_, extents_),
      writer_(context_, window_, runs_, shards_),
      reads_(context_),
      read_side_{context_, window_, runs_, shards_, chain_, reads_, 0},
      measurer_(read_side_),
      retention_(context_, shards_, chain_, extents_, pool_),
      cleaner_(context_, shards_, chain_, pool_, retention_, extent_count_max(options)) {}

JournalCore::~JournalCore() {
    for (Locator& locator : locators_) locator.reader.reset();
    measurer_.reset();
    EAGRE_ASSERT_EQ(read_side_.reader_count, 0U);
    // The device owns buffers and operations until it has given them back.
    (void)context_.device.drain();
    for (const auto& segment : pool_.all()) context_.device.files().close(segment->file);
}

Status JournalCore::start() {
    context_.now_ns = context_.device.now_ns();
    if (auto status = pool_.start(); !status) return status;
    if (auto status = sealer_.start(); !status) return status;
    if (auto status = pages_.start(); !status) return status;
    if (auto status = reads_.start(); !status) return status;
    if (auto status = cleaner_.start(); !status) return status;
    const uint64_t window_share = window_.bytes() / 2;
    run_bytes_max_ = static_cast<uint32_t>(std::min<uint64_t>(window_share, kFramePayloadBytesMax));
    Recovery recovery(*this);
    if (auto status = recovery.run(); !status) return status;
    pool_.opened();
    return {};
}

Result<std::unique_ptr<Journal>> Journal::open(io::Io& io, const JournalOptions& options) {
    EAGRE_ASSERT_EQ(options.segment_bytes % kPageBytes, 0U);
    EAGRE_ASSERT_LE(options.write_align_bytes, kPageBytes);
    EAGRE_ASSERT_GE(options.segment_bytes, 16 * kPageBytes);
    EAGRE_ASSERT_LE(options.segment_bytes, kSegmentBytesMax);
    EAGRE_ASSERT_GE(options.commits_in_flight_max, 1U);
    EAGRE_ASSERT_LE(options.commits_in_flight_max, kCommitQueueMax);
    auto ring =
        io::MirroredBuffer::create(std::max<uint64_t>(options.window_bytes, 16 * kPageBytes));
    if (!ring) return ring.error();
    auto core = std::make_unique<JournalCore>(io, options, std::move(*ring));
    if (auto status = core->start(); !status) return status.error();
    return std::unique_ptr<Journal>(std::move(core));
}

void JournalCore::release_recovered() {
    std::vector<ShardFacts>().swap(recovered_shards_);
    std::vector<ProducerFacts>().swap(recovered_producers_);
}

Result<CommitNumber> JournalCore::append_fact(const ShardFacts& facts) {
    EAGRE_ASSERT_NE(facts.shard.value, 0U);
    if (facts.stream_name.size() > kStreamNameBytesMax) return Errc::kBadArgument;
    ShardState* state = shards_.find(facts.shard.value);
    if (state == nullptr && shards_.count() == context_.options.shard_count_max)
        return Errc::kLimitExceeded;
    ShardState merged;
    if (state != nullptr) merged = *state;
    merge_facts(merged, facts);
    merged.facts.next_sequence = SequenceNumber{merged.appended_next};
    const auto commit = append_system(merged.facts, merged.last_arrival_ns);
    if (!commit) return commit;

    // The snapshot of a segment is taken by the next begin_run at the earliest: run and state
    // change together.
    state = shards_.take(facts.shard.value);
    const bool died = merged.facts.deleted && !state->facts.deleted;
    merge_facts(*state, facts);
    shards_.note_ids(facts.shard.value, facts.stream.value);
    if (died) {
        state->deleted_segment = writer_.segment().number();
        producers_.drop_shard(facts.shard);
        detach_usage(*state);
    } else {
        attach_usage(*state);
    }
    retention_.reconsider();
    return commit;
}

void JournalCore::attach_usage(ShardState& state) {
    if (state.facts.deleted || state.facts.stream.value == 0) return;
    if (state.usage == nullptr) {
        state.usage = &shards_.usages.take(state.facts.stream.value);
        ++state.usage->shard_count;
    }
    state.usage->retention_ms = state.facts.retention_ms;
}

void JournalCore::detach_usage(ShardState& state) {
    if (state.usage == nullptr) return;
    EAGRE_ASSERT_GT(state.usage->shard_count, 0U);
    if (--state.usage->shard_count == 0) shards_.usages.drop(state.facts.stream.value);
    state.usage = nullptr;
}

uint64_t JournalCore::stored_bytes(StreamId stream) const {
    const StreamUsage* usage = shards_.usages.find(stream.value);
    return usage == nullptr ? 0 : usage->stored_bytes();
}

void JournalCore::limit_stream(StreamId stream, uint64_t bytes) {
    StreamUsage* usage = shards_.usages.find(stream.value);
    if (usage != nullptr) retention_.limit(*usage, bytes);
}

Result<CommitNumber> JournalCore::append_horizon(const ShardState& state, uint64_t horizon) {
    ShardFacts facts = state.facts;
    facts.trim_horizon = SequenceNumber{horizon};
    facts.next_sequence = SequenceNumber{state.appended_next};
    return append_system(facts, state.last_arrival_ns);
}

Result<CommitNumber> JournalCore::append_system(const ShardFacts& facts, uint64_t arrival_ns) {
    const auto payload = encode_fact(facts);
    const auto target = begin(static_cast<uint32_t>(payload.size()), SegmentPool::For::kFacts);
    if (!target) return target.error();
    RunHeader header;
    header.shard = facts.shard.value;
    header.first_sequence = facts.next_sequence.value;
    header.arrival_ns = arrival_ns;
    header.stored_bytes = static_cast<uint32_t>(payload.size());
    header.payload_crc = crc32c_copy(target->data(), payload);
    header.flags = kRunFlagSystem;
    seal(header);
    writer_.take(header);
    ++context_.stats.run_count;
    return CommitNumber{writer_.open_number()};
}

Status JournalCore::remember_producer(const ProducerFacts& facts) {
    if (!producers_.remember(facts)) return Errc::kLimitExceeded;
    return {};
}

Result<std::unique_ptr<ShardReader>> JournalCore::open_reader(ShardId shard, SequenceNumber from) {
    const ShardState* state = shards_.find(shard.value);
    if (state == nullptr || state->facts.deleted) return Errc::kUnknownShard;
    if (read_side_.reader_count >= kReaderCountMax)
        return error_of(Errc::kLimitExceeded, kReaderCountMax);
    return std::unique_ptr<ShardReader>(std::make_unique<JournalReader>(read_side_, shard, from));
}

Result<SequenceNumber> JournalCore::locate_time(ShardId shard, uint64_t arrival_ns) {
    const ShardState* state = shards_.find(shard.value);
    if (state == nullptr || state->facts.deleted) return Errc::kUnknownShard;
    Locator* locator = nullptr;
    for (Locator& each : locators_) {
        if (each.shard == shard.value && each.arrival_ns == arrival_ns) {
            locator = &each;
            break;
        }
        if (locator == nullptr || each.used < locator->used) locator = &each;
    }
    locator->used = ++locator_clock_;
    if (locator->shard != shard.value || locator->arrival_ns != arrival_ns) {
        locator->shard = shard.value;
        locator->arrival_ns = arrival_ns;
        locator->reader.reset();
    }
    if (locator->reader == nullptr) {
        const auto start = chain_.find_time(*state, arrival_ns);
        if (!start)
            return start.error().code == Errc::kDamaged ? Error{Errc::kBusy, 0, 0} : start.error();
        locator->reader =
            std::make_unique<JournalReader>(read_side_, shard, SequenceNumber{*start});
    }
    Result<SequenceNumber> answer = SequenceNumber{state->durable_next};
    for (;;) {
        RunView view;
        const auto step = locator->reader->peek(view);
        if (!step) {
            const Error error = step.error();
            if (error.code == Errc::kDamaged || error.code == Errc::kSequenceTrimmed) {
                locator->reader->seek(SequenceNumber{error.detail});
                continue;
            }
            if (error.code != Errc::kSequenceInFuture) answer = error;
            break;
        }
        if (*step == ShardReader::Step::kPending) return Errc::kBusy;
        if (*step == ShardReader::Step::kTail) break;
        if (view.header.arrival_ns >= arrival_ns) {
            answer = SequenceNumber{
                std::max(view.header.first_sequence, state->facts.trim_horizon.value)};
            break;
        }
        locator->reader->advance();
    }
    locator->reader.reset();
    locator->shard = 0;
    return answer;
}

Result<Unread> JournalCore::measure(ShardId shard, SequenceNumber from) {
    const ShardState* state = shards_.find(shard.value);
    if (state == nullptr || state->facts.deleted) return Errc::kUnknownShard;
    if (from < state->facts.trim_horizon) return error_of(Errc::kSequenceTrimmed, state->facts.trim_horizon.value);
    if (from.value > state->durable_next) return error_of(Errc::kSequenceInFuture, state->durable_next);
    if (from.value == state->durable_next) return Unread{};
    return measurer_.measure(*state, from.value);
}

SequenceNumber JournalCore::durable_tail(ShardId shard) const {
    const ShardState* state = shards_.find(shard.value);
    return SequenceNumber{state == nullptr ? 0 : state->durable_next};
}

SequenceNumber JournalCore::trim_horizon(ShardId shard) const {
    const ShardState* state = shards_.find(shard.value);
    return SequenceNumber{state == nullptr ? 0 : state->facts.trim_horizon.value};
}

void JournalCore::retain(uint64_t retention_now_ns) {
    retention_.retain(*this, retention_now_ns);
}

Status JournalCore::close() {
    if (closed_) return {};
    EAGRE_ASSERT(!writer_.run_open());
    const auto wait_until = [&](auto done) {
        for (uint32_t step = 0; !done(); ++step) {
            if (failed() || step == kCloseStepsMax) return false;
            poll(context_.device.now_ns());
            if (!done()) context_.device.wait();
        }
        return !failed();
    };
    if (!wait_until([&] { return writer_.idle() && !sealer_.busy(); })) return Errc::kJournalFailed;
    // Nothing may be under way when the trailer says so.
    closed_ = true;
    if (!context_.device.drain() || failed()) return Errc::kJournalFailed;
    Segment& segment = writer_.segment();
    sealer_.begin(segment, segment_end(kTrailerClosed), footer_source());
    if (!wait_until([&] { return !sealer_.busy(); })) return Errc::kJournalFailed;
    return {};
}

}  // namespace eagre::journal
