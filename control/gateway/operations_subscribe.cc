// SubscribeToShard: an answer that goes on for five minutes, each event one turn's records. Back-pressure is the subscription's credit: a
// client that takes nothing is not read for. That a consumer has one subscription to a shard at a time is kept where the shard is
// (client::ConsumerOptions::owner), so that it holds over all gateways of a box.
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <fmt/format.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "control/gateway/document/event_message.h"
#include "control/gateway/gateway.h"

namespace eagre::gateway {
namespace {

constexpr uint64_t kSubscriptionNs = 300'000'000'000ULL;
constexpr uint64_t kPassNs = 50'000'000ULL;
constexpr uint64_t kIdleEventNs = 5'000'000'000ULL;
constexpr uint64_t kBeginNs = 10'000'000'000ULL;   // For the box to say that it has begun.
constexpr size_t kSubscriptionCountMax = 4096;
constexpr size_t kEventBytes = 1024 * 1024;        // Of records as written; then the event is sent.
constexpr size_t kUnsentHoldBytes = 2 * kEventBytes;
constexpr size_t kUnsentGoOnBytes = kEventBytes / 2;
constexpr uint32_t kCreditBytes = 512 * 1024;
/// A consumer that was registered just now may be unknown to the notebook.
constexpr uint64_t kConsumerMs = 5'000;
constexpr std::string_view kEventStreamType = "application/vnd.amazon.eventstream";

}  // namespace

struct Gateway::Subscription {
    Call call;
    std::string stream;
    std::string consumer;
    uint64_t consumer_created_ms = 0;
    std::string arn;
    StreamId stream_id;
    uint64_t created_ns = 0;
    client::ShardDescription shard;
    std::unique_ptr<client::Consumer> reader;
    uint64_t opened_ns = 0;
    uint64_t event_ns = 0;    // Of the last event.
    bool begun = false;
    bool held = false;
    bool over = false;        // Nothing more is said; to be forgotten.
    bool closed = false;      // The shard has ended, and its children are being asked for.
    SequenceNumber next;
    SequenceNumber tail;
    uint64_t arrival_ms = 0;  // Of the last record.
    uint64_t notebook_ask = 0;  // Which reading of the notebook it was last looked up in.
    std::optional<Writer> records;  // Of the event that is being gathered.
    std::string message;
};

void Gateway::subscribe_to_shard(const Call& call, const Node& input) {
    const Node& position = *input.member("StartingPosition");
    const std::string_view type = position.member("Type")->text;
    const Node* number = position.member("SequenceNumber");
    const Node* time = position.member("Timestamp");
    const auto arn = parse_consumer_arn(input.member("ConsumerARN")->text);
    if (!arn) return fail(call, invalid_argument(fmt::format("ConsumerARN {} names no consumer.", input.member("ConsumerARN")->text)));
    const bool by_number = type == "AT_SEQUENCE_NUMBER" || type == "AFTER_SEQUENCE_NUMBER";
    if (by_number && number == nullptr) return fail(call, invalid_argument(fmt::format("StartingPosition of Type {} needs a SequenceNumber.", type)));
    if (!by_number && number != nullptr) return fail(call, invalid_argument(fmt::format("StartingPosition of Type {} takes no SequenceNumber.", type)));
    if (type == "AT_TIMESTAMP" && time == nullptr) return fail(call, invalid_argument("StartingPosition of Type AT_TIMESTAMP needs a Timestamp."));
    if (!has_notebook(kConsumerMs)) return park_for_notebook(call);
    const RegisteredConsumer* consumer = notebook_->consumer(arn->stream, arn->consumer);
    if ((consumer == nullptr || consumer->created_ms / 1000 != arn->created_s) && look_again(call)) return;
    const std::string said(input.member("ShardId")->text);
    const client::StreamDescription* map = nullptr;
    const client::ShardDescription* shard = named_shard(call, arn->stream, said, map);
    if (shard == nullptr) return;
    if (consumer == nullptr || consumer->created_ms / 1000 != arn->created_s) {
        return fail(call, notebook_lost_ && notebook_ms_ == 0 ? unavailable("Consumers can't be looked up: eagre-control does not answer.") : no_such_consumer(arn->consumer));
    }
    client::ConsumerOptions options;
    options.shards = {shard->id};
    options.credit_bytes = kCreditBytes;
    if (by_number) {
        const SequenceNumbers numbers(map->created_ns, shard->id);
        const auto at = type == "AT_SEQUENCE_NUMBER" ? numbers.parse_at(number->text) : numbers.parse(number->text);
        if (!at)
            return fail(call, invalid_argument(fmt::format("SequenceNumber {} used in SubscribeToShard on shard {} in stream {} under account {} is invalid because it did not come from this stream.", number->text, name_of(*shard), arn->stream, options_.arns.account)));
        const uint64_t from = at->value + (type == "AFTER_SEQUENCE_NUMBER" ? 1 : 0);
        options.resume = {{shard->id, SequenceNumber{std::max(from, shard->first_sequence.value)}}};
    } else if (type == "LATEST") {
        options.start = {frame::Position::kLatest, 0};
    } else if (type == "AT_TIMESTAMP") {
        const uint64_t ms = time_ms_of(*time);
        if (ms > now_ms()) return fail(call, invalid_argument(fmt::format("The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: {}, currentTimestampInMillis: {}", ms, now_ms())));
        options.start = {frame::Position::kAtTimestamp, ms * 1'000'000};
    }
    if (wants_dry_run(input)) return fail(call, dry_run());
    if (subscriptions_.size() >= kSubscriptionCountMax) return fail(call, limit_exceeded("Too many subscriptions at this gateway."));
    auto subscription = std::make_shared<Subscription>();
    subscription->call = call;
    subscription->stream = arn->stream;
    subscription->consumer = arn->consumer;
    subscription->consumer_created_ms = consumer->created_ms;
    subscription->arn = arns(call).consumer(arn->stream, arn->consumer, consumer->created_ms);
    subscription->stream_id = map->id;
    subscription->created_ns = map->created_ns;
    subscription->shard = *shard;
    subscription->opened_ns = client_.transport().monotonic_ns();
    subscription->notebook_ask = notebook_read_;
    // The region is the caller's choice and part of no consumer; 0 would be nobody.
    const std::string owner = fmt::format("{}/{}/{}", map->id.value, arn->consumer, consumer->created_ms);
    options.owner = std::max<uint64_t>(1, XXH3_64bits(owner.data(), owner.size()));
    subscription->reader = client_.make_consumer(*map, options);
    Subscription& own = *subscription;
    own.reader->on_delivery([this, &own](const client::Delivery& delivery) { take_delivery(own, delivery); });
    own.reader->on_event([this, &own](ShardId, Error error) { take_event(own, error); });
    subscriptions_[call.exchange.value] = std::move(subscription);
    stats_.subscription_count = subscriptions_.size();
}

void Gateway::begin_events(Subscription& subscription) {
    if (std::exchange(subscription.begun, true)) return;
    subscription.next = subscription.reader->position().front().second;
    subscription.event_ns = client_.transport().monotonic_ns();
    Response head;
    head.headers = {{"content-type", std::string(kEventStreamType)}, {"x-amzn-requestid", request_id()}};
    append_event(head.body, {{":event-type", "initial-response"}, {":message-type", "event"},
                             {":content-type", subscription.call.encoding == Encoding::kJson ? "application/x-amz-json-1.1" : "application/x-amz-cbor-1.1"}},
                 subscription.call.encoding == Encoding::kJson ? std::string_view("{}") : std::string_view("\xa0"));
    server_.begin(subscription.call.exchange, std::move(head));
}

void Gateway::take_delivery(Subscription& subscription, const client::Delivery& delivery) {
    if (subscription.over) return;
    subscription.tail = std::max(subscription.tail, delivery.tail);
    const SequenceNumbers numbers(subscription.created_ns, subscription.shard.id);
    const uint64_t ms = delivery.arrival_ns / 1'000'000;
    std::array<char, 64> digits;
    for (uint32_t i = delivery.skip; i < delivery.batch.record_count(); ++i) {
        const frame::RecordView record = delivery.batch.record(i);
        if (!subscription.records) {
            gathered_.push_back(subscription.call.exchange.value);
            subscription.records.emplace(subscription.call.encoding, server_.take_buffer());
            subscription.records->begin_map();
            subscription.records->name("Records");
            subscription.records->begin_list();
        }
        Writer& writer = *subscription.records;
        const SequenceNumber number{delivery.first_sequence.value + i};
        writer.begin_map();
        writer.plain("SequenceNumber", numbers.text(number, digits));
        writer.time_ms("ApproximateArrivalTimestamp", ms);
        writer.blob("Data", {reinterpret_cast<const char*>(record.data.data()), record.data.size()});
        writer.text("PartitionKey", record.partition_key);
        writer.end_map();
        subscription.next = SequenceNumber{number.value + 1};
        subscription.arrival_ms = ms;
        if (writer.size() >= kEventBytes) send_records(subscription);
    }
}

void Gateway::send_records(Subscription& subscription) {
    begin_events(subscription);
    if (!subscription.records) {
        subscription.records.emplace(subscription.call.encoding);
        subscription.records->begin_map();
        subscription.records->name("Records");
        subscription.records->begin_list();
    }
    Writer& writer = *subscription.records;
    writer.end_list();
    const uint64_t now = now_ms();
    writer.text("ContinuationSequenceNumber", SequenceNumbers(subscription.created_ns, subscription.shard.id).continuation(subscription.next, now));
    const uint64_t age = subscription.arrival_ms != 0 && now > subscription.arrival_ms ? now - subscription.arrival_ms : 0;
    writer.integer("MillisBehindLatest", subscription.next < subscription.tail ? static_cast<int64_t>(std::max<uint64_t>(1, age)) : 0);
    writer.end_map();
    send_event(subscription, "SubscribeToShardEvent", writer);
    subscription.records.reset();
}

void Gateway::send_event(Subscription& subscription, std::string_view type, Writer& payload) {
    ++stats_.event_count;
    subscription.event_ns = client_.transport().monotonic_ns();
    subscription.message.clear();
    append_event(subscription.message,
                 {{":event-type", type}, {":content-type", subscription.call.encoding == Encoding::kJson ? "application/x-amz-json-1.1" : "application/x-amz-cbor-1.1"},
                  {":message-type", "event"}},
                 payload.take());
    server_.write(subscription.call.exchange, subscription.message);
    if (subscription.message.capacity() > kEventBytes) subscription.message.shrink_to_fit();
}

void Gateway::end_events(Subscription& subscription, const ApiError& error) {
    if (std::exchange(subscription.over, true)) return;
    subscriptions_due_ns_ = 0;
    if (!subscription.begun) return fail(subscription.call, error);
    if (subscription.records) send_records(subscription);
    Writer writer(subscription.call.encoding);
    writer.begin_map();
    writer.text("message", error.message);
    writer.end_map();
    subscription.message.clear();
    append_event(subscription.message,
                 {{":exception-type", error.type}, {":content-type", subscription.call.encoding == Encoding::kJson ? "application/x-amz-json-1.1" : "application/x-amz-cbor-1.1"},
                  {":message-type", "exception"}},
                 writer.take());
    server_.write(subscription.call.exchange, subscription.message);
    server_.finish(subscription.call.exchange);
}

void Gateway::take_event(Subscription& subscription, Error error) {
    if (subscription.over) return;
    const std::string place = fmt::format("{}, shard {}", subscription.arn, name_of(subscription.shard));
    switch (error.code) {
        case Errc::kOk:
            return begin_events(subscription);
        case Errc::kShardClosed:
            return tell_children(subscription);
        case Errc::kSequenceTrimmed:
        case Errc::kDamaged:
        case Errc::kUnavailable:
        case Errc::kJournalFailed:
            return;  // Reading goes on behind it, or when it is back.
        case Errc::kSubscribed:
            return end_events(subscription, in_use(fmt::format("Another active subscription exists for this consumer: {}; it began less than 5 seconds ago.", place)));
        case Errc::kSubscriptionTaken:
            return end_events(subscription, in_use(fmt::format("A later subscription has taken over: {}.", place)));
        case Errc::kUnknownShard:
        case Errc::kUnknownStream:
            return end_events(subscription, not_found(fmt::format("Shard {} in stream {} under account {} does not exist", name_of(subscription.shard), subscription.stream, options_.arns.account)));
        default:
            return end_events(subscription, error_of_stream(error, subscription.stream));
    }
}

// The last event of a shard that was split or merged: no continuation, but where to go on.
void Gateway::tell_children(Subscription& subscription) {
    subscription.closed = true;
    fetcher_->describe(subscription.stream, [this, id = subscription.call.exchange.value](Result<client::StreamDescription> map) {
        const auto found = subscriptions_.find(id);
        if (found == subscriptions_.end() || found->second->over) return;
        Subscription& own = *found->second;
        begin_events(own);
        if (own.records) send_records(own);
        if (!map || map->id != own.stream_id) return end_events(own, map ? not_found("The stream was deleted.") : error_of_stream(map.error(), own.stream));
        Writer writer(own.call.encoding);
        writer.begin_map();
        writer.name("Records");
        writer.begin_list();
        writer.end_list();
        writer.integer("MillisBehindLatest", 0);
        writer.name("ChildShards");
        write_children(writer, map->shards, own.shard.id);
        writer.end_map();
        send_event(own, "SubscribeToShardEvent", writer);
        own.over = true;
        server_.finish(own.call.exchange);
    });
}

bool Gateway::advance(Subscription& subscription, uint64_t now_ns) {
    if (subscription.over) return false;
    const auto unsent = server_.unsent(subscription.call.exchange);
    if (!unsent) return false;  // The client has gone.
    if (!subscription.begun && now_ns > subscription.opened_ns + kBeginNs) {
        end_events(subscription, unavailable("The shard can't be read just now; try again."));
        return false;
    }
    if (subscription.records) send_records(subscription);
    if (!subscription.begun || subscription.closed) return true;
    const bool hold = subscription.held ? *unsent > kUnsentGoOnBytes : *unsent > kUnsentHoldBytes;
    if (hold != subscription.held) subscription.reader->hold(subscription.held = hold);
    if (now_ns > subscription.opened_ns + kSubscriptionNs) {
        subscription.over = true;
        server_.finish(subscription.call.exchange);
        return false;
    }
    // Has its consumer been deregistered, here or at another gateway, or the key that it was asked for with revoked?
    if (std::exchange(subscription.notebook_ask, notebook_read_) != notebook_read_) {
        const RegisteredConsumer* known = notebook_->consumer(subscription.stream, subscription.consumer);
        const ApiKeyPointer& key = subscription.call.key;
        if (known == nullptr || known->created_ms != subscription.consumer_created_ms) {
            end_events(subscription, no_such_consumer(subscription.consumer));
            return false;
        }
        if (key != nullptr && !notebook_->keys.contains(key->id)) {
            end_events(subscription, {"AccessDeniedException", "The key that this was asked for with has been revoked."});
            return false;
        }
    }
    if (!hold && now_ns >= subscription.event_ns + kIdleEventNs) send_records(subscription);
    return true;
}

// Those with something to send in each turn; all of them now and then, when a client has gone, and while one is held, which goes on as soon as
// its client has taken enough: looking at thousands that are idle in every turn took longer than the turn.
void Gateway::poll_subscriptions() {
    if (subscriptions_.empty()) return gathered_.clear();
    (void)has_notebook(kConsumerMs);  // Read anew once a second.
    const uint64_t now_ns = client_.transport().monotonic_ns();
    const std::vector<uint64_t> gathered = std::exchange(gathered_, {});
    const bool anybody_left = std::exchange(closed_seen_, server_.stats().closed_count) != server_.stats().closed_count;
    if (now_ns < subscriptions_due_ns_ && held_count_ == 0 && !anybody_left) {
        for (const uint64_t id : gathered) {
            if (const auto found = subscriptions_.find(id); found != subscriptions_.end()) advance_or_forget(found, now_ns);
        }
        return;
    }
    subscriptions_due_ns_ = now_ns + kPassNs;
    for (auto each = subscriptions_.begin(); each != subscriptions_.end();) each = advance_or_forget(each, now_ns);
}

Gateway::Subscriptions::iterator Gateway::advance_or_forget(Subscriptions::iterator each, uint64_t now_ns) {
    // A copy: answering may lead to anything but must not end what is being looked at.
    const std::shared_ptr<Subscription> subscription = each->second;
    const bool was_held = subscription->held;
    const bool goes_on = advance(*subscription, now_ns);
    held_count_ += static_cast<size_t>(goes_on && subscription->held) - static_cast<size_t>(was_held);
    if (goes_on) return std::next(each);
    each = subscriptions_.erase(each);
    stats_.subscription_count = subscriptions_.size();
    return each;
}

void Gateway::shut_down() {
    for (auto& [id, subscription] : subscriptions_) {
        if (std::exchange(subscription->over, true)) continue;
        if (!subscription->begun) {
            fail(subscription->call, unavailable("This gateway is stopping; try again."));
            continue;
        }
        if (subscription->records) send_records(*subscription);
        server_.finish(subscription->call.exchange);
    }
    subscriptions_.clear();
    held_count_ = 0;
}

}  // namespace eagre::gateway
