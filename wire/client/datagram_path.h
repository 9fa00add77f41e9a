#pragma once
// Batches over UDP: numbers and sends them, sends again what was lost, and asks again for answers that were. One per connection
// whose client asked for datagrams; owned by it.
//
// Two loops, one inside the other. Packets: each numbered one is sent until the box says that it has come. An answer names the
// send time of the latest packet that came; whatever was sent a quarter of a round trip before that and has not come is lost
// (RACK, RFC 8985, with the echoed time instead of a guess), and when nothing comes back at all a timer (RFC 6298) sends the
// oldest. Batches: one that has come and is not answered in time goes again in a new packet, and the box, which remembers, gives
// the first answer; so numbered batches must have a producer id. Loose packets (no acknowledgement wanted) are sent once.
//
// Everything is bounded: packets on their way by the box's window and by ours, which shrinks with losses; time-outs in a row,
// and questions for one answer, by kTimeoutsMax and kAsksMax: beyond them the path has failed, and its connection starts anew.

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "wire/client/round_trip.h"
#include "wire/client/send_buffer.h"
#include "wire/client/transport.h"
#include "wire/frame/datagram.h"
#include "wire/frame/frame.h"

namespace eagre::client {

inline constexpr uint32_t kTimeoutsMax = 12;           // In a row, each twice as long as the one before: 3 s in all.
inline constexpr uint32_t kAsksMax = 12;
inline constexpr uint32_t kCongestionPacketsMin = 16;
inline constexpr uint32_t kCongestionPacketsStart = 64;
inline constexpr size_t kSendBurst = 64;

struct DatagramPathStats {
    uint64_t packet_count = 0;    // Numbered, each counted once.
    uint64_t resend_count = 0;
    uint64_t timeout_count = 0;
    uint64_t ask_count = 0;       // Batches sent again because their answer was missed.
    uint64_t loose_count = 0;
    uint64_t refused_count = 0;   // Datagrams from the box's address that were not the box's.
};

class DatagramPath {
  public:
    /// Owns `pipe` from now on. `datagram_bytes`: largest to send, at most what the box takes.
    DatagramPath(Transport& transport, PipeId pipe, uint64_t session, frame::DatagramToken token, uint32_t datagram_bytes);
    ~DatagramPath();
    DatagramPath(const DatagramPath&) = delete;
    DatagramPath& operator=(const DatagramPath&) = delete;

    /// Whether a frame of this size fits a datagram now; the path may shrink later.
    bool takes(size_t frame_bytes) const { return frame_bytes + frame::kDatagramHeaderBytes <= datagram_bytes_; }
    uint32_t datagram_bytes() const { return datagram_bytes_; }
    /// Queues a whole sealed Append; its bytes must not change while use_count() is above 1.
    void push(SendBufferPointer frame);

    /// Receives, sends, looks at the timers. True when something moved. Errors: kTimeout (the path has failed).
    Result<bool> poll(uint64_t now_ns);
    /// Frames that came with the last polls, in order.
    std::vector<frame::FrameHeader>& answers() { return answers_; }
    /// Frames that turned out too large for the path: they must go another way.
    std::vector<SendBufferPointer>& too_large() { return too_large_; }
    uint64_t next_timer_ns() const;
    const DatagramPathStats& stats() const { return stats_; }
    uint64_t round_trip_ns() const { return round_trip_.smoothed_ns(); }
    uint32_t congestion_packets() const { return congestion_packets_; }

  private:
    struct Packet {
        SendBufferPointer frame;   // Null: answered, or its number is only used up.
        uint64_t correlation = 0;
        uint64_t sent_ns = 0;      // Last time; 0: not yet.
        uint64_t first_sent_ns = 0;
        uint32_t asks = 0;         // How often its batch was asked for before.
        bool resent = false;
        bool arrived = false;
        bool lost = false;         // Waits to be sent again.
        bool answered = false;
    };
    bool receive(uint64_t now_ns);
    void take(const frame::DatagramView& view, uint64_t now_ns);
    void arrived(Packet& packet);
    void answered(const frame::FrameHeader& header, uint64_t now_ns);
    void find_lost();
    void lose(Packet& packet);
    void on_congestion(bool timeout);
    void forget_settled();
    Status check_timers(uint64_t now_ns);
    Status ask_again(uint64_t now_ns);
    bool send(uint64_t now_ns);
    bool send_loose(uint64_t now_ns);
    size_t transmit(std::span<const DatagramSlices> datagrams, uint64_t now_ns);
    void fill(frame::DatagramHeader& header, frame::DatagramKind kind, uint64_t number, uint64_t now_ns) const;
    uint64_t time_out_ns() const;
    uint64_t end() const { return first_ + packets_.size(); }
    Packet& at(uint64_t number) { return packets_[number - first_]; }

    Transport& transport_;
    PipeId pipe_;
    uint64_t session_;
    frame::DatagramToken token_;
    uint32_t datagram_bytes_;
    bool full_ = false;                // The last transmit did not take all.
    bool shrunk_ = false;              // The last transmit met a path that takes less than it thought.
    std::deque<Packet> packets_;
    uint64_t first_ = 0;               // Number of packets_.front().
    uint64_t next_new_ = 0;            // The first that was never sent.
    uint64_t lowest_missing_ = 0;      // Every packet below has arrived.
    uint64_t answer_hint_ = 0;         // Where the next answer's batch is likely to be.
    uint64_t newest_sent_ns_ = 0;      // Of what the box has got.
    uint64_t progress_ns_ = 0;         // When something last arrived there, or the oldest was sent.
    uint64_t next_ask_ns_ = 0;
    uint64_t last_poll_ns_ = 0;
    uint64_t recovery_end_ = 0;        // Losses below this packet are of a congestion that was answered.
    uint32_t in_flight_ = 0;           // Sent, neither arrived nor lost.
    uint32_t lost_count_ = 0;          // Waiting to be sent again.
    uint32_t congestion_packets_ = kCongestionPacketsStart;
    uint32_t slow_start_until_ = kDatagramWindow;
    uint32_t grown_ = 0;               // Arrivals since the window last grew by one.
    uint32_t window_ = kDatagramWindow;
    uint32_t timeouts_ = 0;            // In a row.
    RoundTrip round_trip_;             // Packet -> acknowledgement.
    RoundTrip answer_time_;            // Batch -> answer.
    std::deque<SendBufferPointer> loose_;
    uint64_t next_loose_ = 0;
    std::vector<frame::FrameHeader> answers_;
    std::vector<SendBufferPointer> too_large_;
    std::vector<std::byte> incoming_;
    DatagramPathStats stats_;
};

}  // namespace eagre::client
