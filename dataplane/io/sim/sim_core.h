#pragma once
// One core of a simulated process: its Events and Clock, and what else makes up its Io.

#include <cstdint>

#include "dataplane/io/io.h"
#include "dataplane/io/sim/sim_connections.h"
#include "dataplane/io/sim/sim_datagrams.h"
#include "dataplane/io/sim/sim_storage.h"

namespace eagre::io::sim {

class SimNode;

class SimCore final : public Events, public Clock {
  public:
    SimCore(SimNode& node, uint64_t seed);

    Io io();

    void poll() override;
    void wait(uint64_t timeout_ns) override;
    void yield() override {}
    void wake() override { woken_ = true; }

    uint64_t monotonic_ns() override;
    uint64_t wall_ns() override;

    size_t storage_in_flight() const { return storage_.in_flight(); }
    /// Reaps for a process that exits.
    void drain();
    void die(bool power_lost);

  private:
    void collect();

    SimNode& node_;
    SimStorage storage_;
    SimConnections connections_;
    SimDatagrams datagrams_;
    uint64_t seed_;
    bool woken_ = false;
};

}  // namespace eagre::io::sim
