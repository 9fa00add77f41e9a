// Any bytes as a datagram of a feed: what is taken out lies within it, and what a writer makes of it reads back.
#include <algorithm>
#include <cstdlib>

#include "tests/fuzz/fuzz_input.h"
#include "wire/feeds/moldudp64.h"

using namespace eagre;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const fuzz::AlignedInput input({data, size});
    const auto header = feeds::decode_mold_header(input.bytes());
    if (!header) return 0;
    if (header->next() < header->sequence) std::abort();
    feeds::MoldWriter writer({header->session.data(), header->session.size()}, 65'507);
    feeds::MoldMessages messages(*header, input.bytes());
    uint32_t count = 0;
    size_t bytes = feeds::kMoldHeaderBytes;
    while (const auto message = messages.next()) {
        fuzz::keep(fuzz::touch(*message));
        bytes += 2 + message->size();
        ++count;
        if (!writer.add(*message)) std::abort();
    }
    if (bytes + messages.rest_bytes() != size || count + messages.left() != (header->is_end() ? 0U : header->count)) std::abort();
    const auto again = writer.finish(header->sequence);
    // The same bytes but for the count, and for what lay behind.
    if (again.size() != bytes || !std::equal(again.begin() + feeds::kMoldHeaderBytes, again.end(), input.bytes().begin() + feeds::kMoldHeaderBytes)) std::abort();
    return 0;
}
