// Whose directory it is, on simulated files: a first start may die at any step and is simply made
// again; what others left is not touched.
#include "dataplane/data_directory.h"

#include <gtest/gtest.h>

#include "dataplane/io/sim/sim_world.h"

namespace eagre {
namespace {

class DataDirectory : public testing::Test {
  protected:
    io::Files& files() { return node_.io(0).files; }
    Result<BoxIdentity> open() { return open_data_directory(files(), 2, 4 * kMiB, 7); }
    void write(std::string_view path, std::string_view text) {
        ASSERT_TRUE(
            files().replace(path, std::as_bytes(std::span(text.data(), text.size()))).has_value());
    }

    io::sim::SimDisk disk_;
    io::sim::SimWorld world_{1};
    io::sim::SimNode& node_ = world_.start_node(disk_, 1);
};

TEST_F(DataDirectory, IsMadeOnceWithItsJournals) {
    const auto made = open();
    ASSERT_TRUE(made.has_value());
    EXPECT_TRUE(made->fresh);
    EXPECT_TRUE(files().exists("journal-0000"));
    EXPECT_TRUE(files().exists("journal-0001"));
}

TEST_F(DataDirectory, IsMadeAgainAfterAFirstStartThatDied) {
    ASSERT_TRUE(files().make_directory("journal-0000").has_value());
    const auto made = open();
    ASSERT_TRUE(made.has_value());
    EXPECT_TRUE(made->fresh);
    EXPECT_TRUE(files().exists("journal-0001"));
}

TEST_F(DataDirectory, IsNotMadeAroundAJournalOfSomebodyElse) {
    ASSERT_TRUE(files().make_directory("journal-0000").has_value());
    write("journal-0000/something", "precious");
    const auto made = open();
    ASSERT_FALSE(made.has_value());
    EXPECT_EQ(made.error().code, Errc::kNotADirectory);
    EXPECT_FALSE(files().exists("eagre.box"));
}

TEST_F(DataDirectory, IsNotMadeAmongOtherFiles) {
    write("letters.txt", "not yours");
    EXPECT_EQ(open().error().code, Errc::kNotADirectory);
}

TEST_F(DataDirectory, OfANewerFormatIsLeftAlone) {
    write("eagre.box", "eagre data directory\nformat 99\n");
    const auto opened = open();
    EXPECT_EQ(opened.error().code, Errc::kNewerFormat);
    EXPECT_EQ(opened.error().detail, 99U);
}

}  // namespace
}  // namespace eagre
