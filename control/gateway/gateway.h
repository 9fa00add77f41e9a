#pragma once
// The Kinesis API: takes HTTP requests apart, checks them, turns them into what Eagre does, and writes the answers. A customer of
// wire/client like any other. One thread: everything happens in poll(); calls to eagre-control are made by a pool beside it.
//
// Operations are methods of this class, in operations_*.cc; kOperations in gateway.cc lists them.

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "control/gateway/backend/control_pool.h"
#include "control/gateway/backend/notebook.h"
#include "control/gateway/document/writer.h"
#include "control/gateway/http/server.h"
#include "control/gateway/model/iterator.h"
#include "control/gateway/model/names.h"
#include "control/gateway/model/shape.h"
#include "wire/client/client.h"
#include "wire/client/fetcher.h"

namespace eagre::gateway {

struct GatewayOptions {
    std::string data;         // Where eagre-control listens, and the box's key file lies.
    Arns arns;
    uint32_t shard_quota = 500;  // Open shards of the account, as DescribeLimits tells it.
    bool auth = false;           // Signatures are checked against Eagre's keys, and what keys may do.
    identity::Bytes32 master{};  // Of the key file: opens the secrets of keys.
};

struct GatewayStats {
    uint64_t call_count = 0;
    uint64_t failed_count = 0;
    uint64_t unauthenticated_count = 0;  // Of the failed: no signature, or not one of ours.
    uint64_t denied_count = 0;           // Of the failed: the key may not.
    uint64_t subscription_count = 0;     // Open now.
    uint64_t event_count = 0;            // Of subscriptions.
};

class Gateway {
  public:
    Gateway(client::Client& client, Server& server, const identity::Bytes32& iterator_key, GatewayOptions options);
    ~Gateway();
    Gateway(const Gateway&) = delete;
    Gateway& operator=(const Gateway&) = delete;

    /// One turn; waits at most `timeout_ns`.
    void poll(uint64_t timeout_ns);
    /// Ends what would go on for ever: subscriptions. Poll on until the server has sent what it has.
    void shut_down();
    const GatewayStats& stats() const { return stats_; }
    /// Names of all operations, and whether this gateway does them.
    static std::vector<std::pair<std::string_view, bool>> operations();

  private:
    /// A request under way. Its nodes live until the operation returns.
    struct Call {
        ExchangeId exchange;
        Encoding encoding = Encoding::kJson;
        std::string_view operation;
        std::string region;  // In its ARNs.
        ApiKeyPointer key;   // Who asks; null where nobody is asked who he is.
    };
    using Operation = void (Gateway::*)(const Call&, const Node&);
    struct Parked {
        ExchangeId exchange;
        Request request;
        bool looked = false;  // It has waited for a notebook already, and does so once.
    };
    struct Row {
        std::string_view name;
        const Shape* shape;
        Operation operation;  // Null: not available.
        uint8_t action = 0;   // identity::kPut, kGet, kManage; 0: whoever may do anything with the stream.
    };
    static const Row* find_operation(std::string_view name);
    static std::span<const Row> table();

    // -- gateway.cc: requests and answers
    void take(ExchangeId exchange, Request request);
    void dispatch(ExchangeId exchange, Request& request, bool looked = false);
    void answer(const Call& call, Writer& writer);
    void answer_empty(const Call& call);
    std::string request_id();
    void fail(const Call& call, const ApiError& error);
    ApiError error_of_stream(Error error, std::string_view stream, const std::string& message = {}) const;
    uint64_t now_ms() { return client_.transport().wall_ns() / 1'000'000; }
    Arns arns(const Call& call) const { return {call.region, options_.arns.account}; }

    // -- gateway_access.cc: who asks, and what he may do
    enum class Access : uint8_t { kGranted, kFailed, kParked };
    Access authenticate(Call& call);
    /// Of a call's operation on a stream (and a consumer of it). False: the call has failed.
    bool permit(const Call& call, std::string_view stream, std::string_view consumer = {});
    /// The same for what the call's input names, as far as it names a stream.
    bool permit_input(const Call& call, const Row& row, const Node& input);
    /// For calls that are about no stream: the action has to be allowed everywhere.
    bool permit_everywhere(const Call& call, uint8_t action);
    bool may_see(const Call& call, std::string_view stream) const;

    // -- gateway_access.cc: what control knows
    /// True: the notebook is at most `age_ms` old and knows of every change made here, or control does not answer. False: to be
    /// parked until there is one, and taken up again from its beginning.
    bool has_notebook(uint64_t age_ms);
    void park_for_notebook(const Call& call);
    /// For what the notebook does not have: true, and the call is taken up again when one has come that was asked for from now on. False:
    /// that has been, or control does not answer.
    bool look_again(const Call& call);
    void refresh_notebook();
    void take_up_waiting();

    // -- gateway.cc: streams
    struct Stream {
        client::StreamDescription map;
        std::unique_ptr<client::Producer> producer;
        bool flush = false;  // Something was put in this turn.
        bool gone = false;   // The box does not know it any more, or knows another.
    };
    /// Of StreamName and StreamARN. False: they were wrong, and the call has failed.
    bool stream_name(const Call& call, const Node& input, std::string& name);
    /// Its map as it was last fetched; `fresh`: since the call came, for what our map does not have. Null: the call has failed, or is taken
    /// up again, from its beginning, when the map has come.
    Stream* stream_for(const Call& call, const std::string& name, bool fresh = false);
    void take_map(const std::string& name, Result<client::StreamDescription> map);
    /// The box says that it is gone, or another: its map is asked for anew when somebody wants it.
    void forget(const std::string& name);
    /// Null when the map does not have it.
    static const client::ShardDescription* find_shard(const client::StreamDescription& stream, ShardId shard);
    static const client::ShardDescription* find_numbered(const client::StreamDescription& stream, uint64_t number);
    static uint64_t number_of(const client::ShardDescription& shard) { return shard_number(shard.id, shard.ordinal); }
    static std::string name_of(const client::ShardDescription& shard) { return shard_name(number_of(shard)); }
    /// The shard of that name, with a map that is fresh if need be. Null: as of stream_for, or it is not there and the call has failed.
    const client::ShardDescription* named_shard(const Call& call, const std::string& stream, std::string_view said, const client::StreamDescription*& map);
    ApiError no_such_shard(std::string_view said, std::string_view stream) const;
    client::Producer& producer_of(Stream& stream);

    // -- operations_put.cc
    struct Put {
        Call call;
        bool single = false;
        bool map_asked = false;  // For shards that are younger than our map.
        uint64_t serial = 0;     // Grows with each call.
        uint32_t waiting = 0;
        uint32_t failed = 0;
        std::string stream;
        uint64_t created_ns = 0;
        struct Outcome {
            ShardId shard;
            SequenceNumber sequence;
            Error error;
        };
        std::vector<Outcome> outcomes;
    };
    /// Without regard to keys: to each open shard in turn.
    bool spreads(const Stream& stream) const;
    HashKey next_spread(const Stream& stream);
    /// `number`: of the record in its call, from 1; 0: the only one. False: the call has failed, or is parked.
    bool keys_are_there(const Call& call, const Stream& stream, const Node& record, size_t number);
    void put_record(const Call& call, const Node& input);
    void put_records(const Call& call, const Node& input);
    bool put_one(const Call& call, Stream& stream, const Node& record, uint32_t slot, uint32_t index, ApiError& fault);
    uint32_t take_slot(const Call& call, const Stream& stream, uint32_t count, bool single);
    void on_outcome(const std::string& stream, const client::BatchOutcome& outcome);
    void finish_put(uint32_t slot);
    void answer_put(uint32_t slot);

    // -- operations_get.cc
    struct Get;
    void get_shard_iterator(const Call& call, const Node& input);
    void answer_iterator(const Call& call, const std::string& name, StreamId stream, ShardId shard, SequenceNumber next);
    void get_records(const Call& call, const Node& input);
    void read_on(const std::shared_ptr<Get>& get);
    void finish_get(Get& get, const client::ReadEnd& end);

    // -- operations_streams.cc
    void create_stream(const Call& call, const Node& input);
    void delete_stream(const Call& call, const Node& input);
    void describe_stream(const Call& call, const Node& input);
    void describe_stream_summary(const Call& call, const Node& input);
    void list_streams(const Call& call, const Node& input);
    void increase_retention(const Call& call, const Node& input) { change_retention(call, input, true); }
    void decrease_retention(const Call& call, const Node& input) { change_retention(call, input, false); }
    void change_retention(const Call& call, const Node& input, bool increase);
    void update_max_record_size(const Call& call, const Node& input);
    void describe_limits(const Call& call, const Node& input);
    /// Asks control to describe the stream, and goes on with it.
    void with_description(const Call& call, const std::string& name, std::function<void(const client::StreamDescription&, const StreamNotes&)> then);
    void submit(const Call& call, const std::string& name, ControlPool::Job job);

    // -- operations_shards.cc
    void list_shards(const Call& call, const Node& input);
    void split_shard(const Call& call, const Node& input);
    void merge_shards(const Call& call, const Node& input);
    void update_shard_count(const Call& call, const Node& input);
    static void write_shard(Writer& writer, const client::StreamDescription& stream, const client::ShardDescription& shard);
    /// A closed shard's children, as GetRecords and SubscribeToShard tell them at its end.
    static void write_children(Writer& writer, std::span<const client::ShardDescription> shards, ShardId parent);

    // -- operations_settings.cc
    void update_stream_mode(const Call& call, const Node& input);
    void update_warm_throughput(const Call& call, const Node& input);
    void update_distribution(const Call& call, const Node& input);
    void enable_monitoring(const Call& call, const Node& input) { change_monitoring(call, input, true); }
    void disable_monitoring(const Call& call, const Node& input) { change_monitoring(call, input, false); }
    void change_monitoring(const Call& call, const Node& input, bool enable);
    void describe_account_settings(const Call& call, const Node& input);
    void update_account_settings(const Call& call, const Node& input);
    /// `change` in a thread of the pool: what is to be different, or why not; `answer`: with the settings before and after.
    using SettingsChange = std::function<std::optional<ApiError>(StreamSettings&, const AccountSettings&)>;
    void change_settings(const Call& call, const std::string& name, SettingsChange change,
                         std::function<void(const StreamSettings& before, const StreamSettings& after)> answer);

    // -- operations_policies.cc
    void put_resource_policy(const Call& call, const Node& input);
    void get_resource_policy(const Call& call, const Node& input);
    void delete_resource_policy(const Call& call, const Node& input);

    // -- operations_consumers.cc
    void register_consumer(const Call& call, const Node& input);
    void deregister_consumer(const Call& call, const Node& input);
    void describe_consumer(const Call& call, const Node& input);
    void list_consumers(const Call& call, const Node& input);
    /// Of ConsumerARN, or of StreamARN and ConsumerName. False: the call has failed.
    bool consumer_named(const Call& call, const Node& input, ConsumerArn& named);
    void write_consumer(Writer& writer, const Call& call, const std::string& stream, const RegisteredConsumer& consumer, bool with_stream) const;
    ApiError no_such_consumer(std::string_view name) const;
    /// A consumer as it was read, or why not: in the pool's threads.
    static Result<std::pair<client::Note, RegisteredConsumer>> read_consumer(client::ControlClient& control, const ConsumerArn& named);

    // -- operations_subscribe.cc
    struct Subscription;
    void subscribe_to_shard(const Call& call, const Node& input);
    void take_delivery(Subscription& subscription, const client::Delivery& delivery);
    void take_event(Subscription& subscription, Error error);
    void begin_events(Subscription& subscription);
    void send_records(Subscription& subscription);
    void send_event(Subscription& subscription, std::string_view type, Writer& payload);
    void end_events(Subscription& subscription, const ApiError& error);
    void tell_children(Subscription& subscription);
    void poll_subscriptions();
    using Subscriptions = std::map<uint64_t, std::shared_ptr<Subscription>>;  // By exchange.
    Subscriptions::iterator advance_or_forget(Subscriptions::iterator each, uint64_t now_ns);
    bool advance(Subscription& subscription, uint64_t now_ns);

    // -- operations_tags.cc
    /// Of ResourceARN. False: the call has failed. `consumer`: empty when it is the stream itself.
    bool resource_named(const Call& call, const Node& input, std::string& name, ConsumerArn& consumer);
    void change_consumer_tags(const Call& call, const ConsumerArn& consumer, std::function<void(TagMap&)> change);
    /// Of the input; none where it says none. Nothing: they are not as tags have to be, and the call has failed.
    std::optional<client::StreamTags> tags_of(const Call& call, const Node& input);
    static ApiError too_many_tags();
    void put_tags(const Call& call, const std::string& name, const Node& input);
    void drop_tags(const Call& call, const std::string& name, const Node& input);
    void add_tags(const Call& call, const Node& input);
    void remove_tags(const Call& call, const Node& input);
    void list_tags(const Call& call, const Node& input);
    void tag_resource(const Call& call, const Node& input);
    void untag_resource(const Call& call, const Node& input);
    void list_tags_of_resource(const Call& call, const Node& input);

    client::Client& client_;
    Server& server_;
    GatewayOptions options_;
    IteratorSigner iterators_;
    std::unique_ptr<client::Fetcher> fetcher_;
    ControlPool control_;
    Document document_;
    std::map<std::string, std::unique_ptr<Stream>, std::less<>> streams_;
    std::map<std::string, std::vector<Parked>, std::less<>> parked_;  // Until the map of their stream has come.
    std::string taken_up_;                                            // The stream whose parked calls are being dispatched,
    std::optional<Error> map_error_;                                  // and why its map could not be had.
    std::vector<std::unique_ptr<client::Producer>> retired_;           // Of streams that are gone, until all is answered.
    std::vector<std::string> dirty_;  // Streams to which something was put in this turn.
    Request* current_ = nullptr;                                      // Being dispatched.
    std::vector<std::unique_ptr<Put>> puts_;
    uint64_t put_count_ = 0;
    std::vector<uint32_t> free_puts_;
    uint64_t spread_ = 0;  // Of records without regard to their keys: the shard for the next.
    NotebookPointer notebook_ = std::make_shared<Notebook>();
    uint64_t notebook_ms_ = 0;      // When it was asked for; 0: there was none yet.
    bool notebook_asked_ = false;
    bool notebook_failed_ = false;  // Whoever waited is to be taken up without it.
    bool notebook_lost_ = false;    // The last attempt to read it failed.
    uint64_t notebook_tried_ms_ = 0;
    bool notebook_final_ = false;   // The call being taken up has waited for it, and waits no more.
    uint64_t notebook_number_ = 0;  // It knows of so many
    uint64_t change_number_ = 0;    // of the changes that were made here.
    uint64_t notebook_ask_count_ = 0;
    uint64_t notebook_read_ = 0;    // The ask that brought it.
    struct WaitingForNotebook {
        Parked parked;
        uint64_t ask = 0;  // Which reading it waits for; 0: the next that comes.
    };
    std::vector<WaitingForNotebook> waiting_for_notebook_;
    Subscriptions subscriptions_;
    std::vector<uint64_t> gathered_;    // Of those to which something came in this turn.
    uint64_t subscriptions_due_ns_ = 0;  // When to look at all of them.
    size_t held_count_ = 0;
    uint64_t closed_seen_ = 0;           // Of the server's.
    std::string blob_;
    GatewayStats stats_;
};

}  // namespace eagre::gateway
