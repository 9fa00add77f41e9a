#pragma once
// Which packets of a session have come: a bitmap of the last kDatagramWindow numbers. Two users: numbered packets, which are
// handled in order (`next` moves over what has come without a gap), and loose ones, which only must not count twice.

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <span>

#include "wire/base/assert.h"
#include "wire/base/limits.h"

namespace eagre::ingress {

class PacketWindow {
  public:
    static_assert(kDatagramWindow % 64 == 0 && std::has_single_bit(kDatagramWindow));

    /// Every packet below has been handled.
    uint64_t next() const { return next_; }
    /// One past the highest number that has come.
    uint64_t end() const { return end_; }
    bool has_gap() const { return end_ > next_; }
    bool has(uint64_t packet) const {
        if (packet < next_) return true;
        return packet < end_ && bit(packet);
    }
    /// In the window: there is a place to remember it.
    bool fits(uint64_t packet) const { return packet >= next_ && packet - next_ < kDatagramWindow; }
    /// It has come. It must fit and be new.
    void mark(uint64_t packet) {
        EAGRE_ASSERT(fits(packet) && !has(packet));
        words_[packet / 64 % words_.size()] |= uint64_t{1} << (packet % 64);
        end_ = std::max(end_, packet + 1);
    }
    /// The packet at next() has come and was handled.
    void pass() {
        EAGRE_ASSERT(bit(next_) && next_ < end_);
        words_[next_ / 64 % words_.size()] &= ~(uint64_t{1} << (next_ % 64));
        ++next_;
    }
    /// For packets that nobody waits for: makes `packet` fit by forgetting the oldest numbers.
    void slide_to(uint64_t packet) {
        if (packet < next_ + kDatagramWindow) return;
        const uint64_t first = packet - kDatagramWindow + 1;
        if (first - next_ >= kDatagramWindow) {
            words_.fill(0);
        } else {
            for (uint64_t old = next_; old < first; ++old) words_[old / 64 % words_.size()] &= ~(uint64_t{1} << (old % 64));
        }
        next_ = first;
        end_ = std::max(end_, first);
    }
    /// Bit i of `words` is packet next() + i. Returns how many words say all that there is to say; 0 without a gap.
    size_t copy_bitmap(std::span<uint64_t> words) const {
        if (!has_gap()) return 0;
        const auto count = static_cast<size_t>((end_ - next_ + 63) / 64);
        EAGRE_ASSERT_LE(count, words.size());
        const unsigned shift = static_cast<unsigned>(next_ % 64);
        for (size_t i = 0; i < count; ++i) {
            const uint64_t at = next_ / 64 + i;
            uint64_t word = words_[at % words_.size()] >> shift;
            // The next word's low bits; a full window's last bits lie again in the first word, below `next`.
            if (shift != 0) word |= words_[(at + 1) % words_.size()] << (64 - shift);
            words[i] = word;
        }
        return count;
    }

  private:
    bool bit(uint64_t packet) const { return (words_[packet / 64 % words_.size()] >> (packet % 64) & 1U) != 0; }

    std::array<uint64_t, kDatagramWindow / 64> words_{};
    uint64_t next_ = 0;
    uint64_t end_ = 0;
};

}  // namespace eagre::ingress
