#pragma once
// A simulated world: machines, disks, a network and time, all in one thread and all from one seed.
// The same seed and the same calls give the same history (history_hash() tells). Nothing here looks
// at a real clock or depends on addresses.
//
// Life: make a SimWorld and a SimDisk; start_node() is a process that begins; run production code
// on node.io(core); crash() or stop() ends the process: its Ios are dead from then on, so throw
// away what ran on them afterwards (never before: a write in flight still looks at its buffer) and
// start_node() again on the same disk.
//
// Time moves in four ways: step() to the next event; turn() runs every actor once and moves on;
// Events::wait() of a node moves on until something arrives for that core; and each Events::poll()
// costs SimFaults::poll_ns, so a busy loop ends.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "dataplane/io/io.h"
#include "dataplane/io/sim/sim_disk.h"
#include "dataplane/io/sim/sim_faults.h"
#include "wire/base/prng.h"

namespace eagre::io::sim {

class SimCore;
class SimNetwork;
class SimWorld;

/// One process on one simulated machine.
class SimNode {
  public:
    SimNode(SimWorld& world, SimDisk& disk, uint64_t id, uint32_t core_count);
    ~SimNode();
    SimNode(const SimNode&) = delete;
    SimNode& operator=(const SimNode&) = delete;

    Io io(uint32_t core = 0);
    uint64_t id() const { return id_; }
    bool alive() const { return alive_; }
    SimDisk& disk() { return disk_; }
    SimWorld& world() { return world_; }
    /// The wall clock of this machine: jumps by `ns`, either way.
    void jump_wall(int64_t ns) { wall_offset_ns_ += ns; }
    int64_t wall_offset_ns() const { return wall_offset_ns_; }

  private:
    friend class SimWorld;
    SimWorld& world_;
    SimDisk& disk_;
    uint64_t id_;
    bool alive_ = true;
    int64_t wall_offset_ns_ = 0;
    std::vector<std::unique_ptr<SimCore>> cores_;
};

class SimWorld {
  public:
    explicit SimWorld(uint64_t seed, const SimFaults& faults = {});
    ~SimWorld();
    SimWorld(const SimWorld&) = delete;
    SimWorld& operator=(const SimWorld&) = delete;

    // -- Processes.
    /// The node lives (as memory) as long as the world.
    SimNode& start_node(SimDisk& disk, uint32_t core_count = 1);
    /// The process (or its machine) is gone now; the disk is left as `plan` says, its connections
    /// break.
    void crash(SimNode& node, const CrashPlan& plan);
    /// The process exits in good order: what it has in flight completes, its connections end, its
    /// locks are free.
    void stop(SimNode& node);

    // -- Time.
    uint64_t now_ns() const { return now_ns_; }
    /// Goes to the next event and lets it happen. False when nothing is to come (time stands
    /// still).
    bool step();
    /// Moves time on by `ns`, through all events on the way.
    void advance(uint64_t ns);
    /// Something that runs in turns: a reactor, a client. Its node (if any) must live.
    using ActorId = uint64_t;
    ActorId add_actor(std::function<void()> run_once);
    void remove_actor(ActorId actor);
    /// Every actor once, in an order drawn from the seed; then on to the next event (at most
    /// idle_step_ns_max away). Does nothing inside another turn().
    void turn();
    bool in_turn() const { return in_turn_; }
    /// turn() until `done()`; false when `limit_ns` of simulated time have passed before.
    bool run_until(const std::function<bool()>& done, uint64_t limit_ns);

    // -- Chance.
    SimFaults& faults() { return faults_; }
    Prng& prng() { return prng_; }
    uint64_t between(uint64_t min, uint64_t max) { return min + prng_.below(max - min + 1); }
    /// Grows from every event: equal for equal histories.
    uint64_t history_hash() const { return history_hash_; }
    void note(uint64_t what, uint64_t value);

    SimNetwork& network() { return *network_; }
    uint64_t wall_start_ns() const { return wall_start_ns_; }

    // -- For the back ends.
    void schedule(uint64_t delay_ns, std::function<void()> event);
    /// Time of the next event, UINT64_MAX when there is none.
    uint64_t next_event_ns() const;
    /// Counts down a "_nth" fault and throws the dice of a "_per_million" one.
    bool fault(uint64_t& nth, uint32_t per_million);

  private:
    using Key = std::pair<uint64_t, uint64_t>;  // (time, order of scheduling).
    SimFaults faults_;
    Prng prng_;
    uint64_t now_ns_ = 1'000'000'000;  // Not 0: "never" is a common meaning of 0.
    uint64_t wall_start_ns_ = 1'700'000'000'000'000'000;
    uint64_t next_event_ = 1;
    uint64_t next_node_ = 1;
    ActorId next_actor_ = 1;
    uint64_t history_hash_ = 0;
    bool in_turn_ = false;
    std::map<Key, std::function<void()>> events_;
    std::map<ActorId, std::function<void()>> actors_;
    std::vector<std::unique_ptr<SimNode>> nodes_;
    std::unique_ptr<SimNetwork> network_;
};

}  // namespace eagre::io::sim
