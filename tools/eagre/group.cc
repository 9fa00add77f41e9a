// `eagre group create|list|describe|reset|delete`, through eagre-control.
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/eagre/actions.h"
#include "tools/eagre/commands.h"
#include "tools/eagre/group_text.h"
#include "tools/eagre/position.h"
#include "tools/eagre/target.h"
#include "tools/eagre/text.h"

namespace eagre::cli {
namespace {

using Json = nlohmann::ordered_json;

struct GroupCommandOptions {
    Target target;
    std::string stream;
    std::string group;
    std::string to = "trim_horizon";
    std::string heartbeat;
    std::vector<uint64_t> shards;
    bool force = false;
    bool json = false;
};

std::string name_of(const GroupCommandOptions& options) {
    return fmt::format("group {} of {}", options.group, options.stream);
}

void print_done(const GroupCommandOptions& options, const char* what) {
    if (options.json)
        fmt::print("{}\n", Json{{what, options.group}, {"stream", options.stream}}.dump());
    else
        fmt::print("{} {}\n", what, name_of(options));
}

void create(const GroupCommandOptions& options) {
    const auto control = options.target.connect_control();
    const uint64_t heartbeat_ms = options.heartbeat.empty() ? 0 : parse_duration_ms(options.heartbeat);
    const Status created = control->create_group(options.stream, options.group, parse_start(options.to),
                                                 static_cast<uint32_t>(std::min<uint64_t>(heartbeat_ms, UINT32_MAX)));
    if (!created) refuse(name_of(options), *control, created.error());
    print_done(options, "created");
}

void reset(const GroupCommandOptions& options) {
    const auto control = options.target.connect_control();
    client::ResetGroup request;
    request.stream = options.stream;
    request.group = options.group;
    request.to = parse_start(options.to);
    for (const uint64_t shard : options.shards) request.shards.emplace_back(shard);
    request.force = options.force;
    const Status done = control->reset_group(request);
    if (!done) refuse(name_of(options), *control, done.error());
    print_done(options, "reset");
}

void remove(const GroupCommandOptions& options) {
    const auto control = options.target.connect_control();
    const Status done = control->delete_group(options.stream, options.group, options.force);
    if (!done) refuse(name_of(options), *control, done.error());
    print_done(options, "deleted");
}

void list(const GroupCommandOptions& options) {
    const auto control = options.target.connect_control();
    const auto groups = control->list_groups(options.stream);
    if (!groups) refuse("list", *control, groups.error());
    remark(*control);
    if (options.json) {
        Json all = Json::array();
        for (const auto& group : *groups) all.push_back(group_json(group, wall_now_ns()));
        fmt::print("{}\n", Json{{"groups", all}}.dump());
        return;
    }
    fmt::print("{}", groups->empty() ? "no consumer groups: 'eagre tail STREAM --group NAME' makes one\n"
                                     : group_table(*groups, wall_now_ns()).text());
}

void describe(const GroupCommandOptions& options) {
    const auto control = options.target.connect_control();
    const auto group = control->describe_group(options.stream, options.group);
    if (!group) refuse(name_of(options), *control, group.error());
    remark(*control);
    if (options.json) {
        fmt::print("{}\n", group_json(*group, wall_now_ns()).dump());
    } else {
        fmt::print("{}", group_text(*group, wall_now_ns()));
    }
}

}  // namespace

void add_group(CLI::App& app, int& status) {
    CLI::App* command = app.add_subcommand("group", "Consumer groups: who reads a stream together, and how far behind they are");
    command->require_subcommand(1);
    command->footer(
        "Examples:\n"
        "  eagre tail quotes --group billing                     a member; the group is made if it is not there\n"
        "  eagre group list\n"
        "  eagre group describe quotes billing\n"
        "  eagre group reset quotes billing --to 2026-11-23T09:30:00Z\n"
        "  eagre group delete quotes billing");
    auto options = std::make_shared<GroupCommandOptions>();
    const ActionAdder<GroupCommandOptions> add(*command, options, status);
    const auto add_names = [&](CLI::App* sub) {
        sub->add_option("stream", options->stream, "The stream")->required();
        sub->add_option("group", options->group, "The group")->required();
    };
    constexpr const char* kPosition =
        "trim_horizon, latest, a sequence number, or a time like 2026-11-23T09:30:00Z";
    CLI::App* sub = add("create", "Make a group before its first member comes", create);
    add_names(sub);
    sub->add_option("--from", options->to, std::string(kPosition) + " [trim_horizon]");
    sub->add_option("--heartbeat", options->heartbeat,
                    "A member that is silent for so long is taken for dead: 300ms to 60s [3s]");
    sub->footer("Examples:\n  eagre group create quotes billing --from latest --heartbeat 10s");
    sub = add("list", "List groups, and how far behind each is", list);
    sub->add_option("stream", options->stream, "Only of this stream [all]");
    sub->footer("Examples:\n  eagre group list\n  eagre group list quotes --json");
    sub = add("describe", "Show members, leases, checkpoints and lag of a group", describe);
    add_names(sub);
    sub->footer(
        "What is unread is counted from the checkpoint to the last durable record; bytes are exact near the "
        "tail and a bound from above farther behind; '?' is a shard that cannot be measured now.\n\n"
        "Examples:\n  eagre group describe quotes billing\n  eagre group describe quotes billing --json");
    sub = add("reset", "Set the checkpoints of a group anew", reset);
    add_names(sub);
    sub->add_option("--to", options->to, kPosition)->required();
    sub->add_option("--shard", options->shards, "Only this shard (repeatable) [all]");
    sub->add_flag("--force", options->force, "Although members are active: they lose their leases, and get them anew");
    sub->footer(
        "Examples:\n  eagre group reset quotes billing --to trim_horizon\n"
        "  eagre group reset quotes billing --to 100000 --shard 3");
    sub = add("delete", "Forget a group and its checkpoints", remove);
    add_names(sub);
    sub->add_flag("--force", options->force, "Although members are active: they are told, and end");
    sub->footer("Examples:\n  eagre group delete quotes billing");
}

}  // namespace eagre::cli
