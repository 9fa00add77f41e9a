// The text of segments and captured frames: every structure has its line, and behind damage the
// lines go on.
#include "tools/eagre/inspect/dump.h"

#include <algorithm>
#include <exception>

#include "tests/unit/tools/eagre/inspect/inspect_rig.h"
#include "wire/frame/frame.h"

namespace eagre::inspect {
namespace {

struct Dumped {
    std::string text;
    bool good = false;
    size_t count(const std::string& words) const {
        size_t found = 0;
        for (size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 1))
            ++found;
        return found;
    }
};

Dumped dump(const std::string& path, const DumpOptions& options = {}) {
    Dumped dumped;
    char* bytes = nullptr;
    size_t size = 0;
    std::FILE* out = ::open_memstream(&bytes, &size);
    std::exception_ptr refusal;
    try {
        dumped.good = dump_path(path, options, out);
    } catch (...) {
        refusal = std::current_exception();
    }
    (void)std::fclose(out);
    dumped.text.assign(bytes, size);
    std::free(bytes);
    if (refusal) std::rethrow_exception(refusal);
    return dumped;
}

class Dump : public testing::Test {
  protected:
    void write() {
        inspect_.fill(200);
        inspect_.close();
        inspect_.copy_out();
    }
    InspectRig inspect_;
};

TEST_F(Dump, ShowsEveryStructure) {
    write();
    const Dumped all = dump(inspect_.data, {.records = true});
    EXPECT_TRUE(all.good) << all.text;
    EXPECT_EQ(all.count(" run shard "), 200U);
    EXPECT_EQ(all.count(" record "), 600U);
    for (const char* words : {"box 000000000000b0c5", "header segment 1", "commit 1 ", "fact shard",
                              "\"stream\"", "directory shard 1", "extent at", "producer ",
                              "trailer end", "closed in good order", "key \"key\""})
        EXPECT_GE(all.count(words), 1U) << words;
    EXPECT_EQ(all.count("DAMAGED"), 0U);
}

TEST_F(Dump, FiltersByShard) {
    write();
    const Dumped one = dump(inspect_.data + "/journal-0000", {.shard = 2});
    EXPECT_EQ(one.count(" run shard 2 "), 100U);
    EXPECT_EQ(one.count(" run shard 1 "), 0U);
    const Dumped summary = dump(inspect_.data, {.summary = true});
    EXPECT_EQ(summary.count(" run shard "), 0U);
    EXPECT_GE(summary.count("trailer end"), 1U);
}

TEST_F(Dump, GoesOnBehindDamage) {
    write();
    const SegmentFile segment = inspect_.segment(1);
    const Places places(segment);
    const uint64_t run = places.runs[10].offset_bytes;
    const uint64_t commit = places.commits[30].offset_bytes;
    InspectRig::flip(segment.path, run + 100);
    InspectRig::flip(segment.path, commit + 9);
    const Dumped damaged = dump(inspect_.data);
    EXPECT_FALSE(damaged.good);
    EXPECT_GE(damaged.count("DAMAGED"), 2U);
    EXPECT_EQ(damaged.count(" run shard "), 200U) << "runs of the damaged commit are salvaged";
    EXPECT_GE(damaged.count("salvaged run shard"), 1U);
    EXPECT_GE(damaged.count("trailer end"), 1U);
}

TEST_F(Dump, SalvagesRunsOfASegmentWithoutAHeader) {
    write();
    const SegmentFile segment = inspect_.segment(1);
    const size_t run_count = Places(segment).runs.size();
    InspectRig::flip(segment.path, 3);
    const Dumped damaged = dump(segment.path);
    EXPECT_FALSE(damaged.good);
    EXPECT_EQ(damaged.count("salvaged run shard"), run_count);
}

TEST_F(Dump, RefusesWhatIsNone) {
    std::ofstream(inspect_.data + "/other.txt") << "hello";
    EXPECT_THROW(dump(inspect_.data + "/other.txt"), std::runtime_error);
    EXPECT_THROW(dump(inspect_.data), std::runtime_error);
    EXPECT_THROW(dump(inspect_.data + "/absent"), std::runtime_error);
}

TEST_F(Dump, ShowsFramesAndSkipsWhatIsNone) {
    std::string bytes;
    const auto add = [&](frame::FrameKind kind, std::span<const std::byte> payload,
                         uint32_t record_count) {
        frame::FrameHeader header;
        header.kind = kind;
        header.shard = 9;
        header.sequence = 41;
        header.record_count = record_count;
        frame::seal_frame(header, payload);
        bytes.append(reinterpret_cast<const char*>(&header), sizeof(header));
        bytes.append(reinterpret_cast<const char*>(payload.data()), payload.size());
    };
    const auto batch = inspect_.batch(1, 2, 10);
    add(frame::FrameKind::kAppend, batch, 2);
    bytes += "noise";
    const size_t behind_noise = bytes.size();
    add(frame::FrameKind::kAppendReply, {}, 2);
    const size_t last = bytes.size();
    add(frame::FrameKind::kDeliver, batch, 2);
    const std::string path = inspect_.data + "/captured.bin";
    std::ofstream(path, std::ios::binary) << bytes;

    Dumped dumped = dump(path, {.records = true});
    EXPECT_FALSE(dumped.good);
    EXPECT_EQ(dumped.count("DAMAGED: 5 bytes that are no frame"), 1U) << dumped.text;
    EXPECT_EQ(dumped.count("AppendReply Ok"), 1U) << dumped.text;
    EXPECT_EQ(dumped.count("3 frames"), 1U);
    EXPECT_EQ(dumped.count("record #0"), 1U);
    EXPECT_EQ(dumped.count("record 42"), 1U);

    InspectRig::flip(path, last + 100);
    InspectRig::flip(path, behind_noise + 1);
    dumped = dump(path);
    EXPECT_EQ(dumped.count("2 frames"), 1U) << dumped.text;
    EXPECT_EQ(dumped.count("payload fails its CRC"), 1U);
}

}  // namespace
}  // namespace eagre::inspect
