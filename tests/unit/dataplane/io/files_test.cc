// Conformance of Files: names, sizes, atomic replacement, the lock, and which error each misuse
// gives.
#include "dataplane/io/files.h"

#include "tests/unit/dataplane/io/io_rig.h"

namespace eagre::io {
namespace {

class FilesConformance : public IoConformance {
  protected:
    static std::span<const std::byte> bytes_of(std::string_view text) {
        return std::as_bytes(std::span(text.data(), text.size()));
    }
    std::string text_of(std::string_view path) {
        const auto bytes = io().files.read_all(path);
        if (!bytes) return "error";
        return {reinterpret_cast<const char*>(bytes->data()), bytes->size()};
    }
};

TEST_P(FilesConformance, CreatedFilesHaveTheirSizeAndAreListedInOrder) {
    ASSERT_TRUE(io().files.make_directory("journal"));
    ASSERT_TRUE(io().files.make_directory("journal")) << "there already: fine";
    const auto b = io().files.create("journal/b", 65536);
    ASSERT_TRUE(b);
    ASSERT_TRUE(io().files.create("journal/a", 4096));
    EXPECT_EQ(*io().files.size(*b), 65536U);
    EXPECT_EQ(*io().files.list("journal"), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(*io().files.list(""), (std::vector<std::string>{"journal"}));
    EXPECT_TRUE(io().files.exists("journal/a"));
    EXPECT_TRUE(io().files.exists("journal"));
    EXPECT_FALSE(io().files.exists("journal/c"));
    EXPECT_TRUE(io().files.sync_directory("journal"));
    EXPECT_TRUE(io().files.sync_directory(""));
}

TEST_P(FilesConformance, ErrorsAreTyped) {
    EXPECT_EQ(io().files.open("nothing").error().code, Errc::kIo);
    EXPECT_EQ(io().files.list("nothing").error().code, Errc::kIo);
    EXPECT_EQ(io().files.remove("nothing").error().code, Errc::kIo);
    EXPECT_EQ(io().files.rename("nothing", "something").error().code, Errc::kIo);
    EXPECT_EQ(io().files.read_all("nothing").error().os_errno, ENOENT);
    EXPECT_EQ(io().files.create("no/such/place", 4096).error().code, Errc::kIo);
    ASSERT_TRUE(io().files.create("once", 4096));
    EXPECT_EQ(io().files.create("once", 4096).error().os_errno, EEXIST);
    // More than any file may have: refused at once (a disk that is really full is the simulator's
    // part: sim_disk_test).
    EXPECT_FALSE(io().files.create("huge", 1ULL << 46U));
    EXPECT_FALSE(io().files.exists("huge")) << "what was refused leaves nothing";
}

TEST_P(FilesConformance, OpenedFileSurvivesRenameAndRemove) {
    const auto file = io().files.create("old", 8192);
    ASSERT_TRUE(file);
    ASSERT_TRUE(io().files.rename("old", "new"));
    EXPECT_FALSE(io().files.exists("old"));
    ASSERT_TRUE(io().files.remove("new"));
    std::memset(buffer_.data(), 'x', 4096);
    StorageOp write = op(StorageOp::Kind::kWrite, *file, 0, 0, 4096);
    EXPECT_EQ(run(write), 4096);
    io().files.close(*file);
    EXPECT_EQ(io().files.open("new").error().code, Errc::kIo);
}

TEST_P(FilesConformance, ReplaceIsWholeAndLeavesNoTemporary) {
    ASSERT_TRUE(io().files.replace("identity", bytes_of("first")));
    EXPECT_EQ(text_of("identity"), "first");
    ASSERT_TRUE(io().files.replace("identity", bytes_of("2nd")));
    EXPECT_EQ(text_of("identity"), "2nd");
    EXPECT_EQ(*io().files.list(""), (std::vector<std::string>{"identity"}));
    ASSERT_TRUE(io().files.replace("identity", {}));
    EXPECT_EQ(text_of("identity"), "");
}

TEST_P(FilesConformance, FileThatWasReplacedOpensForDirectReads) {
    ASSERT_TRUE(io().files.replace("small", bytes_of("hello")));
    const auto file = io().files.open("small");
    ASSERT_TRUE(file);
    StorageOp read = op(StorageOp::Kind::kRead, *file, 0, 0, 4096);
    EXPECT_EQ(run(read), 5);
    EXPECT_EQ(std::memcmp(buffer_.data(), "hello", 5), 0);
}

TEST_P(FilesConformance, SecondLockSaysWhoHoldsTheFirst) {
    ASSERT_TRUE(io().files.lock("LOCK"));
    uint64_t holder = 0;
    Status refused;
    if (is_sim()) {
        holder = node_->id();
        refused = world_->start_node(disk_).io().files.lock("LOCK");
    } else {
        holder = static_cast<uint64_t>(::getpid());
        auto rival = UringIo::create({root_});
        ASSERT_TRUE(rival);
        refused = (*rival)->io().files.lock("LOCK");
    }
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::kLocked);
    EXPECT_EQ(refused.error().detail, holder);
}

TEST_P(FilesConformance, LockIsFreeWhenItsHolderIsGone) {
    if (is_sim()) {
        sim::SimNode& first = world_->start_node(disk_);
        ASSERT_TRUE(first.io().files.lock("LOCK"));
        world_->crash(first, sim::CrashPlan::killed());
    } else {
        auto first = UringIo::create({root_});
        ASSERT_TRUE(first);
        ASSERT_TRUE((*first)->io().files.lock("LOCK"));
    }
    EXPECT_TRUE(io().files.lock("LOCK"));
}

TEST_P(FilesConformance, FreeBytesFallWhenBlocksAreReserved) {
    const uint64_t before = *io().files.free_bytes();
    ASSERT_TRUE(io().files.create("big", 64ULL << 20U));
    // Others use the real disk too: only the direction is certain.
    EXPECT_LT(*io().files.free_bytes(), before);
}

EAGRE_BOTH_BACK_ENDS(FilesConformance);

}  // namespace
}  // namespace eagre::io
