#pragma once
// `eagre tail STREAM --group NAME`: one member of a consumer group that writes what it reads.

#include <cstdint>
#include <string>

#include "tools/eagre/record_output.h"
#include "tools/eagre/target.h"

namespace eagre::cli {

struct GroupTail {
    std::string stream;
    std::string group;
    std::string member;       // Empty: made up.
    client::StartAt start;    // Of a new group.
    uint64_t count = 0;       // 0: no end.
    bool no_follow = false;   // Stop when everything that is ours has been read.
    RecordFormat format{};
};

/// Until a signal, `count`, or the tail; leaves the group in good order. The exit status. Throws std::runtime_error.
int tail_as_member(const Target& target, const GroupTail& options);

}  // namespace eagre::cli
