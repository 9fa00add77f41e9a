#include "tests/sim/sim_eagred.h"

#include <cstdio>

#include "dataplane/data_directory.h"
#include "dataplane/gate/key_store.h"
#include "dataplane/recovered.h"

namespace eagre::test {

Result<std::unique_ptr<SimEagred>> SimEagred::start(io::sim::SimWorld& world,
                                                    io::sim::SimDisk& disk,
                                                    const Options& options) {
    const auto core_count = static_cast<uint32_t>(options.cpus.size());
    std::unique_ptr<SimEagred> eagred(new SimEagred(world, world.start_node(disk, core_count)));
    if (const Status up = eagred->bring_up(options); !up) {
        if (eagred->node_.alive()) world.crash(eagred->node_, io::sim::CrashPlan::killed());
        return up.error();
    }
    return eagred;
}

Status SimEagred::bring_up(const Options& options) {
    box_.options = options;
    box_.core_count = static_cast<uint32_t>(options.cpus.size());
    io::Io first = node_.io(0);
    const auto identity = open_data_directory(first.files, box_.core_count,
                                              options.journal.segment_bytes, first.seed);
    if (!identity) return identity.error();
    box_.box_id_high = identity->id_high;
    box_.box_id_low = identity->id_low;
    box_.journal_count = identity->journal_count;
    box_.options.journal.segment_bytes = identity->segment_bytes;
    for (uint32_t id = 0; id < box_.journal_count; ++id) {
        char name[32];
        std::snprintf(name, sizeof(name), "journal-%04u", id);
        box_.journal_available.push_back(identity->fresh || first.files.exists(name));
    }
    auto keys = gate::load_keys(first.files, box_.master_key, box_.box_id_high, box_.box_id_low);
    if (!keys) return keys.error();
    box_.keys = std::move(*keys);
    if (const Status prepared = box_.prepare(); !prepared) return prepared;
    for (uint32_t index = 0; index < box_.core_count; ++index) {
        auto core = Core::create(box_, CoreIndex{index}, node_.io(index));
        if (!core) return core.error();
        box_.incarnation = std::max(box_.incarnation, (*core)->incarnation());
        cores_.push_back(std::move(*core));
    }
    std::vector<Core*> all;
    for (const auto& core : cores_) all.push_back(core.get());
    const Recovered recovered = merge_recovered(all);
    for (Core* core : all) {
        core->start(recovered.streams, recovered.stream_id_max, recovered.shard_id_max,
                    recovered.epoch, recovered.last_arrival_ns);
        if (const Status listening = core->listen(); !listening) return listening;
    }
    if (const Status control = all[0]->listen_control(kDataplaneSocket); !control) return control;
    for (Core* core : all) actors_.push_back(world_.add_actor([core] { core->turn(); }));
    return {};
}

Status SimEagred::stop() {
    for (const auto actor : actors_) world_.remove_actor(actor);
    actors_.clear();
    Status status;
    for (const auto& core : cores_) {
        const Status closed = core->close();
        if (!closed && status) status = closed;
    }
    if (status) {
        cores_.clear();
        world_.stop(node_);
    } else {
        world_.crash(node_, io::sim::CrashPlan::killed());
    }
    return status;
}

SimEagred::~SimEagred() {
    for (const auto actor : actors_) world_.remove_actor(actor);
}

}  // namespace eagre::test
