#include "control/gateway/gateway.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "control/gateway/document/base64.h"
#include "control/gateway/model/shapes.h"
#include "control/log/log.h"

namespace eagre::gateway {
namespace {

constexpr std::string_view kTarget = "Kinesis_20131202.";
constexpr uint32_t kControlThreadCount = 4;
constexpr uint64_t kTurnNs = 200'000'000;
constexpr uint64_t kShortTurnNs = 10'000'000;  // While somebody waits for what is not asked for more often.
constexpr size_t kParkedMax = 4096;

constexpr std::string_view kJsonType = "application/x-amz-json-1.1";
constexpr std::string_view kCborType = "application/x-amz-cbor-1.1";

std::string_view content_type_of(Encoding encoding) { return encoding == Encoding::kJson ? kJsonType : kCborType; }

/// Nothing: a type that the service does not speak.
std::optional<Encoding> encoding_of(std::string_view type) {
    type = type.substr(0, type.find(';'));
    while (type.ends_with(' ')) type.remove_suffix(1);
    if (type == kJsonType || type == "application/json") return Encoding::kJson;
    if (type == kCborType) return Encoding::kCbor;
    return std::nullopt;
}

Response access_denied() {
    return {403, {{"content-type", "application/xml"}},
            "<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be authorized</Message>\n</AccessDeniedException>\n"};
}

/// What a browser asks before it lets a page of another origin speak to us. The service allows any origin, as it checks signatures; while we
/// don't, any page that the user of this machine opens could read and delete his streams: no origin is allowed.
Response preflight(const Request& request, bool signatures_are_checked) {
    Response response;
    response.headers = {{"access-control-max-age", "172800"}};
    if (signatures_are_checked) response.headers.emplace_back("access-control-allow-origin", "*");
    for (const auto& [asked, answered] : {std::pair{"access-control-request-headers", "access-control-allow-headers"},
                                          std::pair{"access-control-request-method", "access-control-allow-methods"}}) {
        if (const std::string_view value = request.header(asked); !value.empty()) response.headers.emplace_back(answered, value);
    }
    return response;
}

}  // namespace

Gateway::Gateway(client::Client& client, Server& server, const identity::Bytes32& iterator_key, GatewayOptions options)
    : client_(client),
      server_(server),
      options_(std::move(options)),
      iterators_(iterator_key),
      fetcher_(client.make_fetcher()),
      control_(options_.data + "/control.sock", kControlThreadCount) {
    server_.on_request([this](ExchangeId exchange, Request&& request) { take(exchange, std::move(request)); });
    client_.transport().wake_on(server_.wait_fd());
    client_.transport().wake_on(control_.wait_fd());
}

Gateway::~Gateway() = default;

void Gateway::poll(uint64_t timeout_ns) {
    const bool wants_notebook = !waiting_for_notebook_.empty() && !notebook_asked_;
    client_.poll(std::min(timeout_ns, wants_notebook ? kShortTurnNs : kTurnNs));
    control_.poll();
    if (std::exchange(notebook_failed_, false)) take_up_waiting();
    if (!waiting_for_notebook_.empty()) refresh_notebook();
    server_.poll(client_.transport().monotonic_ns());
    // What came in one turn goes out as one batch a shard.
    for (const std::string& name : dirty_) {
        const auto stream = streams_.find(name);
        if (stream != streams_.end() && std::exchange(stream->second->flush, false) && stream->second->producer != nullptr) stream->second->producer->flush();
    }
    dirty_.clear();
    poll_subscriptions();
    std::erase_if(retired_, [](const auto& producer) { return producer->in_flight_bytes() == 0; });
}

// ------------------------------------------------------------------------------------------------------------ requests

std::span<const Gateway::Row> Gateway::table() {
    static const Row kOperations[] = {
        {"AddTagsToStream", &shapes::kAddTags, &Gateway::add_tags, identity::kManage},
        {"CreateChannel", nullptr, nullptr},
        {"CreateStream", &shapes::kCreateStream, &Gateway::create_stream, identity::kManage},
        {"DecreaseStreamRetentionPeriod", &shapes::kRetention, &Gateway::decrease_retention, identity::kManage},
        {"DeleteChannel", nullptr, nullptr},
        {"DeleteResourcePolicy", &shapes::kResource, &Gateway::delete_resource_policy, identity::kManage},
        {"DeleteStream", &shapes::kDeleteStream, &Gateway::delete_stream, identity::kManage},
        {"DeregisterStreamConsumer", &shapes::kOneConsumer, &Gateway::deregister_consumer, identity::kManage},
        {"DescribeAccountSettings", &shapes::kNothing, &Gateway::describe_account_settings},
        {"DescribeChannel", nullptr, nullptr},
        {"DescribeLimits", &shapes::kNothing, &Gateway::describe_limits},
        {"DescribeStream", &shapes::kDescribeStream, &Gateway::describe_stream},
        {"DescribeStreamConsumer", &shapes::kOneConsumer, &Gateway::describe_consumer},
        {"DescribeStreamSummary", &shapes::kStreamOnly, &Gateway::describe_stream_summary},
        {"DisableEnhancedMonitoring", &shapes::kEnhancedMonitoring, &Gateway::disable_monitoring, identity::kManage},
        {"EnableEnhancedMonitoring", &shapes::kEnhancedMonitoring, &Gateway::enable_monitoring, identity::kManage},
        {"GetRecords", &shapes::kGetRecords, &Gateway::get_records, identity::kGet},
        {"GetResourcePolicy", &shapes::kResource, &Gateway::get_resource_policy, identity::kManage},
        {"GetShardIterator", &shapes::kGetShardIterator, &Gateway::get_shard_iterator, identity::kGet},
        {"IncreaseStreamRetentionPeriod", &shapes::kRetention, &Gateway::increase_retention, identity::kManage},
        {"ListChannels", nullptr, nullptr},
        {"ListShards", &shapes::kListShards, &Gateway::list_shards},
        {"ListStreamConsumers", &shapes::kListConsumers, &Gateway::list_consumers},
        {"ListStreams", &shapes::kListStreams, &Gateway::list_streams},
        {"ListTagsForResource", &shapes::kResource, &Gateway::list_tags_of_resource},
        {"ListTagsForStream", &shapes::kListTags, &Gateway::list_tags},
        {"MergeShards", &shapes::kMergeShards, &Gateway::merge_shards, identity::kManage},
        {"PutRecord", &shapes::kPutRecord, &Gateway::put_record, identity::kPut},
        {"PutRecords", &shapes::kPutRecords, &Gateway::put_records, identity::kPut},
        {"PutResourcePolicy", &shapes::kPutResourcePolicy, &Gateway::put_resource_policy, identity::kManage},
        {"RegisterStreamConsumer", &shapes::kRegisterConsumer, &Gateway::register_consumer, identity::kManage},
        {"RemoveTagsFromStream", &shapes::kRemoveTags, &Gateway::remove_tags, identity::kManage},
        {"SplitShard", &shapes::kSplitShard, &Gateway::split_shard, identity::kManage},
        {"StartStreamEncryption", nullptr, nullptr},
        {"StopStreamEncryption", nullptr, nullptr},
        {"SubscribeToShard", &shapes::kSubscribeToShard, &Gateway::subscribe_to_shard, identity::kGet},
        {"TagResource", &shapes::kTagResource, &Gateway::tag_resource, identity::kManage},
        {"UntagResource", &shapes::kUntagResource, &Gateway::untag_resource, identity::kManage},
        {"UpdateAccountSettings", &shapes::kUpdateAccountSettings, &Gateway::update_account_settings, identity::kManage},
        {"UpdateChannel", nullptr, nullptr},
        {"UpdateMaxRecordSize", &shapes::kMaxRecordSize, &Gateway::update_max_record_size, identity::kManage},
        {"UpdateShardCount", &shapes::kUpdateShardCount, &Gateway::update_shard_count, identity::kManage},
        {"UpdateStreamMode", &shapes::kUpdateStreamMode, &Gateway::update_stream_mode, identity::kManage},
        {"UpdateStreamRecordDistributionStrategy", &shapes::kUpdateDistribution, &Gateway::update_distribution, identity::kManage},
        {"UpdateStreamWarmThroughput", &shapes::kUpdateWarmThroughput, &Gateway::update_warm_throughput, identity::kManage},
    };
    return kOperations;
}

const Gateway::Row* Gateway::find_operation(std::string_view name) {
    const auto rows = table();
    const auto found = std::lower_bound(rows.begin(), rows.end(), name, [](const Row& row, std::string_view wanted) { return row.name < wanted; });
    return found == rows.end() || found->name != name ? nullptr : &*found;
}

std::vector<std::pair<std::string_view, bool>> Gateway::operations() {
    std::vector<std::pair<std::string_view, bool>> names;
    for (const Row& row : table()) names.emplace_back(row.name, row.operation != nullptr);
    return names;
}

void Gateway::take(ExchangeId exchange, Request request) {
    ++stats_.call_count;
    dispatch(exchange, request);
}

// The order of the checks is the service's: method, encoding, body, target, types, constraints, and then what it means.
void Gateway::dispatch(ExchangeId exchange, Request& request, bool looked) {
    if (request.method == "OPTIONS" && !request.header("origin").empty()) return server_.respond(exchange, preflight(request, options_.auth));
    const auto encoding = encoding_of(request.header("content-type"));
    if (request.method != "POST" || !encoding) {
        ++stats_.failed_count;
        return server_.respond(exchange, access_denied());
    }
    Call call{exchange, *encoding, {}, {}, nullptr};
    const Node* input = nullptr;
    if (!request.body.empty()) input = document_.parse(*encoding, request.body);
    const std::string_view target = request.header("x-amz-target");
    const Row* row = target.starts_with(kTarget) ? find_operation(target.substr(kTarget.size())) : nullptr;
    if (input == nullptr || input->kind != Node::Kind::kMap) {
        return fail(call, row == nullptr && request.body.empty() ? ApiError{"UnknownOperationException", {}} : serialization({}));
    }
    if (row == nullptr) return fail(call, ApiError{"UnknownOperationException", {}});
    call.operation = row->name;
    current_ = &request;
    notebook_final_ = looked;
    const bool granted = authenticate(call) == Access::kGranted;
    if (granted && row->operation == nullptr) {
        fail(call, not_available(fmt::format("{} is not available here: what it promises, Eagre does not do.", row->name)));
    } else if (granted) {
        if (const auto fault = check(*row->shape, *input, *encoding)) fail(call, *fault);
        else if (permit_input(call, *row, *input)) (this->*row->operation)(call, *input);
    }
    current_ = nullptr;
    notebook_final_ = false;
}

std::string Gateway::request_id() {
    const uint64_t high = client_.transport().random();
    const uint64_t low = client_.transport().random();
    return fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}", high >> 32U, high >> 16U & 0xffffU, high & 0xfffU, 0x8000U | (low >> 48U & 0x3fffU),
                       low & 0xffffffffffffU);
}

void Gateway::answer(const Call& call, Writer& writer) {
    Response response;
    response.body = writer.take();
    response.headers.emplace_back("content-type", content_type_of(call.encoding));
    response.headers.emplace_back("x-amzn-requestid", request_id());
    std::string second;
    append_base64(second, fmt::format("{:016x}{:016x}{:016x}", client_.transport().random(), client_.transport().random(), call.exchange.value));
    response.headers.emplace_back("x-amz-id-2", std::move(second));
    if (options_.auth) response.headers.emplace_back("access-control-allow-origin", "*");
    server_.respond(call.exchange, std::move(response));
}

void Gateway::answer_empty(const Call& call) {
    Writer nothing(call.encoding);
    answer(call, nothing);
}

void Gateway::fail(const Call& call, const ApiError& error) {
    ++stats_.failed_count;
    Writer writer(call.encoding);
    writer.begin_map();
    writer.text("__type", error.type);
    // The service's own oddity: a capital letter for this one.
    if (!error.message.empty()) writer.text(error.type == "SerializationException" ? "Message" : "message", error.message);
    writer.end_map();
    Response response;
    response.status = error.status;
    response.body = writer.take();
    response.headers = {{"content-type", std::string(content_type_of(call.encoding))},
                        {"x-amzn-errortype", error.type},
                        {"x-amzn-requestid", request_id()}};
    if (options_.auth) response.headers.emplace_back("access-control-allow-origin", "*");
    log::debug("gateway", "call failed operation={} type={} message={}", call.operation, error.type, error.message);
    server_.respond(call.exchange, std::move(response));
}

ApiError Gateway::error_of_stream(Error error, std::string_view stream, const std::string& message) const {
    const std::string subject = fmt::format("Stream {} under account {}", stream, options_.arns.account);
    switch (error.code) {
        case Errc::kUnknownStream: return not_found(subject + " not found.");
        case Errc::kStreamExists: return in_use(subject + " already exists.");
        case Errc::kUnknownShard: return not_found(message.empty() ? "The shard does not exist in " + subject : message);
        case Errc::kLimitExceeded: return limit_exceeded(message.empty() ? std::string(errc_advice(error.code)) : message);
        case Errc::kBadArgument:
        case Errc::kShardClosed:
        case Errc::kRecordTooLarge:
        case Errc::kBadPartitionKey:
        case Errc::kSequenceInFuture: return invalid_argument(message.empty() ? std::string(errc_advice(error.code)) : message);
        case Errc::kThrottled: return {"ProvisionedThroughputExceededException", fmt::format("Rate exceeded for a shard in stream {} under account {}.", stream, options_.arns.account)};
        case Errc::kAccessDenied: return {"AccessDeniedException", message.empty() ? std::string(errc_advice(error.code)) : message};
        default: return unavailable(message.empty() ? std::string(errc_advice(error.code)) : message);
    }
}

// ------------------------------------------------------------------------------------------------------------- streams

bool Gateway::stream_name(const Call& call, const Node& input, std::string& name) {
    const Node* said = input.member("StreamName");
    const Node* arn = input.member("StreamARN");
    if (said == nullptr && arn == nullptr) {
        fail(call, invalid_argument("Either StreamName or StreamARN should be provided."));
        return false;
    }
    if (said != nullptr) name = said->text;
    if (arn == nullptr) return true;
    const auto from_arn = stream_of_arn(arn->text);
    if (!from_arn || (said != nullptr && *from_arn != said->text)) {
        fail(call, invalid_argument(fmt::format("StreamARN {} and StreamName {} don't name one stream.", arn->text, name)));
        return false;
    }
    name = *from_arn;
    return true;
}

Gateway::Stream* Gateway::stream_for(const Call& call, const std::string& name, bool fresh) {
    const bool just_fetched = taken_up_ == name;
    if (just_fetched && map_error_) {
        fail(call, error_of_stream(*map_error_, name));
        return nullptr;
    }
    const auto known = streams_.find(name);
    if (known != streams_.end() && !known->second->gone && (!fresh || just_fetched)) return known->second.get();
    auto& parked = parked_[name];
    if (parked.size() >= kParkedMax) {
        fail(call, unavailable("Too many calls wait for this stream; try again."));
        return nullptr;
    }
    parked.push_back({call.exchange, std::move(*current_), notebook_final_});
    if (parked.size() == 1) fetcher_->describe(name, [this, name](Result<client::StreamDescription> map) { take_map(name, std::move(map)); });
    return nullptr;
}

void Gateway::take_map(const std::string& name, Result<client::StreamDescription> map) {
    if (map) {
        // Another stream under the same name has another producer.
        if (const auto known = streams_.find(name); known != streams_.end() && known->second->map.id != map->id) forget(name);
        auto& stream = streams_[name];
        if (stream == nullptr) stream = std::make_unique<Stream>();
        // A producer learns of a new limit with its next batch, and refuses what is larger until then.
        if (stream->map.record_bytes_max != map->record_bytes_max && stream->producer != nullptr) retired_.push_back(std::move(stream->producer));
        stream->map = std::move(*map);
        stream->gone = false;
    } else {
        if (map.error().code == Errc::kUnknownStream) forget(name);
    }
    const auto found = parked_.find(name);
    std::vector<Parked> waiting;
    if (found != parked_.end()) waiting = std::move(found->second);
    parked_.erase(name);
    taken_up_ = name;
    map_error_ = map ? std::nullopt : std::optional<Error>(map.error());
    for (Parked& each : waiting) dispatch(each.exchange, each.request, each.looked);
    taken_up_.clear();
}

void Gateway::forget(const std::string& name) {
    const auto known = streams_.find(name);
    if (known == streams_.end()) return;
    if (known->second->producer != nullptr) retired_.push_back(std::move(known->second->producer));
    streams_.erase(known);
}

const client::ShardDescription* Gateway::find_shard(const client::StreamDescription& stream, ShardId shard) {
    const auto found = std::lower_bound(stream.shards.begin(), stream.shards.end(), shard,
                                        [](const client::ShardDescription& each, ShardId wanted) { return each.id < wanted; });
    return found == stream.shards.end() || found->id != shard ? nullptr : &*found;
}

const client::ShardDescription* Gateway::find_numbered(const client::StreamDescription& stream, uint64_t number) {
    const auto found = std::find_if(stream.shards.begin(), stream.shards.end(), [number](const auto& shard) { return number_of(shard) == number; });
    return found == stream.shards.end() ? nullptr : &*found;
}

const client::ShardDescription* Gateway::named_shard(const Call& call, const std::string& stream, std::string_view said,
                                                     const client::StreamDescription*& map) {
    const auto number = parse_shard_name(said);
    for (const bool fresh : {false, true}) {
        const Stream* known = stream_for(call, stream, fresh);
        if (known == nullptr) return nullptr;
        map = &known->map;
        if (const auto* shard = number ? find_numbered(known->map, *number) : nullptr; shard != nullptr) return shard;
        if (!number) break;
    }
    fail(call, no_such_shard(said, stream));
    return nullptr;
}

ApiError Gateway::no_such_shard(std::string_view said, std::string_view stream) const {
    const auto number = parse_shard_name(said);
    return not_found(fmt::format("Shard {} in stream {} under account {} does not exist", number ? shard_name(*number) : std::string(said), stream,
                                 options_.arns.account));
}

}  // namespace eagre::gateway
