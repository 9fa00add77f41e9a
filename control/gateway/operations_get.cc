// GetShardIterator and GetRecords: an iterator is a sequence number; a GetRecords is one read of the shard, or a few where something is
// in the way.
#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "control/gateway/gateway.h"

namespace eagre::gateway {
namespace {

constexpr uint64_t kAnswerBytesMax = 10ULL * 1024 * 1024;
constexpr uint64_t kReadBytesMin = 64ULL * 1024;
constexpr uint64_t kReadBytesPerRecord = 2048;
constexpr int64_t kLimitDefault = 10000;
constexpr uint32_t kReadsMax = 8;

}  // namespace

struct Gateway::Get {
    Get(const Call& asked, std::string buffer) : call(asked), writer(asked.encoding, std::move(buffer)) {}

    Call call;
    Writer writer;
    std::string name;
    uint64_t created_ns = 0;
    StreamId stream;
    client::ShardDescription shard;
    SequenceNumber next;
    SequenceNumber tail;
    uint64_t count = 0;
    uint64_t count_max = 0;
    uint64_t bytes = 0;
    uint64_t arrival_ms = 0;  // Of the last record written; 0: none yet.
    uint32_t reads = 0;
    bool full = false;
    std::vector<client::ShardDescription> shards;  // Of the stream: for children.
};

void Gateway::get_shard_iterator(const Call& call, const Node& input) {
    std::string name;
    if (!stream_name(call, input, name)) return;
    const std::string_view type = input.member("ShardIteratorType")->text;
    const Node* from = input.member("StartingSequenceNumber");
    const Node* time = input.member("Timestamp");
    const bool by_number = type == "AT_SEQUENCE_NUMBER" || type == "AFTER_SEQUENCE_NUMBER";
    if (by_number && from == nullptr)
        return fail(call, invalid_argument(fmt::format("Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified {} and no StartingSequenceNumber.", type)));
    if (!by_number && from != nullptr)
        return fail(call, invalid_argument(fmt::format("Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified {} and also a StartingSequenceNumber.", type)));
    if (type == "AT_TIMESTAMP" && time == nullptr)
        return fail(call, invalid_argument("Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter."));
    const client::StreamDescription* map = nullptr;
    const std::string said(input.member("ShardId")->text);
    const client::ShardDescription* shard = named_shard(call, name, said, map);
    if (shard == nullptr) return;
    if (by_number) {
        const SequenceNumbers numbers(map->created_ns, shard->id);
        const auto number = type == "AFTER_SEQUENCE_NUMBER" ? numbers.parse(from->text) : numbers.parse_at(from->text);
        if (!number)
            return fail(call, invalid_argument(fmt::format("StartingSequenceNumber {} used in GetShardIterator on shard {} in stream {} under account {} is invalid because it did not come from this stream.", from->text, name_of(*shard), name, options_.arns.account)));
        const uint64_t next = number->value + (type == "AFTER_SEQUENCE_NUMBER" ? 1 : 0);
        if (wants_dry_run(input)) return fail(call, dry_run());
        return answer_iterator(call, name, map->id, shard->id, SequenceNumber{std::max(next, shard->first_sequence.value)});
    }
    auto position = frame::Position::kTrimHorizon;
    uint64_t value = 0;
    if (type == "LATEST") position = frame::Position::kLatest;
    if (type == "AT_TIMESTAMP") {
        position = frame::Position::kAtTimestamp;
        const uint64_t ms = time_ms_of(*time);
        if (ms > now_ms()) return fail(call, invalid_argument(fmt::format("The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: {}, currentTimestampInMillis: {}", ms, now_ms())));
        value = ms * 1'000'000;
    }
    if (wants_dry_run(input)) return fail(call, dry_run());
    fetcher_->locate(*shard, position, value, [this, call, name, said, stream_id = map->id, shard_id = shard->id](Result<client::Located> located) {
        if (located) return answer_iterator(call, name, stream_id, shard_id, located->next);
        if (located.error().code == Errc::kSequenceTrimmed) return answer_iterator(call, name, stream_id, shard_id, SequenceNumber{located.error().detail});
        fail(call, located.error().code == Errc::kUnknownShard ? no_such_shard(said, name) : error_of_stream(located.error(), name));
    });
}

void Gateway::answer_iterator(const Call& call, const std::string& name, StreamId stream, ShardId shard, SequenceNumber next) {
    Writer writer(call.encoding);
    writer.begin_map();
    writer.text("ShardIterator", iterators_.sign({stream, shard, next, now_ms(), name}));
    writer.end_map();
    answer(call, writer);
}

void Gateway::get_records(const Call& call, const Node& input) {
    auto opened = iterators_.open(input.member("ShardIterator")->text, now_ms());
    if (const auto* error = std::get_if<ApiError>(&opened)) return fail(call, *error);
    const Iterator& iterator = std::get<Iterator>(opened);
    if (const Node* arn = input.member("StreamARN"); arn != nullptr && stream_of_arn(arn->text) != std::string_view(iterator.stream_name))
        return fail(call, invalid_argument("The ShardIterator is not of the stream that StreamARN names."));
    if (!permit(call, iterator.stream_name)) return;
    const Stream* stream = stream_for(call, iterator.stream_name);
    if (stream == nullptr) return;
    const client::ShardDescription* shard = stream->map.id == iterator.stream ? find_shard(stream->map, iterator.shard) : nullptr;
    if (shard == nullptr) {
        stream = stream_for(call, iterator.stream_name, true);
        if (stream == nullptr) return;
        shard = stream->map.id == iterator.stream ? find_shard(stream->map, iterator.shard) : nullptr;
    }
    if (shard == nullptr) return fail(call, not_found(fmt::format("The shard of this iterator does not exist any more in stream {} under account {}.", iterator.stream_name, options_.arns.account)));
    if (wants_dry_run(input)) return fail(call, dry_run());
    const Node* limit = input.member("Limit");
    auto get = std::make_shared<Get>(call, server_.take_buffer());
    get->name = iterator.stream_name;
    get->created_ns = stream->map.created_ns;
    get->stream = iterator.stream;
    get->shard = *shard;
    get->next = iterator.next;
    get->count_max = static_cast<uint64_t>(limit == nullptr ? kLimitDefault : limit->integer);
    get->shards = stream->map.shards;
    get->writer.begin_map();
    get->writer.name("Records");
    get->writer.begin_list();
    read_on(get);
}

void Gateway::read_on(const std::shared_ptr<Get>& get) {
    ++get->reads;
    const uint64_t bytes = std::clamp((get->count_max - get->count) * kReadBytesPerRecord, kReadBytesMin, kAnswerBytesMax);
    const SequenceNumbers numbers(get->created_ns, get->shard.id);
    const auto on_delivery = [get, numbers](const client::Delivery& delivery) {
        get->tail = std::max(get->tail, delivery.tail);
        const uint64_t ms = delivery.arrival_ns / 1'000'000;
        std::array<char, 64> digits;
        for (uint32_t i = delivery.skip; i < delivery.batch.record_count() && !get->full; ++i) {
            const frame::RecordView record = delivery.batch.record(i);
            const uint64_t size = record.data.size() + record.partition_key.size();
            if (get->count == get->count_max || (get->count != 0 && get->bytes + size > kAnswerBytesMax)) {
                get->full = true;
                break;
            }
            const SequenceNumber number{delivery.first_sequence.value + i};
            Writer& writer = get->writer;
            writer.begin_map();
            writer.plain("SequenceNumber", numbers.text(number, digits));
            writer.time_ms("ApproximateArrivalTimestamp", ms);
            writer.blob("Data", {reinterpret_cast<const char*>(record.data.data()), record.data.size()});
            writer.text("PartitionKey", record.partition_key);
            writer.end_map();
            get->next = SequenceNumber{number.value + 1};
            get->arrival_ms = ms;
            get->bytes += size;
            ++get->count;
        }
        if (get->count == get->count_max) get->full = true;
    };
    const auto done = [this, get](const client::ReadEnd& end) {
        get->tail = std::max(get->tail, end.tail);
        const Errc code = end.error.code;
        const bool in_the_way = code == Errc::kSequenceTrimmed || code == Errc::kDamaged;
        if (in_the_way) get->next = std::max(get->next, SequenceNumber{end.error.detail});
        if (in_the_way && !get->full && get->reads < kReadsMax) return read_on(get);
        const bool known = std::all_of(end.children.begin(), end.children.end(), [&](ShardId child) {
            return std::any_of(get->shards.begin(), get->shards.end(), [child](const auto& shard) { return shard.id == child; });
        });
        if (code != Errc::kShardClosed || known) return finish_get(*get, end);
        // Children that are younger than our map.
        fetcher_->describe(get->name, [this, get, end](Result<client::StreamDescription> map) {
            if (map && map->id == get->stream) get->shards = map->shards;
            finish_get(*get, end);
        });
    };
    fetcher_->read(get->shard, get->next, bytes, on_delivery, done);
}

void Gateway::finish_get(Get& get, const client::ReadEnd& end) {
    const Errc code = end.error.code;
    const bool good = code == Errc::kOk || code == Errc::kShardClosed || code == Errc::kSequenceTrimmed || code == Errc::kDamaged;
    // A position behind the tail (an iterator of a number that has not been given yet) has nothing to read so far.
    if (!good && code != Errc::kSequenceInFuture && get.count == 0)
        return fail(get.call, code == Errc::kUnknownShard ? no_such_shard(name_of(get.shard), get.name) : error_of_stream(end.error, get.name));
    Writer& writer = get.writer;
    writer.end_list();
    const bool ended = code == Errc::kShardClosed && !get.full && get.next >= get.tail;
    if (!ended) writer.text("NextShardIterator", iterators_.sign({get.stream, get.shard.id, get.next, now_ms(), get.name}));
    const bool behind = get.next < get.tail;
    const uint64_t now = now_ms();
    const uint64_t age = get.arrival_ms != 0 && now > get.arrival_ms ? now - get.arrival_ms : 0;
    writer.integer("MillisBehindLatest", behind ? static_cast<int64_t>(std::max<uint64_t>(1, age)) : 0);
    if (ended) {
        writer.name("ChildShards");
        write_children(writer, get.shards, get.shard.id);
    }
    writer.end_map();
    answer(get.call, writer);
}

}  // namespace eagre::gateway
