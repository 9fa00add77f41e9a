// Tags of streams, by name and by ARN. Those that begin with "eagre:" are ours, and neither shown nor taken.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "control/gateway/gateway.h"

namespace eagre::gateway {
namespace {

constexpr std::string_view kOwnPrefix = "eagre:";
constexpr int64_t kListLimitDefault = 50;

bool is_own(std::string_view key) { return key.starts_with(kOwnPrefix); }

client::StreamTags tags_of(const Node& input) {
    client::StreamTags tags;
    const Node* said = input.member("Tags");
    for (size_t i = 0; i + 1 < said->children.size(); i += 2) tags.emplace_back(said->children[i].text, said->children[i + 1].text);
    return tags;
}
std::vector<std::string> keys_of(const Node& input) {
    std::vector<std::string> keys;
    for (const Node& key : input.member("TagKeys")->children) keys.emplace_back(key.text);
    return keys;
}

void write_tag(Writer& writer, const std::pair<std::string, std::string>& tag) {
    writer.begin_map();
    writer.text("Key", tag.first);
    writer.text("Value", tag.second);
    writer.end_map();
}

}  // namespace

bool Gateway::resource_stream(const Call& call, const Node& input, std::string& name) {
    const std::string_view arn = input.member("ResourceARN")->text;
    if (arn.find("/consumer/") != arn.npos) {
        fail(call, not_available("Tags of stream consumers are not available here."));
        return false;
    }
    const auto stream = stream_of_arn(arn);
    if (!stream) {
        fail(call, invalid_argument(fmt::format("ResourceARN {} names no stream.", arn)));
        return false;
    }
    name = *stream;
    return true;
}

void Gateway::put_tags(const Call& call, const std::string& name, const Node& input) {
    auto tags = tags_of(input);
    if (std::any_of(tags.begin(), tags.end(), [](const auto& tag) { return is_own(tag.first); }))
        return fail(call, invalid_argument("Keys of tags that begin with 'eagre:' are reserved."));
    submit(call, name, [this, call, name, tags = std::move(tags)](client::ControlClient& control) -> Result<ControlPool::Completion> {
        if (const Status done = control.tag_stream(name, tags); !done) return done.error();
        return ControlPool::Completion([this, call] { answer_empty(call); });
    });
}

void Gateway::drop_tags(const Call& call, const std::string& name, const Node& input) {
    auto keys = keys_of(input);
    std::erase_if(keys, [](const std::string& key) { return is_own(key); });
    submit(call, name, [this, call, name, keys = std::move(keys)](client::ControlClient& control) -> Result<ControlPool::Completion> {
        if (const Status done = control.untag_stream(name, keys); !done) return done.error();
        return ControlPool::Completion([this, call] { answer_empty(call); });
    });
}

void Gateway::add_tags(const Call& call, const Node& input) {
    std::string name;
    if (stream_name(call, input, name)) put_tags(call, name, input);
}

void Gateway::remove_tags(const Call& call, const Node& input) {
    std::string name;
    if (stream_name(call, input, name)) drop_tags(call, name, input);
}

void Gateway::tag_resource(const Call& call, const Node& input) {
    std::string name;
    if (resource_stream(call, input, name)) put_tags(call, name, input);
}

void Gateway::untag_resource(const Call& call, const Node& input) {
    std::string name;
    if (resource_stream(call, input, name)) drop_tags(call, name, input);
}

void Gateway::list_tags(const Call& call, const Node& input) {
    std::string name;
    if (!stream_name(call, input, name)) return;
    const Node* start = input.member("ExclusiveStartTagKey");
    const Node* limit = input.member("Limit");
    const std::string after(start == nullptr ? std::string_view{} : start->text);
    const auto count_max = static_cast<size_t>(limit == nullptr ? kListLimitDefault : limit->integer);
    with_description(call, name, [this, call, after, count_max](const client::StreamDescription& stream) {
        Writer writer(call.encoding);
        writer.begin_map();
        writer.name("Tags");
        writer.begin_list();
        size_t count = 0;
        bool more = false;
        for (const auto& tag : stream.tags) {
            if (is_own(tag.first) || (!after.empty() && tag.first <= after)) continue;
            more = count == count_max;
            if (more) break;
            write_tag(writer, tag);
            ++count;
        }
        writer.end_list();
        writer.boolean("HasMoreTags", more);
        writer.end_map();
        answer(call, writer);
    });
}

void Gateway::list_tags_of_resource(const Call& call, const Node& input) {
    std::string name;
    if (!resource_stream(call, input, name)) return;
    with_description(call, name, [this, call](const client::StreamDescription& stream) {
        Writer writer(call.encoding);
        writer.begin_map();
        writer.name("Tags");
        writer.begin_list();
        for (const auto& tag : stream.tags) {
            if (!is_own(tag.first)) write_tag(writer, tag);
        }
        writer.end_list();
        writer.end_map();
        answer(call, writer);
    });
}

}  // namespace eagre::gateway
