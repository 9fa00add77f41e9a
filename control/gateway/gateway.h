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
};

struct GatewayStats {
    uint64_t call_count = 0;
    uint64_t failed_count = 0;
};

class Gateway {
  public:
    Gateway(client::Client& client, Server& server, const identity::Bytes32& iterator_key, GatewayOptions options);
    ~Gateway();
    Gateway(const Gateway&) = delete;
    Gateway& operator=(const Gateway&) = delete;

    /// One turn; waits at most `timeout_ns`.
    void poll(uint64_t timeout_ns);
    const GatewayStats& stats() const { return stats_; }
    /// Names of all operations, and whether this gateway does them.
    static std::vector<std::pair<std::string_view, bool>> operations();

  private:
    /// A request under way. Its nodes live until the operation returns.
    struct Call {
        ExchangeId exchange;
        Encoding encoding = Encoding::kJson;
        std::string_view operation;
    };
    using Operation = void (Gateway::*)(const Call&, const Node&);
    struct Row {
        std::string_view name;
        const Shape* shape;
        Operation operation;  // Null: not available.
    };
    static const Row* find_operation(std::string_view name);
    static std::span<const Row> table();

    // -- gateway.cc: requests and answers
    void take(ExchangeId exchange, Request request);
    void dispatch(ExchangeId exchange, Request& request);
    void answer(const Call& call, Writer& writer);
    void answer_empty(const Call& call);
    void fail(const Call& call, const ApiError& error);
    ApiError error_of_stream(Error error, std::string_view stream, const std::string& message = {}) const;
    uint64_t now_ms() { return client_.transport().wall_ns() / 1'000'000; }

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
    void with_description(const Call& call, const std::string& name, std::function<void(const client::StreamDescription&)> then);
    void submit(const Call& call, const std::string& name, ControlPool::Job job);

    // -- operations_shards.cc
    void list_shards(const Call& call, const Node& input);
    void split_shard(const Call& call, const Node& input);
    void merge_shards(const Call& call, const Node& input);
    void update_shard_count(const Call& call, const Node& input);
    static void write_shard(Writer& writer, const client::StreamDescription& stream, const client::ShardDescription& shard);

    // -- operations_tags.cc
    /// Of ResourceARN. False: the call has failed.
    bool resource_stream(const Call& call, const Node& input, std::string& name);
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
    struct Parked {
        ExchangeId exchange;
        Request request;
    };
    std::map<std::string, std::vector<Parked>, std::less<>> parked_;  // Until the map of their stream has come.
    std::string taken_up_;                                            // The stream whose parked calls are being dispatched,
    std::optional<Error> map_error_;                                  // and why its map could not be had.
    std::vector<std::unique_ptr<client::Producer>> retired_;           // Of streams that are gone, until all is answered.
    std::vector<std::string> dirty_;  // Streams to which something was put in this turn.
    Request* current_ = nullptr;                                      // Being dispatched.
    std::vector<std::unique_ptr<Put>> puts_;
    std::vector<uint32_t> free_puts_;
    std::string blob_;
    GatewayStats stats_;
};

}  // namespace eagre::gateway
