#include "control/frames/frame_pipe.h"

#include <algorithm>
#include <cstring>

#include "wire/base/assert.h"

namespace eagre::frames {

Status FramePipe::send(frame::FrameHeader header, std::span<const std::byte> payload) {
    const size_t padded = (payload.size() + 7) / 8 * 8;
    if (padded > kFramePayloadBytesMax) return error_of(Errc::kBadLength, padded);
    if (outgoing_bytes_ + frame::kHeaderBytes + padded > limits_.send_bytes_max) return Errc::kBusy;
    std::vector<std::byte> bytes(frame::kHeaderBytes + padded);
    if (!payload.empty())
        std::memcpy(bytes.data() + frame::kHeaderBytes, payload.data(), payload.size());
    frame::seal_frame(header, std::span(bytes).subspan(frame::kHeaderBytes));
    std::memcpy(bytes.data(), &header, frame::kHeaderBytes);
    outgoing_bytes_ += bytes.size();
    outgoing_.push_back(std::move(bytes));
    return {};
}

Status FramePipe::flush() {
    while (!outgoing_.empty()) {
        const auto& front = outgoing_.front();
        const client::Slice slice{front.data() + front_sent_, front.size() - front_sent_};
        const auto sent = transport_.send(pipe_, std::span(&slice, 1));
        if (!sent) return sent.error();
        if (*sent == 0) return {};
        EAGRE_ASSERT_LE(*sent, slice.bytes);
        front_sent_ += *sent;
        if (front_sent_ < front.size()) continue;
        outgoing_bytes_ -= front.size();
        front_sent_ = 0;
        outgoing_.pop_front();
    }
    return {};
}

Result<bool> FramePipe::fill(std::span<std::byte> target, size_t& filled) {
    while (filled < target.size()) {
        const auto received = transport_.receive(pipe_, target.subspan(filled));
        if (!received) return received.error();
        if (*received == 0) return false;
        filled += *received;
    }
    return true;
}

Status FramePipe::discard() {
    std::array<std::byte, 4096> scratch;
    for (uint32_t i = 0; i < 64; ++i) {  // A flood does not keep us here: 256 KiB a turn.
        const auto received = transport_.receive(pipe_, scratch);
        if (!received) return received.error();
        if (*received == 0) return {};
    }
    return {};
}

Result<std::optional<Frame>> FramePipe::receive() {
    if (!header_) {
        const auto full = fill(header_raw_, header_bytes_);
        if (!full) return full.error();
        if (!*full) return std::nullopt;
        const auto decoded = frame::decode_header(header_raw_, limits_.receive_payload_bytes_max);
        if (!decoded) return decoded.error();
        header_ = *decoded;
        payload_.assign(header_->payload_bytes, std::byte{0});
        payload_bytes_ = 0;
    }
    const auto full = fill(payload_, payload_bytes_);
    if (!full) return full.error();
    if (!*full) return std::nullopt;
    if (!frame::payload_matches(*header_, payload_)) return Errc::kBadCrc;
    Frame frame{*header_, std::move(payload_)};
    header_.reset();
    header_bytes_ = 0;
    payload_ = {};
    return std::optional<Frame>(std::move(frame));
}

}  // namespace eagre::frames
