// The worked example of wire/FORMAT.md is what the code sends, and is understood as the page says.
#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "wire/frame/batch.h"
#include "wire/frame/frame.h"

namespace eagre::frame {
namespace {

std::vector<uint8_t> example_of_the_page() {
    std::ifstream file(EAGRE_SOURCE_DIR "/wire/FORMAT.md");
    std::vector<uint8_t> bytes;
    bool inside = false;
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("```")) {
            inside = line == "```hex";
            continue;
        }
        if (!inside) continue;
        std::istringstream words(line.substr(line.find(':') + 1));
        for (std::string word; words >> word;)
            bytes.push_back(static_cast<uint8_t>(std::stoul(word, nullptr, 16)));
    }
    return bytes;
}

std::string hex_of(std::span<const std::byte> bytes) {
    std::string text;
    char part[32];
    for (size_t i = 0; i < bytes.size(); ++i) {
        if (i % 16 == 0) {
            std::snprintf(part, sizeof(part), "%s%04zu:", i == 0 ? "" : "\n", i);
            text += part;
        }
        std::snprintf(part, sizeof(part), " %02x", static_cast<unsigned>(bytes[i]));
        text += part;
    }
    return text;
}

TEST(Format, TheWorkedExampleIsWhatIsSent) {
    const std::string data = "hello";
    BatchBuilder builder;
    ASSERT_TRUE(builder.add({"AAPL", std::as_bytes(std::span(data)), {}, 0, 0}).has_value());
    const auto whole = builder.finish_frame();
    FrameHeader header;
    header.kind = FrameKind::kAppend;
    header.correlation = 42;
    header.shard = 7;
    header.detail = 0x0102030405060708;
    header.sequence = 3;
    header.record_count = 1;
    seal_frame(header, whole.subspan(kHeaderBytes));
    std::memcpy(whole.data(), &header, sizeof(header));
    const auto page = example_of_the_page();
    ASSERT_EQ(hex_of(whole), hex_of(std::as_bytes(std::span(page))));
}

TEST(Format, TheWorkedExampleIsUnderstood) {
    const auto page = example_of_the_page();
    std::vector<uint64_t> aligned((page.size() + 7) / 8);
    std::memcpy(aligned.data(), page.data(), page.size());
    const auto bytes = std::as_bytes(std::span(aligned)).first(page.size());
    ASSERT_GE(bytes.size(), kHeaderBytes);
    const auto header = decode_header(bytes);
    ASSERT_TRUE(header.has_value());
    EXPECT_EQ(header->kind, FrameKind::kAppend);
    EXPECT_EQ(header->shard, 7U);
    const auto payload = bytes.subspan(kHeaderBytes);
    ASSERT_TRUE(payload_matches(*header, payload));
    const auto batch = BatchView::verify(payload, header->record_count);
    ASSERT_TRUE(batch.has_value());
    EXPECT_EQ(batch->record(0).partition_key, "AAPL");
    EXPECT_EQ(batch->record(0).data.size(), 5U);
}

}  // namespace
}  // namespace eagre::frame
