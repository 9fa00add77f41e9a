// `eagre stream create|list|describe|delete`, through eagre-control.
#include <memory>

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

Json to_json(const client::StreamDescription& stream, bool with_shards) {
    Json json = {{"name", stream.name},
                 {"id", stream.id.value},
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
                                  {"starting_hash_key", hash_text(shard.range.starting)},
                                  {"ending_hash_key", hash_text(shard.range.ending)},
                                  {"parent", shard.parent.value},
                                  {"adjacent_parent", shard.adjacent_parent.value},
                                  {"open", shard.open},
                                  {"available", shard.available},
                                  {"journal", shard.journal},
                                  {"core", shard.core},
                                  {"port", shard.port},
                                  {"trim_horizon", shard.trim_horizon.value},
                                  {"next_sequence", shard.next_sequence.value}});
    }
    return json;
}

void print_stream(const client::StreamDescription& stream) {
    fmt::print("{}  (id {}, retention {}, records up to {}, created {})\n", stream.name,
               stream.id.value, retention_text(stream), size_text(stream.record_bytes_max),
               rfc3339(stream.created_ns));
    fmt::print("  stored  {}\n", bytes_text(static_cast<double>(stream.stored_bytes)));
    if (const std::string quota = quota_text(stream); !quota.empty())
        fmt::print("  quota of each shard  {}\n", quota);
    for (const auto& [key, value] : stream.tags) fmt::print("  tag  {}={}\n", key, value);
    Table table({"shard", "state", "core", "port", "trim horizon", "next sequence",
                 "hash keys from", "to"});
    for (const auto& shard : stream.shards) {
        table.add({fmt::format("{}", shard.id.value),
                   !shard.available ? "unavailable"
                   : shard.open     ? "open"
                                    : "closed",
                   fmt::format("{}", shard.core), fmt::format("{}", shard.port),
                   grouped(shard.trim_horizon.value), grouped(shard.next_sequence.value),
                   hash_text(shard.range.starting), hash_text(shard.range.ending)});
    }
    fmt::print("{}", table.text(2));
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
    const auto groups = control->list_groups(options.name);
    if (!groups) refuse("groups of " + options.name, *control, groups.error());
    if (options.json) {
        Json json = to_json(*stream, true);
        json["groups"] = Json::array();
        for (const auto& group : *groups) json["groups"].push_back(group_json(group, wall_now_ns()));
        fmt::print("{}\n", json.dump());
        return;
    }
    print_stream(*stream);
    if (!groups->empty()) fmt::print("{}", group_table(*groups, wall_now_ns()).text(2));
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
    CLI::App* command = app.add_subcommand("stream", "Create, list, describe, change, tag, delete streams");
    command->require_subcommand(1);
    command->footer(
        "Examples:\n"
        "  eagre stream create quotes --shards 4 --retention 24h\n"
        "  eagre stream list\n"
        "  eagre stream describe quotes --json\n"
        "  eagre stream set quotes --retention 7d --retention-bytes 10G\n"
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
    sub = add("delete", "Delete a stream and all its records", remove);
    sub->add_option("name", options->name, "The stream")->required();
    sub->footer("Examples:\n  eagre stream delete quotes");
    add_stream_changes(*command, status);
}

}  // namespace eagre::cli
