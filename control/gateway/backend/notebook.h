#pragma once
// What eagre-control knows and calls need at once: keys and their policies, and what the API keeps beside streams. Read as a whole, never
// changed, replaced by a newer one.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/gateway/model/resource_policy.h"
#include "control/gateway/model/stream_notes.h"
#include "wire/client/control_client.h"
#include "wire/identity/crypto.h"
#include "wire/identity/policy.h"

namespace eagre::gateway {

struct ApiKey {
    std::string id;
    std::string name;
    std::string secret;       // As people carry it.
    uint64_t expires_ns = 0;  // Wall clock; 0: never.
    identity::Policy policy;
};
using ApiKeyPointer = std::shared_ptr<const ApiKey>;

/// Beside one stream.
struct StreamNotes {
    StreamSettings settings;
    std::map<std::string, RegisteredConsumer, std::less<>> consumers;
    std::optional<ResourcePolicy> policy;
    std::map<std::string, ResourcePolicy, std::less<>> consumer_policies;
    uint64_t settings_revision = 0;  // 0: there is no note.
};
/// Of notes of one stream, and those of others passed over.
StreamNotes read_stream_notes(const std::vector<client::Note>& notes, std::string_view stream);

struct Notebook {
    std::map<std::string, StreamNotes, std::less<>> streams;  // Those that have notes.
    AccountSettings account;
    std::map<std::string, ApiKeyPointer, std::less<>> keys;    // In use, by id.

    const StreamNotes& of(std::string_view stream) const;
    const RegisteredConsumer* consumer(std::string_view stream, std::string_view name) const;
};
using NotebookPointer = std::shared_ptr<const Notebook>;

/// `master`: of the key file; null: without keys. Errors: those of list_notes and list_keys.
Result<NotebookPointer> read_notebook(client::ControlClient& control, const identity::Bytes32* master);

}  // namespace eagre::gateway
