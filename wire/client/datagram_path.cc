#include "wire/client/datagram_path.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "wire/base/assert.h"

namespace eagre::client {

using frame::DatagramHeader;
using frame::DatagramKind;
using frame::DatagramView;
using frame::FrameHeader;
using frame::FrameKind;

namespace {

// The box may keep an acknowledgement back for 0.5 ms, and both sides share cores with others: sooner is mostly in vain.
constexpr uint64_t kTimeOutNsMin = 3'000'000ULL;
constexpr uint64_t kTimeOutNsMax = 500'000'000ULL;
constexpr uint64_t kTimeOutNsStart = 30'000'000ULL;
// An answer waits for the disk.
constexpr uint64_t kAnswerNsMin = 20'000'000ULL;
constexpr uint64_t kAnswerNsMax = 2'000'000'000ULL;
constexpr uint64_t kAnswerNsStart = 100'000'000ULL;
constexpr uint64_t kAskCheckNs = 2'000'000ULL;
constexpr uint64_t kReorderNsMin = 20'000ULL;
constexpr uint64_t kFullNs = 50'000ULL;  // A full socket is tried again after this long.
constexpr size_t kReceiveBurst = 32;
constexpr size_t kAnswerPlaceBytes = 2048;
constexpr int kReceivesPerPoll = 4;

}  // namespace

DatagramPath::DatagramPath(Transport& transport, PipeId pipe, uint64_t session, frame::DatagramToken token,
                           uint32_t datagram_bytes)
    : transport_(transport),
      pipe_(pipe),
      session_(session),
      token_(token),
      datagram_bytes_(datagram_bytes),
      round_trip_(kTimeOutNsMin, kTimeOutNsMax, kTimeOutNsStart),
      answer_time_(kAnswerNsMin, kAnswerNsMax, kAnswerNsStart),
      incoming_(kReceiveBurst * kAnswerPlaceBytes) {}

DatagramPath::~DatagramPath() { transport_.close(pipe_); }

void DatagramPath::push(SendBufferPointer frame) {
    FrameHeader header;
    EAGRE_ASSERT_GE(frame->bytes.size(), sizeof(header));
    std::memcpy(&header, frame->bytes.data(), sizeof(header));
    frame->handed_over = false;
    if (frame::ack_mode_of(header) == frame::AckMode::kNone) {
        loose_.push_back(std::move(frame));
        return;
    }
    EAGRE_ASSERT_NE(header.detail, 0U);  // Without a producer id an answer that was lost could not be asked for.
    Packet& packet = packets_.emplace_back();
    packet.frame = std::move(frame);
    packet.correlation = header.correlation;
}

Result<bool> DatagramPath::poll(uint64_t now_ns) {
    last_poll_ns_ = now_ns;
    full_ = false;
    bool moved = receive(now_ns);
    if (const Status in_time = check_timers(now_ns); !in_time) return in_time.error();
    moved = send(now_ns) || moved;
    moved = send_loose(now_ns) || moved;
    return moved;
}

bool DatagramPath::receive(uint64_t now_ns) {
    bool moved = false;
    std::array<uint32_t, kReceiveBurst> lengths;
    for (int i = 0; i < kReceivesPerPoll; ++i) {
        const auto got = transport_.receive_datagrams(pipe_, incoming_, lengths);
        const size_t count = got ? *got : 0;
        for (size_t at = 0; at < count; ++at) {
            const auto view = frame::decode_datagram(std::span(incoming_).subspan(at * kAnswerPlaceBytes, lengths[at]));
            const bool ours = view && view->header.kind == DatagramKind::kAnswer && view->header.session == session_ &&
                              view->header.token == token_ && view->header.next_packet <= next_new_;
            if (ours) {
                take(*view, now_ns);
            } else {
                ++stats_.refused_count;
            }
        }
        moved = moved || count > 0;
        if (count < kReceiveBurst) break;
    }
    return moved;
}

void DatagramPath::take(const DatagramView& view, uint64_t now_ns) {
    const DatagramHeader& header = view.header;
    window_ = std::min(header.window, kDatagramWindow);
    if (header.sent_ns > newest_sent_ns_ && header.sent_ns <= now_ns) {
        newest_sent_ns_ = header.sent_ns;
        round_trip_.sample(now_ns - header.sent_ns);
    }
    const uint32_t before = in_flight_ + lost_count_;
    uint64_t number = std::max(lowest_missing_, first_);
    for (; number < header.next_packet; ++number) arrived(at(number));
    lowest_missing_ = std::max(lowest_missing_, header.next_packet);
    const uint64_t known_end = std::min(next_new_, header.next_packet + view.bitmap.size() * 8);
    for (number = lowest_missing_; number < known_end; ++number) {
        if (view.has(number)) arrived(at(number));
    }
    if (in_flight_ + lost_count_ < before) {
        timeouts_ = 0;
        progress_ns_ = now_ns;
    }
    if (!view.bitmap.empty()) find_lost();

    auto frames = view.frames;
    while (frames.size() >= frame::kHeaderBytes) {
        const auto frame = frame::decode_header(frames);
        // Answers have no payload. What is not one is not for us, and nothing behind it can be trusted.
        if (!frame || frame->payload_bytes != 0) break;
        answered(*frame, now_ns);
        answers_.push_back(*frame);
        frames = frames.subspan(frame::kHeaderBytes);
    }
    forget_settled();
}

void DatagramPath::arrived(Packet& packet) {
    if (packet.arrived) return;
    packet.arrived = true;
    if (packet.lost) {
        packet.lost = false;
        --lost_count_;
    } else {
        --in_flight_;
    }
    // One more per arrival until the first loss, then one more per window.
    const uint32_t wanted = congestion_packets_ < slow_start_until_ ? 1 : congestion_packets_;
    if (++grown_ < wanted) return;
    grown_ = 0;
    congestion_packets_ = std::min(congestion_packets_ + 1, kDatagramWindow);
}

void DatagramPath::answered(const FrameHeader& header, uint64_t now_ns) {
    if (header.kind != FrameKind::kAppendReply) return;
    // Answers come nearly in the order of the packets, so the search nearly always ends where it begins.
    const uint64_t from = std::max(answer_hint_, first_);
    const auto matches = [&](uint64_t number) {
        const Packet& packet = at(number);
        return !packet.answered && packet.correlation == header.correlation;
    };
    uint64_t found = from;
    while (found < end() && !matches(found)) ++found;
    if (found == end()) {
        found = first_;
        while (found < std::min(from, end()) && !matches(found)) ++found;
        if (found >= std::min(from, end())) return;  // An answer to an earlier question, too.
    }
    Packet& packet = at(found);
    // Not yet sent: the answer came while its batch waited to be asked for again. The number will be used up without it.
    if (packet.sent_ns != 0) arrived(packet);
    if (packet.asks == 0 && !packet.resent) answer_time_.sample(now_ns - packet.first_sent_ns);
    packet.answered = true;
    packet.frame.reset();
    answer_hint_ = found + 1;
}

void DatagramPath::find_lost() {
    const uint64_t reorder_ns = std::max(round_trip_.smoothed_ns() / 4, kReorderNsMin);
    for (uint64_t number = lowest_missing_; number < next_new_; ++number) {
        Packet& packet = at(number);
        if (packet.arrived || packet.lost || packet.sent_ns + reorder_ns > newest_sent_ns_) continue;
        lose(packet);
        if (number >= recovery_end_) on_congestion(false);
    }
}

void DatagramPath::lose(Packet& packet) {
    packet.lost = true;
    --in_flight_;
    ++lost_count_;
}

// Once for all that was on its way when the first loss showed.
void DatagramPath::on_congestion(bool timeout) {
    recovery_end_ = next_new_;
    congestion_packets_ = std::max(timeout ? congestion_packets_ / 2 : congestion_packets_ * 7 / 10, kCongestionPacketsMin);
    slow_start_until_ = congestion_packets_;
    grown_ = 0;
}

void DatagramPath::forget_settled() {
    while (!packets_.empty() && packets_.front().arrived && packets_.front().answered) {
        packets_.pop_front();
        ++first_;
    }
    lowest_missing_ = std::max(lowest_missing_, first_);
    while (lowest_missing_ < next_new_ && at(lowest_missing_).arrived) ++lowest_missing_;
}

uint64_t DatagramPath::time_out_ns() const { return round_trip_.time_out_ns(timeouts_); }

Status DatagramPath::check_timers(uint64_t now_ns) {
    if (in_flight_ > 0 && now_ns >= progress_ns_ + time_out_ns()) {
        if (++timeouts_ > kTimeoutsMax) return Errc::kTimeout;
        ++stats_.timeout_count;
        on_congestion(true);
        progress_ns_ = now_ns;
        // All of it goes again as the smaller window lets; what is acknowledged late after all leaves the queue.
        for (uint64_t number = lowest_missing_; number < next_new_; ++number) {
            if (!at(number).arrived && !at(number).lost) lose(at(number));
        }
    }
    if (now_ns >= next_ask_ns_) return ask_again(now_ns);
    return {};
}

Status DatagramPath::ask_again(uint64_t now_ns) {
    next_ask_ns_ = now_ns + kAskCheckNs;
    const uint64_t last = next_new_;
    for (uint64_t number = first_; number < last; ++number) {
        Packet& packet = at(number);
        if (!packet.arrived || packet.answered || now_ns < packet.sent_ns + answer_time_.time_out_ns(packet.asks)) continue;
        if (packet.asks == kAsksMax) return Errc::kTimeout;
        ++stats_.ask_count;
        Packet again;
        again.frame = std::move(packet.frame);
        again.correlation = packet.correlation;
        again.asks = packet.asks + 1;
        packet.answered = true;
        packets_.push_back(std::move(again));
    }
    forget_settled();
    return {};
}

void DatagramPath::fill(DatagramHeader& header, DatagramKind kind, uint64_t number, uint64_t now_ns) const {
    header = DatagramHeader{};
    header.kind = kind;
    header.session = session_;
    header.token = token_;
    header.packet = number;
    header.sent_ns = now_ns;
    header.window = datagram_bytes_;
    frame::seal_datagram(header);
}

size_t DatagramPath::transmit(std::span<const DatagramSlices> datagrams, uint64_t /*now_ns*/) {
    const auto taken = transport_.send_datagrams(pipe_, datagrams);
    full_ = taken && *taken < datagrams.size();
    shrunk_ = !taken && taken.error().code == Errc::kBadLength;
    if (shrunk_) {
        // What the path says, or, if it says nothing useful, a step down from what it has just refused.
        const size_t refused = datagrams.front().envelope.bytes + datagrams.front().frame.bytes;
        const auto told = static_cast<uint32_t>(std::min<uint64_t>(taken.error().detail, kDatagramBytesMax));
        datagram_bytes_ = std::clamp(told, kDatagramBytesMin, std::max(static_cast<uint32_t>(refused) - 8, kDatagramBytesMin));
    }
    return taken ? *taken : 0;  // Any other error: lost, and time will tell.
}

bool DatagramPath::send(uint64_t now_ns) {
    bool moved = false;
    std::array<DatagramHeader, kSendBurst> envelopes;
    std::array<DatagramSlices, kSendBurst> slices;
    std::array<uint64_t, kSendBurst> numbers;
    for (;;) {
        size_t count = 0;
        const auto add = [&](uint64_t number) {
            const Packet& packet = at(number);
            fill(envelopes[count], DatagramKind::kNumbered, number, now_ns);
            slices[count].envelope = {reinterpret_cast<const std::byte*>(&envelopes[count]), sizeof(DatagramHeader)};
            slices[count].frame = packet.frame == nullptr
                                      ? Slice{}
                                      : Slice{packet.frame->bytes.data(), packet.frame->bytes.size()};
            numbers[count++] = number;
        };
        const size_t room = congestion_packets_ > in_flight_ ? congestion_packets_ - in_flight_ : 0;
        const size_t most = std::min(room, kSendBurst);
        for (uint64_t number = lowest_missing_; number < next_new_ && count < most && count < lost_count_; ++number) {
            if (at(number).lost) add(number);
        }
        const uint64_t sendable = std::min(end(), lowest_missing_ + window_);
        for (uint64_t number = next_new_; number < sendable && count < most; ++number) add(number);
        if (count == 0) return moved;
        const size_t taken = transmit(std::span(slices).first(count), now_ns);
        for (size_t i = 0; i < taken; ++i) {
            Packet& packet = at(numbers[i]);
            if (packet.sent_ns == 0) {
                EAGRE_ASSERT_EQ(numbers[i], next_new_);
                ++next_new_;
                packet.first_sent_ns = now_ns;
                ++stats_.packet_count;
                if (packet.frame != nullptr) packet.frame->handed_over = true;
            } else {
                packet.lost = false;
                packet.resent = true;
                --lost_count_;
                ++stats_.resend_count;
            }
            packet.sent_ns = now_ns;
            if (in_flight_++ == 0) progress_ns_ = now_ns;
        }
        moved = moved || taken > 0;
        if (shrunk_) {
            // The batch goes another way under its own number; the packet goes without it, for the box waits for its number.
            Packet& packet = at(numbers[0]);
            if (packet.frame == nullptr) return moved;  // Not even an envelope gets through: the timer will tell.
            too_large_.push_back(std::move(packet.frame));
            packet.answered = true;
            moved = true;
            continue;
        }
        if (taken < count) return moved;
    }
}

bool DatagramPath::send_loose(uint64_t now_ns) {
    bool moved = false;
    std::array<DatagramHeader, kSendBurst> envelopes;
    std::array<DatagramSlices, kSendBurst> slices;
    while (!loose_.empty()) {
        const size_t count = std::min(loose_.size(), kSendBurst);
        for (size_t i = 0; i < count; ++i) {
            fill(envelopes[i], DatagramKind::kLoose, next_loose_ + i, now_ns);
            slices[i].envelope = {reinterpret_cast<const std::byte*>(&envelopes[i]), sizeof(DatagramHeader)};
            slices[i].frame = {loose_[i]->bytes.data(), loose_[i]->bytes.size()};
        }
        const size_t taken = transmit(std::span(slices).first(count), now_ns);
        for (size_t i = 0; i < taken; ++i) {
            loose_.front()->handed_over = true;
            loose_.pop_front();
        }
        next_loose_ += taken;
        stats_.loose_count += taken;
        moved = moved || taken > 0;
        if (shrunk_) {
            too_large_.push_back(std::move(loose_.front()));
            loose_.pop_front();
            moved = true;
            continue;
        }
        if (taken < count) break;
    }
    return moved;
}

uint64_t DatagramPath::next_timer_ns() const {
    uint64_t next = UINT64_MAX;
    if (in_flight_ > 0) next = progress_ns_ + time_out_ns();
    if (!packets_.empty()) next = std::min(next, next_ask_ns_);
    if (full_) next = std::min(next, last_poll_ns_ + kFullNs);
    return next;
}

}  // namespace eagre::client
