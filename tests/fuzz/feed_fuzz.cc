// Any bytes as a datagram of a feed: what is taken out lies within it, and what a writer makes of it reads back.
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "tests/fuzz/fuzz_input.h"
#include "wire/feeds/arbiter.h"
#include "wire/feeds/key_rule.h"
#include "wire/feeds/moldudp64.h"
#include "wire/feeds/spec/feed_codec.h"

using namespace eagre;

namespace {

// Whatever comes in whatever order: numbers rise, each once, in a message or in a gap.
class Checker final : public feeds::ArbiterListener {
  public:
    uint64_t on_session(const feeds::MoldSession&, uint64_t first) override { return next_ = first; }
    void on_message(uint64_t sequence, std::span<const std::byte> message) override {
        if (sequence != next_) std::abort();
        next_ = sequence + 1;
        fuzz::keep(fuzz::touch(message));
    }
    void on_gap(uint64_t first, uint64_t count) override {
        if (first != next_ || count == 0) std::abort();
        next_ = first + count;
    }

  private:
    uint64_t next_ = 0;
};

void arbitrate(std::span<const std::byte> bytes) {
    Checker checker;
    feeds::Arbiter arbiter(checker, {.window_ns = 5, .waiting_bytes_max = 4096, .jump_max = 1000, .quiet_ns = 50});
    uint64_t now_ns = 1;
    while (bytes.size() > 1) {
        // The first byte says how long the datagram is, and how long it took to come.
        const auto said = std::to_integer<size_t>(bytes[0]);
        const fuzz::AlignedInput datagram({reinterpret_cast<const uint8_t*>(bytes.data() + 1), std::min(said % 64, bytes.size() - 1)});
        bytes = bytes.subspan(1 + datagram.bytes().size());
        now_ns += said / 64;
        if (const auto header = feeds::decode_mold_header(datagram.bytes())) arbiter.take(*header, datagram.bytes(), now_ns, now_ns);
        arbiter.expire(now_ns);
        if (arbiter.waiting_bytes() > 4096 + 64) std::abort();
    }
    arbiter.finish();
}

void find_keys(std::span<const std::byte> record) {
    static auto rules = [] {
        std::vector<feeds::KeyRule> made;
        for (const char* text : {"bytes:1:2", "bytes:0:128", "until:,", "until:\\n", "regex:(\\w+)=", "regex:(a|b)*c"}) made.push_back(std::move(*feeds::KeyRule::parse(text)));
        return made;
    }();
    for (feeds::KeyRule& rule : rules) {
        const std::string_view key = rule.key_of(record);
        if (key.size() > 256) std::abort();
        fuzz::keep(fuzz::touch(std::as_bytes(std::span(key))));
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const fuzz::AlignedInput input({data, size});
    arbitrate(input.bytes());
    find_keys(input.bytes());
    fuzz::keep(bool{feeds::decode_feed_file(input.bytes())} ? 1 : 0);
    (void)feeds::KeyRule::parse({reinterpret_cast<const char*>(data), size});
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
