#pragma once

#include <vector>

#include "dataplane/io/storage.h"
#include "dataplane/io/uring/drain_queue.h"
#include "dataplane/io/uring/ring.h"
#include "dataplane/io/uring/uring_io.h"
#include "wire/base/result.h"

namespace eagre::io {

/// Direct I/O by the ring, for the files of every root of the core (uring_files.h).
class UringStorage final : public Storage, public CompletionSink {
  public:
    explicit UringStorage(Ring& ring) : ring_(ring) { fds_.reserve(1024); }
    ~UringStorage() override;

    size_t submit(std::span<StorageOp* const> ops) override;
    size_t reap(std::span<StorageOp*> done) override;
    size_t in_flight() const override { return in_flight_; }
    void on_completion(uint64_t value, int32_t result, bool more) override;

    /// Takes an open descriptor over; closes it when there is no room. Errors: kLimitExceeded.
    Result<FileId> adopt(int fd);
    void release(FileId file);
    int fd_of(FileId file) const;

  private:
    Ring& ring_;
    std::vector<int> fds_;
    std::vector<uint32_t> free_;
    DrainQueue<StorageOp*> done_{kStorageInFlightMax};
    size_t in_flight_ = 0;
};

}  // namespace eagre::io
