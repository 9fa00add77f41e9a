// `eagre stream create|list|describe|delete`, through eagre-control.
#include <memory>
#include <stdexcept>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/eagre/actions.h"
#include "tools/eagre/commands.h"
#include "tools/eagre/position.h"
#include "tools/eagre/target.h"
#include "tools/eagre/text.h"

namespace eagre::cli {
namespace {

using Json = nlohmann::ordered_json;

struct StreamOptions {
    Target target;
    std::string name;
    uint32_t shards = 1;
    std::string retention = "24h";
    uint64_t record_bytes_max = kRecordDataBytesDefault;
    bool json = false;
};

// In control's own words, where it has some: it knows what was asked and what is wrong with it.
[[noreturn]] void refuse(const std::string& what, const client::ControlClient& control, const Error& error) {
    if (control.message().empty()) fail(what, error);
    throw std::runtime_error(fmt::format("{} ({})", control.message(), errc_name(error.code)));
}
// An answer that comes with a reservation. On standard error: standard output may be read by a program.
void remark(const client::ControlClient& control) {
    if (!control.message().empty()) fmt::print(stderr, "eagre: {}\n", control.message());
}

std::string hash_text(const HashKey& key) {
    return fmt::format("{:016x}{:016x}", key.high, key.low);
}

Json to_json(const client::StreamDescription& stream, bool with_shards) {
    Json json = {{"name", stream.name},
                 {"id", stream.id.value},
                 {"retention_ms", stream.retention_ms},
                 {"record_bytes_max", stream.record_bytes_max},
                 {"created", rfc3339(stream.created_ns)},
                 {"map_version", stream.map_version},
                 {"shard_count", stream.shard_count}};
    if (!with_shards) return json;
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
               stream.id.value, duration_ms_text(stream.retention_ms),
               bytes_text(static_cast<double>(stream.record_bytes_max)),
               rfc3339(stream.created_ns));
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
    request.retention_ms = parse_duration_ms(options.retention);
    request.record_bytes_max = options.record_bytes_max;
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
            {stream.name, fmt::format("{}", stream.id.value), fmt::format("{}", stream.shard_count), duration_ms_text(stream.retention_ms),
             bytes_text(static_cast<double>(stream.record_bytes_max)), rfc3339(stream.created_ns)});
    }
    fmt::print("{}", table.empty() ? "no streams: make one with 'eagre stream create NAME'\n"
                                   : table.text());
}

void describe(const StreamOptions& options) {
    const auto control = options.target.connect_control();
    const auto stream = control->describe_stream(options.name);
    if (!stream) refuse("stream " + options.name, *control, stream.error());
    remark(*control);
    if (options.json)
        fmt::print("{}\n", to_json(*stream, true).dump());
    else
        print_stream(*stream);
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
    CLI::App* command = app.add_subcommand("stream", "Create, list, describe, delete streams");
    command->require_subcommand(1);
    command->footer(
        "Examples:\n"
        "  eagre stream create quotes --shards 4 --retention 24h\n"
        "  eagre stream list\n"
        "  eagre stream describe quotes --json\n"
        "  eagre stream delete quotes");
    auto options = std::make_shared<StreamOptions>();
    const ActionAdder<StreamOptions> add(*command, options, status);
    CLI::App* sub = add("create", "Create a stream; returns when it is durable", create);
    sub->add_option("name", options->name, "1 to 128 of a-z A-Z 0-9 _ . -")->required();
    sub->add_option("--shards", options->shards, "Number of shards [1]")
        ->check(CLI::Range(1U, kStreamShardCountMax));
    sub->add_option("--retention", options->retention,
                    "How long records stay: 90s, 15m, 24h, 7d [24h]");
    sub->add_option("--record-bytes-max", options->record_bytes_max,
                    "Longest data of one record [1048576]")
        ->check(CLI::Range(uint64_t{1}, uint64_t{kRecordDataBytesMax}));
    sub->footer(
        "Examples:\n  eagre stream create quotes --shards 4\n  eagre stream create logs "
        "--retention 7d");
    add("list", "List all streams", list)
        ->footer("Examples:\n  eagre stream list\n  eagre stream list --json");
    sub = add("describe", "Show a stream and its shards", describe);
    sub->add_option("name", options->name, "The stream")->required();
    sub->footer("Examples:\n  eagre stream describe quotes");
    sub = add("delete", "Delete a stream and all its records", remove);
    sub->add_option("name", options->name, "The stream")->required();
    sub->footer("Examples:\n  eagre stream delete quotes");
}

}  // namespace eagre::cli
