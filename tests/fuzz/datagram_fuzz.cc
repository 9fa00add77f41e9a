// Any bytes as a datagram. As they come, and with magic, version and the envelope's CRC put right, so that what lies behind
// the CRC is reached.
#include <cstring>
#include <span>

#include "tests/fuzz/fuzz_input.h"
#include "wire/base/assert.h"
#include "wire/frame/datagram.h"

using namespace eagre;

namespace {

void check(std::span<std::byte> bytes) {
    const auto view = frame::decode_datagram(bytes);
    if (!view) {
        EAGRE_ASSERT(view.error().code != Errc::kOk);
        return;
    }
    EAGRE_ASSERT_EQ(view->bitmap.size(), size_t{view->header.bitmap_words} * 8);
    EAGRE_ASSERT_EQ(frame::kDatagramHeaderBytes + view->bitmap.size() + view->frames.size(), bytes.size());
    uint64_t come = 0;
    for (uint64_t i = 0; i < kDatagramWindow + 64; ++i) come += view->has(view->header.next_packet + i) ? 1 : 0;
    fuzz::keep(come + fuzz::touch(view->frames));
    // What was decoded is what was there: sealing it again changes nothing.
    frame::DatagramHeader again = view->header;
    frame::seal_datagram(again, view->bitmap);
    EAGRE_ASSERT(std::memcmp(&again, bytes.data(), sizeof again) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    fuzz::AlignedInput input({data, size});
    check(input.writable());
    if (size < frame::kDatagramHeaderBytes) return 0;

    frame::DatagramHeader header;
    std::memcpy(static_cast<void*>(&header), data, sizeof header);
    header.magic = frame::kDatagramMagic;
    header.version = frame::kDatagramVersion;
    const size_t bitmap_bytes = size_t{header.bitmap_words} * 8;
    if (frame::kDatagramHeaderBytes + bitmap_bytes > size) return 0;
    frame::seal_datagram(header, input.bytes().subspan(frame::kDatagramHeaderBytes, bitmap_bytes));
    std::memcpy(input.writable().data(), &header, sizeof header);
    check(input.writable());
    return 0;
}
