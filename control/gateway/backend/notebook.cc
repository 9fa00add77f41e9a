#include "control/gateway/backend/notebook.h"

#include "control/access/key_ring.h"
#include "control/log/log.h"
#include "wire/identity/secret.h"

namespace eagre::gateway {
namespace {

void take_note(StreamNotes& into, const client::Note& note) {
    const std::string_view name = note.name;
    if (name == kSettingsNote) {
        into.settings = parse_settings(note.text);
        into.settings_revision = note.revision;
    } else if (name == kPolicyNote) {
        auto parsed = ResourcePolicy::parse(note.text);
        if (auto* policy = std::get_if<ResourcePolicy>(&parsed)) into.policy = std::move(*policy);
    } else if (name.starts_with(kConsumerNotes)) {
        if (auto consumer = parse_consumer(name.substr(kConsumerNotes.size()), note.text)) into.consumers.emplace(consumer->name, std::move(*consumer));
    } else if (name.starts_with(kConsumerPolicyNotes)) {
        auto parsed = ResourcePolicy::parse(note.text);
        if (auto* policy = std::get_if<ResourcePolicy>(&parsed)) into.consumer_policies.emplace(name.substr(kConsumerPolicyNotes.size()), std::move(*policy));
    }
}

Status take_keys(Notebook& into, client::ControlClient& control, const identity::Bytes32& master) {
    const auto keys = control.list_keys();
    if (!keys) return keys.error();
    for (const client::KeyDescription& each : *keys) {
        if (each.revoked_ns != 0) continue;
        auto secret = access::open_secret(each.id, each.generation, each.sealed_secret, master);
        auto policy = identity::Policy::parse(each.allow);
        if (!secret || !policy) {
            log::error("gateway", "a key's secret does not open with this master.key: it is not honoured; rotate it name={}", each.name);
            continue;
        }
        auto key = std::make_shared<ApiKey>();
        *key = {each.id, each.name, identity::secret_text(*secret), each.expires_ns, std::move(*policy)};
        identity::wipe(*secret);
        into.keys.emplace(each.id, std::move(key));
    }
    return {};
}

}  // namespace

StreamNotes read_stream_notes(const std::vector<client::Note>& notes, std::string_view stream) {
    StreamNotes read;
    for (const client::Note& each : notes) {
        if (each.stream == stream) take_note(read, each);
    }
    return read;
}

const StreamNotes& Notebook::of(std::string_view stream) const {
    static const StreamNotes kNone;
    const auto found = streams.find(stream);
    return found == streams.end() ? kNone : found->second;
}

const RegisteredConsumer* Notebook::consumer(std::string_view stream, std::string_view name) const {
    const StreamNotes& notes = of(stream);
    const auto found = notes.consumers.find(name);
    return found == notes.consumers.end() ? nullptr : &found->second;
}

Result<NotebookPointer> read_notebook(client::ControlClient& control, const identity::Bytes32* master) {
    auto book = std::make_shared<Notebook>();
    const auto notes = control.list_notes({}, kNotePrefix);
    if (!notes) return notes.error();
    for (const client::Note& each : *notes) {
        if (!each.stream.empty()) take_note(book->streams[each.stream], each);
        else if (each.name == kAccountNote) book->account = parse_account(each.text);
    }
    if (master != nullptr) {
        if (const Status taken = take_keys(*book, control, *master); !taken) return taken.error();
    }
    return NotebookPointer(std::move(book));
}

}  // namespace eagre::gateway
