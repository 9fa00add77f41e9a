#pragma once
// A journal of which most dies: shards in the same segments, one of which is deleted or trimmed, and the cleaner at full speed.

#include "tests/unit/dataplane/journal/journal_rig.h"

namespace eagre::journal {

inline constexpr uint64_t kShort = 1;
inline constexpr uint64_t kLong = 2;
inline constexpr uint64_t kRetainStepNs = 1'000'000'000;

inline JournalOptions cleaner_options() {
    JournalOptions options = small_options();
    options.cleaner_bytes_per_s = 1ULL << 40U;
    options.cleaner_pause_ns = 0;
    return options;
}

/// Two shards in the same segments, of which one dies.
class CleanerRig : public JournalRig {
  public:
    explicit CleanerRig(const JournalOptions& journal_options = cleaner_options(), uint64_t seed = 1)
        : JournalRig(journal_options, seed) {}

    /// `each_long`: one run in so many is of the shard that stays.
    void fill(uint32_t run_count, uint32_t each_long, uint32_t bytes = 4096) {
        for (uint32_t i = 0; i < run_count; ++i)
            ASSERT_TRUE(append({.shard = i % each_long == 0 ? kLong : kShort, .bytes = bytes}));
        ASSERT_TRUE(settle());
    }
    void open_both() {
        ASSERT_TRUE(start());
        ASSERT_TRUE(open_shard(kShort));
        ASSERT_TRUE(open_shard(kLong));
    }
    void delete_shard(uint64_t shard) {
        ShardFacts facts;
        facts.shard = ShardId{shard};
        facts.stream = StreamId{7};
        facts.stream_name = "stream";
        facts.first_sequence = SequenceNumber{1};
        facts.deleted = true;
        facts.open = false;
        ASSERT_TRUE(write_fact(facts));
        ASSERT_TRUE(settle());
        model.erase(shard);
    }
    /// One second of retention, and time for what it begins.
    void clean_once() {
        retain_ns += kRetainStepNs;
        journal->retain(retain_ns);
        for (uint32_t t = 0; t < 400; ++t) {
            turn();
            world.advance(1'000'000);
        }
    }
    /// Retention once a second, until nothing has moved for a while.
    void clean(uint32_t rounds_max = 200) {
        uint64_t quiet = 0;
        uint64_t before = 0;
        for (uint32_t i = 0; i < rounds_max && quiet < 4; ++i) {
            clean_once();
            ASSERT_TRUE(settle());
            const uint64_t done = journal->stats().relocated_bytes + journal->stats().segments_recycled;
            quiet = done == before ? quiet + 1 : 0;
            before = done;
        }
    }
    uint64_t model_bytes() const {
        uint64_t bytes = 0;
        for (const auto& [shard, runs] : model) {
            for (const ModelRun& run : runs) bytes += run.payload.size() + sizeof(RunHeader);
        }
        return bytes;
    }
    /// Of segments with runs, beside those that are kept whatever is in them.
    uint64_t used_bytes() const {
        const uint64_t kept = 3;  // Live, and the two newest sealed ones.
        return (journal->stats().segments_live - kept) * options.segment_bytes;
    }
    uint64_t retain_ns = 1'700'000'000'000'000'000;
};

}  // namespace eagre::journal
