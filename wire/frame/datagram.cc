#include "wire/frame/datagram.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstring>

#include "wire/base/assert.h"
#include "wire/base/crc32c.h"

namespace eagre::frame {
namespace {

constexpr size_t kCrcPlace = offsetof(DatagramHeader, header_crc);

uint32_t crc_of(const DatagramHeader& header, std::span<const std::byte> bitmap) {
    const auto bytes = std::as_bytes(std::span(&header, 1)).first(kCrcPlace);
    return crc32c(bitmap, crc32c(bytes));
}

}  // namespace

bool DatagramView::has(uint64_t packet) const {
    if (packet < header.next_packet) return true;
    const uint64_t bit = packet - header.next_packet;
    if (bit / 8 >= bitmap.size()) return false;
    return (static_cast<unsigned>(bitmap[bit / 8]) >> (bit % 8) & 1U) != 0;
}

void seal_datagram(DatagramHeader& header, std::span<const std::byte> bitmap) {
    EAGRE_ASSERT_EQ(bitmap.size(), size_t{header.bitmap_words} * 8);
    header.header_crc = crc_of(header, bitmap);
}

Result<DatagramView> decode_datagram(std::span<std::byte> bytes) {
    if (bytes.size() < kDatagramHeaderBytes) return Errc::kBadLength;
    DatagramView view;
    std::memcpy(static_cast<void*>(&view.header), bytes.data(), sizeof(view.header));
    if (view.header.magic != kDatagramMagic) return Errc::kBadMagic;
    if (view.header.version != kDatagramVersion) return error_of(Errc::kBadVersion, view.header.version);
    const size_t words = view.header.bitmap_words;
    if (words > kDatagramBitmapWordsMax || bytes.size() < kDatagramHeaderBytes + words * 8) return Errc::kBadLength;
    view.bitmap = bytes.subspan(kDatagramHeaderBytes, words * 8);
    view.frames = bytes.subspan(kDatagramHeaderBytes + words * 8);
    if (crc_of(view.header, view.bitmap) != view.header.header_crc) return Errc::kBadCrc;
    const auto kind = static_cast<uint8_t>(view.header.kind);
    if (kind < static_cast<uint8_t>(DatagramKind::kNumbered) || kind > static_cast<uint8_t>(DatagramKind::kAnswer)) {
        return error_of(Errc::kBadKind, kind);
    }
    if (words != 0 && view.header.kind != DatagramKind::kAnswer) return Errc::kBadLength;
    return view;
}

DatagramToken make_datagram_token(const DatagramSecret& secret, uint64_t session, std::span<const std::byte> address) {
    std::array<std::byte, 64> message{};
    EAGRE_ASSERT_LE(address.size(), message.size() - sizeof(session) - 1);
    std::memcpy(message.data(), &session, sizeof(session));
    message[sizeof(session)] = static_cast<std::byte>(address.size());
    if (!address.empty()) std::memcpy(message.data() + sizeof(session) + 1, address.data(), address.size());
    std::array<uint8_t, EVP_MAX_MD_SIZE> mac{};
    unsigned bytes = 0;
    const auto* made = HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
                            reinterpret_cast<const uint8_t*>(message.data()), sizeof(session) + 1 + address.size(), mac.data(),
                            &bytes);
    EAGRE_ASSERT(made != nullptr);
    EAGRE_ASSERT_EQ(bytes, 32U);
    DatagramToken token;
    std::memcpy(&token, mac.data(), sizeof(token));
    return token;
}

}  // namespace eagre::frame
