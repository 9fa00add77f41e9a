#include "tools/eagre/top/surroundings.h"

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include <sys/stat.h>
#include <sys/statvfs.h>

#include "wire/client/control_client.h"

namespace eagre::cli::top {
namespace {

constexpr uint64_t kControlTimeoutNs = 500'000'000ULL;
constexpr std::chrono::seconds kPause(2);
constexpr size_t kFilesMax = 100'000;   // Segments are 256 MiB: 25 TiB of them.
constexpr size_t kDirectoriesMax = 65;  // As many as a box may have.
constexpr uint64_t kBlockBytes = 512;   // Of st_blocks, whatever the file system's are.

/// Bytes that the files below `directory` take; counts them down in `files_left`.
uint64_t bytes_below(const std::string& directory, size_t& files_left) {
    uint64_t bytes = 0;
    std::error_code error;
    using Walk = std::filesystem::recursive_directory_iterator;
    // Segments come and go meanwhile: what is not there any more is not counted.
    for (Walk entry(directory, std::filesystem::directory_options::skip_permission_denied, error);
         !error && entry != Walk() && files_left > 0; entry.increment(error), --files_left) {
        struct stat info {};
        if (lstat(entry->path().c_str(), &info) == 0 && S_ISREG(info.st_mode))
            bytes += static_cast<uint64_t>(info.st_blocks) * kBlockBytes;
    }
    return bytes;
}

/// `data`, and the further data directories that its eagre.box names: "directory 1 ID PATH".
std::vector<std::string> data_directories(const std::string& data) {
    std::vector<std::string> directories = {data};
    std::ifstream box(data + "/eagre.box");
    for (std::string line; directories.size() < kDirectoriesMax && std::getline(box, line);) {
        std::istringstream words(line);
        std::string kind;
        std::string number;
        std::string id;
        std::string path;
        if (words >> kind >> number >> id && kind == "directory" &&
            std::getline(words >> std::ws, path))
            directories.push_back(path);
    }
    return directories;
}

}  // namespace

std::optional<Disk> disk_of(const std::string& data) {
    Disk disk;
    size_t files_left = kFilesMax;
    std::set<dev_t> counted;
    for (const std::string& directory : data_directories(data)) {
        struct stat info {};
        struct statvfs system {};
        if (stat(directory.c_str(), &info) != 0 || statvfs(directory.c_str(), &system) != 0)
            continue;
        disk.used_bytes += bytes_below(directory, files_left);
        // Directories on one file system share its room.
        if (!counted.insert(info.st_dev).second) continue;
        disk.total_bytes += uint64_t{system.f_blocks} * system.f_frsize;
        disk.free_bytes += uint64_t{system.f_bavail} * system.f_frsize;
    }
    return counted.empty() ? std::nullopt : std::optional<Disk>(disk);
}

Answers ask_surroundings(const std::string& data, const Answers& known) {
    Answers answers = known;
    answers.disk = disk_of(data);
    answers.control = ControlState::kDown;
    auto control = client::ControlClient::connect(data + "/control.sock", kControlTimeoutNs);
    if (!control) return answers;
    const auto streams = (*control)->list_streams();
    if (!streams) return answers;
    answers.control = ControlState::kUp;
    answers.retention_ms.clear();
    for (const auto& stream : *streams) answers.retention_ms[stream.name] = stream.retention_ms;
    const auto groups = (*control)->list_groups("");
    if (!groups) return answers;
    answers.groups.clear();
    for (const auto& group : *groups) {
        answers.groups.push_back({group.name, group.stream, group.member_count, group.known,
                                  group.unread_records, group.unread_bytes, group.unread_since_ns});
    }
    return answers;
}

Surroundings::Surroundings(std::string data) : data_(std::move(data)) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Surroundings::~Surroundings() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

Answers Surroundings::answers() const {
    const std::lock_guard lock(mutex_);
    return answers_;
}

void Surroundings::run() {
    std::unique_lock lock(mutex_);
    while (!stop_) {
        const Answers known = answers_;
        lock.unlock();
        Answers fresh = ask_surroundings(data_, known);
        lock.lock();
        answers_ = std::move(fresh);
        changed_.wait_for(lock, kPause, [this] { return stop_; });
    }
}

void fill(const Answers& answers, View& view) {
    view.control = answers.control;
    view.disk = answers.disk;
    view.groups = answers.groups;
    for (StreamRow& stream : view.streams) {
        if (const auto found = answers.retention_ms.find(stream.name);
            found != answers.retention_ms.end())
            stream.retention_ms = found->second;
    }
}

}  // namespace eagre::cli::top
