#include "dataplane/recovered.h"

#include <algorithm>

#include "dataplane/box_map.h"
#include "dataplane/core.h"

namespace eagre {

Recovered merge_recovered(std::span<Core* const> cores) {
    Recovered merged;
    for (const Core* core : cores) {
        for (const shard::StreamEntry& found : core->recovered_streams()) {
            shard::StreamEntry* known = nullptr;
            for (auto& each : merged.streams) {
                if (each.id == found.id) known = &each;
            }
            if (known == nullptr) {
                merged.streams.push_back(found);
                continue;
            }
            if (found.map_version > known->map_version) {
                auto shards = known->shards;
                *known = found;
                known->shards.insert(known->shards.end(), shards.begin(), shards.end());
            } else {
                known->shards.insert(known->shards.end(), found.shards.begin(), found.shards.end());
            }
        }
        for (const journal::RecoveryReport& report : core->reports()) {
            merged.stream_id_max = std::max(merged.stream_id_max, report.stream_id_max);
            merged.shard_id_max = std::max(merged.shard_id_max, report.shard_id_max);
            merged.last_arrival_ns = std::max(merged.last_arrival_ns, report.last_arrival_ns);
        }
        merged.epoch = std::max(merged.epoch, core->recovered_epoch());
        merged.fed.merge(core->recovered_feeds());
    }
    if (!cores.empty()) add_missing_shards(merged, cores.front()->box().last_map, cores.front()->box());
    return merged;
}

}  // namespace eagre
