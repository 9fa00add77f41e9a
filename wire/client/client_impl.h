#pragma once
// What Producer and Consumer share: connections, the shard map, correlation ids, waiting calls.

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include "wire/client/client.h"
#include "wire/client/connection.h"
#include "wire/client/fetcher.h"
#include "wire/client/group_consumer.h"

namespace eagre::wire {
struct StreamInfo;
}

namespace eagre::client {

/// Answers find their asker by the high bits of the correlation id.
class Asker {
  public:
    virtual ~Asker() = default;
    virtual void on_frame(uint32_t core, const frame::FrameHeader& header, std::span<const std::byte> payload) = 0;
    virtual void on_lost(uint32_t core, Error why) = 0;
    virtual void on_ready(uint32_t core) = 0;
    /// A stream's map came in, as asked by ClientImpl::refresh.
    virtual void on_map(const StreamDescription& stream) = 0;
    /// Called in each poll; returns true when something moved.
    virtual bool on_poll(uint64_t now_ns) = 0;
    virtual uint64_t next_timer_ns() const = 0;
};

inline constexpr uint32_t kAskerShift = 40;
inline constexpr uint64_t kRefreshNsMin = 2'000'000ULL;  // Between two refreshes of one map.

class ClientImpl final : public Client, public ConnectionEvents {
  public:
    ClientImpl(std::unique_ptr<Transport> transport, const ClientOptions& options);
    ~ClientImpl() override;
    Status open();

    void poll(uint64_t timeout_ns) override;
    Result<StreamDescription> describe(std::string_view stream) override;
    Result<std::vector<StreamDescription>> list() override;
    Result<SequenceNumber> locate(ShardId shard, frame::Position position, uint64_t value) override;
    Result<std::unique_ptr<Producer>> make_producer(std::string_view stream, const ProducerOptions& options) override;
    Result<std::unique_ptr<Consumer>> make_consumer(std::string_view stream, const ConsumerOptions& options) override;
    std::unique_ptr<Producer> make_producer(const StreamDescription& stream, const ProducerOptions& options) override;
    std::unique_ptr<Consumer> make_consumer(const StreamDescription& stream, const ConsumerOptions& options) override;
    std::unique_ptr<Fetcher> make_fetcher() override;
    Transport& transport() override { return *transport_; }
    uint64_t incarnation() const override { return incarnation_; }
    Result<std::unique_ptr<GroupConsumer>> join_group(std::string_view stream, std::string_view group,
                                                      const GroupOptions& options) override;

    // -- ConnectionEvents
    void on_ready(uint32_t core, const std::vector<uint16_t>& ports, uint64_t incarnation) override;
    void on_lost(uint32_t core, Error why) override;
    void on_frame(uint32_t core, const frame::FrameHeader& header, std::span<const std::byte> payload) override;

    // -- For producers and consumers
    uint64_t enlist(Asker* asker);
    void dismiss(uint64_t asker_id);
    uint64_t next_correlation(uint64_t asker_id) { return (asker_id << kAskerShift) | (next_serial_++ & ((1ULL << kAskerShift) - 1)); }
    /// Null until that core is known.
    Connection* connection(uint32_t core);
    uint32_t core_of_port(uint16_t port) const;
    /// Asks for the map; askers hear of it by on_map. Bounded in rate.
    void refresh(const std::string& stream);
    const ClientOptions& options() const { return options_; }
    uint64_t now_ns() { return transport_->monotonic_ns(); }
    /// Polls until `done()` or the deadline. False: time is up.
    template <class Done>
    bool wait_until(uint64_t deadline_ns, Done done) {
        for (;;) {
            if (done()) return true;
            const uint64_t now = now_ns();
            if (now >= deadline_ns) return false;
            poll(std::min<uint64_t>(deadline_ns - now, 10'000'000ULL));
        }
    }

  private:
    struct Pending {
        bool answered = false;
        bool lost = false;
        frame::FrameHeader header;
        std::vector<uint64_t> payload;  // 8-byte aligned copy.
        std::span<const std::byte> bytes() const { return std::as_bytes(std::span(payload)); }
    };
    Result<Pending> ask(uint32_t core, frame::FrameHeader header, std::span<const std::byte> payload, uint64_t deadline_ns);
    Result<std::vector<StreamDescription>> metadata(std::string_view stream);
    void on_refreshed(const frame::FrameHeader& header, std::span<const std::byte> payload);
    Connection& ensure(uint32_t core, uint16_t port);

    std::unique_ptr<Transport> transport_;
    ClientOptions options_;
    std::vector<std::unique_ptr<Connection>> connections_;
    std::map<uint64_t, Asker*> askers_;
    std::unordered_map<uint64_t, Pending*> pending_;
    struct Refresh {
        std::string stream;
        uint64_t correlation = 0;
        uint64_t not_before_ns = 0;
        bool wanted = false;
        uint64_t sent_ns = 0;
    };
    std::vector<Refresh> refreshes_;
    uint64_t next_serial_ = 1;
    uint64_t next_asker_ = 2;  // 0: waiting calls; 1: refreshes.
    uint64_t incarnation_ = 0;
    std::set<std::string> streams_;  // That something was made for: their maps are asked anew after a restart of the box.
};

/// Payload of a kMetadata frame.
std::vector<std::byte> metadata_request(std::string_view stream);
/// One verified StreamInfo.
StreamDescription describe_stream_info(const wire::StreamInfo& info);
/// Verified MetadataReply -> descriptions. Errors: kBadSchema.
Result<std::vector<StreamDescription>> decode_streams(std::span<const std::byte> payload);

std::unique_ptr<Producer> make_producer_impl(ClientImpl& client, const StreamDescription& stream, const ProducerOptions& options);
std::unique_ptr<Consumer> make_consumer_impl(ClientImpl& client, const StreamDescription& stream, const ConsumerOptions& options);

}  // namespace eagre::client
