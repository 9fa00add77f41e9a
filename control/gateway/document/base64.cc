#include "control/gateway/document/base64.h"

#include <tmmintrin.h>

#include <array>
#include <cstdint>

namespace eagre::gateway {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint32_t kBad = 1U << 24U;

/// For each of the four places of a group: the character's bits where they belong, so that a group is four look-ups and three ors.
constexpr auto kValues = [] {
    std::array<std::array<uint32_t, 256>, 4> values{};
    for (uint32_t place = 0; place < 4; ++place) {
        for (auto& value : values[place]) value = kBad;
        for (uint32_t i = 0; i < 64; ++i) values[place][static_cast<uint8_t>(kAlphabet[i])] = i << (18U - 6U * place);
    }
    return values;
}();
/// Twelve bits to two characters.
constexpr auto kPairs = [] {
    std::array<std::array<char, 2>, 4096> pairs{};
    for (uint32_t i = 0; i < 4096; ++i) pairs[i] = {kAlphabet[i >> 6U], kAlphabet[i & 63U]};
    return pairs;
}();

constexpr size_t kStepBytes = 12;  // To 16 characters.

/// Twelve bytes (of the sixteen there) to sixteen characters: spread so that each six bits have a byte of their own, shifted into place by
/// multiplication, and moved to their range of the alphabet by a table of sixteen (the scheme of W. Mula and D. Lemire, "Faster
/// Base64 Encoding and Decoding using AVX2 Instructions").
__m128i encode_step(__m128i bytes) {
    const __m128i spread = _mm_shuffle_epi8(bytes, _mm_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10));
    const __m128i odd = _mm_mulhi_epu16(_mm_and_si128(spread, _mm_set1_epi32(0x0fc0fc00)), _mm_set1_epi32(0x04000040));
    const __m128i even = _mm_mullo_epi16(_mm_and_si128(spread, _mm_set1_epi32(0x003f03f0)), _mm_set1_epi32(0x01000010));
    const __m128i sixes = _mm_or_si128(odd, even);
    // 0 for 'a'.., 1 to 10 for the digits, 11 for '+', 12 for '/', 13 for 'A'...
    const __m128i upper = _mm_cmpgt_epi8(_mm_set1_epi8(26), sixes);
    const __m128i range = _mm_or_si128(_mm_subs_epu8(sixes, _mm_set1_epi8(51)), _mm_and_si128(upper, _mm_set1_epi8(13)));
    const __m128i offsets = _mm_setr_epi8('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
                                          '+' - 62, '/' - 63, 'A', 0, 0);
    return _mm_add_epi8(sixes, _mm_shuffle_epi8(offsets, range));
}

uint32_t group_of(const uint8_t* from) {
    return kValues[0][from[0]] | kValues[1][from[1]] | kValues[2][from[2]] | kValues[3][from[3]];
}

}  // namespace

void append_base64(std::string& out, std::string_view bytes) {
    const size_t begin = out.size();
    out.resize(begin + (bytes.size() + 2) / 3 * 4);
    char* to = out.data() + begin;
    const auto* from = reinterpret_cast<const uint8_t*>(bytes.data());
    const uint8_t* const whole = from + bytes.size() / 3 * 3;
    for (const uint8_t* const end = from + bytes.size(); end - from >= 16; from += kStepBytes, to += 16)
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to), encode_step(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
    for (; from != whole; from += 3, to += 4) {
        const uint32_t group = uint32_t{from[0]} << 16U | uint32_t{from[1]} << 8U | from[2];
        to[0] = kPairs[group >> 12U][0];
        to[1] = kPairs[group >> 12U][1];
        to[2] = kPairs[group & 4095U][0];
        to[3] = kPairs[group & 4095U][1];
    }
    const size_t rest = bytes.size() % 3;
    if (rest == 0) return;
    const uint32_t group = uint32_t{from[0]} << 16U | (rest == 2 ? uint32_t{from[1]} << 8U : 0U);
    to[0] = kPairs[group >> 12U][0];
    to[1] = kPairs[group >> 12U][1];
    to[2] = rest == 2 ? kPairs[group & 4095U][0] : '=';
    to[3] = '=';
}

bool append_decoded(std::string& out, std::string_view text) {
    if (text.size() % 4 != 0) return false;
    const size_t begin = out.size();
    const size_t padding = text.empty() ? 0 : text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
    const size_t whole = padding == 0 ? text.size() : text.size() - 4;
    out.resize(begin + whole / 4 * 3);
    auto* to = reinterpret_cast<uint8_t*>(out.data() + begin);
    const auto* from = reinterpret_cast<const uint8_t*>(text.data());
    uint32_t bad = 0;
    for (const uint8_t* const end = from + whole; from != end; from += 4, to += 3) {
        const uint32_t group = group_of(from);
        bad |= group;
        to[0] = static_cast<uint8_t>(group >> 16U);
        to[1] = static_cast<uint8_t>(group >> 8U);
        to[2] = static_cast<uint8_t>(group);
    }
    if (padding != 0) {
        const uint8_t last[4] = {from[0], from[1], padding == 1 ? from[2] : static_cast<uint8_t>('A'), 'A'};
        const uint32_t group = group_of(last);
        bad |= group;
        // What the padding says is not there must be zero.
        if ((group & (padding == 1 ? 0xffU : 0xffffU)) != 0) bad = kBad;
        out += static_cast<char>(group >> 16U);
        if (padding == 1) out += static_cast<char>(group >> 8U);
    }
    if (bad < kBad) return true;
    out.resize(begin);
    return false;
}

std::optional<std::string> decode_base64(std::string_view text) {
    std::string bytes;
    if (!append_decoded(bytes, text)) return std::nullopt;
    return bytes;
}

}  // namespace eagre::gateway
