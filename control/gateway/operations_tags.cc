// Tags of streams, by name and by ARN. Those that begin with "eagre:" are ours, and neither shown nor taken.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "control/gateway/gateway.h"

namespace eagre::gateway {
namespace {

constexpr std::string_view kOwnPrefix = "eagre:";
constexpr int64_t kListLimitDefault = 50;
constexpr int kAttemptsMax = 8;  // At a note that others change too.

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

bool Gateway::resource_named(const Call& call, const Node& input, std::string& name, std::string& consumer) {
    const std::string_view arn = input.member("ResourceARN")->text;
    const auto stream = stream_of_arn(arn);
    const auto named = parse_consumer_arn(arn);
    if (!stream || (!named && arn.find("/consumer/") != arn.npos)) {
        fail(call, invalid_argument(fmt::format("ResourceARN {} names neither a stream nor a consumer.", arn)));
        return false;
    }
    name = *stream;
    if (named) consumer = named->consumer;
    return true;
}

void Gateway::change_consumer_tags(const Call& call, const std::string& name, const std::string& consumer, std::function<void(TagMap&)> change) {
    submit(call, name, [this, call, name, consumer, change = std::move(change)](client::ControlClient& control) -> Result<ControlPool::Completion> {
        for (int i = 0; i < kAttemptsMax; ++i) {
            auto found = read_consumer(control, {name, consumer, 0});
            if (!found && found.error().code == Errc::kUnknownGroup)
                return ControlPool::Completion([this, call, consumer] { fail(call, no_such_consumer(consumer)); });
            if (!found) return found.error();
            change(found->second.tags);
            if (found->second.tags.size() > kTagCountMax) {
                return ControlPool::Completion([this, call] { fail(call, invalid_argument(fmt::format("A consumer has at most {} tags.", kTagCountMax))); });
            }
            found->first.text = found->second.text();
            const auto put = control.put_note(found->first);
            if (!put && put.error().code == Errc::kNoteChanged) continue;
            if (!put) return put.error();
            return ControlPool::Completion([this, call] {
                ++change_number_;
                answer_empty(call);
            });
        }
        return Errc::kBusy;
    });
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
    std::string consumer;
    if (!resource_named(call, input, name, consumer)) return;
    if (consumer.empty()) return put_tags(call, name, input);
    change_consumer_tags(call, name, consumer, [tags = tags_of(input)](TagMap& into) {
        for (const auto& [key, value] : tags) into[key] = value;
    });
}

void Gateway::untag_resource(const Call& call, const Node& input) {
    std::string name;
    std::string consumer;
    if (!resource_named(call, input, name, consumer)) return;
    if (consumer.empty()) return drop_tags(call, name, input);
    change_consumer_tags(call, name, consumer, [keys = keys_of(input)](TagMap& from) {
        for (const std::string& key : keys) from.erase(key);
    });
}

void Gateway::list_tags(const Call& call, const Node& input) {
    std::string name;
    if (!stream_name(call, input, name)) return;
    const Node* start = input.member("ExclusiveStartTagKey");
    const Node* limit = input.member("Limit");
    const std::string after(start == nullptr ? std::string_view{} : start->text);
    const auto count_max = static_cast<size_t>(limit == nullptr ? kListLimitDefault : limit->integer);
    with_description(call, name, [this, call, after, count_max](const client::StreamDescription& stream, const StreamNotes&) {
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
    std::string consumer;
    if (!resource_named(call, input, name, consumer)) return;
    with_description(call, name, [this, call, consumer](const client::StreamDescription& stream, const StreamNotes& notes) {
        const auto found = notes.consumers.find(consumer);
        if (!consumer.empty() && found == notes.consumers.end()) return fail(call, no_such_consumer(consumer));
        Writer writer(call.encoding);
        writer.begin_map();
        writer.name("Tags");
        writer.begin_list();
        if (consumer.empty()) {
            for (const auto& tag : stream.tags) {
                if (!is_own(tag.first)) write_tag(writer, tag);
            }
        } else {
            for (const auto& tag : found->second.tags) write_tag(writer, tag);
        }
        writer.end_list();
        writer.end_map();
        answer(call, writer);
    });
}

}  // namespace eagre::gateway
