#pragma once
// The sending side of one connection: small frames gather in a queue and leave with one send per turn; a delivery goes
// straight from the journal's memory. Owned by one core.
//
// Invariant: bytes of two frames never interleave. When a delivery was taken only in part, the outlet belongs to it
// (`mid_frame`) until its rest has gone; queued frames wait.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/io/connections.h"
#include "wire/base/assert.h"
#include "wire/frame/frame.h"

namespace eagre::reactor {

/// Names a connection's outlet on a core; a stale one (generation differs) is harmless.
struct OutletId {
    uint32_t slot = UINT32_MAX;
    uint32_t generation = 0;
    friend bool operator==(const OutletId&, const OutletId&) = default;
};

/// Beyond this many queued bytes nothing more is read from the connection: a client that doesn't read its answers stops itself.
inline constexpr size_t kOutletQueueBytesSoft = 256 * kKiB;

class Outlet {
  public:
    void open(io::ConnectionId connection) {
        connection_ = connection;
        queue_.clear();
        sent_ = 0;
        mid_frame_ = false;
        writable_ = true;
        queue_.reserve(4 * kKiB);
    }

    /// Queues a frame without payload. Seals it.
    void push(frame::FrameHeader header) { push(header, {}); }
    /// Queues a frame with payload (cold answers). Seals it.
    void push(frame::FrameHeader header, std::span<const std::byte> payload) {
        frame::seal_frame(header, payload);
        const auto bytes = std::as_bytes(std::span(&header, 1));
        queue_.insert(queue_.end(), bytes.begin(), bytes.end());
        queue_.insert(queue_.end(), payload.begin(), payload.end());
    }

    size_t queued_bytes() const { return queue_.size() - sent_; }
    bool writable() const { return writable_; }
    void set_writable() { writable_ = true; }
    bool mid_frame() const { return mid_frame_; }
    io::ConnectionId connection() const { return connection_; }

    /// Sends what is queued, if it may. True when the queue is empty afterwards. Errors: kDisconnected.
    Result<bool> flush(io::Connections& connections) {
        if (mid_frame_ || !writable_) return queued_bytes() == 0;
        while (queued_bytes() > 0) {
            const io::ByteSlice slice{queue_.data() + sent_, queued_bytes()};
            const auto taken = connections.send(connection_, {&slice, 1});
            if (!taken) return taken.error();
            sent_ += *taken;
            if (*taken < slice.bytes) {
                writable_ = false;
                return false;
            }
        }
        queue_.clear();
        sent_ = 0;
        return true;
    }

    /// Sends a delivery's slices straight away. The queue must be empty or the outlet mid-frame in this very delivery.
    /// Returns the bytes taken; fewer than offered means not writable now. Errors: kDisconnected.
    Result<size_t> send(io::Connections& connections, std::span<const io::ByteSlice> slices) {
        EAGRE_ASSERT(mid_frame_ || queued_bytes() == 0);
        size_t offered = 0;
        for (const io::ByteSlice& slice : slices) offered += slice.bytes;
        const auto taken = connections.send(connection_, slices);
        if (!taken) return taken.error();
        EAGRE_ASSERT_LE(*taken, offered);
        if (*taken < offered) writable_ = false;
        return *taken;
    }
    void set_mid_frame(bool mid_frame) { mid_frame_ = mid_frame; }

  private:
    io::ConnectionId connection_;
    std::vector<std::byte> queue_;
    size_t sent_ = 0;
    bool mid_frame_ = false;
    bool writable_ = true;
};

}  // namespace eagre::reactor
