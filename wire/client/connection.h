#pragma once
// One pipe to one core: connects, says hello, frames what goes out and what comes in, comes back
// after it broke. Owned by a ClientImpl; no thread of its own.

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "wire/client/client.h"
#include "wire/client/datagram_path.h"
#include "wire/client/send_buffer.h"
#include "wire/client/transport.h"
#include "wire/frame/frame.h"

namespace eagre::client {

inline constexpr size_t kReceiveBytes = 1 * kMiB;  // Per call.
inline constexpr size_t kReceiveBufferBytes =
    2 * kMiB;  // Grows for one larger frame, and shrinks again.
inline constexpr uint64_t kConnectNsMax = 3'000'000'000ULL;  // From connect to hello reply.

class ConnectionEvents {
  public:
    virtual ~ConnectionEvents() = default;
    virtual void on_ready(uint32_t core, const std::vector<uint16_t>& ports,
                          uint64_t incarnation) = 0;
    /// Everything that was sent and not answered is lost.
    virtual void on_lost(uint32_t core, Error why) = 0;
    /// `payload` is 8-byte aligned and its CRC was checked.
    virtual void on_frame(uint32_t core, const frame::FrameHeader& header,
                          std::span<const std::byte> payload) = 0;
};

class Connection {
  public:
    Connection(Transport& transport, ConnectionEvents& events, const ClientOptions& options,
               uint32_t core, uint16_t port);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    bool ready() const { return state_ == State::kReady; }
    uint16_t port() const { return port_; }
    void set_port(uint16_t port);
    Error last_error() const { return last_error_; }

    /// Queues a frame; sealed here. Small frames are copied.
    void push(frame::FrameHeader header, std::span<const std::byte> payload = {});
    /// Queues a whole sealed Append, for the datagram path if there is one that takes it; its bytes must not change while
    /// use_count() is above 1.
    void push_shared(SendBufferPointer frame);
    /// Gives this pipe up, as if the other side had closed it.
    void drop(Error why) {
        if (state_ != State::kIdle) lose(why, transport_.monotonic_ns());
    }

    /// Payload bytes of a batch that goes by datagram; UINT32_MAX without datagrams.
    uint32_t batch_bytes_max() const;
    /// Null: no datagrams.
    const DatagramPath* datagrams() const { return path_.get(); }

    /// Connects if it must and may, sends, receives. Returns true when something moved.
    bool poll(uint64_t now_ns);
    /// When poll() wants to be called again even if the network is silent. UINT64_MAX: not needed.
    uint64_t next_timer_ns() const;

  private:
    enum class State : uint8_t { kIdle, kConnecting, kOpeningDatagrams, kReady };
    struct Outgoing {
        SendBufferPointer shared;
        std::vector<std::byte> owned;
        std::span<const std::byte> bytes() const {
            return shared != nullptr ? shared->bytes : std::span<const std::byte>(owned);
        }
    };
    void begin(uint64_t now_ns);
    void lose(Error why, uint64_t now_ns);
    bool send();
    bool receive(uint64_t now_ns);
    void handle(uint64_t now_ns);
    void become_ready();
    void ask_for_datagrams(const std::string& from);
    /// False: asked again, because datagrams go another way than this connection.
    Result<bool> open_datagrams(const frame::FrameHeader& header, std::span<const std::byte> payload);
    bool poll_datagrams(uint64_t now_ns);
    /// Proves our key. Errors: kBadSchema.
    Status answer_challenge(const frame::FrameHeader& header, std::span<const std::byte> payload);

    Transport& transport_;
    ConnectionEvents& events_;
    const ClientOptions& options_;
    uint32_t core_;
    uint16_t port_;
    State state_ = State::kIdle;
    PipeId pipe_;
    Error last_error_;
    uint64_t retry_at_ns_ = 0;
    uint64_t back_off_ns_ = 0;
    uint64_t began_ns_ = 0;
    std::deque<Outgoing> outgoing_;
    size_t front_sent_ = 0;
    std::vector<std::byte> buffer_;
    size_t begin_ = 0;
    size_t end_ = 0;
    std::unique_ptr<DatagramPath> path_;
    std::string datagrams_from_;  // What we have asked for datagrams with.
    std::vector<uint16_t> ports_;  // As the hello said; told with on_ready.
    uint64_t incarnation_ = 0;
    uint64_t epoch_ = 0;  // Counts pipes: a callback may lose this one.
    identity::Bytes32 client_nonce_{};
    identity::Bytes32 server_proof_{};  // What the box must answer to our proof.
    bool proof_sent_ = false;
};

}  // namespace eagre::client
