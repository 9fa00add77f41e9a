#pragma once
// The journal's way to the disk: hands operations to io::Storage in order, keeps those that its
// queue did not take, and tells each owner when its operation is done. Several journals of one core
// share a Storage; whoever reaps, dispatches.

#include <cstdint>
#include <vector>

#include "dataplane/io/io.h"

namespace eagre::journal {

class Device;
class DeviceOp;

/// Who hears that an operation is done. Called from Device::reap(), of this journal or of a
/// neighbour on the core.
class OpOwner {
  public:
    virtual ~OpOwner() = default;
    virtual void on_done(DeviceOp& op, uint64_t now_ns) = 0;
};

/// An operation of the journal. Kind, file, offset, buffer and length are the submitter's to fill
/// in.
class DeviceOp final : public io::StorageOp {
  public:
    bool under_way() const { return device_ != nullptr; }
    bool moved_all() const { return result == static_cast<int32_t>(length_bytes); }
    uint64_t submitted_ns = 0;

  private:
    friend class Device;
    Device* device_ = nullptr;
    OpOwner* handler_ = nullptr;
};

class Device {
  public:
    /// Every owner has a fixed number of operations; `op_count_max` is their sum: no more can be
    /// under way.
    Device(io::Io& io, size_t op_count_max);

    void submit(DeviceOp& op, OpOwner* handler);
    /// Collects what has completed and calls the owners; then offers again what the queue did not
    /// take.
    void reap(uint64_t now_ns);
    /// Submitted by this journal and not yet done.
    size_t in_flight() const { return in_flight_; }
    /// One blocking step of start-up or stop: lets the device work, then reaps.
    void wait();
    /// Waits, within a bound, until nothing is in flight. False: the device never answered.
    bool drain();

    io::Files& files() { return io_.files; }
    uint64_t seed() const { return io_.seed; }
    uint64_t now_ns() { return io_.clock.monotonic_ns(); }

  private:
    void offer();

    io::Io io_;  // A handful of references.
    std::vector<io::StorageOp*> waiting_;
    size_t in_flight_ = 0;
    uint64_t now_ns_ = 0;
};

}  // namespace eagre::journal
