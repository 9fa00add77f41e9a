// What the file system says of directories made for the test; control is not there.
#include "tools/eagre/top/surroundings.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

namespace eagre::cli::top {
namespace {

class SurroundingsTest : public testing::Test {
  protected:
    SurroundingsTest() {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "eagre-top-XXXXXX").string();
        folder_ = mkdtemp(pattern.data());
        std::filesystem::create_directories(folder_ + "/main/journal-0000");
        std::filesystem::create_directories(folder_ + "/second one");
    }
    ~SurroundingsTest() override { std::filesystem::remove_all(folder_); }
    void write(const std::string& name, const std::string& text) const {
        std::ofstream(folder_ + "/" + name) << text;
    }

    std::string folder_;
};

TEST_F(SurroundingsTest, CountWhatTheDataDirectoriesTake) {
    write("main/journal-0000/segment", std::string(100'000, 'x'));
    write("second one/segment", std::string(300'000, 'x'));
    const auto one = disk_of(folder_ + "/main");
    ASSERT_TRUE(one.has_value());
    EXPECT_GE(one->used_bytes, 100'000U);
    EXPECT_LT(one->used_bytes, 200'000U);
    EXPECT_GT(one->total_bytes, one->free_bytes);
    write("main/eagre.box", "eagre data directory\nformat 1\ndirectory 1 4f1d2c3b4a596877 " +
                                folder_ + "/second one\ndirectory 2 00 " + folder_ +
                                "/missing\njournal 2 directory 1\n");
    const auto both = disk_of(folder_ + "/main");
    ASSERT_TRUE(both.has_value());
    EXPECT_GE(both->used_bytes, 400'000U);
    EXPECT_EQ(both->total_bytes, one->total_bytes) << "they share a file system";
}

TEST_F(SurroundingsTest, SayThatNothingIsThere) {
    EXPECT_FALSE(disk_of(folder_ + "/nowhere").has_value());
    Answers known;
    known.retention_ms["quotes"] = 7;
    const Answers answers = ask_surroundings(folder_ + "/main", known);
    EXPECT_EQ(answers.control, ControlState::kDown);
    EXPECT_EQ(answers.retention_ms.at("quotes"), 7U) << "what was known is kept";
    EXPECT_TRUE(answers.disk.has_value());
}

}  // namespace
}  // namespace eagre::cli::top
