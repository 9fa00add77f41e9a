#pragma once

#include <string>
#include <vector>

#include "dataplane/io/files.h"
#include "dataplane/io/storage.h"
#include "dataplane/io/uring/drain_queue.h"
#include "dataplane/io/uring/ring.h"
#include "dataplane/io/uring/uring_io.h"

namespace eagre::io {

/// Direct I/O by the ring; names and small files by plain system calls.
class UringStorage final : public Storage, public Files, public CompletionSink {
  public:
    explicit UringStorage(Ring& ring) : ring_(ring) {}
    ~UringStorage() override;
    /// Errors: kIo.
    Status open_root(const std::string& root);

    size_t submit(std::span<StorageOp* const> ops) override;
    size_t reap(std::span<StorageOp*> done) override;
    size_t in_flight() const override { return in_flight_; }
    void on_completion(uint64_t value, int32_t result, bool more) override;

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
    int fd_of(FileId file) const;

    Ring& ring_;
    int root_fd_ = -1;
    int lock_fd_ = -1;
    uint32_t block_bytes_ = 4096;
    std::vector<int> fds_;
    std::vector<uint32_t> free_;
    DrainQueue<StorageOp*> done_{kStorageInFlightMax};
    size_t in_flight_ = 0;
};

}  // namespace eagre::io
