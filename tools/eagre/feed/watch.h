#pragma once
// Listens to a feed on one line or two and says how good it is: what each has lost, what both together have, and who is first.

#include <cstdint>
#include <string>
#include <vector>

#include "tools/eagre/feed/line_receiver.h"
#include "wire/feeds/arbiter.h"

namespace eagre::cli {

struct WatchOptions {
    std::vector<ReceiverOptions> lines;
    feeds::ArbiterLimits limits;
    double seconds = 0;  // 0: until the session ends.
};

struct WatchedLine {
    std::string at;
    uint64_t datagrams = 0;
    uint64_t messages = 0;   // As headers say, repeats and all.
    uint64_t bytes = 0;
    uint64_t first = 0;      // Datagrams that brought something before the other line did.
    uint64_t repeated = 0;
    uint64_t broken = 0;     // No MoldUDP64, or cut.
    uint64_t dropped = 0;    // By this machine: it could not take them fast enough.
    uint64_t lost = 0;       // Numbers between its first and its last that it did not bring.
};
struct WatchReport {
    std::vector<WatchedLine> lines;
    std::string session;     // The last one.
    uint64_t session_count = 0;
    uint64_t first_sequence = 0;
    uint64_t next_sequence = 0;
    uint64_t messages = 0;
    uint64_t bytes = 0;
    uint64_t gap_messages = 0;  // On no line.
    uint64_t gap_ranges = 0;
    bool ended = false;      // The session said so.
    double seconds = 0;      // From the first datagram.
};

/// Throws std::runtime_error.
WatchReport watch(const WatchOptions& options);

}  // namespace eagre::cli
