#pragma once
// The connections of a core: what has been received but not yet understood, and the outlet for answers.
//
// One scratch buffer per core receives up to a MiB a call; whole frames are handled where they lie, and only the cut-off
// rest of a frame is kept with its session (at 64 KiB frames about 3 % of the bytes are copied once more). Large rests draw on
// a bounded pool: when it is empty, reading from that connection stops, and nothing else does.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/gate/grant.h"
#include "dataplane/ingress/datagram_session.h"
#include "dataplane/io/connections.h"
#include "dataplane/io/memory.h"
#include "dataplane/reactor/outlet.h"
#include "wire/base/result.h"
#include "wire/frame/frame.h"
#include "wire/shm/stats.h"

namespace eagre::ingress {

inline constexpr uint32_t kSessionCountMax = 4096;               // Per core.
inline constexpr size_t kReceiveBytes = 1 * kMiB;                // Per call and turn.
inline constexpr size_t kSmallRestBytes = 64 * kKiB;             // Every session may keep this much of a frame.
inline constexpr size_t kLargeRestBytes = kReceiveBytes + kBatchBytesMax + 2 * kSmallRestBytes;
inline constexpr uint32_t kLargeRestCountMax = 8;                // Sessions that may keep a large rest at once.
inline constexpr size_t kHugeRestBytes = kFramePayloadBytesMax + kReceiveBytes + kSmallRestBytes;
inline constexpr uint64_t kStalledNsMax = 10'000'000'000ULL;     // A frame begun and not finished, or no hello, for so long: closed.
inline constexpr uint32_t kUnansweredMax = 4096;                 // Batches of one connection that wait for the device.

struct Session {
    io::ConnectionId connection;
    reactor::OutletId id;
    reactor::Outlet outlet;
    bool used = false;
    bool control = false;          // Came in by the control socket.
    bool greeted = false;          // Has said hello.
    bool readable = false;
    bool blocked = false;          // Its next frame waits for room (journal window, hand-over): tried again each turn.
    bool dirty = false;            // Has answers to flush.
    uint32_t unanswered = 0;
    uint32_t relayed = 0;          // Requests that wait for control's answer.
    uint64_t progress_ns = 0;      // When its last whole frame was handled.
    std::vector<std::byte> rest;   // Received, not yet handled; begins at a frame.
    enum class RestClass : uint8_t { kSmall, kLarge, kHuge };
    RestClass rest_class = RestClass::kSmall;
    std::unique_ptr<DatagramSession> datagrams;  // Null: sends none.
    gate::Grant grant;             // What it has proved, and may do.
};

/// What handling a frame came to.
enum class Handled : uint8_t {
    kDone,
    kBlocked,  // No room now: keep the frame, try again later.
    kClose,    // The session has been closed, or must be.
};

class FrameHandler {
  public:
    virtual ~FrameHandler() = default;
    /// `payload` is 8-byte aligned; its CRC was checked but for kAppend, whose CRC is checked while it is copied.
    virtual Handled on_frame(Session& session, const frame::FrameHeader& header, std::span<const std::byte> payload) = 0;
    /// The session is going away.
    virtual void on_closed(Session& session) = 0;
};

class Sessions {
  public:
    /// Errors: kIo (no memory).
    static Result<std::unique_ptr<Sessions>> create(io::Connections& connections, FrameHandler& handler,
                                                    shm::CoreStats& stats);

    void accept(io::ConnectionId connection, bool control, uint64_t now_ns);
    Session* find(io::ConnectionId connection);
    Session* find(reactor::OutletId id);
    void mark_readable(Session& session);
    void mark_dirty(Session& session);

    /// Receives from every readable session and handles whole frames; tries blocked ones again. Returns frames handled.
    /// Returns 0 when nothing moved. `may_receive`: false while the journal is so far behind that batches would only wait here.
    size_t receive(uint64_t now_ns, bool may_receive);
    /// One send per session that has answers.
    void flush();
    /// Closes sessions that stalled in the middle of a frame. Call about once a second.
    void expire(uint64_t now_ns);
    /// Says why and closes. The typed error goes out if the socket takes it.
    void close_bad(Session& session, const frame::FrameHeader& request, Error error);
    void close(Session& session);
    void close_all();
    uint32_t count() const { return count_; }
    /// Visits every session; the visitor may close the one it is given.
    template <class Visitor>
    void each(Visitor visit) {
        for (const auto& session : table_) {
            if (session->used) visit(*session);
        }
    }
    bool any_blocked() const { return !blocked_.empty(); }

  private:
    Sessions(io::Connections& connections, FrameHandler& handler, shm::CoreStats& stats)
        : connections_(connections), handler_(handler), stats_(stats) {}
    bool receive_one(Session& session, uint64_t now_ns);
    void handle_frames(Session& session, std::span<std::byte> bytes, uint64_t now_ns);
    void keep_rest(Session& session, std::span<const std::byte> rest);
    size_t receive_bytes_allowed(Session& session);
    void set_rest_class(Session& session, Session::RestClass rest_class);

    io::Connections& connections_;
    FrameHandler& handler_;
    shm::CoreStats& stats_;
    std::vector<std::unique_ptr<Session>> table_;
    std::vector<uint32_t> free_;
    std::vector<std::pair<uint64_t, uint32_t>> by_connection_;  // Sorted: connection id -> slot.
    std::vector<reactor::OutletId> readable_;
    std::vector<reactor::OutletId> blocked_;
    std::vector<reactor::OutletId> dirty_;
    std::vector<reactor::OutletId> working_;
    io::AlignedBuffer scratch_;
    uint32_t large_in_use_ = 0;
    uint32_t huge_in_use_ = 0;
    uint32_t count_ = 0;
    size_t frames_handled_ = 0;
};

}  // namespace eagre::ingress
