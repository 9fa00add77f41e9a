// PutRecord and PutRecords: records of one call go to the stream's producer in order, so that order per shard is kept; a call is answered
// when each of its records has its outcome.
#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "control/gateway/document/base64.h"
#include "control/gateway/gateway.h"

namespace eagre::gateway {
namespace {

constexpr size_t kCallBytesMax = 10 * 1024 * 1024;
/// A record's tag: its call's serial number, so that tags grow and records of a call keep their order where shards are merged; its slot, and its
/// index in the call.
constexpr unsigned kIndexBits = 9;
constexpr unsigned kSlotBits = 24;  // More calls at once than memory has room for.
/// Of records that came without a key, where none is needed: what readers see of it.
constexpr std::string_view kKeyless = "auto";
/// Puts don't wait for a newer notebook, only for the first one: another gateway learns a second later that a stream's records are spread.
constexpr uint64_t kStrategyMs = UINT64_MAX - 1;
constexpr std::string_view kThrottled = "ProvisionedThroughputExceededException";

client::ProducerOptions producer_options() {
    client::ProducerOptions options;
    options.batch_bytes = 256 * 1024;
    options.linger_ns = 1'000'000;              // Each turn is flushed anyhow.
    options.window_bytes = 128ULL * 1024 * 1024;  // A dozen of the largest calls.
    options.hot_key_count = 16384;
    options.tags_grow = true;
    return options;
}

std::span<const std::byte> as_record_data(std::string_view bytes) { return std::as_bytes(std::span(bytes)); }

/// As one record's failure tells it.
std::pair<std::string_view, std::string> failure_of(Error error) {
    switch (error.code) {
        case Errc::kThrottled:
        case Errc::kBusy: return {kThrottled, "Rate exceeded for a shard of the stream."};
        default: return {"InternalFailure", std::string(errc_advice(error.code))};
    }
}

}  // namespace

bool Gateway::spreads(const Stream& stream) const { return notebook_->of(stream.map.name).settings.automatic; }

HashKey Gateway::next_spread(const Stream& stream) {
    const auto& shards = stream.map.shards;
    for (size_t i = 0; i < shards.size(); ++i) {
        const auto& shard = shards[++spread_ % shards.size()];
        if (shard.open) return shard.range.starting;
    }
    return {};
}

bool Gateway::keys_are_there(const Call& call, const Stream& stream, const Node& record, size_t number) {
    if (record.member("PartitionKey") != nullptr || spreads(stream)) return true;
    // Elsewhere it may have been made one that needs no keys just now.
    if (look_again(call)) return false;
    const std::string where = number == 0 ? "partitionKey" : fmt::format("records.{}.member.partitionKey", number);
    fail(call, validation(fmt::format("1 validation error detected: Value null at '{}' failed to satisfy constraint: Member must not be null", where)));
    return false;
}

client::Producer& Gateway::producer_of(Stream& stream) {
    if (stream.producer == nullptr) {
        stream.producer = client_.make_producer(stream.map, producer_options());
        stream.producer->on_outcome([this, name = stream.map.name](const client::BatchOutcome& outcome) { on_outcome(name, outcome); });
    }
    return *stream.producer;
}

uint32_t Gateway::take_slot(const Call& call, const Stream& stream, uint32_t count, bool single) {
    if (free_puts_.empty()) {
        free_puts_.push_back(static_cast<uint32_t>(puts_.size()));
        puts_.push_back(std::make_unique<Put>());
    }
    const uint32_t slot = free_puts_.back();
    free_puts_.pop_back();
    Put& put = *puts_[slot];
    put.serial = ++put_count_;
    put.call = call;
    put.single = single;
    put.map_asked = false;
    put.waiting = count;
    put.failed = 0;
    put.stream = stream.map.name;
    put.created_ns = stream.map.created_ns;
    put.outcomes.assign(count, {});
    return slot;
}

// False: the record is wrong, and so is the call; the others of it have been or will be put all the same if it is said too late, so
// whatever can be wrong with a record is found by a first pass over all.
bool Gateway::put_one(const Call& call, Stream& stream, const Node& record, uint32_t slot, uint32_t index, ApiError& fault) {
    const Node* data = record.member("Data");
    blob_.clear();
    std::string_view bytes;
    if (call.encoding == Encoding::kCbor && data->kind == Node::Kind::kBlob) {
        bytes = data->text;
    } else if (append_decoded(blob_, data->text)) {
        bytes = blob_;
    } else {
        fault = serialization(fmt::format("'{}' can not be converted to a Blob: it is not base64", data->text.substr(0, 64)));
        return false;
    }
    frame::RecordView view;
    const Node* key = record.member("PartitionKey");
    view.partition_key = key == nullptr ? kKeyless : key->text;
    view.data = as_record_data(bytes);
    if (spreads(stream)) {
        view.explicit_hash = next_spread(stream);
    } else if (const Node* hash = record.member("ExplicitHashKey"); hash != nullptr) {
        view.explicit_hash = parse_hash_key(hash->text);
        if (!view.explicit_hash) {
            fault = invalid_argument(fmt::format("Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {}", hash->text));
            return false;
        }
    }
    Put& put = *puts_[slot];
    const Status taken = producer_of(stream).put(view, (put.serial << kSlotBits | slot) << kIndexBits | index);
    if (taken) return true;
    if (put.single && taken.error().code == Errc::kRecordTooLarge) {
        fault = invalid_argument(fmt::format("Record is larger than the stream's limit of {} bytes.", taken.error().detail));
        return false;
    }
    put.outcomes[index].error = taken.error();
    ++put.failed;
    --put.waiting;
    return true;
}

void Gateway::put_record(const Call& call, const Node& input) {
    std::string name;
    if (!stream_name(call, input, name)) return;
    if (!has_notebook(kStrategyMs)) return park_for_notebook(call);
    Stream* stream = stream_for(call, name);
    if (stream == nullptr) return;
    if (!keys_are_there(call, *stream, input, 0)) return;
    if (const Node* order = input.member("SequenceNumberForOrdering"); order != nullptr) {
        // Ours grow within a shard whatever is asked for; one that is not ours can't be kept to.
        if (!SequenceNumbers(stream->map.created_ns, ShardId{}).parse(order->text))
            return fail(call, invalid_argument(fmt::format("ExclusiveMinimumSequenceNumber {} used in PutRecord on stream {} under account {} is invalid.", order->text, name, options_.arns.account)));
    }
    if (wants_dry_run(input)) {
        const Node* data = input.member("Data");
        const size_t bytes = call.encoding == Encoding::kCbor ? data->text.size() : data->text.size() / 4 * 3;
        return fail(call, bytes > stream->map.record_bytes_max + 2 ? invalid_argument(fmt::format("Record is larger than the stream's limit of {} bytes.", stream->map.record_bytes_max)) : dry_run());
    }
    const uint32_t slot = take_slot(call, *stream, 1, true);
    ApiError fault;
    if (!put_one(call, *stream, input, slot, 0, fault)) {
        free_puts_.push_back(slot);
        return fail(call, fault);
    }
    if (!std::exchange(stream->flush, true)) dirty_.push_back(name);
    if (puts_[slot]->waiting == 0) finish_put(slot);
}

void Gateway::put_records(const Call& call, const Node& input) {
    std::string name;
    if (!stream_name(call, input, name)) return;
    if (!has_notebook(kStrategyMs)) return park_for_notebook(call);
    Stream* stream = stream_for(call, name);
    if (stream == nullptr) return;
    const std::span<const Node> records = input.member("Records")->children;
    size_t total = 0;
    ApiError fault;
    size_t number = 0;
    for (const Node& record : records) {
        if (!keys_are_there(call, *stream, record, ++number)) return;
        const Node* key = record.member("PartitionKey");
        const std::string_view data = record.member("Data")->text;
        total += (call.encoding == Encoding::kJson ? data.size() / 4 * 3 : data.size()) + (key == nullptr ? 0 : key->text.size());
        if (const Node* hash = record.member("ExplicitHashKey"); hash != nullptr && !parse_hash_key(hash->text))
            return fail(call, invalid_argument(fmt::format("Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {}", hash->text)));
        if (data.size() / 4 * 3 > stream->map.record_bytes_max + 2 && call.encoding == Encoding::kJson)
            return fail(call, invalid_argument(fmt::format("Record is larger than the stream's limit of {} bytes.", stream->map.record_bytes_max)));
        if (call.encoding == Encoding::kJson) {
            blob_.clear();
            if (!append_decoded(blob_, data)) return fail(call, serialization(fmt::format("'{}' can not be converted to a Blob: it is not base64", data.substr(0, 64))));
        }
    }
    if (total > kCallBytesMax) return fail(call, invalid_argument(fmt::format("Records size exceeds {} MB limit", kCallBytesMax / 1024 / 1024)));
    if (wants_dry_run(input)) return fail(call, dry_run());
    const uint32_t slot = take_slot(call, *stream, static_cast<uint32_t>(records.size()), false);
    for (uint32_t i = 0; i < records.size(); ++i) {
        if (!put_one(call, *stream, records[i], slot, i, fault)) {
            // Found by the pass above, all of it.
            puts_[slot]->outcomes[i].error = error_of(Errc::kBadArgument);
            ++puts_[slot]->failed;
            --puts_[slot]->waiting;
        }
    }
    if (!std::exchange(stream->flush, true)) dirty_.push_back(name);
    if (puts_[slot]->waiting == 0) finish_put(slot);
}

void Gateway::on_outcome(const std::string& stream, const client::BatchOutcome& outcome) {
    if (outcome.error.code == Errc::kUnknownStream || outcome.error.code == Errc::kUnknownShard) {
        const auto known = streams_.find(stream);
        if (known != streams_.end()) known->second->gone = true;
    }
    for (uint32_t i = 0; i < outcome.tags.size(); ++i) {
        const auto slot = static_cast<uint32_t>(outcome.tags[i] >> kIndexBits & ((1U << kSlotBits) - 1));
        const auto index = static_cast<uint32_t>(outcome.tags[i] & ((1U << kIndexBits) - 1));
        Put& put = *puts_[slot];
        Put::Outcome& own = put.outcomes[index];
        own.shard = outcome.shard;
        own.error = outcome.error;
        if (outcome.error.code == Errc::kOk) own.sequence = SequenceNumber{outcome.first_sequence.value + i};
        else ++put.failed;
        if (--put.waiting == 0) finish_put(slot);
    }
}

// Shards have the names that the stream's map gives them; after a split or merge the producer knows of some before we do.
void Gateway::finish_put(uint32_t slot) {
    Put& put = *puts_[slot];
    const auto known = streams_.find(put.stream);
    const bool named = std::all_of(put.outcomes.begin(), put.outcomes.end(), [&](const Put::Outcome& each) {
        return each.error.code != Errc::kOk || (known != streams_.end() && find_shard(known->second->map, each.shard) != nullptr);
    });
    if (named || std::exchange(put.map_asked, true)) return answer_put(slot);
    fetcher_->describe(put.stream, [this, slot](Result<client::StreamDescription> map) {
        const std::string name = puts_[slot]->stream;
        take_map(name, std::move(map));
        answer_put(slot);
    });
}

void Gateway::answer_put(uint32_t slot) {
    Put& put = *puts_[slot];
    const auto stream = streams_.find(put.stream);
    const auto shard_text = [&](ShardId id) {
        const auto* shard = stream == streams_.end() ? nullptr : find_shard(stream->second->map, id);
        // Its stream was deleted meanwhile: the record was stored, and nobody can ask for it any more.
        return shard == nullptr ? shard_name(shard_number(id, 0)) : name_of(*shard);
    };
    free_puts_.push_back(slot);
    const auto gone = std::find_if(put.outcomes.begin(), put.outcomes.end(), [](const Put::Outcome& each) {
        return each.error.code == Errc::kUnknownStream || each.error.code == Errc::kUnknownShard || each.error.code == Errc::kAccessDenied;
    });
    if (gone != put.outcomes.end()) return fail(put.call, error_of_stream(gone->error.code == Errc::kAccessDenied ? gone->error : error_of(Errc::kUnknownStream), put.stream));
    Writer writer(put.call.encoding);
    writer.begin_map();
    if (put.single) {
        const Put::Outcome& only = put.outcomes.front();
        if (only.error.code != Errc::kOk) {
            const auto [type, message] = failure_of(only.error);
            return fail(put.call, ApiError{std::string(type), message, type == kThrottled ? 400 : 500});
        }
        writer.text("SequenceNumber", SequenceNumbers(put.created_ns, only.shard).text(only.sequence));
        writer.text("ShardId", shard_text(only.shard));
    } else {
        writer.reserve(put.outcomes.size() * 140);
        writer.integer("FailedRecordCount", put.failed);
        writer.name("Records");
        writer.begin_list();
        std::map<ShardId, std::pair<SequenceNumbers, std::string>> shards;
        std::array<char, 64> digits;
        for (const Put::Outcome& each : put.outcomes) {
            writer.begin_map();
            if (each.error.code == Errc::kOk) {
                // Few shards and many records: what is the same for all of a shard is made once.
                auto& names = shards[each.shard];
                if (names.second.empty()) names = {SequenceNumbers(put.created_ns, each.shard), shard_text(each.shard)};
                writer.plain("SequenceNumber", names.first.text(each.sequence, digits));
                writer.plain("ShardId", names.second);
            } else {
                const auto [type, message] = failure_of(each.error);
                writer.text("ErrorCode", type);
                writer.text("ErrorMessage", message);
            }
            writer.end_map();
        }
        writer.end_list();
    }
    writer.end_map();
    answer(put.call, writer);
}

}  // namespace eagre::gateway
