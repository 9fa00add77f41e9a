#include "dataplane/shard/append.h"

#include "wire/base/assert.h"
#include "wire/base/crc32c.h"
#include "wire/frame/batch.h"

namespace eagre::shard {
namespace {

// A producer that names the shard itself is believed but for one record of each batch, drawn so that it can't know which.
bool sample_lies_in_range(const frame::BatchView& batch, const HashKeyRange& range, uint32_t sample) {
    const frame::RecordView record = batch.record(sample % batch.record_count());
    return range.contains(frame::hash_of(record));
}

// What a stranger sent, where it will be stored.
Error inspect(std::span<const std::byte> room, uint32_t record_count, const journal::ShardFacts& facts, uint32_t sample) {
    const auto batch = frame::BatchView::verify(room, record_count, facts.record_bytes_max);
    if (!batch) return batch.error();
    if (batch->has_gap()) return error_of(Errc::kBadSchema);  // Only the box says what is missing.
    if (!sample_lies_in_range(*batch, facts.range, sample)) return error_of(Errc::kWrongShard);
    return {};
}

}  // namespace

Result<Appended> append(Shard& shard, ProducerTable& producers, const frame::FrameHeader& header,
                        std::span<const std::byte> payload, const AppendContext& context) {
    EAGRE_ASSERT_EQ(payload.size(), header.payload_bytes);
    const ProducerId producer{header.detail};
    const BatchNumber number{header.number};

    if (is_feed_producer(producer) && !context.own) return Errc::kBadArgument;  // Who feeds the box can't be played by others.

    // A retry is answered first, whatever has become of the shard since: the first answer, or "never will be".
    if (producer.value != 0 && !context.accept_repeated && !context.own) {
        const auto verdict = producers.check(producer, shard.facts.shard, number, header.payload_crc, header.record_count);
        if (!verdict) {
            // "Never will be" is said once the closing is durable and the children are there to be asked.
            if (shard.closing && verdict.error().code != Errc::kBatchMismatch) return Errc::kBusy;
            // A first batch that was never seen can't have been stored: the closed shard may say so.
            if (!shard.facts.open && verdict.error().code != Errc::kBatchMismatch &&
                verdict.error().code != Errc::kBatchForgotten && verdict.error().code != Errc::kUnknownProducer) {
                return error_of(Errc::kShardClosed, shard.appended.value - 1);
            }
            return verdict.error();
        }
        if (verdict->repeated) {
            // The commit of the shard's newest run is not earlier than this batch's own: never acknowledged too early.
            return Appended{shard.last_commit, verdict->first.first_sequence, verdict->first.record_count, true};
        }
    }
    if (shard.closing) return Errc::kBusy;
    if (!shard.facts.open) return error_of(Errc::kShardClosed, shard.appended.value - 1);
    if (context.check_map && header.sequence != context.map_version) {
        return error_of(Errc::kStaleMap, context.map_version);
    }

    if (shard.quota.limited()) {
        if (const uint64_t wait_ns = shard.quota.wait_ns(context.now_ns); wait_ns > 0) {
            ++shard.stats->throttled;
            return error_of(Errc::kThrottled, wait_ns);
        }
    }
    if (payload.empty()) return Errc::kBadLength;  // A legal frame, but no batch, and no run of any journal.
    const auto room = shard.journal->begin_run(header.payload_bytes);
    if (!room) return room.error();
    EAGRE_ASSERT_EQ(room->size(), header.payload_bytes);
    // The only copy on the way to the disk, fused with the CRC. Verified where it will be stored.
    const uint32_t payload_crc = crc32c_copy(room->data(), payload);
    if (!context.own) {
        const Errc refused = payload_crc != header.payload_crc ? Errc::kBadCrc : Errc::kOk;
        const Error error = refused == Errc::kOk ? inspect(*room, header.record_count, shard.facts, context.sample) : error_of(refused);
        if (error.code != Errc::kOk) {
            shard.journal->abandon_run();
            return error;
        }
    }

    journal::RunHeader run;
    run.shard = shard.facts.shard.value;
    run.first_sequence = shard.appended.value;
    run.arrival_ns = shard.stamp(context.wall_ns);
    run.producer = producer.value;
    run.batch_number = number.value;
    run.record_count = header.record_count;
    run.stored_bytes = header.payload_bytes;
    run.payload_crc = payload_crc;
    if (producer.value != 0) {
        const journal::BatchResult result{number, shard.appended, header.record_count, payload_crc};
        const auto remembered = shard.journal->remember_producer(
            producers.record(producer, shard.facts.shard, result, run.arrival_ns));
        if (!remembered && context.own) {
            // Stored all the same: nobody would send it again. Only a restart won't know where it was.
            producers.forget(producer, shard.facts.shard);
            run.producer = 0;
            run.batch_number = 0;
        } else if (!remembered) {
            // Only a new id can find the journal's table full: a known one takes its old place.
            EAGRE_ASSERT_EQ(number.value, 0U);
            producers.forget(producer, shard.facts.shard);
            shard.journal->abandon_run();
            return remembered.error();
        }
    }
    const journal::CommitNumber commit = shard.journal->finish_run(run);
    shard.last_commit = commit;
    if (shard.quota.limited()) shard.quota.take(header.payload_bytes, header.record_count, context.now_ns);
    const SequenceNumber first = shard.appended;
    shard.appended.value += header.record_count;
    shard.stats->appended_sequence = shard.appended.value;
    shard.stats->records_in += header.record_count;
    shard.stats->bytes_in += header.payload_bytes;
    ++shard.stats->batches_in;
    shard.stats->last_arrival_ns = run.arrival_ns;
    return Appended{commit, first, header.record_count, false};
}

}  // namespace eagre::shard
