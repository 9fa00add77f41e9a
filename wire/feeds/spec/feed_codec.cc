#include "wire/feeds/spec/feed_codec.h"

#include <algorithm>
#include <cstring>

#include "wire/base/crc32c.h"
#include "wire/base/limits.h"

namespace eagre::feeds {
namespace {

constexpr std::string_view kFileMagic = "EAGRFEED";
constexpr size_t kFileHeaderBytes = 16;
constexpr flatbuffers::uoffset_t kDepthMax = 6;
constexpr flatbuffers::uoffset_t kTableMax = 4 * kFeedCountMax;

std::string text_of(const flatbuffers::String* text) { return text == nullptr ? std::string() : text->str(); }

}  // namespace

Result<FeedSpec> feed_spec_from(const wire::FeedInfo& table) {
    FeedSpec spec;
    spec.id = table.id();
    spec.name = text_of(table.name());
    spec.stream = StreamId{table.stream_id()};
    spec.stream_name = text_of(table.stream_name());
    spec.framing = static_cast<Framing>(table.framing());
    spec.key = text_of(table.key());
    spec.window_ms = table.window_ms();
    spec.paused = table.paused();
    spec.created_ns = table.created_ns();
    if (table.lines() != nullptr) {
        if (table.lines()->size() > kFeedLineCountMax) return error_of(Errc::kBadArgument, spec.id);
        for (const wire::FeedLine* line : *table.lines()) {
            spec.lines.push_back({text_of(line->address()), line->port(), text_of(line->interface()), text_of(line->source())});
        }
    }
    if (spec.key.size() > kFeedKeyBytesMax || spec.stream_name.size() > kStreamNameBytesMax || spec.name.size() > kFeedNameBytesMax)
        return error_of(Errc::kBadArgument, spec.id);
    return spec;
}

flatbuffers::Offset<wire::FeedInfo> pack_feed(flatbuffers::FlatBufferBuilder& builder, const FeedSpec& spec) {
    std::vector<flatbuffers::Offset<wire::FeedLine>> lines;
    for (const FeedLine& line : spec.lines) {
        const auto address = builder.CreateString(line.address);
        const auto interface = builder.CreateString(line.interface);
        const auto source = builder.CreateString(line.source);
        lines.push_back(wire::CreateFeedLine(builder, address, line.port, interface, source));
    }
    const auto name = builder.CreateString(spec.name);
    const auto stream_name = builder.CreateString(spec.stream_name);
    const auto packed_lines = builder.CreateVector(lines);
    const auto key = builder.CreateString(spec.key);
    return wire::CreateFeedInfo(builder, spec.id, name, spec.stream.value, stream_name, packed_lines, static_cast<wire::FeedFraming>(spec.framing), key,
                                spec.window_ms, spec.paused, spec.created_ns);
}

Result<FeedSetPointer> feed_set_from(const wire::FeedSet* table) {
    auto set = std::make_shared<FeedSet>();
    if (table == nullptr) return FeedSetPointer(std::move(set));
    set->number = table->number();
    if (table->feeds() == nullptr) return FeedSetPointer(std::move(set));
    if (table->feeds()->size() > kFeedCountMax) return error_of(Errc::kLimitExceeded, kFeedCountMax);
    for (const wire::FeedInfo* each : *table->feeds()) {
        auto spec = feed_spec_from(*each);
        if (!spec) return spec.error();
        set->feeds.push_back(std::move(*spec));
    }
    std::sort(set->feeds.begin(), set->feeds.end(), [](const FeedSpec& a, const FeedSpec& b) { return a.id < b.id; });
    const auto twice = std::adjacent_find(set->feeds.begin(), set->feeds.end(), [](const FeedSpec& a, const FeedSpec& b) { return a.id == b.id; });
    if (twice != set->feeds.end()) return error_of(Errc::kBadArgument, twice->id);
    return FeedSetPointer(std::move(set));
}

flatbuffers::Offset<wire::FeedSet> pack_feed_set(flatbuffers::FlatBufferBuilder& builder, const FeedSet& set) {
    std::vector<flatbuffers::Offset<wire::FeedInfo>> feeds;
    feeds.reserve(set.feeds.size());
    for (const FeedSpec& spec : set.feeds) feeds.push_back(pack_feed(builder, spec));
    return wire::CreateFeedSet(builder, set.number, builder.CreateVector(feeds));
}

std::vector<std::byte> encode_feed_file(const FeedSet& set) {
    flatbuffers::FlatBufferBuilder builder;
    builder.Finish(pack_feed_set(builder, set));
    const auto table = std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize()));
    std::vector<std::byte> file(kFileHeaderBytes + table.size());
    const uint32_t crc = crc32c(table);
    const auto length = static_cast<uint32_t>(table.size());
    std::memcpy(file.data(), kFileMagic.data(), kFileMagic.size());
    std::memcpy(file.data() + 8, &crc, sizeof(crc));
    std::memcpy(file.data() + 12, &length, sizeof(length));
    std::copy(table.begin(), table.end(), file.begin() + kFileHeaderBytes);
    return file;
}

Result<FeedSetPointer> decode_feed_file(std::span<const std::byte> file) {
    if (file.size() < kFileHeaderBytes || std::memcmp(file.data(), kFileMagic.data(), kFileMagic.size()) != 0) return Errc::kCorruptDirectory;
    uint32_t crc = 0;
    uint32_t length = 0;
    std::memcpy(&crc, file.data() + 8, sizeof(crc));
    std::memcpy(&length, file.data() + 12, sizeof(length));
    // Copied, so that it lies aligned.
    const std::vector<std::byte> table(file.begin() + kFileHeaderBytes, file.end());
    if (table.size() != length || crc32c(table) != crc) return Errc::kCorruptDirectory;
    const auto* bytes = reinterpret_cast<const uint8_t*>(table.data());
    flatbuffers::Verifier verifier(bytes, table.size(), kDepthMax, kTableMax);
    if (!verifier.VerifyBuffer<wire::FeedSet>(nullptr)) return Errc::kCorruptDirectory;
    auto set = feed_set_from(flatbuffers::GetRoot<wire::FeedSet>(bytes));
    if (!set) return Errc::kCorruptDirectory;
    return set;
}

}  // namespace eagre::feeds
