#pragma once
// The seam between Eagre and the world. Real back ends (uring/), the simulator (sim/) and later
// dpdk/ are peers: code above cannot tell them apart. Nothing above this folder reads a clock,
// draws randomness, sleeps, starts a thread, or includes <liburing.h>. Virtual calls happen per
// burst, never per record.
//
// One Io per core. Everything in it is used by that core's reactor only, except Events::wake().

#include <cstdint>
#include <span>

#include "dataplane/io/clock.h"
#include "dataplane/io/connections.h"
#include "dataplane/io/datagrams.h"
#include "dataplane/io/events.h"
#include "dataplane/io/files.h"
#include "dataplane/io/storage.h"

namespace eagre::io {

struct Io {
    Events& events;
    Connections& connections;
    Datagrams& datagrams;
    Storage& storage;
    Files& files;
    Clock& clock;
    uint64_t seed;  // The only randomness there is: real from the kernel at start, or the
                    // simulator's seed.
    /// Further data directories of the box, by index - 1; null: not there. Each a root of its own
    /// (names, free space, alignment), all on the same `storage`.
    std::span<Files* const> further{};

    /// The same devices, rooted at data directory `directory` (0: the main one, as this). It must
    /// be there.
    Io in_directory(uint32_t directory) const {
        return {events,
                connections,
                datagrams,
                storage,
                directory == 0 ? files : *further[directory - 1],
                clock,
                seed,
                further};
    }
};

}  // namespace eagre::io
