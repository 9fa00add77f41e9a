// The datagram side of a connection: asks for the token after hello, and hands on what the path brings.
#include <flatbuffers/flatbuffers.h>

#include <algorithm>
#include <cstring>

#include "wire/client/connection.h"
#include "wire/schema/request_generated.h"

namespace eagre::client {

using frame::FrameHeader;
using frame::FrameKind;

void Connection::become_ready() {
    state_ = State::kReady;
    back_off_ns_ = 0;
    events_.on_ready(core_, ports_, incarnation_);
}

void Connection::ask_for_datagrams(const std::string& from) {
    datagrams_from_ = from;
    state_ = State::kOpeningDatagrams;
    flatbuffers::FlatBufferBuilder builder;
    const auto name = builder.CreateString(options_.name);
    const uint32_t bytes = options_.datagram_bytes != 0 ? options_.datagram_bytes : kDatagramBytesDefault;
    const auto own = from.empty() ? flatbuffers::Offset<flatbuffers::String>() : builder.CreateString(from);
    builder.Finish(wire::CreateOpenDatagrams(builder, bytes, name, own));
    std::vector<std::byte> payload((builder.GetSize() + 7) / 8 * 8);
    std::memcpy(payload.data(), builder.GetBufferPointer(), builder.GetSize());
    FrameHeader header;
    header.kind = FrameKind::kOpenDatagrams;
    push(header, payload);
}

Result<bool> Connection::open_datagrams(const FrameHeader& header, std::span<const std::byte> payload) {
    if (header.kind != FrameKind::kDatagramsOpened) return Errc::kBadKind;
    if (const Errc code = frame::errc_of(header); code != Errc::kOk) return error_of(code, header.detail);
    const auto* raw = reinterpret_cast<const uint8_t*>(payload.data());
    flatbuffers::Verifier verifier(raw, payload.size(), 4, 4);
    if (payload.size() < 16 || !verifier.VerifyBuffer<wire::DatagramsOpened>(nullptr)) return Errc::kBadSchema;
    const auto* opened = flatbuffers::GetRoot<wire::DatagramsOpened>(raw);
    // Datagrams may go through a device with an address of its own, and there by another way: the token holds for where they
    // come from, which the way decides.
    const bool elsewhere = opened->address() != nullptr && opened->address()->size() != 0;
    const auto pipe = transport_.open_datagrams(elsewhere ? opened->address()->string_view() : std::string_view(options_.address), opened->port());
    if (!pipe) return pipe.error();
    if (elsewhere && datagrams_from_.empty()) {
        const std::string from = transport_.local_address(*pipe);
        if (!from.empty()) {
            transport_.close(*pipe);
            ask_for_datagrams(from);
            return false;
        }
    }
    // Where nothing else is asked for, what any path takes; else at most what this path and the box do.
    uint32_t bytes = options_.datagram_bytes != 0 ? options_.datagram_bytes : transport_.datagram_bytes(*pipe);
    bytes = std::min({bytes, opened->datagram_bytes_max(), kDatagramBytesMax});
    bytes = std::max(bytes / 8 * 8, kDatagramBytesMin);
    path_ = std::make_unique<DatagramPath>(transport_, *pipe, opened->session(),
                                           frame::DatagramToken{opened->token_high(), opened->token_low()}, bytes);
    return true;
}

bool Connection::poll_datagrams(uint64_t now_ns) {
    const auto moved = path_->poll(now_ns);
    if (!moved) {
        lose(moved.error(), now_ns);
        return true;
    }
    for (SendBufferPointer& frame : path_->too_large()) outgoing_.emplace_back().shared = std::move(frame);
    path_->too_large().clear();
    if (path_->answers().empty()) return *moved;
    const uint64_t epoch = epoch_;
    const std::vector<FrameHeader> answers = std::exchange(path_->answers(), {});
    for (const FrameHeader& answer : answers) {
        if (answer.kind == FrameKind::kError) {
            lose(Error{frame::errc_of(answer), 0, answer.detail}, now_ns);
            return true;
        }
        if (answer.kind == FrameKind::kAppendReply) events_.on_frame(core_, answer, {});
        if (epoch != epoch_ || path_ == nullptr) return true;  // A callback lost this connection.
    }
    return true;
}

}  // namespace eagre::client
