#include "wire/base/crc32c.h"

#include <nmmintrin.h>

#include <array>
#include <cstring>

namespace eagre {
namespace {

constexpr size_t kLaneBytes = 1024;
constexpr size_t kBlockBytes = 3 * kLaneBytes;
constexpr uint32_t kPolynomial = 0x82F63B78U;

// Multiplies a CRC by x^(8 * kLaneBytes) mod P: the linear map "append a lane of zero bytes", as four byte tables.
using ShiftTable = std::array<std::array<uint32_t, 256>, 4>;

constexpr uint32_t append_zero_bit(uint32_t crc) { return (crc >> 1U) ^ ((crc & 1U) != 0 ? kPolynomial : 0U); }

constexpr uint32_t apply(const std::array<uint32_t, 32>& map, uint32_t crc) {
    uint32_t result = 0;
    for (size_t bit = 0; crc != 0; ++bit, crc >>= 1U) {
        if ((crc & 1U) != 0) result ^= map[bit];
    }
    return result;
}

constexpr ShiftTable make_shift_table(size_t bytes) {
    std::array<uint32_t, 32> map{};
    for (size_t bit = 0; bit < 32; ++bit) {
        uint32_t crc = 1U << bit;
        for (int i = 0; i < 8; ++i) crc = append_zero_bit(crc);
        map[bit] = crc;  // One zero byte.
    }
    // Square the map: 1, 2, 4 ... bytes. `bytes` is a power of two.
    for (size_t done = 1; done < bytes; done *= 2) {
        std::array<uint32_t, 32> squared{};
        for (size_t bit = 0; bit < 32; ++bit) squared[bit] = apply(map, map[bit]);
        map = squared;
    }
    ShiftTable table{};
    for (size_t lane = 0; lane < 4; ++lane) {
        for (uint32_t byte = 0; byte < 256; ++byte) table[lane][byte] = apply(map, byte << (8 * lane));
    }
    return table;
}

constexpr ShiftTable kShiftLane = make_shift_table(kLaneBytes);

uint32_t shift_lane(uint32_t crc) {
    return kShiftLane[0][crc & 0xFFU] ^ kShiftLane[1][(crc >> 8U) & 0xFFU] ^
           kShiftLane[2][(crc >> 16U) & 0xFFU] ^ kShiftLane[3][crc >> 24U];
}

uint64_t load8(const std::byte* p) {
    uint64_t v = 0;
    std::memcpy(&v, p, sizeof(v));
    return v;
}

// `crc` is the inner register (already inverted).
uint32_t crc_block(const std::byte* p, uint32_t crc) {
    uint64_t a = crc;
    uint64_t b = 0;
    uint64_t c = 0;
    for (size_t i = 0; i < kLaneBytes; i += 8) {
        a = _mm_crc32_u64(a, load8(p + i));
        b = _mm_crc32_u64(b, load8(p + kLaneBytes + i));
        c = _mm_crc32_u64(c, load8(p + 2 * kLaneBytes + i));
    }
    const uint32_t ab = shift_lane(static_cast<uint32_t>(a)) ^ static_cast<uint32_t>(b);
    return shift_lane(ab) ^ static_cast<uint32_t>(c);
}

uint32_t crc_tail(const std::byte* p, size_t count, uint32_t crc) {
    uint64_t a = crc;
    for (; count >= 8; count -= 8, p += 8) a = _mm_crc32_u64(a, load8(p));
    auto r = static_cast<uint32_t>(a);
    for (; count > 0; --count, ++p) r = _mm_crc32_u8(r, std::to_integer<uint8_t>(*p));
    return r;
}

}  // namespace

uint32_t crc32c(std::span<const std::byte> bytes, uint32_t seed) {
    const std::byte* p = bytes.data();
    size_t left = bytes.size();
    uint32_t crc = ~seed;
    for (; left >= kBlockBytes; left -= kBlockBytes, p += kBlockBytes) crc = crc_block(p, crc);
    return ~crc_tail(p, left, crc);
}

uint32_t crc32c_copy(std::byte* target, std::span<const std::byte> bytes, uint32_t seed) {
    const std::byte* p = bytes.data();
    size_t left = bytes.size();
    uint32_t crc = ~seed;
    for (; left >= kBlockBytes; left -= kBlockBytes, p += kBlockBytes, target += kBlockBytes) {
        crc = crc_block(p, crc);
        std::memcpy(target, p, kBlockBytes);
    }
    crc = crc_tail(p, left, crc);
    if (left > 0) std::memcpy(target, p, left);
    return ~crc;
}

}  // namespace eagre
