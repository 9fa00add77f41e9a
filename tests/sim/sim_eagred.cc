#include "tests/sim/sim_eagred.h"

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
    SubRoots roots(first.files);
    DirectoryFault fault;
    const auto directories = open_directories(
        first.files,
        [&roots](const std::string& path, bool create) { return roots.open(path, create); },
        {"main", options.also, box_.core_count, options.journal.segment_bytes, first.seed}, fault);
    if (!directories) return directories.error();
    box_.take(*directories);
    auto map = load_box_map(first.files, box_.box_id_high, box_.box_id_low);
    if (!map) return map.error();
    box_.last_map = std::move(*map);
    auto keys = gate::load_keys(first.files, box_.master_key, box_.box_id_high, box_.box_id_low);
    if (!keys) return keys.error();
    box_.keys = std::move(*keys);
    if (const Status prepared = box_.prepare(); !prepared) return prepared;
    for (uint32_t index = 0; index < box_.core_count; ++index) {
        io::Io io = node_.io(index);
        io.further = further_roots(io.files, *directories);
        auto core = Core::create(box_, CoreIndex{index}, io);
        if (!core) return core.error();
        box_.incarnation = std::max(box_.incarnation, (*core)->incarnation());
        cores_.push_back(std::move(*core));
    }
    std::vector<Core*> all;
    for (const auto& core : cores_) all.push_back(core.get());
    const Recovered recovered = merge_recovered(all);
    for (Core* core : all) {
        core->start(recovered);
        if (const Status listening = core->listen(); !listening) return listening;
    }
    if (const Status control = all[0]->listen_control(kDataplaneSocket); !control) return control;
    for (Core* core : all) actors_.push_back(world_.add_actor([core] { core->turn(); }));
    return {};
}

std::span<io::Files* const> SimEagred::further_roots(io::Files& files,
                                                     const DirectorySet& directories) {
    auto& roots = further_.emplace_back();
    for (size_t number = 1; number < directories.directories.size(); ++number) {
        const OpenedDirectory& each = directories.directories[number];
        if (each.files != nullptr)
            sub_files_.push_back(std::make_unique<SubFiles>(files, each.path));
        roots.push_back(each.files != nullptr ? sub_files_.back().get() : nullptr);
    }
    return roots;
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
