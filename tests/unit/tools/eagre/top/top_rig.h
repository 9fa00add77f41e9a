#pragma once
// Figures of a box that never was, for drawing.

#include "tools/eagre/top/view.h"

namespace eagre::cli::top {

inline View made_view(size_t streams = 3, size_t shards_each = 2, size_t cores = 1) {
    View view;
    view.data = "/srv/eagre";
    view.dataplane_up = true;
    view.control = ControlState::kUp;
    view.now_wall_ns = 1'800'000'000'000'000'000;
    view.started_wall_ns = view.now_wall_ns - 3'725'000'000'000;
    view.interval_s = 1;
    view.window_s = 10;
    view.in = {1'234'567, 45'600'000};
    view.out = {2'345'678, 91'200'000};
    for (int i = 0; i < 100; ++i) view.in_trend.push_back(i);
    view.out_trend = view.in_trend;
    view.ack = {123'456, 12'345.6, 163'000, 272'000, 1'280'000, 2'100'000};
    view.write = view.sync = view.ack;
    for (size_t i = 0; i < cores; ++i) {
        CoreRow core;
        core.core = i;
        core.cpu = i + 2;
        core.busy = 0.61 / static_cast<double>(i + 1);
        core.turns_per_s = 123'456;
        core.ack = view.ack;
        core.turn_max_ns = 1'200'000;
        core.alive_bytes = 8'000'000'000;
        core.used_bytes = 10'000'000'000;
        view.cores.push_back(core);
    }
    uint64_t id = 1;
    for (size_t i = 0; i < streams; ++i) {
        StreamRow stream;
        stream.name = "stream-" + std::to_string(i);
        stream.open_shards = shards_each;
        stream.in = {static_cast<double>(1'000 * (i + 1)), 64'000};
        stream.records = 5'000'000;
        stream.in_trend = view.in_trend;
        for (size_t s = 0; s < shards_each; ++s) {
            ShardRow shard;
            shard.stream = stream.name;
            shard.shard = id++;
            shard.open = true;
            shard.in = {static_cast<double>(100 * id), 6'400};
            view.shards.push_back(shard);
        }
        view.streams.push_back(std::move(stream));
    }
    view.groups = {
        {"billing", "stream-0", 3, true, 12'345, 987'654, view.now_wall_ns - 90'000'000'000},
        {"audit", "stream-1", 0, false, 0, 0, 0}};
    view.disk = Disk{12'300'000'000, 87'100'000'000, 100'000'000'000};
    view.errors = {{"Busy", 120}, {"DiskFull", 4}};
    view.error_count = 9'999;
    return view;
}

}  // namespace eagre::cli::top
