#pragma once
// MoldUDP64 (Nasdaq, version 1.00): messages of a session, numbered from 1, as many to a datagram as fit. A header of 20 bytes (session: 10
// letters or digits; sequence number of the first message: u64; how many: u16), then each with its length (u16) before it; all big-endian.
// Pure functions on spans: whatever bytes come.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace eagre::feeds {

inline constexpr size_t kMoldHeaderBytes = 20;
inline constexpr uint16_t kMoldEnd = 0xffff;  // As a count: the session has ended; its sequence number is the one that would come next.
inline constexpr uint16_t kMoldCountMax = 0xfffe;

using MoldSession = std::array<char, 10>;

struct MoldHeader {
    MoldSession session{};
    uint64_t sequence = 0;  // Of the first message; of the next one to come where there is none.
    uint16_t count = 0;     // 0: a heartbeat.

    bool is_heartbeat() const { return count == 0; }
    bool is_end() const { return count == kMoldEnd; }
    /// Of the message behind the last one.
    uint64_t next() const { return is_end() ? sequence : sequence + count; }
};

/// Nothing: it is too short for a header, or its numbers run over the end of 64 bits.
std::optional<MoldHeader> decode_mold_header(std::span<const std::byte> datagram);

/// The messages of a datagram, one after the other.
class MoldMessages {
  public:
    MoldMessages(const MoldHeader& header, std::span<const std::byte> datagram)
        : left_(header.is_end() ? uint16_t{0} : header.count), rest_(datagram.subspan(kMoldHeaderBytes)) {}
    /// The next one; nothing at the end, or where one says that it is longer than what there is.
    std::optional<std::span<const std::byte>> next();
    /// Of those that the header promised, how many have not come.
    uint16_t left() const { return left_; }
    /// Bytes behind the last one.
    size_t rest_bytes() const { return rest_.size(); }

  private:
    uint16_t left_;
    std::span<const std::byte> rest_;
};

/// Builds one datagram after the other, of at most `bytes_max` each.
class MoldWriter {
  public:
    /// `session`: padded with blanks on the right, cut at 10.
    MoldWriter(std::string_view session, size_t bytes_max);
    /// False: this one is full (or the message is larger than any could hold: fits() says that).
    bool add(std::span<const std::byte> message);
    bool fits(size_t message_bytes) const { return message_bytes <= UINT16_MAX && kMoldHeaderBytes + 2 + message_bytes <= bytes_max_; }
    uint16_t count() const { return count_; }
    /// The datagram so far, numbered from `sequence`. Valid until clear().
    std::span<const std::byte> finish(uint64_t sequence);
    /// One without messages: a heartbeat, or the end.
    std::span<const std::byte> finish_empty(uint64_t sequence, bool end);
    void clear();

  private:
    void put_header(uint64_t sequence, uint16_t count);

    MoldSession session_{};
    size_t bytes_max_;
    uint16_t count_ = 0;
    std::vector<std::byte> bytes_;
};

}  // namespace eagre::feeds
