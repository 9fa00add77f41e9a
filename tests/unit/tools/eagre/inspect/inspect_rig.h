#pragma once
// A journal written by the journal itself on a simulated disk, with batches that are valid, then
// copied into a real directory where a test may damage it and look at it from outside.

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/unit/dataplane/journal/journal_rig.h"
#include "tools/eagre/inspect/directory_check.h"
#include "tools/eagre/inspect/segment_walk.h"
#include "wire/frame/batch.h"

namespace eagre::inspect {

class InspectRig {
  public:
    InspectRig() {
        char name[] = "/tmp/eagre-inspect-XXXXXX";
        data = ::mkdtemp(name);
    }
    ~InspectRig() { std::filesystem::remove_all(data); }

    std::vector<std::byte> batch(uint64_t sequence, uint32_t record_count, size_t bytes) {
        frame::BatchBuilder builder;
        for (uint32_t i = 0; i < record_count; ++i) {
            const std::string text =
                "record " + std::to_string(sequence + i) + std::string(bytes, 'x');
            frame::RecordView record;
            record.partition_key = "key";
            record.data = std::as_bytes(std::span(text));
            EXPECT_TRUE(builder.add(record).has_value());
        }
        const auto finished = builder.finish();
        return {finished.begin(), finished.end()};
    }

    /// Appends one valid run; waits while the journal is busy.
    void append(uint64_t shard, size_t bytes = 300, uint64_t producer = 0, uint64_t number = 0) {
        constexpr uint32_t kRecords = 3;
        uint64_t& next = rig.next_sequence[shard];
        const auto payload = batch(next, kRecords, bytes);
        Result<std::span<std::byte>> target = Errc::kBusy;
        rig.run_until([&] {
            target = rig.journal->begin_run(static_cast<uint32_t>(payload.size()));
            return target || target.error().code != Errc::kBusy;
        });
        ASSERT_TRUE(target.has_value());
        std::memcpy(target->data(), payload.data(), payload.size());
        journal::RunHeader header;
        header.shard = shard;
        header.first_sequence = next;
        header.arrival_ns = rig.arrival_ns;
        header.producer = producer;
        header.batch_number = number;
        header.record_count = kRecords;
        header.stored_bytes = static_cast<uint32_t>(payload.size());
        header.payload_crc = crc32c(payload);
        (void)rig.journal->finish_run(header);
        if (producer != 0) {
            journal::ProducerFacts facts;
            facts.producer = ProducerId{producer};
            facts.shard = ShardId{shard};
            facts.last_arrival_ns = rig.arrival_ns;
            facts.result_count = 1;
            facts.results[0].number = BatchNumber{number};
            facts.results[0].first_sequence = SequenceNumber{next};
            facts.results[0].record_count = kRecords;
            facts.results[0].payload_crc = header.payload_crc;
            ASSERT_TRUE(rig.journal->remember_producer(facts).has_value());
        }
        next += kRecords;
        rig.arrival_ns += 1000;
    }

    /// A journal with several sealed segments, two shards, a producer; every commit is synced
    /// before the next, so that there are many. Left running.
    void fill(uint32_t run_count = 800) {
        ASSERT_TRUE(rig.start().has_value());
        ASSERT_TRUE(rig.open_shard(1).has_value());
        ASSERT_TRUE(rig.open_shard(2).has_value());
        for (uint32_t i = 0; i < run_count; ++i) {
            append(1 + i % 2, 100 + i % 7 * 50, i % 2 == 0 ? 77 : 0, i / 2);
            if (i % 3 == 0) {
                ASSERT_TRUE(rig.settle());
            }
        }
        ASSERT_TRUE(rig.settle());
    }
    void close() {
        ASSERT_TRUE(rig.journal->close().has_value());
        rig.stop();
    }

    /// Writes what the simulated disk holds into `data`.
    void copy_out() {
        const std::string journal = data + "/journal-0000";
        std::filesystem::remove_all(journal);
        std::filesystem::create_directory(journal);
        std::ofstream box(data + "/eagre.box");
        box << "eagre data directory\nformat 1\nbox-high 000000000000b0c5\nbox-low "
               "0000000000000001\njournals 1\nsegment-bytes "
            << rig.options.segment_bytes << "\n";
        for (const std::string& name : rig.disk->list("journal-0000")) {
            const auto file = rig.disk->find("journal-0000/" + name);
            std::vector<std::byte> bytes(file->size_bytes);
            file->current.read(0, bytes);
            std::ofstream out(journal + "/" + name, std::ios::binary);
            out.write(reinterpret_cast<const char*>(bytes.data()),
                      static_cast<std::streamsize>(bytes.size()));
        }
    }

    /// Flips the bits of `mask` in one byte of a file.
    static void flip(const std::string& path, uint64_t offset_bytes, uint8_t mask = 0x10) {
        std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
        char byte = 0;
        file.seekg(static_cast<std::streamoff>(offset_bytes)).read(&byte, 1);
        byte = static_cast<char>(static_cast<uint8_t>(byte) ^ mask);
        file.seekp(static_cast<std::streamoff>(offset_bytes)).write(&byte, 1);
        ASSERT_TRUE(file.good());
    }

    DirectoryReport check() { return check_directory(data, {}); }

    /// Those that are not ready, by the order of names.
    std::vector<SegmentFile> segments() const {
        std::vector<std::string> strangers;
        std::vector<SegmentFile> all;
        for (const std::string& path : slots_of(data + "/journal-0000", strangers)) {
            SegmentFile found = read_segment_ends(path);
            if (found.counts()) all.push_back(std::move(found));
        }
        return all;
    }
    /// The one with this number.
    SegmentFile segment(uint64_t number) const {
        for (SegmentFile& found : segments()) {
            if (found.header.segment_number == number) return found;
        }
        ADD_FAILURE() << "no segment " << number;
        return {};
    }

    journal::JournalRig rig;
    std::string data;
};

/// Where everything in a sealed segment lies.
class Places final : public SegmentVisitor {
  public:
    explicit Places(const SegmentFile& segment) {
        SegmentImage image;
        image.load(segment, segment.trailer.end_bytes);
        walk_segment(image.bytes(), segment.header,
                     {segment.trailer.end_bytes, true, 0, 0}, *this);
    }
    void on_commit(const journal::ScannedCommit& commit) override { commits.push_back(commit); }
    void on_run(const Run& run) override {
        const bool system = (run.header.flags & journal::kRunFlagSystem) != 0;
        (system ? facts : runs).push_back(run);
    }
    void on_damage(uint64_t offset_bytes, const std::string& what) override {
        ADD_FAILURE() << offset_bytes << ": " << what;
    }
    std::vector<journal::ScannedCommit> commits;
    std::vector<Run> runs;  // Their spans are no longer valid.
    std::vector<Run> facts;
};

inline std::string told(const Findings& findings) {
    std::string text;
    for (const Finding& finding : findings.problems)
        text += finding.file + " " + std::to_string(finding.offset_bytes) + " " + finding.what +
                "\n";
    for (const Finding& finding : findings.notes)
        text += "note " + finding.file + " " + std::to_string(finding.offset_bytes) + " " +
                finding.what + "\n";
    return text;
}

}  // namespace eagre::inspect
