#pragma once

#include <string>
#include <vector>

#include "dataplane/io/files.h"

namespace eagre::io {

class UringStorage;

/// Names and small files below one root directory, by plain system calls. The files that it opens
/// are operated on through the UringStorage of the core, which outlives it.
class UringFiles final : public Files {
  public:
    explicit UringFiles(UringStorage& storage) : storage_(storage) {}
    ~UringFiles() override;
    UringFiles(const UringFiles&) = delete;
    UringFiles& operator=(const UringFiles&) = delete;
    /// `create`: made (one level) if absent. Errors: kIo.
    Status open_root(const std::string& root, bool create);

    Result<std::vector<std::string>> list(std::string_view directory) override;
    bool exists(std::string_view path) override;
    Status make_directory(std::string_view path) override;
    Status sync_directory(std::string_view path) override;
    Result<FileId> open(std::string_view path) override;
    Result<FileId> create(std::string_view path, uint64_t bytes) override;
    Result<uint64_t> size(FileId file) override;
    void close(FileId file) override;
    Status remove(std::string_view path) override;
    Status rename(std::string_view from, std::string_view to) override;
    Result<std::vector<std::byte>> read_all(std::string_view path) override;
    Status replace(std::string_view path, std::span<const std::byte> bytes) override;
    Status lock(std::string_view path) override;
    uint32_t block_bytes() const override { return block_bytes_; }
    Result<uint64_t> free_bytes() override;

  private:
    Result<FileId> adopt(int fd);

    UringStorage& storage_;
    int root_fd_ = -1;
    int lock_fd_ = -1;
    uint32_t block_bytes_ = 4096;
};

}  // namespace eagre::io
