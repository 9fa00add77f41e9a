// Children are watched, stopped in order, killed when they do not listen, and never outlive us.
#include "tools/eagre/process.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/eagre/progress.h"

namespace eagre::cli {
namespace {

constexpr uint64_t kSecond = 1'000'000'000ULL;

std::optional<std::string> wait_for_end(Process& process) {
    const uint64_t deadline_ns = monotonic_ns() + 10 * kSecond;
    while (monotonic_ns() < deadline_ns) {
        if (auto how = process.ended()) return how;
        usleep(1000);
    }
    return std::nullopt;
}

std::string file_text(const std::string& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

class ProcessTest : public testing::Test {
  protected:
    ProcessTest() {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "eagre-process-XXXXXX").string();
        folder_ = mkdtemp(pattern.data());
    }
    ~ProcessTest() override { std::filesystem::remove_all(folder_); }
    /// Waits until the child has written `text` to its log.
    bool logged(const std::string& text) {
        const uint64_t deadline_ns = monotonic_ns() + 10 * kSecond;
        while (monotonic_ns() < deadline_ns) {
            if (file_text(log()).find(text) != std::string::npos) return true;
            usleep(1000);
        }
        return false;
    }
    std::string log() const { return folder_ + "/log"; }
    std::string folder_;
};

TEST_F(ProcessTest, TellsHowAChildEnded) {
    Process process;
    process.start("/bin/sh", {"-c", "exit 3"}, log());
    EXPECT_EQ(wait_for_end(process), "exit status 3");
    EXPECT_FALSE(process.running());
    EXPECT_FALSE(process.ended()) << "told once";
    process.start("/bin/sh", {"-c", "kill -9 $$"}, log());
    EXPECT_EQ(wait_for_end(process), "signal 9 (Killed)");
}

TEST_F(ProcessTest, StopsInOrder) {
    Process process;
    process.start("/bin/sh",
                  {"-c", "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done"},
                  log());
    ASSERT_TRUE(logged("ready"));
    EXPECT_TRUE(process.stop(10 * kSecond));
    EXPECT_NE(file_text(log()).find("bye"), std::string::npos);
}

TEST_F(ProcessTest, KillsWhatDoesNotListen) {
    Process process;
    process.start("/bin/sh", {"-c", "trap '' TERM; echo ready; while :; do sleep 0.01; done"},
                  log());
    ASSERT_TRUE(logged("ready"));
    const pid_t pid = process.pid();
    EXPECT_FALSE(process.stop(kSecond / 10));
    EXPECT_EQ(kill(pid, 0), -1);
}

TEST_F(ProcessTest, DiesWithUs) {
    // A child of ours starts a child of its own and is killed: the grandchild must go too.
    const pid_t middle = fork();
    if (middle == 0) {
        Process process;
        process.start(
            "/bin/sh",
            {"-c",
             "trap 'echo orphan >> \"$0\"; exit 0' TERM; echo ready; while :; do sleep 0.01; done",
             log()},
            log());
        pause();
        _exit(0);
    }
    ASSERT_TRUE(logged("ready"));
    kill(middle, SIGKILL);
    waitpid(middle, nullptr, 0);
    EXPECT_TRUE(logged("orphan"));
}

TEST_F(ProcessTest, SaysWhatIsMissing) {
    Process process;
    EXPECT_THROW(process.start(folder_ + "/eagred", {}, ""), std::runtime_error);
    EXPECT_FALSE(process.running());
}

}  // namespace
}  // namespace eagre::cli
