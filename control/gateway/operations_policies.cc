// Resource policies, of streams and of their consumers: put, told as they were put, deleted. gateway_access.cc enforces them.
#include <utility>

#include <fmt/format.h>

#include "control/gateway/gateway.h"

namespace eagre::gateway {
namespace {

std::string policy_note(const ConsumerArn& consumer) {
    return consumer.consumer.empty() ? std::string(kPolicyNote) : std::string(kConsumerPolicyNotes) + consumer.consumer;
}

/// The note as it is; of revision 0 when there is none. Errors: kUnknownStream; kUnknownGroup: the consumer is not registered.
Result<client::Note> read_policy(client::ControlClient& control, const std::string& stream, const ConsumerArn& consumer) {
    if (!consumer.consumer.empty()) {
        const auto known = control.list_notes(stream, std::string(kConsumerNotes) + consumer.consumer);
        if (!known) return known.error();
        const auto all = read_stream_notes(*known, stream);
        const auto exact = all.consumers.find(consumer.consumer);
        if (exact == all.consumers.end() || exact->second.created_ms / 1000 != consumer.created_s) return Errc::kUnknownGroup;
    }
    const std::string name = policy_note(consumer);
    auto notes = control.list_notes(stream, name);
    if (!notes) return notes.error();
    for (client::Note& each : *notes) {
        if (each.name == name) return std::move(each);
    }
    return client::Note{stream, name, {}, 0};
}

}  // namespace

void Gateway::put_resource_policy(const Call& call, const Node& input) {
    std::string stream;
    ConsumerArn consumer;
    if (!resource_named(call, input, stream, consumer)) return;
    const std::string text(input.member("Policy")->text);
    const auto parsed = ResourcePolicy::parse(text);
    if (const auto* error = std::get_if<ApiError>(&parsed)) return fail(call, *error);
    submit(call, stream, [this, call, stream, consumer, text](client::ControlClient& control) -> Result<ControlPool::Completion> {
        auto note = read_policy(control, stream, consumer);
        if (!note && note.error().code == Errc::kUnknownGroup) return ControlPool::Completion([this, call, consumer] { fail(call, no_such_consumer(consumer.consumer)); });
        if (!note) return note.error();
        note->text = text;
        const auto put = control.put_note(*note);
        if (!put && put.error().code == Errc::kNoteChanged)
            return ControlPool::Completion([this, call] { fail(call, in_use("The policy is being changed by somebody else.")); });
        if (!put) return put.error();
        return ControlPool::Completion([this, call] {
            ++change_number_;
            answer_empty(call);
        });
    });
}

void Gateway::get_resource_policy(const Call& call, const Node& input) {
    std::string stream;
    ConsumerArn consumer;
    if (!resource_named(call, input, stream, consumer)) return;
    submit(call, stream, [this, call, stream, consumer](client::ControlClient& control) -> Result<ControlPool::Completion> {
        auto note = read_policy(control, stream, consumer);
        if (!note && note.error().code == Errc::kUnknownGroup) return ControlPool::Completion([this, call, consumer] { fail(call, no_such_consumer(consumer.consumer)); });
        if (!note) return note.error();
        return ControlPool::Completion([this, call, note = std::move(*note)] {
            if (note.revision == 0) return fail(call, not_found(fmt::format("The resource of stream {} under account {} has no policy.", note.stream, options_.arns.account)));
            Writer writer(call.encoding);
            writer.begin_map();
            writer.text("Policy", note.text);
            writer.end_map();
            answer(call, writer);
        });
    });
}

void Gateway::delete_resource_policy(const Call& call, const Node& input) {
    std::string stream;
    ConsumerArn consumer;
    if (!resource_named(call, input, stream, consumer)) return;
    submit(call, stream, [this, call, stream, consumer](client::ControlClient& control) -> Result<ControlPool::Completion> {
        const auto note = read_policy(control, stream, consumer);
        if (!note && note.error().code == Errc::kUnknownGroup) return ControlPool::Completion([this, call, consumer] { fail(call, no_such_consumer(consumer.consumer)); });
        if (!note) return note.error();
        if (note->revision == 0) {
            return ControlPool::Completion(
                [this, call, stream] { fail(call, not_found(fmt::format("The resource of stream {} under account {} has no policy.", stream, options_.arns.account))); });
        }
        if (const Status done = control.delete_note(*note); !done) return done.error();
        return ControlPool::Completion([this, call] {
            ++change_number_;
            answer_empty(call);
        });
    });
}

}  // namespace eagre::gateway
