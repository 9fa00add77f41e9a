#pragma once
// eagre-control without its main, on the simulated network, and an administrator who makes a
// stream. The catalogue lies in memory and outlives the process, as a disk would: kill() and
// start() again.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "control/catalog/catalog.h"
#include "control/controller.h"
#include "dataplane/io/sim/sim_world.h"
#include "tests/support/sim_transport.h"
#include "wire/base/prng.h"
#include "wire/base/result.h"

namespace eagre::test {

inline constexpr const char* kControlSocket = "sim/control.sock";

class SimControl {
  public:
    explicit SimControl(io::sim::SimWorld& world);
    ~SimControl();
    SimControl(const SimControl&) = delete;
    SimControl& operator=(const SimControl&) = delete;

    void start();
    void kill();
    bool alive() const { return controller_ != nullptr; }
    bool ready() const { return controller_ != nullptr && controller_->ready(); }
    /// Asks on the administrators' socket and waits for the answer. Errors: what control answers,
    /// kTimeout.
    Status create_stream(const std::string& name, uint32_t shard_count);
    /// Asks for a split, a merge or a scaling drawn from `prng`, and does not wait. False: control does not answer, or the
    /// stream has had enough of them.
    bool reshard_some(const std::string& name, Prng& prng);
    /// Parents of every shard that the catalogue knows, for the promises.
    std::vector<std::pair<ShardId, ShardId>> parents(const std::string& name) const;
    /// Nothing of the stream is under way, and its open shards cover every hash key.
    bool settled(const std::string& name) const;

  private:
    struct Door final : sockets::Listener {
        explicit Door(SimTransport& owner) : transport(owner) {}
        std::optional<client::PipeId> accept() override { return transport.accept(); }
        SimTransport& transport;
    };
    /// An administrator who asks and does not wait.
    struct Asker;
    io::sim::SimWorld& world_;
    std::unique_ptr<catalog::Catalog> catalog_;
    std::unique_ptr<SimTransport> transport_;
    std::unique_ptr<Door> door_;
    std::unique_ptr<control::Controller> controller_;
    io::sim::SimWorld::ActorId actor_ = 0;
    std::unique_ptr<Asker> asker_;
};

}  // namespace eagre::test
