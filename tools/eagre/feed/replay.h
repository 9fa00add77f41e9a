#pragma once
// Sends again what was captured, with its timing.

#include <cstdint>

#include "tools/eagre/feed/capture.h"
#include "tools/eagre/feed/datagram_sender.h"

namespace eagre::cli {

struct ReplayOptions {
    SenderOptions sender;
    double speed = 1;        // 0: as fast as it goes.
    uint64_t gap_ns_max = 0;  // A longer silence is cut to this; 0: none is.
    uint64_t count = 0;       // Datagrams; 0: all.
};

struct ReplayReport {
    uint64_t sent = 0;
    uint64_t bytes = 0;
    uint64_t refused = 0;
    uint64_t late = 0;        // Sent more than a millisecond after they were due.
    uint64_t backwards = 0;   // Times that ran back: sent at once.
    double captured_seconds = 0;
    double seconds = 0;
};

/// Throws std::runtime_error.
ReplayReport replay(const ReplayOptions& options, CaptureSource& source);

}  // namespace eagre::cli
