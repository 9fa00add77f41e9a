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

constexpr std::string_view kSigns = " \t_.:/=+-%@";

/// Letters, digits and blanks of any script, and a few signs.
bool is_good(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        return letter || static_cast<unsigned char>(c) >= 0x80 || kSigns.find(c) != kSigns.npos;
    });
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

std::optional<client::StreamTags> Gateway::tags_of(const Call& call, const Node& input) {
    client::StreamTags tags;
    const Node* said = input.member("Tags");
    for (size_t i = 0; said != nullptr && i + 1 < said->children.size(); i += 2) {
        auto& [key, value] = tags.emplace_back(said->children[i].text, said->children[i + 1].text);
        if (is_own(key) || key.starts_with("aws:")) {
            fail(call, invalid_argument("Keys of tags that begin with 'aws:' or 'eagre:' are reserved."));
            return std::nullopt;
        }
        if (!is_good(key) || !is_good(value)) {
            fail(call, invalid_argument("Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - % @ :"));
            return std::nullopt;
        }
    }
    // Not LimitExceededException: SDKs take that for throttling and send it again.
    if (tags.size() > kTagCountMax) {
        fail(call, too_many_tags());
        return std::nullopt;
    }
    return tags;
}

ApiError Gateway::too_many_tags() { return invalid_argument(fmt::format("A resource has at most {} tags.", kTagCountMax)); }

bool Gateway::resource_named(const Call& call, const Node& input, std::string& name, ConsumerArn& consumer) {
    const std::string_view arn = input.member("ResourceARN")->text;
    const auto stream = stream_of_arn(arn);
    const auto named = parse_consumer_arn(arn);
    if (!stream || (!named && arn.find("/consumer/") != arn.npos)) {
        fail(call, invalid_argument(fmt::format("ResourceARN {} names neither a stream nor a consumer.", arn)));
        return false;
    }
    name = *stream;
    if (named) consumer = *named;
    return true;
}

void Gateway::change_consumer_tags(const Call& call, const ConsumerArn& consumer, std::function<void(TagMap&)> change) {
    submit(call, consumer.stream, [this, call, consumer, change = std::move(change)](client::ControlClient& control) -> Result<ControlPool::Completion> {
        for (int i = 0; i < kAttemptsMax; ++i) {
            auto found = read_consumer(control, consumer);
            if (!found && found.error().code == Errc::kUnknownGroup)
                return ControlPool::Completion([this, call, consumer] { fail(call, no_such_consumer(consumer.consumer)); });
            if (!found) return found.error();
            change(found->second.tags);
            if (found->second.tags.size() > kTagCountMax) {
                return ControlPool::Completion([this, call] { fail(call, too_many_tags()); });
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
    auto tags = tags_of(call, input);
    if (!tags) return;
    submit(call, name, [this, call, name, tags = std::move(*tags)](client::ControlClient& control) -> Result<ControlPool::Completion> {
        const Status done = control.tag_stream(name, tags);
        if (!done && done.error().code == Errc::kLimitExceeded) return ControlPool::Completion([this, call] { fail(call, too_many_tags()); });
        if (!done) return done.error();
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
    ConsumerArn consumer;
    if (!resource_named(call, input, name, consumer)) return;
    if (consumer.consumer.empty()) return put_tags(call, name, input);
    auto tags = tags_of(call, input);
    if (!tags) return;
    change_consumer_tags(call, consumer, [tags = std::move(*tags)](TagMap& into) {
        for (const auto& [key, value] : tags) into[key] = value;
    });
}

void Gateway::untag_resource(const Call& call, const Node& input) {
    std::string name;
    ConsumerArn consumer;
    if (!resource_named(call, input, name, consumer)) return;
    if (consumer.consumer.empty()) return drop_tags(call, name, input);
    change_consumer_tags(call, consumer, [keys = keys_of(input)](TagMap& from) {
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
    ConsumerArn consumer;
    if (!resource_named(call, input, name, consumer)) return;
    with_description(call, name, [this, call, consumer](const client::StreamDescription& stream, const StreamNotes& notes) {
        const auto found = notes.consumers.find(consumer.consumer);
        const bool none = found == notes.consumers.end() || found->second.created_ms / 1000 != consumer.created_s;
        if (!consumer.consumer.empty() && none) return fail(call, no_such_consumer(consumer.consumer));
        Writer writer(call.encoding);
        writer.begin_map();
        writer.name("Tags");
        writer.begin_list();
        if (consumer.consumer.empty()) {
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
