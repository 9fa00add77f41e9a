#pragma once
// A feed as an exchange sends it: numbered messages in MoldUDP64, once or on two lines, with losses that were asked for.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "perf/load/record_source.h"
#include "tools/eagre/feed/datagram_sender.h"

namespace eagre::cli {

struct GenerateOptions {
    std::vector<Endpoint> to;          // One line, or two: A and B.
    std::string interface;
    uint32_t hops = 1;
    std::string session = "EAGRE";
    uint64_t first_sequence = 1;
    uint64_t rate_per_s = 100'000;     // Messages; 0: as fast as they go.
    uint64_t message_count = 0;        // 0: until the source or the time ends.
    double seconds = 0;                // 0: without end.
    uint32_t datagram_bytes = 1400;
    uint32_t messages_max = 0;         // Of a datagram; 0: as many as are due and fit.
    uint32_t drop_per_million = 0;     // Datagrams that each line loses, by itself.
    uint64_t seed = 1;
    bool end = true;                   // Says three times that the session has ended.
};

struct LineReport {
    std::string to;
    uint64_t sent = 0;      // Datagrams.
    uint64_t dropped = 0;
    uint64_t bytes = 0;
    uint64_t refused = 0;
};
struct GenerateReport {
    uint64_t message_count = 0;
    uint64_t datagram_count = 0;   // Before losses.
    uint64_t lost_messages = 0;    // Dropped on every line.
    uint64_t lost_ranges = 0;
    uint64_t next_sequence = 1;
    double seconds = 0;
    std::vector<LineReport> lines;
};

/// `source`: its records are the messages; their keys do not matter. Throws std::runtime_error.
GenerateReport generate(const GenerateOptions& options, load::RecordSource& source);

}  // namespace eagre::cli
