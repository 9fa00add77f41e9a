#include "control/gateway/model/stream_notes.h"

#include "control/gateway/document/document.h"
#include "control/gateway/document/writer.h"

namespace eagre::gateway {
namespace {

/// A note's document, while it is looked at.
class Parsed {
  public:
    explicit Parsed(std::string_view text) : body_(text) {
        body_.reserve(body_.size() + kPaddingBytes);
        root_ = document_.parse(Encoding::kJson, body_);
        if (root_ != nullptr && root_->kind != Node::Kind::kMap) root_ = nullptr;
    }
    bool sound() const { return root_ != nullptr; }
    const Node* member(std::string_view name, Node::Kind kind) const {
        const Node* found = root_ == nullptr ? nullptr : root_->member(name);
        return found == nullptr || found->kind != kind ? nullptr : found;
    }
    bool boolean(std::string_view name) const {
        const Node* found = member(name, Node::Kind::kBoolean);
        return found != nullptr && found->boolean;
    }
    int64_t integer(std::string_view name) const {
        const Node* found = member(name, Node::Kind::kInteger);
        return found == nullptr ? 0 : found->integer;
    }

  private:
    std::string body_;
    Document document_;
    const Node* root_ = nullptr;
};

}  // namespace

std::string StreamSettings::text() const {
    Writer writer(Encoding::kJson);
    writer.begin_map();
    writer.boolean("on_demand", on_demand);
    writer.boolean("automatic", automatic);
    writer.integer("warm_mibps", warm_mibps);
    writer.name("shard_metrics");
    writer.begin_list();
    for (const std::string& each : shard_metrics) writer.text(each);
    writer.end_list();
    writer.end_map();
    return writer.take();
}

StreamSettings parse_settings(std::string_view text) {
    const Parsed parsed(text);
    StreamSettings settings;
    settings.on_demand = parsed.boolean("on_demand");
    settings.automatic = parsed.boolean("automatic");
    settings.warm_mibps = parsed.integer("warm_mibps");
    if (const Node* metrics = parsed.member("shard_metrics", Node::Kind::kList); metrics != nullptr) {
        for (const Node& each : metrics->children) settings.shard_metrics.emplace_back(each.text);
    }
    return settings;
}

std::string RegisteredConsumer::text() const {
    Writer writer(Encoding::kJson);
    writer.begin_map();
    writer.integer("created_ms", static_cast<int64_t>(created_ms));
    writer.name("tags");
    writer.begin_list();
    for (const auto& [key, value] : tags) {
        writer.text(key);
        writer.text(value);
    }
    writer.end_list();
    writer.end_map();
    return writer.take();
}

std::optional<RegisteredConsumer> parse_consumer(std::string_view name, std::string_view text) {
    const Parsed parsed(text);
    if (!parsed.sound()) return std::nullopt;
    RegisteredConsumer consumer;
    consumer.name = name;
    consumer.created_ms = static_cast<uint64_t>(parsed.integer("created_ms"));
    if (const Node* tags = parsed.member("tags", Node::Kind::kList); tags != nullptr) {
        for (size_t i = 0; i + 1 < tags->children.size(); i += 2) consumer.tags.emplace(tags->children[i].text, tags->children[i + 1].text);
    }
    return consumer;
}

std::string AccountSettings::text() const {
    Writer writer(Encoding::kJson);
    writer.begin_map();
    writer.boolean("committed", committed);
    writer.integer("changed_ms", static_cast<int64_t>(changed_ms));
    writer.end_map();
    return writer.take();
}

AccountSettings parse_account(std::string_view text) {
    const Parsed parsed(text);
    return {parsed.boolean("committed"), static_cast<uint64_t>(parsed.integer("changed_ms"))};
}

}  // namespace eagre::gateway
