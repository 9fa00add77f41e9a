#include "wire/feeds/arbiter.h"

#include <algorithm>

namespace eagre::feeds {

void Arbiter::begin(const MoldHeader& header) {
    finish();
    begun_ = true;
    ended_ = false;
    session_ = header.session;
    next_ = header.sequence;
    next_ = listener_.on_session(session_, next_);
}

Arbiter::Taken Arbiter::take(const MoldHeader& header, std::span<const std::byte> datagram, uint64_t now_ns, uint64_t stamp_ns) {
    if (!begun_) begin(header);
    if (header.session != session_) return take_other(header, datagram, now_ns, stamp_ns);
    return take_own(header, datagram, now_ns, stamp_ns);
}

// A stranger's datagram must not end a session that goes on: another one is believed when it comes a second time, or the first has ended or fallen
// silent. Nothing of it is lost: its first datagram is kept.
Arbiter::Taken Arbiter::take_other(const MoldHeader& header, std::span<const std::byte> datagram, uint64_t now_ns, uint64_t stamp_ns) {
    const bool over = ended_ || now_ns >= last_ns_ + limits_.quiet_ns;
    const bool again = other_ && other_->header.session == header.session;
    if (!over && !again) {
        if (other_) ++wild_count_;
        other_ = Waiting{header, {datagram.begin(), datagram.end()}, now_ns, stamp_ns, next_};
        return Taken::kWild;
    }
    const std::optional<Waiting> first = again ? std::move(other_) : std::nullopt;
    other_.reset();
    begin(first ? first->header : header);
    if (first) (void)take_own(first->header, first->datagram, now_ns, first->stamp_ns);
    return take_own(header, datagram, now_ns, stamp_ns);
}

Arbiter::Taken Arbiter::take_own(const MoldHeader& header, std::span<const std::byte> datagram, uint64_t now_ns, uint64_t stamp_ns) {
    last_ns_ = now_ns;
    // A heartbeat and an end bring nothing but where the sender is.
    if (header.is_end()) ended_ = true;
    const bool empty = header.is_heartbeat() || header.is_end();
    if (header.next() <= next_) return Taken::kRepeated;
    if (header.sequence <= next_ && !empty) {
        const bool whole = tell(header, datagram, stamp_ns);
        drain();
        return whole ? Taken::kFirst : Taken::kBroken;
    }
    // The same from two lines waits once.
    const auto [from, to] = waiting_.equal_range(header.sequence);
    if (std::any_of(from, to, [&](const auto& each) { return each.second.header.next() >= header.next(); })) return Taken::kRepeated;
    waiting_bytes_ += datagram.size();
    waiting_.emplace(header.sequence, Waiting{header, {datagram.begin(), datagram.end()}, now_ns, stamp_ns, next_});
    while (waiting_bytes_ > limits_.waiting_bytes_max) give_up();
    if (header.sequence > next_ && header.sequence - next_ > limits_.jump_max) return Taken::kWild;
    return empty ? Taken::kRepeated : Taken::kFirst;
}

// False: it broke off. What is missing is a gap like any other: another line may have it.
bool Arbiter::tell(const MoldHeader& header, std::span<const std::byte> datagram, uint64_t stamp_ns) {
    stamp_ns_ = stamp_ns;
    MoldMessages messages(header, datagram);
    uint64_t sequence = header.sequence;
    for (auto message = messages.next(); message; message = messages.next(), ++sequence) {
        if (sequence < next_) continue;
        listener_.on_message(sequence, *message);
        next_ = sequence + 1;
    }
    return messages.left() == 0;
}

void Arbiter::drain() {
    while (!waiting_.empty() && waiting_.begin()->first <= next_) {
        auto first = waiting_.extract(waiting_.begin());
        waiting_bytes_ -= first.mapped().datagram.size();
        if (!first.mapped().header.is_end()) (void)tell(first.mapped().header, first.mapped().datagram, first.mapped().stamp_ns);
    }
}

// A number out of nowhere must not make all that still comes look old. Where the feed has gone on at its old place in the meantime, the one far
// ahead is left out; where it has not, the sender really is there.
bool Arbiter::disbelieve(bool at_once) {
    const auto first = waiting_.begin();
    if (first->first <= next_ || first->first - next_ <= limits_.jump_max || (!at_once && next_ == first->second.next_then)) return false;
    waiting_bytes_ -= first->second.datagram.size();
    waiting_.erase(first);
    ++wild_count_;
    return true;
}

void Arbiter::give_up(bool at_once) {
    if (disbelieve(at_once)) return;
    const uint64_t first = waiting_.begin()->first;
    if (first > next_) listener_.on_gap(next_, first - next_);
    next_ = std::max(next_, first);
    drain();
}

void Arbiter::expire(uint64_t now_ns) {
    // What lies behind the next gap has waited as well: no gap waits for another.
    while (!waiting_.empty() && now_ns >= waiting_.begin()->second.since_ns + limits_.window_ns) give_up();
    if (!other_ || now_ns < other_->since_ns + limits_.window_ns) return;
    const Waiting other = std::move(*other_);
    other_.reset();
    if (last_ns_ >= other.since_ns) {
        ++wild_count_;  // The session has gone on in the meantime.
        return;
    }
    begin(other.header);
    (void)take_own(other.header, other.datagram, now_ns, other.stamp_ns);
}

void Arbiter::finish() {
    while (!waiting_.empty()) give_up(true);
}

}  // namespace eagre::feeds
