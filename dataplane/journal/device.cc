#include "dataplane/journal/device.h"

#include <array>

#include "wire/base/assert.h"

namespace eagre::journal {
namespace {

constexpr size_t kReapBurst = 64;
constexpr uint64_t kWaitNs = 1'000'000;
constexpr uint32_t kDrainStepsMax = 10'000;

}  // namespace

Device::Device(io::Io& io, size_t op_count_max) : io_(io) {
    waiting_.reserve(op_count_max);
}

void Device::submit(DeviceOp& op, OpOwner* handler) {
    EAGRE_ASSERT(!op.under_way());
    EAGRE_ASSERT_LT(waiting_.size(), waiting_.capacity());
    op.device_ = this;
    op.handler_ = handler;
    op.owner = nullptr;
    op.submitted_ns = now_ns_;
    ++in_flight_;
    waiting_.push_back(&op);
    offer();
}

void Device::offer() {
    if (waiting_.empty()) return;
    const size_t taken = io_.storage.submit(waiting_);
    waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(taken));
}

void Device::reap(uint64_t now_ns) {
    now_ns_ = now_ns;
    std::array<io::StorageOp*, kReapBurst> done;
    size_t count = kReapBurst;
    while (count == kReapBurst) {
        count = io_.storage.reap(done);
        for (size_t i = 0; i < count; ++i) {
            auto* op = static_cast<DeviceOp*>(done[i]);
            Device* device = op->device_;
            op->device_ = nullptr;
            --device->in_flight_;
            op->handler_->on_done(*op, now_ns);
        }
    }
    offer();
}

void Device::wait() {
    if (io_.storage.in_flight() > 0) {
        io_.events.wait(kWaitNs);
    } else {
        io_.events.poll();
    }
    reap(now_ns());
}

bool Device::drain() {
    for (uint32_t step = 0; in_flight_ > 0; ++step) {
        if (step == kDrainStepsMax || (io_.storage.in_flight() == 0 && waiting_.empty()))
            return false;
        wait();
    }
    return true;
}

}  // namespace eagre::journal
