// `eagre stream set|tag|untag`, through eagre-control.
#include "tools/eagre/stream_changes.h"

#include <memory>
#include <stdexcept>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/eagre/actions.h"
#include "tools/eagre/position.h"
#include "tools/eagre/size.h"
#include "tools/eagre/target.h"

namespace eagre::cli {
namespace {

using Json = nlohmann::ordered_json;

struct ChangeOptions {
    Target target;
    std::string name;
    LimitOptions limits;
    std::vector<std::string> tags;
    bool json = false;
};

void report(const ChangeOptions& options, const char* key, const std::string& text) {
    if (options.json)
        fmt::print("{}\n", Json{{key, options.name}}.dump());
    else
        fmt::print("{}\n", text);
}

void set(const ChangeOptions& options) {
    client::SetStream request = options.limits.parse();
    const bool nothing = !request.retention_ms && !request.retention_bytes &&
                         !request.record_bytes_max && !request.quota_bytes_per_s &&
                         !request.quota_records_per_s;
    if (nothing) {
        throw std::runtime_error(
            "say what is to change: --retention, --retention-bytes, --record-bytes-max, "
            "--quota-bytes-per-s, --quota-records-per-s");
    }
    request.name = options.name;
    const auto control = options.target.connect_control();
    const Status changed = control->set_stream(request);
    if (!changed) refuse("stream " + options.name, *control, changed.error());
    report(options, "changed", fmt::format("changed {}", options.name));
}

void tag(const ChangeOptions& options) {
    const client::StreamTags tags = parse_tags(options.tags);
    const auto control = options.target.connect_control();
    const Status tagged = control->tag_stream(options.name, tags);
    if (!tagged) refuse("stream " + options.name, *control, tagged.error());
    report(options, "tagged", fmt::format("tagged {}", options.name));
}

void untag(const ChangeOptions& options) {
    const auto control = options.target.connect_control();
    const Status untagged = control->untag_stream(options.name, options.tags);
    if (!untagged) refuse("stream " + options.name, *control, untagged.error());
    report(options, "untagged", fmt::format("untagged {}", options.name));
}

}  // namespace

void LimitOptions::add(CLI::App& command) {
    command.add_option("--retention", retention, "How long records stay: 90s, 15m, 24h, 7d [24h]");
    command.add_option("--retention-bytes", retention_bytes,
                       "How many bytes of the stream stay, the newest: 10G, or none [none]");
    command.add_option("--record-bytes-max", record_bytes_max,
                       "Longest data of one record, up to 10M [1M]");
    command.add_option("--quota-bytes-per-s", quota_bytes_per_s,
                       "Bytes that each shard takes a second: 1M, or off [off]");
    command.add_option("--quota-records-per-s", quota_records_per_s,
                       "Records that each shard takes a second: 1000, or off [off]");
}

client::SetStream LimitOptions::parse() const {
    client::SetStream limits;
    if (!retention.empty()) limits.retention_ms = parse_duration_ms(retention);
    if (!retention_bytes.empty())
        limits.retention_bytes = parse_limit(retention_bytes, "--retention-bytes");
    if (!record_bytes_max.empty())
        limits.record_bytes_max = parse_size(record_bytes_max, "--record-bytes-max");
    if (!quota_bytes_per_s.empty())
        limits.quota_bytes_per_s = parse_limit(quota_bytes_per_s, "--quota-bytes-per-s");
    if (!quota_records_per_s.empty())
        limits.quota_records_per_s = parse_count_limit(quota_records_per_s, "--quota-records-per-s");
    return limits;
}

client::StreamTags parse_tags(const std::vector<std::string>& texts) {
    client::StreamTags tags;
    for (const std::string& text : texts) {
        const size_t equals = text.find('=');
        if (equals == std::string::npos || equals == 0) {
            throw std::runtime_error(
                fmt::format("'{}' is no tag: give KEY=VALUE, like team=feeds", text));
        }
        tags.emplace_back(text.substr(0, equals), text.substr(equals + 1));
    }
    return tags;
}

void add_stream_changes(CLI::App& stream, int& status) {
    auto options = std::make_shared<ChangeOptions>();
    const ActionAdder<ChangeOptions> add_action(stream, options, status);
    const auto add = [&](const char* name, const char* what, void (*action)(const ChangeOptions&)) {
        CLI::App* sub = add_action(name, what, action);
        sub->add_option("name", options->name, "The stream")->required();
        return sub;
    };
    CLI::App* sub = add("set", "Change limits of a stream; what is not named stays", set);
    options->limits.add(*sub);
    sub->footer(
        "Producers that are connected go by a new record limit or quota at once; retention acts within seconds.\n\n"
        "Examples:\n"
        "  eagre stream set quotes --retention 7d\n"
        "  eagre stream set quotes --retention-bytes 10G\n"
        "  eagre stream set quotes --record-bytes-max 10M\n"
        "  eagre stream set quotes --quota-bytes-per-s 1M --quota-records-per-s 1000\n"
        "  eagre stream set quotes --quota-bytes-per-s off --retention-bytes none");
    sub = add("tag", "Put tags on a stream, over those with the same keys", tag);
    sub->add_option("tags", options->tags, "KEY=VALUE, at most 50 on a stream")->required();
    sub->footer("Examples:\n  eagre stream tag quotes team=feeds env=prod");
    sub = add("untag", "Take tags off a stream", untag);
    sub->add_option("keys", options->tags, "Keys of the tags")->required();
    sub->footer("Examples:\n  eagre stream untag quotes env");
}

}  // namespace eagre::cli
