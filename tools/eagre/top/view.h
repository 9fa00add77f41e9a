#pragma once
// What `eagre top` shows at one moment: figures, no text. Made by history.h from readings of the
// shared memory and by surroundings.h from control and the file system; drawn by layout.h, printed
// by view_json.h.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace eagre::cli::top {

struct Flow {
    double records_per_s = 0;
    double bytes_per_s = 0;
};

/// Of the window, all cores or one; ns.
struct Latency {
    uint64_t count = 0;
    double count_per_s = 0;
    uint64_t p50_ns = 0;
    uint64_t p99_ns = 0;
    uint64_t p999_ns = 0;
    uint64_t max_ns = 0;
};

struct CoreRow {
    uint64_t core = 0;
    uint64_t cpu = 0;
    double busy = 0;  // Share of the CPU, 0 to 1.
    double turns_per_s = 0;
    double idle_share = 0;  // Of the turns.
    double commits_per_s = 0;
    uint64_t connections = 0;
    uint64_t subscriptions = 0;
    uint64_t segments_live = 0;
    uint64_t segments_ready = 0;
    uint64_t alive_bytes = 0;  // Of what the journals hold; the rest has expired.
    uint64_t used_bytes = 0;
    Flow in;
    Flow out;
    Latency ack;
    uint64_t turn_max_ns = 0;  // Of the window.
};

struct StreamRow {
    std::string name;
    uint64_t open_shards = 0;
    uint64_t closed_shards = 0;
    Flow in;
    Flow out;
    uint64_t records = 0;          // That can be read.
    uint64_t last_arrival_ns = 0;  // Wall clock; 0: never.
    uint64_t retention_ms = 0;     // 0: control has not said.
    std::vector<double> in_trend;  // Records per second, the newest last.
};

struct ShardRow {
    std::string stream;
    uint64_t shard = 0;
    bool open = false;
    Flow in;
    Flow out;
    uint64_t records = 0;
    uint64_t next_sequence = 0;
    uint64_t trim_horizon = 0;
    uint64_t last_arrival_ns = 0;
};

struct GroupRow {
    std::string group;
    std::string stream;
    uint64_t members = 0;
    bool known = false;  // Then what follows is.
    uint64_t unread_records = 0;
    uint64_t unread_bytes = 0;
    uint64_t unread_since_ns = 0;  // Wall clock; 0: nothing is unread.
};

struct Disk {
    uint64_t used_bytes = 0;  // By the data directories.
    uint64_t free_bytes = 0;  // Of their file systems, for us.
    uint64_t total_bytes = 0;
};

enum class ControlState : uint8_t { kUnknown, kUp, kDown };

struct View {
    std::string data;
    bool dataplane_up = false;
    std::string why_down;  // A sentence, when it is not.
    ControlState control = ControlState::kUnknown;
    uint64_t pid = 0;
    uint64_t now_wall_ns = 0;
    uint64_t started_wall_ns = 0;
    double interval_s = 0;  // That rates are of; 0: there is no rate yet.
    double window_s = 0;    // That latencies and errors are of.
    Flow in;
    Flow out;
    std::vector<double> in_trend;  // Records per second, a value per reading, the newest last.
    std::vector<double> out_trend;
    Latency ack;
    Latency write;
    Latency sync;
    std::vector<CoreRow> cores;
    std::vector<StreamRow> streams;
    std::vector<ShardRow> shards;
    std::vector<GroupRow> groups;
    std::optional<Disk> disk;
    std::map<std::string, uint64_t> errors;  // Of the window, by name.
    uint64_t error_count = 0;                // Since eagred was started.
    std::vector<std::string> alarms;         // What somebody must do something about.
};

}  // namespace eagre::cli::top
