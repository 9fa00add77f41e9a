// MoldUDP64 by the book, what a writer makes, and what liars send.
#include "wire/feeds/moldudp64.h"

#include <gtest/gtest.h>

#include <string>

namespace eagre::feeds {
namespace {

std::vector<std::byte> bytes_of(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}
std::string text_of(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

TEST(MoldUdp64, AsTheSpecificationHasIt) {
    const auto datagram = bytes_of(std::string_view("SESSION001" "\0\0\0\0\0\0\1\2" "\0\2" "\0\3abc" "\0\0", 27));
    const auto header = decode_mold_header(datagram);
    ASSERT_TRUE(header.has_value());
    EXPECT_EQ(std::string(header->session.data(), 10), "SESSION001");
    EXPECT_EQ(header->sequence, 0x102U);
    EXPECT_EQ(header->count, 2U);
    EXPECT_EQ(header->next(), 0x104U);
    MoldMessages messages(*header, datagram);
    EXPECT_EQ(text_of(*messages.next()), "abc");
    EXPECT_EQ(text_of(*messages.next()), "");
    EXPECT_FALSE(messages.next());
    EXPECT_EQ(messages.left(), 0U);
    EXPECT_EQ(messages.rest_bytes(), 0U);
}

TEST(MoldUdp64, WhatAWriterMakesReadsBack) {
    MoldWriter writer("itch", 64);
    std::vector<std::string> sent;
    while (writer.add(bytes_of("message " + std::to_string(sent.size())))) sent.push_back("message " + std::to_string(sent.size()));
    EXPECT_EQ(sent.size(), 4U);
    const auto datagram = writer.finish(77);
    EXPECT_LE(datagram.size(), 64U);
    const auto header = decode_mold_header(datagram);
    EXPECT_EQ(std::string(header->session.data(), 10), "itch      ");
    EXPECT_EQ(header->sequence, 77U);
    MoldMessages messages(*header, datagram);
    for (const std::string& each : sent) EXPECT_EQ(text_of(*messages.next()), each);
    EXPECT_FALSE(messages.next());

    EXPECT_TRUE(decode_mold_header(writer.finish_empty(81, false))->is_heartbeat());
    const auto end = decode_mold_header(writer.finish_empty(81, true));
    EXPECT_TRUE(end->is_end());
    EXPECT_EQ(end->next(), 81U);
    EXPECT_FALSE(MoldMessages(*end, writer.finish_empty(81, true)).next());
    EXPECT_TRUE(writer.fits(42));
    EXPECT_FALSE(writer.fits(43));
    EXPECT_FALSE(writer.add(std::vector<std::byte>(43)));
}

TEST(MoldUdp64, LiarsGetNothing) {
    const auto whole = bytes_of(std::string_view("SESSION001" "\0\0\0\0\0\0\0\1" "\0\3" "\0\1a" "\0\1b" "\0\1c", 29));
    for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
        const auto cut = std::span(whole).first(bytes);
        const auto header = decode_mold_header(cut);
        EXPECT_EQ(header.has_value(), bytes >= kMoldHeaderBytes);
        if (!header) continue;
        MoldMessages messages(*header, cut);
        uint16_t count = 0;
        while (messages.next()) ++count;
        EXPECT_EQ(count, (bytes - kMoldHeaderBytes) / 3);
        EXPECT_EQ(messages.left(), 3 - count);
    }
    // More than there is; more than 64 bits can count.
    EXPECT_FALSE(decode_mold_header(bytes_of(std::string_view("SESSION001" "\xff\xff\xff\xff\xff\xff\xff\xff" "\0\2", 20))));
    const auto lying = bytes_of(std::string_view("SESSION001" "\0\0\0\0\0\0\0\1" "\0\2" "\xff\xff" "ab", 24));
    MoldMessages messages(*decode_mold_header(lying), lying);
    EXPECT_FALSE(messages.next());
    EXPECT_EQ(messages.left(), 2U);
}

}  // namespace
}  // namespace eagre::feeds
