#pragma once
// The way in for datagrams: from bursts of packets to whole frames, in order where the sender asked for it, and answers back.
// Owned by one core; beside Sessions, whose connections give out the right to come in here.
//
// What the door promises:
// - Bytes without the right token, or from another host or port, cost one look and a counter: no state is made and nothing is
//   ever sent to an address that has not proven itself.
// - Numbered packets reach the handler once each, in order. One that comes too early waits in a bounded pool; one that finds
//   no room there, or none in the journal, counts as lost on the way, and its sender sends it again.
// - Loose packets are handled as they come, at most once each; what is missing between their numbers is counted per session.
// - Answers may be lost. Whoever misses one sends its batch again and gets the first answer (idempotence), so the door keeps
//   no answer after it was sent, and has no timers but that of the delayed acknowledgement.

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "dataplane/ingress/datagram_session.h"
#include "dataplane/ingress/session.h"
#include "dataplane/io/datagrams.h"
#include "wire/base/result.h"
#include "wire/frame/datagram.h"
#include "wire/shm/stats.h"

namespace eagre::ingress {

inline constexpr uint32_t kDatagramSessionCountMax = 1024;   // Per core.
inline constexpr uint32_t kEarlyPacketCountMax = 2048;       // Packets that wait for one before them, all sessions of a core.
inline constexpr size_t kEarlyPacketBytes = kDatagramBytesMax + 8;
inline constexpr uint32_t kAcknowledgeEvery = 32;            // Packets; sooner when there is a gap or an answer to send ...
inline constexpr uint64_t kAcknowledgeDelayNs = 500'000;     // ... and never later than this.
inline constexpr size_t kAnswerCountMax = 4096;              // Waiting for the end of a turn, per session.
inline constexpr uint32_t kBurstsPerTurn = 16;

class DatagramHandler {
  public:
    virtual ~DatagramHandler() = default;
    /// A whole frame with a sound header; its payload's CRC was not checked. kClose: the payload is not what its CRC says.
    virtual Handled on_datagram(Session& session, const frame::FrameHeader& header, std::span<const std::byte> payload) = 0;
};

class DatagramDoor {
  public:
    DatagramDoor(io::Datagrams& datagrams, Sessions& sessions, DatagramHandler& handler, shm::CoreStats& stats);

    /// Errors: as Datagrams::open.
    Status open(std::string_view address, uint16_t port, const frame::DatagramSecret& secret);
    bool is_open() const { return open_; }

    /// `session` may send datagrams from `peer`'s host from now on; a session that may already begins anew. Cold: allocates.
    /// Errors: kUnavailable (not open), kLimitExceeded.
    Result<frame::DatagramToken> admit(Session& session, const io::Address& peer, uint32_t datagram_bytes,
                                       std::string_view client_name);
    /// The session is going away.
    void close(Session& session);

    /// Takes in what has arrived. `may_receive`: false while the journal is far behind. Returns packets handled.
    size_t receive(uint64_t now_ns, bool may_receive);
    /// Queues an answer for the end of the turn. Harmless for a session that may not send datagrams.
    void answer(Session& session, const frame::FrameHeader& header);
    /// Sends answers and acknowledgements that are due.
    void flush(uint64_t now_ns);
    /// When flush() has something to send at the latest; UINT64_MAX: nothing.
    uint64_t next_timer_ns() const { return next_timer_ns_; }
    /// Looks at the counters of the back end. Call now and then.
    void housekeeping() { stats_.datagrams_overflowed = open_ ? datagrams_.dropped() : 0; }

    static uint64_t session_number(const Session& session) {
        return (uint64_t{session.id.generation} << 32U) | session.id.slot;
    }

  private:
    struct Frame {
        bool present = false;  // A packet without one leaves its number unused.
        frame::FrameHeader header;
        std::span<std::byte> payload;
    };
    static Result<Frame> frame_in(std::span<std::byte> bytes);
    void take(const io::RxPacket& packet, uint64_t now_ns);
    void take_numbered(Session& session, const frame::DatagramView& view, uint64_t now_ns);
    void take_loose(Session& session, const frame::DatagramView& view);
    bool keep_early(DatagramSession& datagrams, const frame::DatagramView& view, const Frame& frame);
    void work_off_early(Session& session);
    void free_places(DatagramSession& datagrams);
    void acknowledge_by(Session& session, uint64_t time_ns);
    void pend(Session& session);
    void send_answers(Session& session);
    void transmit();
    shm::DatagramProducer* stats_slot();

    io::Datagrams& datagrams_;
    Sessions& sessions_;
    DatagramHandler& handler_;
    shm::CoreStats& stats_;
    frame::DatagramSecret secret_{};
    bool open_ = false;
    uint32_t count_ = 0;
    std::unique_ptr<std::byte[]> early_;   // kEarlyPacketCountMax places; made with the first session, touched when used.
    std::vector<uint16_t> free_places_;
    std::vector<uint32_t> early_bytes_;    // By place.
    std::vector<reactor::OutletId> pending_;
    std::vector<reactor::OutletId> stalled_;
    std::vector<reactor::OutletId> working_;
    std::vector<std::byte> outgoing_;      // Places for one burst.
    std::array<io::TxPacket, io::kDatagramBurstMax> outgoing_packets_{};
    size_t outgoing_count_ = 0;
    shm::DatagramProducer spare_stats_;
    uint32_t next_slot_ = 0;
    uint64_t next_timer_ns_ = UINT64_MAX;
};

}  // namespace eagre::ingress
