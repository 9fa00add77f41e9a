#include "wire/client/connection.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <flatbuffers/flatbuffers.h>

#include "wire/base/assert.h"
#include "wire/identity/proof.h"
#include "wire/identity/secret.h"
#include "wire/schema/request_generated.h"

namespace eagre::client {

using frame::FrameHeader;
using frame::FrameKind;

namespace {

flatbuffers::Offset<flatbuffers::Vector<uint8_t>> pack(flatbuffers::FlatBufferBuilder& builder, const identity::Bytes32& bytes) {
    return builder.CreateVector(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

bool is(const flatbuffers::Vector<uint8_t>* bytes, const identity::Bytes32& wanted) {
    return bytes != nullptr && identity::equal_constant_time(std::as_bytes(std::span(bytes->data(), bytes->size())), wanted);
}

std::vector<std::byte> padded(const flatbuffers::FlatBufferBuilder& builder) {
    std::vector<std::byte> payload(std::max<size_t>(16, (builder.GetSize() + 7) / 8 * 8));
    std::memcpy(payload.data(), builder.GetBufferPointer(), builder.GetSize());
    return payload;
}

}  // namespace

Connection::Connection(Transport& transport, ConnectionEvents& events, const ClientOptions& options,
                       uint32_t core, uint16_t port)
    : transport_(transport), events_(events), options_(options), core_(core), port_(port) {
    buffer_.resize(kReceiveBufferBytes);
}

Connection::~Connection() {
    if (state_ != State::kIdle) transport_.close(pipe_);
}

void Connection::set_port(uint16_t port) {
    if (port == port_ || port == 0) return;
    port_ = port;
    if (state_ != State::kIdle) lose(error_of(Errc::kDisconnected), transport_.monotonic_ns());
    retry_at_ns_ = 0;
}

void Connection::push(FrameHeader header, std::span<const std::byte> payload) {
    frame::seal_frame(header, payload);
    Outgoing& out = outgoing_.emplace_back();
    out.owned.resize(sizeof(header) + payload.size());
    std::memcpy(out.owned.data(), &header, sizeof(header));
    if (!payload.empty())
        std::memcpy(out.owned.data() + sizeof(header), payload.data(), payload.size());
}

void Connection::push_shared(SendBufferPointer frame) {
    EAGRE_ASSERT_GE(frame->bytes.size(), frame::kHeaderBytes);
    frame->handed_over = false;
    if (path_ != nullptr && path_->takes(frame->bytes.size())) {
        path_->push(std::move(frame));
        return;
    }
    outgoing_.emplace_back().shared = std::move(frame);
}

uint32_t Connection::batch_bytes_max() const {
    if (path_ == nullptr) return UINT32_MAX;
    return path_->datagram_bytes() - static_cast<uint32_t>(frame::kDatagramHeaderBytes + frame::kHeaderBytes);
}

uint64_t Connection::next_timer_ns() const {
    if (state_ == State::kIdle) return retry_at_ns_;
    if (state_ != State::kReady) return began_ns_ + kConnectNsMax;
    return path_ != nullptr ? path_->next_timer_ns() : UINT64_MAX;
}

bool Connection::poll(uint64_t now_ns) {
    if (state_ == State::kIdle) {
        if (now_ns < retry_at_ns_) return false;
        begin(now_ns);
        if (state_ == State::kIdle) return true;  // It failed at once; the reason must not become a time-out.
    }
    if (state_ != State::kReady && now_ns > began_ns_ + kConnectNsMax) {
        lose(error_of(Errc::kTimeout), now_ns);
        return true;
    }
    bool moved = send();
    if (state_ != State::kIdle) moved = receive(now_ns) || moved;
    if (path_ != nullptr) moved = poll_datagrams(now_ns) || moved;
    if (state_ != State::kIdle) moved = send() || moved;
    return moved;
}

void Connection::begin(uint64_t now_ns) {
    const auto pipe = transport_.connect(options_.address, port_);
    if (!pipe) {
        lose(pipe.error(), now_ns);
        return;
    }
    pipe_ = *pipe;
    ++epoch_;
    state_ = State::kConnecting;
    began_ns_ = now_ns;
    begin_ = end_ = 0;
    outgoing_.clear();
    front_sent_ = 0;
    flatbuffers::FlatBufferBuilder builder;
    const auto name = builder.CreateString(options_.name);
    proof_sent_ = false;
    flatbuffers::Offset<flatbuffers::String> key_id;
    flatbuffers::Offset<flatbuffers::Vector<uint8_t>> nonce;
    if (!options_.key_id.empty()) {
        for (size_t i = 0; i < client_nonce_.size(); i += sizeof(uint64_t)) {
            const uint64_t random = transport_.random();
            std::memcpy(client_nonce_.data() + i, &random, sizeof(random));
        }
        key_id = builder.CreateString(options_.key_id);
        nonce = pack(builder, client_nonce_);
    }
    wire::HelloBuilder hello(builder);
    hello.add_client_name(name);
    if (!options_.key_id.empty()) {
        hello.add_key_id(key_id);
        hello.add_client_nonce(nonce);
        hello.add_purpose(static_cast<uint32_t>(identity::Purpose::kNative));
    }
    builder.Finish(hello.Finish());
    FrameHeader header;
    header.kind = FrameKind::kHello;
    push(header, padded(builder));
}

Status Connection::answer_challenge(const FrameHeader& header, std::span<const std::byte> payload) {
    const auto* raw = reinterpret_cast<const uint8_t*>(payload.data());
    flatbuffers::Verifier verifier(raw, payload.size(), 4, 4);
    if (options_.key_id.empty() || options_.key_id.size() > identity::kKeyIdBytes || proof_sent_ || payload.size() < 16 ||
        !verifier.VerifyBuffer<wire::Challenge>(nullptr)) {
        return Errc::kBadSchema;
    }
    const auto* table = flatbuffers::GetRoot<wire::Challenge>(raw);
    identity::Challenge challenge;
    if (table->server_nonce() == nullptr || table->server_nonce()->size() != challenge.server_nonce.size()) return Errc::kBadSchema;
    std::memcpy(challenge.server_nonce.data(), table->server_nonce()->data(), challenge.server_nonce.size());
    challenge.box_id_high = table->box_id_high();
    challenge.box_id_low = table->box_id_low();
    challenge.incarnation = table->incarnation();
    challenge.core = table->core();
    challenge.client_nonce = client_nonce_;
    challenge.key_id = options_.key_id;
    const identity::Bytes32 secret_verifier = identity::verifier_of(options_.secret);
    server_proof_ = identity::server_proof(secret_verifier, challenge);
    flatbuffers::FlatBufferBuilder builder;
    builder.Finish(wire::CreateProof(builder, pack(builder, identity::client_proof(secret_verifier, challenge))));
    FrameHeader proof;
    proof.kind = FrameKind::kProof;
    proof.correlation = header.correlation;
    push(proof, padded(builder));
    proof_sent_ = true;
    return {};
}

void Connection::lose(Error why, uint64_t now_ns) {
    const bool was_up = state_ != State::kIdle;
    if (was_up) transport_.close(pipe_);
    state_ = State::kIdle;
    path_.reset();
    last_error_ = why;
    outgoing_.clear();
    front_sent_ = 0;
    begin_ = end_ = 0;
    back_off_ns_ =
        std::clamp(back_off_ns_ * 2, options_.reconnect_ns_min, options_.reconnect_ns_max);
    // Half of the pause is random, so that a thousand clients don't come back in one moment.
    retry_at_ns_ = now_ns + back_off_ns_ / 2 + transport_.random() % (back_off_ns_ / 2 + 1);
    events_.on_lost(core_, why);
}

bool Connection::send() {
    bool moved = false;
    while (!outgoing_.empty()) {
        std::array<Slice, 64> slices;
        size_t count = 0;
        size_t offered = 0;
        for (const Outgoing& out : outgoing_) {
            if (count == slices.size()) break;
            const auto bytes = out.bytes().subspan(count == 0 ? front_sent_ : 0);
            slices[count++] = {bytes.data(), bytes.size()};
            offered += bytes.size();
        }
        const auto taken = transport_.send(pipe_, std::span(slices).first(count));
        if (!taken) {
            lose(taken.error(), transport_.monotonic_ns());
            return true;
        }
        size_t left = *taken;
        moved = moved || left > 0;
        while (left > 0) {
            const size_t rest = outgoing_.front().bytes().size() - front_sent_;
            if (left < rest) {
                front_sent_ += left;
                break;
            }
            left -= rest;
            front_sent_ = 0;
            if (outgoing_.front().shared != nullptr) outgoing_.front().shared->handed_over = true;
            outgoing_.pop_front();
        }
        if (*taken < offered) break;
    }
    return moved;
}

bool Connection::receive(uint64_t now_ns) {
    bool moved = false;
    // Bounded per poll, so that one fast core doesn't starve the others.
    for (int i = 0; i < 4 && state_ != State::kIdle; ++i) {
        if (begin_ > 0) {
            std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
            end_ -= begin_;
            begin_ = 0;
        }
        if (end_ == 0 && buffer_.size() > kReceiveBufferBytes) {
            buffer_.resize(kReceiveBufferBytes);
            buffer_.shrink_to_fit();
        }
        const size_t room = std::min(kReceiveBytes, buffer_.size() - end_);
        const auto got = transport_.receive(pipe_, std::span(buffer_).subspan(end_, room));
        if (!got) {
            lose(got.error(), now_ns);
            return true;
        }
        if (*got == 0) break;
        moved = true;
        end_ += *got;
        const uint64_t epoch = epoch_;
        handle(now_ns);
        if (epoch != epoch_ || *got < room) break;
    }
    return moved;
}

void Connection::handle(uint64_t now_ns) {
    const uint64_t epoch = epoch_;
    while (state_ != State::kIdle && end_ - begin_ >= frame::kHeaderBytes) {
        const auto bytes = std::span<const std::byte>(buffer_).subspan(begin_, end_ - begin_);
        const auto header = frame::decode_header(bytes);
        if (!header) {
            lose(header.error(), now_ns);
            return;
        }
        const size_t whole = frame::kHeaderBytes + header->payload_bytes;
        if (bytes.size() < whole) {
            if (whole > buffer_.size()) buffer_.resize(whole + kReceiveBytes);
            return;
        }
        const auto payload = bytes.subspan(frame::kHeaderBytes, header->payload_bytes);
        if (!frame::payload_matches(*header, payload)) {
            lose(error_of(Errc::kBadCrc), now_ns);
            return;
        }
        begin_ += whole;
        if (header->kind == FrameKind::kError) {
            lose(Error{frame::errc_of(*header), 0, header->detail}, now_ns);
            return;
        }
        if (state_ == State::kConnecting && header->kind == FrameKind::kChallenge) {
            if (const Status answered = answer_challenge(*header, payload); !answered) {
                lose(answered.error(), now_ns);
                return;
            }
        } else if (state_ == State::kConnecting) {
            const auto* raw = reinterpret_cast<const uint8_t*>(payload.data());
            flatbuffers::Verifier verifier(raw, payload.size(), 4, 4);
            if (header->kind != FrameKind::kHelloReply || payload.size() < 16 ||
                !verifier.VerifyBuffer<wire::HelloReply>(nullptr)) {
                lose(error_of(Errc::kBadSchema), now_ns);
                return;
            }
            const auto* reply = flatbuffers::GetRoot<wire::HelloReply>(raw);
            if (!options_.key_id.empty() && !(proof_sent_ && is(reply->server_proof(), server_proof_))) {
                // Whoever this is, it does not know our key: it is not the box that gave it.
                lose(error_of(Errc::kUnauthenticated), now_ns);
                return;
            }
            ports_.clear();
            if (reply->ports() != nullptr)
                ports_.assign(reply->ports()->begin(), reply->ports()->end());
            incarnation_ = reply->incarnation();
            if (options_.datagrams && (reply->features() & frame::kFeatureDatagrams) == 0) {
                lose(error_of(Errc::kUnavailable), now_ns);
                return;
            }
            if (options_.datagrams) ask_for_datagrams({});
            else become_ready();
        } else if (state_ == State::kOpeningDatagrams) {
            const auto opened = open_datagrams(*header, payload);
            if (!opened) {
                lose(opened.error(), now_ns);
                return;
            }
            if (*opened) become_ready();
        } else {
            events_.on_frame(core_, *header, payload);
        }
        if (epoch != epoch_) return;  // A callback lost this pipe.
    }
}

}  // namespace eagre::client
