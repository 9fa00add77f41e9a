// `eagre stream create|list|describe|delete`, through eagre-control.
#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/eagre/actions.h"
#include "tools/eagre/commands.h"
#include "tools/eagre/group_text.h"
#include "tools/eagre/position.h"
#include "tools/eagre/size.h"
#include "tools/eagre/stream_changes.h"
#include "tools/eagre/target.h"
#include "tools/eagre/text.h"

namespace eagre::cli {
namespace {

using Json = nlohmann::ordered_json;

struct StreamOptions {
    Target target;
    std::string name;
    uint32_t shards = 1;
    LimitOptions limits;
    std::vector<std::string> tags;
    uint64_t shard = 0;
    std::string at;
    std::vector<uint64_t> pair;
    bool json = false;
};

std::string hash_text(const HashKey& key) {
    return fmt::format("{:016x}{:016x}", key.high, key.low);
}

std::string retention_text(const client::StreamDescription& stream) {
    std::string text = duration_ms_text(stream.retention_ms);
    if (stream.retention_bytes != 0) text += ", " + size_text(stream.retention_bytes);
    return text;
}

std::string quota_text(const client::StreamDescription& stream) {
    std::string text;
    if (stream.quota_bytes_per_s != 0) text = size_text(stream.quota_bytes_per_s) + "/s";
    if (stream.quota_records_per_s != 0) {
        text += fmt::format("{}{} records/s", text.empty() ? "" : ", ", grouped(stream.quota_records_per_s));
    }
    return text;
}

// The data directory that a journal lies in; empty when that was not told.
std::string directory_of(const client::BoxPlaces& places, uint32_t journal) {
    for (const client::JournalPlace& each : places.journals) {
        if (each.id != journal) continue;
        for (const client::DirectoryPlace& directory : places.directories) {
            if (directory.number == each.directory) return directory.path;
        }
    }
    return {};
}

std::string state_text(client::StreamState state) {
    switch (state) {
        case client::StreamState::kActive: return "active";
        case client::StreamState::kChanging: return "changing";
        case client::StreamState::kResharding: return "resharding";
        default: return "unknown";
    }
}

Json to_json(const client::StreamDescription& stream, bool with_shards,
             const client::BoxPlaces& places = {}) {
    Json json = {{"name", stream.name},
                 {"id", stream.id.value},
                 {"state", state_text(stream.state)},
                 {"scale_target", stream.scale_target},
                 {"retention_ms", stream.retention_ms},
                 {"record_bytes_max", stream.record_bytes_max},
                 {"created", rfc3339(stream.created_ns)},
                 {"map_version", stream.map_version},
                 {"shard_count", stream.shard_count},
                 {"retention_bytes", stream.retention_bytes},
                 {"quota_bytes_per_s", stream.quota_bytes_per_s},
                 {"quota_records_per_s", stream.quota_records_per_s}};
    if (!with_shards) return json;
    json["stored_bytes"] = stream.stored_bytes;
    json["tags"] = Json::object();
    for (const auto& [key, value] : stream.tags) json["tags"][key] = value;
    json["shards"] = Json::array();
    for (const auto& shard : stream.shards) {
        json["shards"].push_back({{"id", shard.id.value},
                                  {"ordinal", shard.ordinal},
                                  {"starting_hash_key", hash_text(shard.range.starting)},
                                  {"ending_hash_key", hash_text(shard.range.ending)},
                                  {"parent", shard.parent.value},
                                  {"adjacent_parent", shard.adjacent_parent.value},
                                  {"open", shard.open},
                                  {"available", shard.available},
                                  {"journal", shard.journal},
                                  {"directory", directory_of(places, shard.journal)},
                                  {"core", shard.core},
                                  {"port", shard.port},
                                  {"trim_horizon", shard.trim_horizon.value},
                                  {"first_sequence", shard.first_sequence.value},
                                  {"next_sequence", shard.next_sequence.value}});
    }
    return json;
}

std::string parents_text(const client::ShardDescription& shard) {
    if (shard.parent.value == 0) return "-";
    if (shard.adjacent_parent.value == 0) return fmt::format("{}", shard.parent.value);
    return fmt::format("{}, {}", shard.parent.value, shard.adjacent_parent.value);
}

void print_stream(const client::StreamDescription& stream, const client::BoxPlaces& places) {
    fmt::print("{}  (id {}, retention {}, records up to {}, created {})\n", stream.name,
               stream.id.value, retention_text(stream), size_text(stream.record_bytes_max),
               rfc3339(stream.created_ns));
    if (stream.scale_target != 0) {
        fmt::print("  state  is being scaled to {} shards\n", stream.scale_target);
    } else if (stream.state != client::StreamState::kActive) {
        fmt::print("  state  {}\n", state_text(stream.state));
    }
    fmt::print("  stored  {}\n", bytes_text(static_cast<double>(stream.stored_bytes)));
    if (const std::string quota = quota_text(stream); !quota.empty())
        fmt::print("  quota of each shard  {}\n", quota);
    for (const auto& [key, value] : stream.tags) fmt::print("  tag  {}={}\n", key, value);
    Table table({"shard", "state", "parents", "core", "port", "trim horizon", "next sequence",
                 "hash keys from", "to", "journal", "directory"});
    for (const auto& shard : stream.shards) {
        table.add({fmt::format("{}", shard.id.value),
                   !shard.available ? "unavailable"
                   : shard.open     ? "open"
                                    : "closed",
                   parents_text(shard),
                   fmt::format("{}", shard.core), fmt::format("{}", shard.port),
                   grouped(shard.trim_horizon.value), grouped(shard.next_sequence.value),
                   hash_text(shard.range.starting), hash_text(shard.range.ending),
                   fmt::format("{}", shard.journal), directory_of(places, shard.journal)});
    }
    fmt::print("{}", table.text(2));
    for (const client::DirectoryPlace& directory : places.directories) {
        if (!directory.available)
            fmt::print("{} is missing: what lies there is unavailable until it is back\n",
                       directory.path);
    }
}

void create(const StreamOptions& options) {
    client::CreateStream request;
    request.name = options.name;
    request.shard_count = options.shards;
    const client::SetStream limits = options.limits.parse();
    request.retention_ms = limits.retention_ms.value_or(request.retention_ms);
    request.record_bytes_max = limits.record_bytes_max.value_or(request.record_bytes_max);
    request.retention_bytes = limits.retention_bytes.value_or(0);
    request.quota_bytes_per_s = limits.quota_bytes_per_s.value_or(0);
    request.quota_records_per_s = limits.quota_records_per_s.value_or(0);
    request.tags = parse_tags(options.tags);
    const auto control = options.target.connect_control();
    const auto created = control->create_stream(request);
    if (!created) refuse("stream " + options.name, *control, created.error());
    if (options.json)
        fmt::print("{}\n", to_json(*created, true).dump());
    else
        fmt::print("created {} with {} shard{}\n", options.name, options.shards,
                   options.shards == 1 ? "" : "s");
}

void list(const StreamOptions& options) {
    const auto control = options.target.connect_control();
    auto streams = control->list_streams();
    if (!streams) refuse("list", *control, streams.error());
    remark(*control);
    if (options.json) {
        Json all = Json::array();
        for (const auto& stream : *streams) all.push_back(to_json(stream, false));
        fmt::print("{}\n", Json{{"streams", all}}.dump());
        return;
    }
    Table table({"stream", "id", "shards", "retention", "record limit", "created"});
    for (const auto& stream : *streams) {
        table.add(
            {stream.name, fmt::format("{}", stream.id.value), fmt::format("{}", stream.shard_count), retention_text(stream),
             size_text(stream.record_bytes_max), rfc3339(stream.created_ns)});
    }
    fmt::print("{}", table.empty() ? "no streams: make one with 'eagre stream create NAME'\n"
                                   : table.text());
}

void describe(const StreamOptions& options) {
    const auto control = options.target.connect_control();
    const auto stream = control->describe_stream(options.name);
    if (!stream) refuse("stream " + options.name, *control, stream.error());
    remark(*control);
    const client::BoxPlaces places = control->places();
    const auto groups = control->list_groups(options.name);
    if (!groups) refuse("groups of " + options.name, *control, groups.error());
    if (options.json) {
        Json json = to_json(*stream, true, places);
        json["groups"] = Json::array();
        for (const auto& group : *groups) json["groups"].push_back(group_json(group, wall_now_ns()));
        fmt::print("{}\n", json.dump());
        return;
    }
    print_stream(*stream, places);
    if (!groups->empty()) fmt::print("{}", group_table(*groups, wall_now_ns()).text(2));
}

HashKey parse_hash(std::string text) {
    if (text.starts_with("0x")) text = text.substr(2);
    const bool is_hex = !text.empty() && text.size() <= 32 && text.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
    if (!is_hex) throw CLI::ValidationError("--at", "a hash key is 1 to 32 hexadecimal digits, as 'stream describe' shows them");
    text.insert(0, 32 - text.size(), '0');
    return {std::stoull(text.substr(0, 16), nullptr, 16), std::stoull(text.substr(16), nullptr, 16)};
}

// What became of the stream: JSON in full, else a line.
void report(const StreamOptions& options, const client::StreamDescription& stream, const std::string& line) {
    if (options.json)
        fmt::print("{}\n", to_json(stream, true).dump());
    else
        fmt::print("{}\n", line);
}

// The children of `parents` that are there now, as "5 and 6".
std::string children_text(const client::StreamDescription& stream, const std::vector<uint64_t>& parents) {
    std::string text;
    for (const auto& shard : stream.shards) {
        const bool child = std::any_of(parents.begin(), parents.end(), [&](uint64_t id) {
            return shard.parent.value == id || shard.adjacent_parent.value == id;
        });
        if (child) text += fmt::format("{}{}", text.empty() ? "" : " and ", shard.id.value);
    }
    return text;
}

void split(const StreamOptions& options) {
    std::optional<HashKey> at;
    if (!options.at.empty()) at = parse_hash(options.at);
    const auto control = options.target.connect_control();
    const auto stream = control->split_shard(options.name, ShardId{options.shard}, at);
    if (!stream) refuse("stream " + options.name, *control, stream.error());
    report(options, *stream, fmt::format("split shard {} of {} into {}", options.shard, options.name, children_text(*stream, {options.shard})));
}

void merge(const StreamOptions& options) {
    if (options.pair.size() != 2) throw CLI::ValidationError("--shards", "a merge takes two shards, as in --shards 3,4");
    const auto control = options.target.connect_control();
    const auto stream = control->merge_shards(options.name, ShardId{options.pair[0]}, ShardId{options.pair[1]});
    if (!stream) refuse("stream " + options.name, *control, stream.error());
    report(options, *stream, fmt::format("merged shards {} and {} of {} into {}", options.pair[0], options.pair[1], options.name, children_text(*stream, options.pair)));
}

void scale(const StreamOptions& options) {
    const auto control = options.target.connect_control();
    const auto stream = control->scale_stream(options.name, options.shards);
    if (!stream) refuse("stream " + options.name, *control, stream.error());
    report(options, *stream, fmt::format("{} has {} open shard{}", options.name, options.shards, options.shards == 1 ? "" : "s"));
}

void remove(const StreamOptions& options) {
    const auto control = options.target.connect_control();
    const auto deleted = control->delete_stream(options.name);
    if (!deleted) refuse("stream " + options.name, *control, deleted.error());
    if (options.json)
        fmt::print("{}\n", Json{{"deleted", options.name}}.dump());
    else
        fmt::print("deleted {}\n", options.name);
}

}  // namespace

void add_stream(CLI::App& app, int& status) {
    CLI::App* command = app.add_subcommand("stream", "Create, list, describe, change, split, merge, scale, tag, delete streams");
    command->require_subcommand(1);
    command->footer(
        "Examples:\n"
        "  eagre stream create quotes --shards 4 --retention 24h\n"
        "  eagre stream list\n"
        "  eagre stream describe quotes --json\n"
        "  eagre stream set quotes --retention 7d --retention-bytes 10G\n"
        "  eagre stream scale quotes --shards 16\n"
        "  eagre stream tag quotes team=feeds\n"
        "  eagre stream delete quotes");
    auto options = std::make_shared<StreamOptions>();
    const ActionAdder<StreamOptions> add(*command, options, status);
    CLI::App* sub = add("create", "Create a stream; returns when it is durable", create);
    sub->add_option("name", options->name, "1 to 128 of a-z A-Z 0-9 _ . -")->required();
    sub->add_option("--shards", options->shards, "Number of shards [1]")
        ->check(CLI::Range(1U, kStreamShardCountMax));
    options->limits.add(*sub);
    sub->add_option("--tag", options->tags, "KEY=VALUE, to be found again by people (repeatable)")
        ->allow_extra_args(false);
    sub->footer(
        "Examples:\n"
        "  eagre stream create quotes --shards 4\n"
        "  eagre stream create logs --retention 7d --retention-bytes 100G --tag team=infra\n"
        "  eagre stream create images --record-bytes-max 10M\n"
        "  eagre stream create shared --quota-bytes-per-s 1M --quota-records-per-s 1000");
    add("list", "List all streams", list)
        ->footer("Examples:\n  eagre stream list\n  eagre stream list --json");
    sub = add("describe", "Show a stream and its shards", describe);
    sub->add_option("name", options->name, "The stream")->required();
    sub->footer("Examples:\n  eagre stream describe quotes");
    sub = add("split", "Divide a shard in two, while it is written and read", split);
    sub->add_option("name", options->name, "The stream")->required();
    sub->add_option("--shard", options->shard, "The shard, open")->required();
    sub->add_option("--at", options->at, "First hash key of the upper half, hexadecimal [the middle]");
    sub->footer(
        "Writers go on after a pause of milliseconds; records of a key stay in order. The closed shard stays readable\n"
        "until retention takes it.\n\n"
        "Examples:\n  eagre stream split quotes --shard 3\n"
        "  eagre stream split quotes --shard 3 --at c0000000000000000000000000000000");
    sub = add("merge", "Make one of two neighbouring shards, while they are written and read", merge);
    sub->add_option("name", options->name, "The stream")->required();
    sub->add_option("--shards", options->pair, "The two, open, of neighbouring hash keys")->delimiter(',')->required();
    sub->footer("Examples:\n  eagre stream merge quotes --shards 5,6");
    sub = add("scale", "Split and merge until a stream has N shards of equal width", scale);
    sub->add_option("name", options->name, "The stream")->required();
    sub->add_option("--shards", options->shards, "How many")->check(CLI::Range(1U, kStreamShardCountMax))->required();
    sub->footer(
        "Growing takes one step; shrinking halves the number in each. Should it be cut short, by a restart for example,\n"
        "it goes on by itself.\n\n"
        "Examples:\n  eagre stream scale quotes --shards 64\n  eagre stream scale quotes --shards 4 --json");
    sub = add("delete", "Delete a stream and all its records", remove);
    sub->add_option("name", options->name, "The stream")->required();
    sub->footer("Examples:\n  eagre stream delete quotes");
    add_stream_changes(*command, status);
}

}  // namespace eagre::cli
