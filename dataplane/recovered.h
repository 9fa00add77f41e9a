#pragma once
// What all journals of a box recovered, seen together, and what the map says of those that are missing: the state that every core
// starts from.
// eagred and the simulator start their cores with it.

#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/feed/resume.h"
#include "dataplane/shard/directory.h"

namespace eagre {

class Core;

struct Recovered {
    std::vector<shard::StreamEntry> streams;  // Each once, with its shards on all cores.
    uint64_t stream_id_max = 0;
    uint64_t shard_id_max = 0;
    uint64_t epoch = 0;
    uint64_t last_arrival_ns = 0;
    feed::Resume fed;                         // How far each feed has got.
};

/// Call when all cores have been created and none has started. Every caller gets the same.
Recovered merge_recovered(std::span<Core* const> cores);

}  // namespace eagre
