#pragma once
// The envelope of a datagram: 64 bytes in front of the same frames that go over TCP. It says whose datagram it is (session and
// token), which one (packet number), and in answers which ones have come (cumulative number and bitmap). Pure functions over
// bytes; no I/O, no allocation. Every byte is described in wire/FORMAT.md.
//
// The envelope has its own CRC, frames have theirs; UDP's 16-bit sum is not trusted with either.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "wire/base/limits.h"
#include "wire/base/result.h"
#include "wire/frame/frame.h"

namespace eagre::frame {

inline constexpr uint32_t kDatagramMagic = 0x44474145;  // "EAGD"
inline constexpr uint8_t kDatagramVersion = 1;

enum class DatagramKind : uint8_t {
    kNumbered = 1,  // Client: one frame that is acknowledged; packet numbers dense from 0. No frame: a number left unused.
    kLoose = 2,     // Client: one frame that nobody acknowledges; numbers of their own, dense from 0, so that gaps show.
    kAnswer = 3,    // Box: what has come, then any number of reply frames.
};

/// 16 bytes that only the box can make: they prove that a sender was told its session over TCP from the same address.
struct DatagramToken {
    uint64_t high = 0;
    uint64_t low = 0;
    friend bool operator==(const DatagramToken&, const DatagramToken&) = default;
};

struct DatagramHeader {
    uint32_t magic = kDatagramMagic;
    uint8_t version = kDatagramVersion;
    DatagramKind kind = DatagramKind::kNumbered;
    uint16_t bitmap_words = 0;   // kAnswer: 8-byte words behind the envelope.
    uint64_t session = 0;
    DatagramToken token;
    uint64_t packet = 0;         // kNumbered, kLoose: its number. kAnswer: counts the answers of the session.
    uint64_t next_packet = 0;    // kAnswer: every numbered packet below has come.
    uint64_t sent_ns = 0;        // Clock of the client when it was sent (again); kAnswer: that of the newest packet that came.
    uint32_t window = 0;         // kAnswer: packets from next_packet on that may be sent. Else: largest datagram that the path takes.
    uint32_t header_crc = 0;     // CRC-32C of the 60 bytes before it and of the bitmap.
};
static_assert(sizeof(DatagramHeader) == 64);
static_assert(offsetof(DatagramHeader, session) == 8);
static_assert(offsetof(DatagramHeader, packet) == 32);
static_assert(offsetof(DatagramHeader, sent_ns) == 48);
static_assert(offsetof(DatagramHeader, header_crc) == 60);
inline constexpr size_t kDatagramHeaderBytes = sizeof(DatagramHeader);

/// Bit i of the bitmap (word i / 64, least significant first) is numbered packet next_packet + i.
inline constexpr size_t kDatagramBitmapWordsMax = kDatagramWindow / 64;

/// A datagram taken apart; borrows its bytes.
struct DatagramView {
    DatagramHeader header;
    std::span<const std::byte> bitmap;  // bitmap_words * 8 bytes.
    std::span<std::byte> frames;        // What follows: whole frames if the sender is honest.
    bool has(uint64_t packet) const;    // kAnswer: whether numbered packet `packet` has come.
};

/// Fills in header_crc over the header and `bitmap` (bitmap_words * 8 bytes).
void seal_datagram(DatagramHeader& header, std::span<const std::byte> bitmap = {});

/// Checks envelope and bitmap; looks at no frame. Errors: kBadLength, kBadMagic, kBadVersion, kBadCrc, kBadKind.
Result<DatagramView> decode_datagram(std::span<std::byte> bytes);

using DatagramSecret = std::array<std::byte, 32>;
/// HMAC-SHA-256 over session id and the sender's address, cut to 16 bytes (RFC 2104 section 5 allows half). About 1 us.
DatagramToken make_datagram_token(const DatagramSecret& secret, uint64_t session, std::span<const std::byte> address);

}  // namespace eagre::frame
