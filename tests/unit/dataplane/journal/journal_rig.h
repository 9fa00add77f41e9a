#pragma once
// A journal on a simulated disk, and a model of what it was told: appended runs per shard, what it
// acknowledged, and the comparison of both with what readers give back.

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "dataplane/io/sim/sim_world.h"
#include "dataplane/journal/journal.h"
#include "dataplane/journal/segment_format.h"
#include "wire/base/crc32c.h"

namespace eagre::journal {

inline constexpr uint64_t kRigStepsMax = 200'000;

inline JournalOptions small_options() {
    JournalOptions options;
    options.id = JournalId{0};
    options.box_id_high = 0xB0C5;
    options.box_id_low = 1;
    options.directory = "journal-0000";
    options.segment_bytes = 256 * 1024;
    options.ready_segment_count = 1;
    options.window_bytes = 256 * 1024;
    options.commit_bytes_max = 32 * 1024;
    options.write_align_bytes = 512;  // So that few sectors are unsynced at a time.
    options.run_index_count = 1024;
    options.shard_count_max = 64;
    options.producer_state_count_max = 16;
    options.read_buffer_count = 4;
    options.read_buffer_bytes = 64 * 1024;
    options.disk_reserve_bytes = 0;
    return options;
}

struct ModelRun {
    uint64_t first_sequence;
    uint32_t record_count;
    uint64_t arrival_ns;
    uint64_t commit;
    std::vector<std::byte> payload;
};

/// Bytes that belong to one run and no other.
inline std::vector<std::byte> payload_of(uint64_t shard, uint64_t sequence, uint32_t bytes) {
    std::vector<std::byte> payload(bytes);
    uint64_t state = shard * 0x9E3779B97F4A7C15ULL + sequence * 0xD1B54A32D192ED03ULL + bytes;
    for (size_t i = 0; i < payload.size(); i += 8) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        std::memcpy(payload.data() + i, &state, 8);
    }
    return payload;
}

class JournalRig {
  public:
    explicit JournalRig(const JournalOptions& journal_options = small_options(), uint64_t seed = 1)
        : options(journal_options), world(seed), disk(std::make_unique<io::sim::SimDisk>()) {}
    ~JournalRig() { stop(); }

    /// A new process on the disk.
    Status start() {
        stop();
        node = &world.start_node(*disk);
        io::Io io = wrap ? wrap(node->io()) : node->io();
        auto opened = Journal::open(io, options);
        if (!opened) return opened.error();
        journal = std::move(*opened);
        return {};
    }
    void stop() {
        journal.reset();
        if (node != nullptr && node->alive()) world.stop(*node);
        node = nullptr;
    }
    /// The process ends as `plan` says; the journal object goes with it.
    void crash(const io::sim::CrashPlan& plan) {
        world.crash(*node, plan);
        journal.reset();
        node = nullptr;
    }

    void turn() {
        node->io().events.poll();
        journal->poll(world.now_ns());
    }
    /// Turns until `done`; false when it never came.
    template <class Done>
    bool run_until(Done done) {
        for (uint64_t step = 0; step < kRigStepsMax; ++step) {
            if (done()) return true;
            turn();
        }
        return done();
    }
    bool settle() {
        return run_until([&] { return !journal->busy() || journal->failed(); });
    }

    Status open_shard(uint64_t shard, uint64_t retention_ms = 0) {
        ShardFacts facts;
        facts.shard = ShardId{shard};
        facts.stream = StreamId{7};
        facts.stream_name = "stream";
        facts.range = {{0, 0}, kHashKeyMax};
        facts.first_sequence = SequenceNumber{1};
        facts.retention_ms = retention_ms;
        return write_fact(facts);
    }
    Status write_fact(const ShardFacts& facts) {
        Result<CommitNumber> written = Errc::kBusy;
        run_until([&] {
            written = journal->append_fact(facts);
            return written || (written.error().code != Errc::kBusy);
        });
        if (!written) return written.error();
        next_sequence[facts.shard.value] =
            std::max<uint64_t>(next_sequence[facts.shard.value], facts.first_sequence.value);
        return {};
    }

    struct Append {
        uint64_t shard = 1;
        uint32_t bytes = 1024;
        uint32_t record_count = 4;
        uint64_t producer = 0;
        uint64_t batch_number = 0;
    };
    /// Appends one run; waits while the journal is busy.
    Result<CommitNumber> append(const Append& what) {
        Result<std::span<std::byte>> target = Errc::kBusy;
        run_until([&] {
            target = journal->begin_run(what.bytes);
            return target || target.error().code != Errc::kBusy;
        });
        if (!target) return target.error();
        return fill(what, *target);
    }
    /// One try. Errors: as begin_run.
    Result<CommitNumber> try_append(const Append& what) {
        auto target = journal->begin_run(what.bytes);
        if (!target) return target.error();
        return fill(what, *target);
    }
    Result<CommitNumber> fill(const Append& what, std::span<std::byte> target) {
        uint64_t& next = next_sequence[what.shard];
        ModelRun run{next, what.record_count, arrival_ns, 0,
                     payload_of(what.shard, next, what.bytes)};
        std::memcpy(target.data(), run.payload.data(), run.payload.size());
        RunHeader header;
        header.shard = what.shard;
        header.first_sequence = next;
        header.arrival_ns = arrival_ns;
        header.producer = what.producer;
        header.batch_number = what.batch_number;
        header.record_count = what.record_count;
        header.stored_bytes = what.bytes;
        header.payload_crc = crc32c(run.payload);
        const CommitNumber commit = journal->finish_run(header);
        run.commit = commit.value;
        next += what.record_count;
        arrival_ns += 1000;
        model[what.shard].push_back(std::move(run));
        return commit;
    }

    /// Reads a shard from `from` to its tail. Damage is skipped and counted.
    struct ReadBack {
        std::vector<ModelRun> runs;
        uint32_t damaged_count = 0;
        uint32_t memory_count = 0;
        uint32_t device_count = 0;
        Errc error = Errc::kOk;
    };
    ReadBack read_shard(uint64_t shard, uint64_t from = 1) {
        ReadBack back;
        auto reader = journal->open_reader(ShardId{shard}, SequenceNumber{from});
        if (!reader) {
            back.error = reader.error().code;
            return back;
        }
        for (uint64_t step = 0; step < kRigStepsMax; ++step) {
            RunView view;
            const auto got = (*reader)->peek(view);
            if (!got) {
                if (got.error().code == Errc::kDamaged &&
                    got.error().detail > (*reader)->wanted().value) {
                    ++back.damaged_count;
                    (*reader)->seek(SequenceNumber{got.error().detail});
                    continue;
                }
                back.error = got.error().code;
                return back;
            }
            if (*got == ShardReader::Step::kTail) return back;
            if (*got == ShardReader::Step::kPending) {
                turn();
                continue;
            }
            back.runs.push_back({view.header.first_sequence,
                                 view.header.record_count,
                                 view.header.arrival_ns,
                                 0,
                                 {view.payload.begin(), view.payload.end()}});
            ++((*reader)->from_memory() ? back.memory_count : back.device_count);
            (*reader)->advance();
        }
        back.error = Errc::kTimeout;
        return back;
    }

    /// What readers give is exactly a prefix of what was appended, at least everything in commits
    /// up to `durable`.
    void expect_prefix(uint64_t shard, uint64_t durable, const char* when) {
        const ReadBack back = read_shard(shard);
        ASSERT_EQ(back.error, Errc::kOk) << when << " shard " << shard;
        EXPECT_EQ(back.damaged_count, 0U) << when;
        const auto& told = model[shard];
        ASSERT_LE(back.runs.size(), told.size())
            << when << ": something was invented, shard " << shard;
        for (size_t i = 0; i < back.runs.size(); ++i) {
            ASSERT_EQ(back.runs[i].first_sequence, told[i].first_sequence)
                << when << " shard " << shard;
            ASSERT_EQ(back.runs[i].record_count, told[i].record_count) << when;
            ASSERT_EQ(back.runs[i].arrival_ns, told[i].arrival_ns) << when;
            ASSERT_TRUE(back.runs[i].payload == told[i].payload)
                << when << " shard " << shard << " run " << i;
        }
        for (size_t i = back.runs.size(); i < told.size(); ++i) {
            ASSERT_GT(told[i].commit, durable)
                << when << ": an acknowledged run is lost, shard " << shard << " run " << i;
        }
    }
    void expect_all(uint64_t shard, const char* when) { expect_prefix(shard, UINT64_MAX, when); }
    /// After a restart: forgets what was not there any more, so that the model goes on from what
    /// is.
    void adopt_recovered() {
        for (auto& [shard, runs] : model) {
            const uint64_t tail = journal->durable_tail(ShardId{shard}).value;
            while (!runs.empty() && runs.back().first_sequence >= tail) runs.pop_back();
            for (ModelRun& run : runs) run.commit = 0;
            if (tail != 0) next_sequence[shard] = tail;
        }
    }

    JournalOptions options;
    std::function<io::Io(io::Io)> wrap;  // Stands between the journal and its simulated I/O.
    io::sim::SimWorld world;
    std::unique_ptr<io::sim::SimDisk> disk;
    io::sim::SimNode* node = nullptr;
    std::unique_ptr<Journal> journal;
    std::map<uint64_t, std::vector<ModelRun>> model;
    std::map<uint64_t, uint64_t> next_sequence;
    uint64_t arrival_ns = 1'700'000'000'000'000'000;
};

}  // namespace eagre::journal
