#pragma once
// Whole, verified frames over one byte pipe of a Transport, with bounds on both directions. One
// thread; nothing waits.

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "wire/base/result.h"
#include "wire/client/transport.h"
#include "wire/frame/frame.h"

namespace eagre::frames {

/// A received frame. The payload is 8-byte aligned (its own allocation) and its CRC has been
/// checked.
struct Frame {
    frame::FrameHeader header;
    std::vector<std::byte> payload;
};

struct PipeLimits {
    uint32_t receive_payload_bytes_max = kControlPayloadBytesMax;
    size_t send_bytes_max =
        2 * kFramePayloadBytesMax;  // Queued and not yet taken by the transport.
};

class FramePipe {
  public:
    /// Takes over `pipe` and closes it when destroyed. `transport` must outlive this.
    FramePipe(client::Transport& transport, client::PipeId pipe, const PipeLimits& limits)
        : transport_(transport), pipe_(pipe), limits_(limits) {}
    ~FramePipe() { transport_.close(pipe_); }
    FramePipe(const FramePipe&) = delete;
    FramePipe& operator=(const FramePipe&) = delete;

    /// Queues one frame; `payload` is copied and padded to a multiple of 8 bytes with zeros.
    /// Errors: kBusy (send_bytes_max), kBadLength.
    Status send(frame::FrameHeader header, std::span<const std::byte> payload = {});
    /// Hands queued bytes to the transport, as many as it takes. Errors: kDisconnected.
    Status flush();
    /// The next frame, or nothing when it is not complete. Errors: kDisconnected (also: closed in
    /// the middle of a frame), and those of frame::decode_header, after which the pipe is of no
    /// more use.
    Result<std::optional<Frame>> receive();

    /// Reads and forgets what has arrived, for a pipe that is only kept until its last words are
    /// out. Errors: kDisconnected.
    Status discard();

    bool all_sent() const { return outgoing_.empty(); }
    /// True when a frame has begun to arrive and is not complete.
    bool in_frame() const { return header_bytes_ != 0; }

  private:
    /// Fills `target` from `filled` on. True when it is full. Errors: kDisconnected.
    Result<bool> fill(std::span<std::byte> target, size_t& filled);

    client::Transport& transport_;
    client::PipeId pipe_;
    PipeLimits limits_;
    std::deque<std::vector<std::byte>> outgoing_;
    size_t outgoing_bytes_ = 0;
    size_t front_sent_ = 0;  // Bytes of outgoing_.front() that the transport has.
    std::array<std::byte, frame::kHeaderBytes> header_raw_{};
    size_t header_bytes_ = 0;
    std::optional<frame::FrameHeader> header_;
    std::vector<std::byte> payload_;
    size_t payload_bytes_ = 0;
};

}  // namespace eagre::frames
