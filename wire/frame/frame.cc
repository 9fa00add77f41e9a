#include "wire/frame/frame.h"

#include "wire/base/assert.h"
#include "wire/base/crc32c.h"

namespace eagre::frame {
namespace {

uint32_t header_crc_of(const FrameHeader& header) {
    return crc32c(std::as_bytes(std::span(&header, 1)).first(offsetof(FrameHeader, header_crc)));
}

}  // namespace

void seal_header(FrameHeader& header) { header.header_crc = header_crc_of(header); }

void seal_frame(FrameHeader& header, std::span<const std::byte> payload) {
    EAGRE_ASSERT_EQ(payload.size() % 8, 0U);
    EAGRE_ASSERT_LE(payload.size(), kFramePayloadBytesMax);
    header.payload_bytes = static_cast<uint32_t>(payload.size());
    header.payload_crc = payload.empty() ? 0 : crc32c(payload);
    seal_header(header);
}

Result<FrameHeader> decode_header(std::span<const std::byte> bytes, uint32_t payload_bytes_max) {
    EAGRE_ASSERT_GE(bytes.size(), kHeaderBytes);
    FrameHeader header;
    std::memcpy(&header, bytes.data(), kHeaderBytes);
    if (header.magic != kMagic) return Errc::kBadMagic;
    // The version is read before the CRC: a later version may place its CRC elsewhere.
    if (header.version != kVersion) return error_of(Errc::kBadVersion, header.version);
    if (header.header_crc != header_crc_of(header)) return Errc::kBadCrc;
    const auto kind = static_cast<uint8_t>(header.kind);
    if (kind == 0 || kind > kFrameKindMax) return error_of(Errc::kBadKind, kind);
    if (header.payload_bytes > payload_bytes_max || header.payload_bytes % 8 != 0) {
        return error_of(Errc::kBadLength, header.payload_bytes);
    }
    return header;
}

bool payload_matches(const FrameHeader& header, std::span<const std::byte> payload) {
    if (payload.size() != header.payload_bytes) return false;
    return header.payload_crc == (payload.empty() ? 0 : crc32c(payload));
}

FrameHeader reply_to(const FrameHeader& request, FrameKind kind, Error error) {
    FrameHeader reply;
    reply.kind = kind;
    reply.flags = static_cast<uint16_t>(error.code);
    reply.correlation = request.correlation;
    reply.shard = request.shard;
    reply.detail = error.detail;
    return reply;
}

}  // namespace eagre::frame
