#include "tools/eagre/top/view_json.h"

namespace eagre::cli::top {
namespace {

using Json = nlohmann::ordered_json;

void add_flows(Json& json, const Flow& in, const Flow& out) {
    json["records_in_per_s"] = in.records_per_s;
    json["bytes_in_per_s"] = in.bytes_per_s;
    json["records_out_per_s"] = out.records_per_s;
    json["bytes_out_per_s"] = out.bytes_per_s;
}

Json latency(const Latency& latency) {
    const auto us = [](uint64_t ns) { return static_cast<double>(ns) / 1e3; };
    return {{"count", latency.count},      {"count_per_s", latency.count_per_s},
            {"p50", us(latency.p50_ns)},   {"p99", us(latency.p99_ns)},
            {"p999", us(latency.p999_ns)}, {"max", us(latency.max_ns)}};
}

Json core(const CoreRow& row) {
    Json json = {{"core", row.core},
                 {"cpu", row.cpu},
                 {"busy", row.busy},
                 {"turns_per_s", row.turns_per_s},
                 {"idle_share", row.idle_share},
                 {"commits_per_s", row.commits_per_s},
                 {"connections", row.connections},
                 {"subscriptions", row.subscriptions},
                 {"segments_live", row.segments_live},
                 {"segments_ready", row.segments_ready},
                 {"alive_bytes", row.alive_bytes},
                 {"used_bytes", row.used_bytes},
                 {"turn_max_us", static_cast<double>(row.turn_max_ns) / 1e3},
                 {"ack_us", latency(row.ack)}};
    add_flows(json, row.in, row.out);
    return json;
}

Json stream(const StreamRow& row) {
    Json json = {{"stream", row.name},
                 {"open_shards", row.open_shards},
                 {"closed_shards", row.closed_shards},
                 {"records", row.records},
                 {"last_arrival_ns", row.last_arrival_ns},
                 {"retention_ms", row.retention_ms == 0 ? Json() : Json(row.retention_ms)}};
    add_flows(json, row.in, row.out);
    return json;
}

Json shard(const ShardRow& row) {
    Json json = {{"stream", row.stream},
                 {"shard", row.shard},
                 {"open", row.open},
                 {"records", row.records},
                 {"next_sequence", row.next_sequence},
                 {"trim_horizon", row.trim_horizon},
                 {"last_arrival_ns", row.last_arrival_ns}};
    add_flows(json, row.in, row.out);
    return json;
}

Json group(const GroupRow& row) {
    const auto known = [&](uint64_t value) { return row.known ? Json(value) : Json(); };
    return {{"group", row.group},
            {"stream", row.stream},
            {"members", row.members},
            {"unread_records", known(row.unread_records)},
            {"unread_bytes", known(row.unread_bytes)},
            {"unread_since_ns", known(row.unread_since_ns)}};
}

const char* state_name(ControlState state) {
    switch (state) {
        case ControlState::kUp:
            return "up";
        case ControlState::kDown:
            return "down";
        case ControlState::kUnknown:
            break;
    }
    return "unknown";
}

}  // namespace

Json view_json(const View& view) {
    Json json = {{"data", view.data},
                 {"time_ns", view.now_wall_ns},
                 {"dataplane", view.dataplane_up ? "up" : "down"},
                 {"control", state_name(view.control)},
                 {"pid", view.pid},
                 {"started_ns", view.started_wall_ns},
                 {"interval_s", view.interval_s},
                 {"window_s", view.window_s}};
    add_flows(json, view.in, view.out);
    json["ack_us"] = latency(view.ack);
    json["write_us"] = latency(view.write);
    json["sync_us"] = latency(view.sync);
    json["disk"] = view.disk ? Json{{"used_bytes", view.disk->used_bytes},
                                    {"free_bytes", view.disk->free_bytes},
                                    {"total_bytes", view.disk->total_bytes}}
                             : Json();
    for (const char* list : {"cores", "streams", "shards", "groups"}) json[list] = Json::array();
    for (const CoreRow& row : view.cores) json["cores"].push_back(core(row));
    for (const StreamRow& row : view.streams) json["streams"].push_back(stream(row));
    for (const ShardRow& row : view.shards) json["shards"].push_back(shard(row));
    for (const GroupRow& row : view.groups) json["groups"].push_back(group(row));
    json["errors"] = view.errors;
    json["errors_since_start"] = view.error_count;
    json["alarms"] = view.alarms;
    return json;
}

}  // namespace eagre::cli::top
