#include "wire/feeds/moldudp64.h"

#include <algorithm>
#include <cstring>

namespace eagre::feeds {
namespace {

uint64_t read_big(std::span<const std::byte> bytes) {
    uint64_t value = 0;
    for (const std::byte byte : bytes) value = value << 8U | std::to_integer<uint64_t>(byte);
    return value;
}

void write_big(std::span<std::byte> bytes, uint64_t value) {
    for (size_t i = bytes.size(); i > 0; --i, value >>= 8U) bytes[i - 1] = static_cast<std::byte>(value);
}

constexpr size_t kSequenceAt = 10;
constexpr size_t kCountAt = 18;

}  // namespace

std::optional<MoldHeader> decode_mold_header(std::span<const std::byte> datagram) {
    if (datagram.size() < kMoldHeaderBytes) return std::nullopt;
    MoldHeader header;
    std::memcpy(header.session.data(), datagram.data(), header.session.size());
    header.sequence = read_big(datagram.subspan(kSequenceAt, 8));
    header.count = static_cast<uint16_t>(read_big(datagram.subspan(kCountAt, 2)));
    if (header.next() < header.sequence) return std::nullopt;
    return header;
}

std::optional<std::span<const std::byte>> MoldMessages::next() {
    if (left_ == 0 || rest_.size() < 2) return std::nullopt;
    const size_t bytes = read_big(rest_.first(2));
    if (bytes > rest_.size() - 2) return std::nullopt;
    const auto message = rest_.subspan(2, bytes);
    rest_ = rest_.subspan(2 + bytes);
    --left_;
    return message;
}

MoldWriter::MoldWriter(std::string_view session, size_t bytes_max) : bytes_max_(bytes_max) {
    session_.fill(' ');
    std::copy_n(session.begin(), std::min(session.size(), session_.size()), session_.begin());
    bytes_.reserve(bytes_max);
    clear();
}

void MoldWriter::clear() {
    bytes_.assign(kMoldHeaderBytes, std::byte{0});
    count_ = 0;
}

bool MoldWriter::add(std::span<const std::byte> message) {
    if (!fits(message.size()) || bytes_.size() + 2 + message.size() > bytes_max_ || count_ == kMoldCountMax) return false;
    std::array<std::byte, 2> length{};
    write_big(length, message.size());
    bytes_.insert(bytes_.end(), length.begin(), length.end());
    bytes_.insert(bytes_.end(), message.begin(), message.end());
    ++count_;
    return true;
}

void MoldWriter::put_header(uint64_t sequence, uint16_t count) {
    std::memcpy(bytes_.data(), session_.data(), session_.size());
    write_big(std::span(bytes_).subspan(kSequenceAt, 8), sequence);
    write_big(std::span(bytes_).subspan(kCountAt, 2), count);
}

std::span<const std::byte> MoldWriter::finish(uint64_t sequence) {
    put_header(sequence, count_);
    return bytes_;
}

std::span<const std::byte> MoldWriter::finish_empty(uint64_t sequence, bool end) {
    clear();
    put_header(sequence, end ? kMoldEnd : uint16_t{0});
    return bytes_;
}

}  // namespace eagre::feeds
