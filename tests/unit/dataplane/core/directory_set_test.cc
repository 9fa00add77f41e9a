// The data directories of a box together, on folders of a simulated disk: what is added is added once and remembered,
// whatever instant a start dies at; what is missing is known to be; what is not ours is left alone.
#include "dataplane/directory_set.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "dataplane/io/sim/sim_world.h"
#include "tests/support/sub_files.h"

namespace eagre {
namespace {

class Directories : public testing::Test {
  protected:
    struct Start {
        std::vector<std::string> also = {};
        uint32_t cores = 1;
        std::string main = "main";
    };

    /// One start of an eagred, which then ends.
    Result<DirectorySet> start(const Start& how) {
        io::sim::SimNode& node = world_.start_node(*disk_, 1);
        io::Files& files = node.io(0).files;
        EXPECT_TRUE(files.make_directory(how.main).has_value());
        EXPECT_TRUE(files.sync_directory("").has_value());
        auto opened = start_on(files, how);
        world_.stop(node);
        return opened;
    }
    Result<DirectorySet> start_on(io::Files& files, const Start& how) {
        test::SubFiles main(files, how.main);
        test::SubRoots roots(files);
        fault_ = {};
        return open_directories(
            main, [&roots](const std::string& path, bool create) { return roots.open(path, create); },
            {how.main, how.also, how.cores, 4 * kMiB, ++seed_}, fault_);
    }
    /// Something that the disk sees done between two starts.
    template <class Work>
    void meanwhile(Work work) {
        io::sim::SimNode& node = world_.start_node(*disk_, 1);
        work(node.io(0).files);
        world_.stop(node);
    }
    void copy(io::Files& files, const std::string& from, const std::string& to) {
        ASSERT_TRUE(files.make_directory(to).has_value());
        ASSERT_TRUE(files.replace(to + "/eagre.directory", *files.read_all(from + "/eagre.directory")).has_value());
    }
    /// Unmounted: the files are not there. The folder stays when it is where something was mounted.
    void take_away(const std::string& from) {
        meanwhile([&](io::Files& files) {
            ASSERT_TRUE(files.rename(from + "/eagre.directory", from + "/away").has_value());
        });
    }
    void bring_back(const std::string& from) {
        meanwhile([&](io::Files& files) {
            ASSERT_TRUE(files.rename(from + "/away", from + "/eagre.directory").has_value());
        });
    }
    void use(std::unique_ptr<io::sim::SimDisk> disk) {
        old_disks_.push_back(std::move(disk_));
        disk_ = std::move(disk);
    }
    static bool noted(const DirectorySet& set, std::string_view words) {
        for (const std::string& note : set.notes) {
            if (note.find(words) != std::string::npos) return true;
        }
        return false;
    }

    std::vector<std::unique_ptr<io::sim::SimDisk>> old_disks_;  // The nodes that ran on them refer to them.
    std::unique_ptr<io::sim::SimDisk> disk_ = std::make_unique<io::sim::SimDisk>();
    io::sim::SimWorld world_{1};
    DirectoryFault fault_;
    uint64_t seed_ = 0;
};

using Places = std::vector<uint32_t>;

TEST_F(Directories, OneIsWhatItWasInTheFirstRelease) {
    const auto set = start({.cores = 2});
    ASSERT_TRUE(set.has_value());
    EXPECT_EQ(set->identity.journal_directory, (Places{0, 0}));
    const std::string text = box_identity_text(set->identity);
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 6) << text;
}

TEST_F(Directories, MoreCoresBringMoreJournalsAndFewerTakeNoneAway) {
    ASSERT_TRUE(start({.cores = 1}).has_value());
    EXPECT_EQ(start({.cores = 3})->identity.journal_count, 3U);
    EXPECT_EQ(start({.cores = 2})->identity.journal_count, 3U);
    EXPECT_EQ(start({.cores = 1})->journal_available, (std::vector<bool>{true, true, true}));
}

TEST_F(Directories, AFurtherOneIsAddedOnceAndRemembered) {
    ASSERT_TRUE(start({.cores = 2}).has_value());
    const auto added = start({.also = {"fast"}, .cores = 2});
    ASSERT_TRUE(added.has_value());
    EXPECT_TRUE(noted(*added, "directory 1 is new: fast"));
    EXPECT_EQ(added->identity.journal_directory, (Places{0, 0, 1, 1}));
    for (const auto& also : {std::vector<std::string>{}, std::vector<std::string>{"fast"}}) {
        const auto again = start({.also = also, .cores = 2});
        ASSERT_TRUE(again.has_value());
        EXPECT_TRUE(again->notes.empty());
        ASSERT_EQ(again->directories.size(), 2U);
        EXPECT_NE(again->directories[1].files, nullptr);
        EXPECT_EQ(again->journal_available, (std::vector<bool>{true, true, true, true}));
    }
}

TEST_F(Directories, AMissingOneKeepsItsJournalsNamedUntilItIsBack) {
    ASSERT_TRUE(start({.also = {"fast"}, .cores = 1}).has_value());
    take_away("fast");
    // Named or not: the empty place of a known directory is not made a new one.
    for (const auto& also : {std::vector<std::string>{}, std::vector<std::string>{"fast"}}) {
        const auto without = start({.also = also, .cores = 2});
        ASSERT_TRUE(without.has_value());
        EXPECT_TRUE(noted(*without, "directory 1 is missing (fast"));
        EXPECT_EQ(without->directories[1].files, nullptr);
        EXPECT_EQ(without->journal_available, (std::vector<bool>{true, false, true})) << "new journals go where there is a place";
    }
    bring_back("fast");
    const auto back = start({.cores = 2});
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(back->identity.journal_directory, (Places{0, 1, 0, 1}));
    EXPECT_EQ(back->journal_available, (std::vector<bool>{true, true, true, true}));
}

TEST_F(Directories, IsKnownAgainWhereverItIsMounted) {
    ASSERT_TRUE(start({.also = {"fast"}}).has_value());
    meanwhile([&](io::Files& files) {
        copy(files, "fast", "elsewhere");
        EXPECT_TRUE(files.make_directory("elsewhere/journal-0001").has_value());
        EXPECT_TRUE(files.remove("fast/eagre.directory").has_value());
    });
    EXPECT_EQ(start({})->directories[1].files, nullptr);
    const auto moved = start({.also = {"elsewhere"}});
    ASSERT_TRUE(moved.has_value());
    EXPECT_TRUE(noted(*moved, "is now at elsewhere"));
    EXPECT_EQ(moved->identity.further.size(), 1U);
    EXPECT_TRUE(moved->journal_available[1]);
    EXPECT_EQ(start({})->directories[1].path, "elsewhere") << "remembered";
}

TEST_F(Directories, RefusesWhatIsNotItsOwn) {
    ASSERT_TRUE(start({.also = {"fast"}}).has_value());
    ASSERT_TRUE(start({.also = {"theirs"}, .main = "other"}).has_value());
    const auto refused = [this](const std::vector<std::string>& also) {
        const auto opened = start({.also = also});
        EXPECT_FALSE(opened.has_value());
        EXPECT_EQ(fault_.path, also.back());
        return opened ? Errc::kOk : opened.error().code;
    };
    EXPECT_EQ(refused({"theirs"}), Errc::kForeignBox);
    EXPECT_EQ(refused({"other"}), Errc::kForeignBox) << "the main directory of another box";
    meanwhile([&](io::Files& files) {
        copy(files, "fast", "copied");
        EXPECT_TRUE(files.make_directory("letters").has_value());
        EXPECT_TRUE(files.replace("letters/a.txt", {}).has_value());
        EXPECT_TRUE(files.make_directory("rotten").has_value());
        EXPECT_TRUE(files.replace("rotten/eagre.directory", {}).has_value());
        EXPECT_TRUE(files.make_directory("newer").has_value());
        const std::string_view text = "eagre further data directory\nformat 99\n";
        EXPECT_TRUE(files.replace("newer/eagre.directory", std::as_bytes(std::span(text))).has_value());
    });
    EXPECT_EQ(refused({"fast", "copied"}), Errc::kDirectoryTwice);
    EXPECT_EQ(refused({"letters"}), Errc::kNotADirectory);
    EXPECT_EQ(refused({"rotten"}), Errc::kCorruptDirectory);
    EXPECT_EQ(refused({"newer"}), Errc::kNewerFormat);
    ASSERT_TRUE(start({}).has_value()) << "none of which has harmed it";
    EXPECT_EQ(start({})->identity.further.size(), 1U);
}

TEST_F(Directories, ThatAreInUseAreRefused) {
    ASSERT_TRUE(start({.also = {"fast"}}).has_value());
    io::sim::SimNode& node = world_.start_node(*disk_, 1);
    ASSERT_TRUE(node.io(0).files.lock("fast/eagred.lock").has_value());
    io::sim::SimNode& rival = world_.start_node(*disk_, 1);
    EXPECT_EQ(start_on(rival.io(0).files, {}).error().code, Errc::kLocked);
    EXPECT_EQ(fault_.path, "fast");
}

// Power is lost at every step of a start that adds a directory and a core; the next start finishes it, and a box has each of
// its journals once.
TEST_F(Directories, AStartThatDiesAtAnyStepIsFinishedByTheNext) {
    ASSERT_TRUE(start({.cores = 1}).has_value());
    std::vector<std::unique_ptr<io::sim::SimDisk>> images;
    for (const bool lost : {true, false}) {
        disk_->on_change([&] {
            images.push_back(disk_->image_after(lost ? io::sim::CrashPlan::power_lost() : io::sim::CrashPlan::killed()));
        });
        auto before = disk_->image_after(io::sim::CrashPlan::killed());
        ASSERT_TRUE(start({.also = {"fast"}, .cores = 2}).has_value());
        disk_->on_change({});
        use(std::move(before));
    }
    ASSERT_GE(images.size(), 10U);
    for (auto& image : images) {
        use(std::move(image));
        const auto next = start({.also = {"fast"}, .cores = 2});
        ASSERT_TRUE(next.has_value()) << errc_name(next.error().code) << " at " << fault_.path;
        EXPECT_EQ(next->identity.further.size(), 1U);
        EXPECT_EQ(next->identity.journal_directory, (Places{0, 0, 1, 1}));
        EXPECT_EQ(next->journal_available, (std::vector<bool>{true, true, true, true}));
        const auto again = start({});
        ASSERT_TRUE(again.has_value());
        EXPECT_EQ(again->identity.journal_directory, (Places{0, 0, 1, 1}));
    }
}

TEST(DirectoryPaths, TwiceOrInsideOneAnotherAreRefusedBeforeTheyAreTouched) {
    const auto wrong = [](std::vector<std::string> paths) { return check_paths(paths); };
    EXPECT_EQ(wrong({"/a"}), "");
    EXPECT_EQ(wrong({"/a", "/b", "/ab"}), "");
    EXPECT_NE(wrong({"/a", "/b", "/a"}).find("twice"), std::string::npos);
    EXPECT_NE(wrong({"/a", "/a/b"}).find("/a/b lies inside /a"), std::string::npos);
    EXPECT_NE(wrong({"/a/b", "/a"}).find("/a/b lies inside /a"), std::string::npos);
    EXPECT_NE(wrong({"/", "/a"}).find("inside"), std::string::npos);
    EXPECT_NE(wrong({"/a", "/b\nc"}), "");
}

TEST(JournalsToCores, EveryCoreServesEveryDirectory) {
    const auto cores = [](const Places& places, uint32_t count) {
        std::vector<uint32_t> numbers;
        for (const CoreIndex core : assign_cores(places, count)) numbers.push_back(core.value);
        return numbers;
    };
    EXPECT_EQ(cores({0, 0, 0}, 3), (Places{0, 1, 2})) << "as ever";
    EXPECT_EQ(cores({0, 0, 0}, 1), (Places{0, 0, 0}));
    EXPECT_EQ(cores({0, 0, 0}, 2), (Places{0, 1, 0}));
    EXPECT_EQ(cores({0, 0, 1, 1}, 2), (Places{0, 1, 1, 0}));
}

TEST(BoxIdentityText, IsReadAsItWasWritten) {
    BoxIdentity identity{0x12, 0x34, 4, 4 * kMiB, false, {{0xabcdef, "/mnt/a b"}, {7, "/x"}}, {0, 0, 1, 2}};
    const auto read = parse_box_identity(box_identity_text(identity));
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(read->id_low, 0x34U);
    EXPECT_EQ(read->journal_directory, identity.journal_directory);
    ASSERT_EQ(read->further.size(), 2U);
    EXPECT_EQ(read->further[0].id, 0xabcdefU);
    EXPECT_EQ(read->further[0].path, "/mnt/a b");
    const std::string head = box_identity_text({0x12, 0x34, 4, 4 * kMiB});
    for (const char* line : {"journal 4 directory 0\n", "journal 1 directory 1\n", "directory 2 1 /x\n", "directory 1 zz /x\n"}) {
        EXPECT_EQ(parse_box_identity(head + line).error().code, Errc::kCorruptDirectory) << line;
    }
}

}  // namespace
}  // namespace eagre
