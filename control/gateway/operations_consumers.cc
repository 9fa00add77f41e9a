// Registered consumers of a stream: notes beside it. What they read by is in operations_subscribe.cc.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "control/gateway/gateway.h"
#include "control/gateway/model/page_token.h"

namespace eagre::gateway {
namespace {

constexpr size_t kConsumerCountMax = 20;
constexpr size_t kConsumerCountMaxCommitted = 50;
constexpr int64_t kListLimitDefault = 100;

std::string note_name(const std::string& consumer) { return std::string(kConsumerNotes) + consumer; }

}  // namespace

ApiError Gateway::no_such_consumer(std::string_view name) const { return not_found(fmt::format("Consumer {}, account {} not found.", name, options_.arns.account)); }

void Gateway::write_consumer(Writer& writer, const Call& call, const std::string& stream, const RegisteredConsumer& consumer, bool with_stream) const {
    writer.begin_map();
    writer.text("ConsumerName", consumer.name);
    writer.text("ConsumerARN", arns(call).consumer(stream, consumer.name, consumer.created_ms));
    writer.text("ConsumerStatus", "ACTIVE");
    writer.time_ms("ConsumerCreationTimestamp", consumer.created_ms / 1000 * 1000);
    if (with_stream) writer.text("StreamARN", arns(call).stream(stream));
    writer.end_map();
}

bool Gateway::consumer_named(const Call& call, const Node& input, ConsumerArn& named) {
    const Node* arn = input.member("ConsumerARN");
    const Node* stream = input.member("StreamARN");
    const Node* name = input.member("ConsumerName");
    if (arn != nullptr) {
        if (const auto parsed = parse_consumer_arn(arn->text)) {
            named = *parsed;
            return true;
        }
    } else if (stream != nullptr && name != nullptr) {
        if (const auto of = stream_of_arn(stream->text)) {
            named = {std::string(*of), std::string(name->text), 0};
            return true;
        }
    }
    fail(call, invalid_argument("A consumer is named by its ConsumerARN, or by StreamARN and ConsumerName."));
    return false;
}

Result<std::pair<client::Note, RegisteredConsumer>> Gateway::read_consumer(client::ControlClient& control, const ConsumerArn& named) {
    const auto notes = control.list_notes(named.stream, note_name(named.consumer));
    if (!notes) return notes.error();
    for (const client::Note& each : *notes) {
        if (each.name != note_name(named.consumer)) continue;
        auto consumer = parse_consumer(named.consumer, each.text);
        // An ARN also says when it was made: one of that name that was there before is another.
        if (!consumer || (named.created_s != 0 && named.created_s != consumer->created_ms / 1000)) break;
        return std::pair{each, std::move(*consumer)};
    }
    return Errc::kUnknownGroup;
}

void Gateway::register_consumer(const Call& call, const Node& input) {
    std::string stream;
    if (!stream_name(call, input, stream)) return;
    RegisteredConsumer consumer;
    consumer.name = input.member("ConsumerName")->text;
    consumer.created_ms = now_ms();
    const auto tags = tags_of(call, input);
    if (!tags) return;
    consumer.tags.insert(tags->begin(), tags->end());
    submit(call, stream, [this, call, stream, consumer](client::ControlClient& control) -> Result<ControlPool::Completion> {
        const auto there = [&] {
            return ControlPool::Completion([this, call, stream, name = consumer.name] {
                fail(call, in_use(fmt::format("Consumer {} under stream {} already exists for account {}.", name, arns(call).stream(stream), options_.arns.account)));
            });
        };
        const auto notes = control.list_notes(stream, kConsumerNotes);
        if (!notes) return notes.error();
        const auto account = control.list_notes({}, kAccountNote);
        if (!account) return account.error();
        const bool committed = !account->empty() && parse_account(account->front().text).committed;
        const size_t count_max = committed ? kConsumerCountMaxCommitted : kConsumerCountMax;
        if (std::any_of(notes->begin(), notes->end(), [&](const client::Note& each) { return each.name == note_name(consumer.name); })) return there();
        if (notes->size() >= count_max) {
            return ControlPool::Completion([this, call, stream, count_max] {
                fail(call, limit_exceeded(fmt::format("Stream {} under account {} has {} consumers registered, which is the limit.", stream, options_.arns.account, count_max)));
            });
        }
        const auto put = control.put_note({stream, note_name(consumer.name), consumer.text(), 0});
        if (!put && put.error().code == Errc::kNoteChanged) return there();
        if (!put) return put.error();
        return ControlPool::Completion([this, call, stream, consumer] {
            ++change_number_;
            Writer writer(call.encoding);
            writer.begin_map();
            writer.name("Consumer");
            write_consumer(writer, call, stream, consumer, false);
            writer.end_map();
            answer(call, writer);
        });
    });
}

void Gateway::deregister_consumer(const Call& call, const Node& input) {
    ConsumerArn named;
    if (!consumer_named(call, input, named)) return;
    submit(call, named.stream, [this, call, named](client::ControlClient& control) -> Result<ControlPool::Completion> {
        const auto found = read_consumer(control, named);
        if (!found && found.error().code == Errc::kUnknownGroup)
            return ControlPool::Completion([this, call, named] { fail(call, no_such_consumer(named.consumer)); });
        if (!found) return found.error();
        // Its policy first: one that is registered under the name later must not find it.
        const std::string policy = std::string(kConsumerPolicyNotes) + named.consumer;
        const auto policies = control.list_notes(named.stream, policy);
        if (!policies) return policies.error();
        for (const client::Note& each : *policies) {
            if (each.name != policy) continue;
            if (const Status done = control.delete_note(each); !done) return done.error();
        }
        if (const Status done = control.delete_note(found->first); !done && done.error().code != Errc::kNoteChanged) return done.error();
        return ControlPool::Completion([this, call] {
            ++change_number_;
            answer_empty(call);
        });
    });
}

void Gateway::describe_consumer(const Call& call, const Node& input) {
    ConsumerArn named;
    if (!consumer_named(call, input, named)) return;
    submit(call, named.stream, [this, call, named](client::ControlClient& control) -> Result<ControlPool::Completion> {
        auto found = read_consumer(control, named);
        if (!found && found.error().code == Errc::kUnknownGroup)
            return ControlPool::Completion([this, call, named] { fail(call, no_such_consumer(named.consumer)); });
        if (!found) return found.error();
        return ControlPool::Completion([this, call, named, consumer = std::move(found->second)] {
            Writer writer(call.encoding);
            writer.begin_map();
            writer.name("ConsumerDescription");
            write_consumer(writer, call, named.stream, consumer, true);
            writer.end_map();
            answer(call, writer);
        });
    });
}

void Gateway::list_consumers(const Call& call, const Node& input) {
    std::string stream;
    if (!stream_name(call, input, stream)) return;
    const Node* token = input.member("NextToken");
    const Node* limit = input.member("MaxResults");
    const Node* made = input.member("StreamCreationTimestamp");
    std::string after;
    if (token != nullptr) {
        if (made != nullptr) return fail(call, invalid_argument("NextToken and StreamCreationTimestamp cannot be provided together."));
        const auto page = open_page_token(token->text);
        if (!page || page->stream != stream) return fail(call, invalid_argument("NextToken is invalid."));
        if (now_ms() > page->made_ms + kIteratorMs)
            return fail(call, ApiError{"ExpiredNextTokenException", "The NextToken is older than 300 seconds; list again from the beginning."});
        after = page->after;
    }
    const uint64_t made_ms = made == nullptr ? 0 : time_ms_of(*made);
    const auto count_max = static_cast<size_t>(limit == nullptr ? kListLimitDefault : limit->integer);
    with_description(call, stream, [this, call, stream, after, made_ms, count_max](const client::StreamDescription& description, const StreamNotes& notes) {
        if (made_ms != 0 && made_ms / 1000 != description.created_ns / 1'000'000'000)
            return fail(call, not_found(fmt::format("Stream {} under account {} not found.", stream, options_.arns.account)));
        Writer writer(call.encoding);
        writer.begin_map();
        writer.name("Consumers");
        writer.begin_list();
        size_t count = 0;
        std::string last;
        bool more = false;
        for (auto each = after.empty() ? notes.consumers.begin() : notes.consumers.upper_bound(after); each != notes.consumers.end(); ++each) {
            more = count == count_max;
            if (more) break;
            write_consumer(writer, call, stream, each->second, false);
            last = each->first;
            ++count;
        }
        writer.end_list();
        if (more) writer.text("NextToken", PageToken{now_ms(), stream, last}.text());
        writer.end_map();
        answer(call, writer);
    });
}

}  // namespace eagre::gateway
