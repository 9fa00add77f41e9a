#include "control/gateway/model/iterator.h"

#include <time.h>

#include <array>
#include <cstring>
#include <span>

#include <fmt/format.h>
#include <openssl/crypto.h>

#include "control/gateway/document/base64.h"

namespace eagre::gateway {
namespace {

constexpr size_t kSealBytes = 16;

/// What is signed, in front of the name.
struct Packed {
    uint64_t version = 1;
    uint64_t created_ms = 0;
    uint64_t stream = 0;
    uint64_t shard = 0;
    uint64_t next = 0;
};

std::string seal(const identity::Bytes32& key, std::string_view bytes) {
    const identity::Bytes32 mac = identity::hmac_sha256(key, std::as_bytes(std::span(bytes)));
    return {reinterpret_cast<const char*>(mac.data()), kSealBytes};
}

std::string time_text(uint64_t ms) {
    const auto seconds = static_cast<time_t>(ms / 1000);
    tm parts{};
    ::gmtime_r(&seconds, &parts);
    std::array<char, 40> text{};
    return {text.data(), ::strftime(text.data(), text.size(), "%a %b %d %H:%M:%S UTC %Y", &parts)};
}

}  // namespace

std::string IteratorSigner::sign(const Iterator& iterator) const {
    const Packed packed{1, iterator.created_ms, iterator.stream.value, iterator.shard.value, iterator.next.value};
    std::string bytes(reinterpret_cast<const char*>(&packed), sizeof(packed));
    bytes += iterator.stream_name;
    bytes = seal(key_, bytes) + bytes;
    std::string text;
    append_base64(text, bytes);
    return text;
}

std::variant<Iterator, ApiError> IteratorSigner::open(std::string_view text, uint64_t now_ms) const {
    const auto bytes = decode_base64(text);
    if (!bytes || bytes->size() < kSealBytes + sizeof(Packed)) return invalid_argument("Invalid ShardIterator.");
    const std::string_view signed_part = std::string_view(*bytes).substr(kSealBytes);
    if (CRYPTO_memcmp(seal(key_, signed_part).data(), bytes->data(), kSealBytes) != 0) return invalid_argument("Invalid ShardIterator.");
    Packed packed;
    std::memcpy(&packed, signed_part.data(), sizeof(packed));
    if (packed.version != 1) return invalid_argument("Invalid ShardIterator.");
    if (now_ms > packed.created_ms + kIteratorMs) {
        return ApiError{"ExpiredIteratorException",
                        fmt::format("Iterator expired. The iterator was created at time {} while right now it is {} which is further in the "
                                    "future than the tolerated delay of {} milliseconds.",
                                    time_text(packed.created_ms), time_text(now_ms), kIteratorMs)};
    }
    return Iterator{StreamId{packed.stream}, ShardId{packed.shard}, SequenceNumber{packed.next}, packed.created_ms,
                    std::string(signed_part.substr(sizeof(Packed)))};
}

}  // namespace eagre::gateway
