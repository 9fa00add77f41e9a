#pragma once
// eagred without its main, on a simulated node: the same steps as dataplane/main.cc, its cores
// taking turns in one thread.

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/box.h"
#include "dataplane/core.h"
#include "dataplane/directory_set.h"
#include "dataplane/io/sim/sim_world.h"
#include "tests/support/sub_files.h"
#include "wire/base/result.h"

namespace eagre::test {

inline constexpr const char* kDataplaneSocket = "sim/eagred.sock";

class SimEagred {
  public:
    /// Recovers what is on `disk` and serves. Errors: as those of eagred's start.
    static Result<std::unique_ptr<SimEagred>> start(io::sim::SimWorld& world,
                                                    io::sim::SimDisk& disk, const Options& options);
    ~SimEagred();
    SimEagred(const SimEagred&) = delete;
    SimEagred& operator=(const SimEagred&) = delete;

    io::sim::SimNode& node() { return node_; }
    const std::vector<std::unique_ptr<Core>>& cores() const { return cores_; }
    const Box& box() const { return box_; }
    /// SIGTERM: seals the journals; the node is gone afterwards in any case. Errors: as
    /// Core::close.
    Status stop();

  private:
    SimEagred(io::sim::SimWorld& world, io::sim::SimNode& node) : world_(world), node_(node) {}
    Status bring_up(const Options& options);
    std::span<io::Files* const> further_roots(io::Files& files, const DirectorySet& directories);

    io::sim::SimWorld& world_;
    io::sim::SimNode& node_;
    Box box_;
    std::vector<std::unique_ptr<SubFiles>> sub_files_;
    std::list<std::vector<io::Files*>> further_;  // Of each core.
    std::vector<std::unique_ptr<Core>> cores_;
    std::vector<io::sim::SimWorld::ActorId> actors_;
};

}  // namespace eagre::test
