#pragma once
// A file that may be damaged, read as far as it can be: what the device refuses is reported, not
// thrown.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace eagre::inspect {

/// A stretch that could not be read.
struct Unreadable {
    uint64_t offset_bytes = 0;
    uint64_t length_bytes = 0;
    int os_errno = 0;
};

class InputFile {
  public:
    /// Throws std::runtime_error when it can't be opened.
    explicit InputFile(std::string path);
    ~InputFile();
    InputFile(const InputFile&) = delete;
    InputFile& operator=(const InputFile&) = delete;

    const std::string& path() const { return path_; }
    uint64_t size_bytes() const { return size_bytes_; }
    /// Fills `target` from `offset_bytes`. What can't be read is 0xFF there and goes to
    /// `unreadable`; behind the end of the file are zeros.
    void read(uint64_t offset_bytes, std::span<std::byte> target,
              std::vector<Unreadable>& unreadable) const;
    /// The whole file, at most `bytes_max` of it; what can't be read is 0xFF.
    std::vector<std::byte> read_all(uint64_t bytes_max) const;

  private:
    std::string path_;
    int fd_ = -1;
    uint64_t size_bytes_ = 0;
};

bool all_zero(std::span<const std::byte> bytes);

}  // namespace eagre::inspect
