#pragma once
// What the API knows of a stream and Eagre does not, as notes beside the stream (wire/client/control_client.h): its settings, and who is
// registered to read it. JSON, so that people can read a catalogue.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace eagre::gateway {

/// All notes of ours begin with it.
inline constexpr std::string_view kNotePrefix = "kinesis ";
inline constexpr std::string_view kSettingsNote = "kinesis settings";
inline constexpr std::string_view kPolicyNote = "kinesis policy";             // Of the stream: the document as it was put.
inline constexpr std::string_view kConsumerNotes = "kinesis consumer/";       // And the consumer's name.
inline constexpr std::string_view kConsumerPolicyNotes = "kinesis policy/";   // The same.
inline constexpr std::string_view kAccountNote = "kinesis account";           // Of the box.

using TagMap = std::map<std::string, std::string>;

struct StreamSettings {
    bool on_demand = false;
    bool automatic = false;                 // Records are spread without regard to their keys.
    int64_t warm_mibps = 0;                 // 0: not asked for.
    std::vector<std::string> shard_metrics;  // Names, in the model's order.

    bool is_default() const { return !on_demand && !automatic && warm_mibps == 0 && shard_metrics.empty(); }
    std::string text() const;
};
/// What can't be read is as if it were not there.
StreamSettings parse_settings(std::string_view text);

struct RegisteredConsumer {
    std::string name;
    uint64_t created_ms = 0;  // Since 1970.
    TagMap tags;

    std::string text() const;
};
/// Nothing: it can't be read.
std::optional<RegisteredConsumer> parse_consumer(std::string_view name, std::string_view text);

struct AccountSettings {
    bool committed = false;  // MinimumThroughputBillingCommitment.
    uint64_t changed_ms = 0;

    std::string text() const;
};
AccountSettings parse_account(std::string_view text);

}  // namespace eagre::gateway
