#include "dataplane/io/packets/checksum.h"

#include <cstring>

namespace eagre::io::packets {

void Checksum::add(std::span<const std::byte> bytes) {
    const std::byte* at = bytes.data();
    size_t left = bytes.size();
    // 64 KiB of 32-bit words add up to less than 2^47: no carry is lost before finish().
    uint64_t first = 0;
    uint64_t second = 0;
    uint64_t third = 0;
    uint64_t fourth = 0;
    for (; left >= 16; left -= 16, at += 16) {
        uint32_t words[4];
        std::memcpy(words, at, sizeof(words));
        first += words[0];
        second += words[1];
        third += words[2];
        fourth += words[3];
    }
    sum_ += first + second + third + fourth;
    for (; left >= 2; left -= 2, at += 2) {
        uint16_t word = 0;
        std::memcpy(&word, at, sizeof(word));
        sum_ += word;
    }
    if (left == 1) sum_ += std::to_integer<uint64_t>(*at);  // As if a zero followed.
}

void Checksum::add_pseudo_header(Ip4 from, Ip4 to, uint8_t protocol, uint16_t bytes) {
    std::array<std::byte, 12> header{};
    store32(header, 0, from.value);
    store32(header, 4, to.value);
    header[9] = std::byte{protocol};
    store16(header, 10, bytes);
    add(header);
}

uint16_t Checksum::finish() const {
    uint64_t sum = sum_;
    while (sum >> 16U != 0) sum = (sum & 0xffffU) + (sum >> 16U);
    return static_cast<uint16_t>(~sum);
}

bool checksum_holds(std::span<const std::byte> bytes) {
    Checksum sum;
    sum.add(bytes);
    return sum.finish() == 0;
}

void store_checksum(std::span<std::byte> bytes, size_t at) {
    std::memset(bytes.data() + at, 0, sizeof(uint16_t));
    Checksum sum;
    sum.add(bytes);
    const uint16_t value = sum.finish();
    std::memcpy(bytes.data() + at, &value, sizeof(value));
}

}  // namespace eagre::io::packets
