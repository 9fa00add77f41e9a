// Any bytes as a frame. As they come (the CRC nearly always refuses), and with the header's and
// payload's CRCs put right, so that what lies behind the CRC is reached: a hostile client can
// compute CRCs too.
#include <span>

#include "tests/fuzz/fuzz_input.h"
#include "wire/base/assert.h"
#include "wire/base/crc32c.h"
#include "wire/frame/frame.h"

using namespace eagre;

namespace {

void check(std::span<const std::byte> bytes) {
    const auto header = frame::decode_header(bytes);
    if (!header) {
        EAGRE_ASSERT(header.error().code != Errc::kOk);
        return;
    }
    EAGRE_ASSERT_LE(header->payload_bytes, kFramePayloadBytesMax);
    EAGRE_ASSERT_EQ(header->payload_bytes % 8, 0U);
    EAGRE_ASSERT(header->magic == frame::kMagic && header->version == frame::kVersion);
    // What was decoded is what was there: sealing it again changes nothing.
    frame::FrameHeader again = *header;
    frame::seal_header(again);
    EAGRE_ASSERT(std::memcmp(&again, bytes.data(), sizeof again) == 0);
    const auto payload = bytes.subspan(frame::kHeaderBytes);
    if (payload.size() >= header->payload_bytes) {
        const auto claimed = payload.first(header->payload_bytes);
        fuzz::keep(frame::payload_matches(*header, claimed) ? fuzz::touch(claimed) : 1);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < frame::kHeaderBytes) return 0;
    fuzz::AlignedInput input({data, size});
    check(input.bytes());

    frame::FrameHeader header;
    std::memcpy(&header, data, sizeof header);
    header.magic = frame::kMagic;
    header.version = frame::kVersion;
    const auto payload = input.bytes().subspan(frame::kHeaderBytes);
    if (header.payload_bytes <= payload.size())
        header.payload_crc = crc32c(payload.first(header.payload_bytes));
    frame::seal_header(header);
    std::memcpy(input.writable().data(), &header, sizeof header);
    check(input.bytes());
    return 0;
}
