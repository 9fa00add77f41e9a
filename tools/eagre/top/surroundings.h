#pragma once
// What the shared memory does not tell: what control knows of the streams, and the room on the
// disk. Both may take long to answer, so a thread of its own asks, every two seconds; the screen
// takes the last answer.

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tools/eagre/top/view.h"

namespace eagre::cli::top {

/// What was found out last.
struct Answers {
    ControlState control = ControlState::kUnknown;
    std::map<std::string, uint64_t> retention_ms;  // By stream; kept while control is down.
    std::vector<GroupRow> groups;                  // Likewise.
    std::optional<Disk> disk;
};

/// Asks control and the file system, once; waits for control at most a second in all. `known` are
/// the answers before.
Answers ask_surroundings(const std::string& data, const Answers& known);

/// Room on the file systems of `data` and of the further data directories of the box, and what the
/// files in them take; nothing when none of them is there.
std::optional<Disk> disk_of(const std::string& data);

class Surroundings {
  public:
    /// Begins to ask. The thread takes no signals: they are the screen's.
    explicit Surroundings(std::string data);
    /// Ends within a second.
    ~Surroundings();
    Surroundings(const Surroundings&) = delete;
    Surroundings& operator=(const Surroundings&) = delete;

    Answers answers() const;

  private:
    void run();

    std::string data_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    bool stop_ = false;
    Answers answers_;
    std::thread thread_;
};

/// Puts the answers into a view made by History.
void fill(const Answers& answers, View& view);

}  // namespace eagre::cli::top
