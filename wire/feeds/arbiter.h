#pragma once
// Several lines of one feed become one sequence: the first copy of each message counts, what one line has lost is waited for on the others within
// a bounded window, and what none has brought is told as a gap. No sockets, no clock: times are the caller's.

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "wire/base/limits.h"
#include "wire/feeds/moldudp64.h"

namespace eagre::feeds {

struct ArbiterLimits {
    uint64_t window_ns = 50'000'000;      // So long a gap is waited for.
    size_t waiting_bytes_max = 8 * kMiB;  // Of datagrams behind one; more give it up earlier.
};

/// Told in order of sequence numbers, each number once: in a message or in a gap.
class ArbiterListener {
  public:
    virtual ~ArbiterListener() = default;
    virtual void on_session(const MoldSession& session, uint64_t first) = 0;
    virtual void on_message(uint64_t sequence, std::span<const std::byte> message) = 0;
    virtual void on_gap(uint64_t first, uint64_t count) = 0;
};

class Arbiter {
  public:
    enum class Taken : uint8_t {
        kFirst,     // Brought something new, now or when what is before it has come.
        kRepeated,  // Nothing that had not come before.
        kBroken,    // Its messages run over its end; those before that counted.
    };

    Arbiter(ArbiterListener& listener, const ArbiterLimits& limits) : listener_(listener), limits_(limits) {}

    /// A datagram of any line. `header`: its own.
    Taken take(const MoldHeader& header, std::span<const std::byte> datagram, uint64_t now_ns);
    /// Gives up the gaps that have waited for long enough.
    void expire(uint64_t now_ns);
    /// When expire() has something to do; UINT64_MAX: nothing waits.
    uint64_t deadline_ns() const { return waiting_.empty() ? UINT64_MAX : waiting_.begin()->second.since_ns + limits_.window_ns; }
    /// Gives up all gaps, and tells what lies behind them.
    void finish();

    bool begun() const { return begun_; }
    /// The number that comes next.
    uint64_t next() const { return next_; }
    /// The session has said that it ends, and all before that has been told.
    bool ended() const { return ended_ && waiting_.empty(); }
    size_t waiting_bytes() const { return waiting_bytes_; }

  private:
    struct Waiting {
        MoldHeader header;
        std::vector<std::byte> datagram;
        uint64_t since_ns = 0;  // When what is before it was missed.
    };
    bool tell(const MoldHeader& header, std::span<const std::byte> datagram);
    void drain();
    void give_up();

    ArbiterListener& listener_;
    ArbiterLimits limits_;
    bool begun_ = false;
    bool ended_ = false;
    MoldSession session_{};
    uint64_t next_ = 0;
    std::multimap<uint64_t, Waiting> waiting_;  // By their first number, all above next_.
    size_t waiting_bytes_ = 0;
};

}  // namespace eagre::feeds
