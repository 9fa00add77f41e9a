#pragma once
// Several lines of one feed become one sequence: the first copy of each message counts, what one line has lost is waited for on the others within
// a bounded window, and what none has brought is told as a gap. No sockets, no clock: times are the caller's.

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "wire/base/limits.h"
#include "wire/feeds/moldudp64.h"

namespace eagre::feeds {

struct ArbiterLimits {
    uint64_t window_ns = 50'000'000;      // So long a gap is waited for.
    size_t waiting_bytes_max = 8 * kMiB;  // Of datagrams behind one; more give it up earlier.
    uint64_t jump_max = 10'000'000;       // A datagram so far ahead is believed only if the feed does not go on where it was.
    uint64_t quiet_ns = 1'000'000'000;    // After so long a silence another session is believed at once; before, with its second datagram.
};

/// Told in order of sequence numbers, each number once: in a message or in a gap.
class ArbiterListener {
  public:
    virtual ~ArbiterListener() = default;
    /// `first`: of the datagram that began it. Returns the number to begin at: `first`, or one where an earlier life left off.
    virtual uint64_t on_session(const MoldSession& session, uint64_t first) = 0;
    virtual void on_message(uint64_t sequence, std::span<const std::byte> message) = 0;
    virtual void on_gap(uint64_t first, uint64_t count) = 0;
};

class Arbiter {
  public:
    enum class Taken : uint8_t {
        kFirst,     // Brought something new, now or when what is before it has come.
        kRepeated,  // Nothing that had not come before.
        kBroken,    // Its messages run over its end; those before that counted.
        kWild,      // So far ahead that it waits for others to bear it out.
    };

    Arbiter(ArbiterListener& listener, const ArbiterLimits& limits) : listener_(listener), limits_(limits) {}

    /// A datagram of any line. `header`: its own. `stamp_ns`: see stamp_ns().
    Taken take(const MoldHeader& header, std::span<const std::byte> datagram, uint64_t now_ns, uint64_t stamp_ns = 0);
    /// While a message is being told: of the datagram that brought it.
    uint64_t stamp_ns() const { return stamp_ns_; }
    /// Gives up the gaps that have waited for long enough.
    void expire(uint64_t now_ns);
    /// When expire() has something to do; UINT64_MAX: nothing waits.
    uint64_t deadline_ns() const {
        const uint64_t gap_ns = waiting_.empty() ? UINT64_MAX : waiting_.begin()->second.since_ns + limits_.window_ns;
        return other_ ? std::min(gap_ns, other_->since_ns + limits_.window_ns) : gap_ns;
    }
    /// Gives up all gaps, and tells what lies behind them.
    void finish();

    bool begun() const { return begun_; }
    /// The number that comes next.
    uint64_t next() const { return next_; }
    /// The session has said that it ends, and all before that has been told.
    bool ended() const { return ended_ && waiting_.empty(); }
    size_t waiting_bytes() const { return waiting_bytes_; }
    /// Datagrams far ahead that nothing has borne out: left out.
    uint64_t wild_count() const { return wild_count_; }

  private:
    struct Waiting {
        MoldHeader header;
        std::vector<std::byte> datagram;
        uint64_t since_ns = 0;  // When what is before it was missed.
        uint64_t stamp_ns = 0;
        uint64_t next_then = 0;  // What came next when it came.
    };
    bool tell(const MoldHeader& header, std::span<const std::byte> datagram, uint64_t stamp_ns);
    bool disbelieve(bool at_once);
    void begin(const MoldHeader& header);
    Taken take_other(const MoldHeader& header, std::span<const std::byte> datagram, uint64_t now_ns, uint64_t stamp_ns);
    Taken take_own(const MoldHeader& header, std::span<const std::byte> datagram, uint64_t now_ns, uint64_t stamp_ns);
    void give_up(bool at_once = false);
    void drain();

    ArbiterListener& listener_;
    ArbiterLimits limits_;
    bool begun_ = false;
    bool ended_ = false;
    MoldSession session_{};
    uint64_t next_ = 0;
    uint64_t stamp_ns_ = 0;
    uint64_t wild_count_ = 0;
    uint64_t last_ns_ = 0;             // When the session was last heard of.
    std::optional<Waiting> other_;     // The first datagram of another session, until a second one bears it out.
    std::multimap<uint64_t, Waiting> waiting_;  // By their first number, all above next_.
    size_t waiting_bytes_ = 0;
};

}  // namespace eagre::feeds
