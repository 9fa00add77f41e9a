#pragma once
// A batch as it is built and as it goes over the wire: one piece of memory that producer and
// connection share. Whoever lets go last frees it, so a batch that is given up while its bytes
// still wait for the socket does no harm.

#include <memory>
#include <span>

#include "wire/frame/batch.h"

namespace eagre::client {

struct SendBuffer {
    frame::BatchBuilder builder;       // Leaves room for the frame header in front of the payload.
    std::span<const std::byte> bytes;  // The whole sealed frame, in the builder's memory.
    bool handed_over = false;          // The socket has taken all of it.
};
/// use_count() above 1: still queued in a connection; header and payload are frozen.
using SendBufferPointer = std::shared_ptr<SendBuffer>;

}  // namespace eagre::client
