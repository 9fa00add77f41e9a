// The hot side: submit and reap. Names and small files are in uring_files.cc.
#include "dataplane/io/uring/uring_storage.h"

#include <unistd.h>

#include "dataplane/io/uring/uring_io.h"
#include "wire/base/assert.h"

namespace eagre::io {

UringStorage::~UringStorage() {
    for (const int fd : fds_) {
        if (fd >= 0) ::close(fd);
    }
}

size_t UringStorage::submit(std::span<StorageOp* const> ops) {
    size_t taken = 0;
    for (StorageOp* op : ops) {
        if (in_flight_ == kStorageInFlightMax) break;
        io_uring_sqe* sqe = ring_.entry();
        if (sqe == nullptr) break;
        const int fd = fd_of(op->file);
        switch (op->kind) {
            case StorageOp::Kind::kRead:
                io_uring_prep_read(sqe, fd, op->buffer, op->length_bytes, op->offset_bytes);
                break;
            case StorageOp::Kind::kWrite:
                io_uring_prep_write(sqe, fd, op->buffer, op->length_bytes, op->offset_bytes);
                break;
            case StorageOp::Kind::kSync:
                // Never DSYNC writes: with the other core busy those take 4 ms, write then
                // fdatasync keeps 105 us.
                io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
                break;
        }
        const auto value = reinterpret_cast<uint64_t>(op);
        EAGRE_ASSERT_EQ(value & kAskerMask, 0U);
        Ring::tag(sqe, Asker::kStorage, value);
        ++in_flight_;
        ++taken;
    }
    return taken;
}

void UringStorage::on_completion(uint64_t value, int32_t result, bool /*more*/) {
    auto* op = reinterpret_cast<StorageOp*>(value);
    op->result = result;
    done_.push(op);
}

size_t UringStorage::reap(std::span<StorageOp*> done) {
    const size_t count = done_.drain(done);
    EAGRE_ASSERT_GE(in_flight_, count);
    in_flight_ -= count;
    return count;
}

Result<FileId> UringStorage::adopt(int fd) {
    EAGRE_ASSERT_GE(fd, 0);
    if (!free_.empty()) {
        const uint32_t slot = free_.back();
        free_.pop_back();
        fds_[slot] = fd;
        return FileId{slot};
    }
    if (fds_.size() == kFileCountMax) {
        ::close(fd);
        return error_of(Errc::kLimitExceeded, kFileCountMax);
    }
    fds_.push_back(fd);
    return FileId{static_cast<uint32_t>(fds_.size() - 1)};
}

void UringStorage::release(FileId file) {
    ::close(fd_of(file));
    fds_[file.value] = -1;
    free_.push_back(file.value);
}

int UringStorage::fd_of(FileId file) const {
    EAGRE_ASSERT_LT(file.value, fds_.size());
    EAGRE_ASSERT_GE(fds_[file.value], 0);
    return fds_[file.value];
}

}  // namespace eagre::io
