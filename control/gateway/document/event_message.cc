#include "control/gateway/document/event_message.h"

#include <cstdint>

#include <zlib.h>

#include "wire/base/assert.h"

namespace eagre::gateway {
namespace {

constexpr size_t kPreludeBytes = 12;
constexpr size_t kTrailerBytes = 4;
constexpr char kTextType = 7;

void append_u32(std::string& out, uint32_t value) {
    for (unsigned shift = 32; shift != 0; shift -= 8) out.push_back(static_cast<char>(value >> (shift - 8)));
}

uint32_t checksum(std::string_view bytes) {
    return static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace

void append_event(std::string& out, EventHeaders headers, std::string_view payload) {
    size_t header_bytes = 0;
    for (const auto& [name, value] : headers) {
        EAGRE_ASSERT_LE(name.size(), size_t{UINT8_MAX});
        EAGRE_ASSERT_LE(value.size(), size_t{UINT16_MAX});
        header_bytes += 4 + name.size() + value.size();
    }
    const size_t begin = out.size();
    const size_t total = kPreludeBytes + header_bytes + payload.size() + kTrailerBytes;
    out.reserve(begin + total);
    append_u32(out, static_cast<uint32_t>(total));
    append_u32(out, static_cast<uint32_t>(header_bytes));
    append_u32(out, checksum(std::string_view(out).substr(begin, 8)));
    for (const auto& [name, value] : headers) {
        out.push_back(static_cast<char>(name.size()));
        out.append(name);
        out.push_back(kTextType);
        out.push_back(static_cast<char>(value.size() >> 8U));
        out.push_back(static_cast<char>(value.size()));
        out.append(value);
    }
    out.append(payload);
    append_u32(out, checksum(std::string_view(out).substr(begin)));
}

}  // namespace eagre::gateway
