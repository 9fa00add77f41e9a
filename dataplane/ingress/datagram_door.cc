#include "dataplane/ingress/datagram_door.h"

#include <algorithm>
#include <cstring>

#include "wire/base/assert.h"

namespace eagre::ingress {

using frame::DatagramHeader;
using frame::DatagramKind;
using frame::DatagramView;
using frame::FrameHeader;

namespace {

// Answers are never larger than what any path takes, whatever the client says it can.
constexpr size_t kAnswerBytesMax = kDatagramBytesDefault;
static_assert(kDatagramBytesMin >= frame::kDatagramHeaderBytes + frame::kDatagramBitmapWordsMax * 8 + 2 * frame::kHeaderBytes);
static_assert(kEarlyPacketCountMax < kNoPlace);

uint32_t answer_bytes(uint32_t path_bytes) { return std::clamp<uint32_t>(path_bytes, kDatagramBytesMin, kAnswerBytesMax); }

}  // namespace

DatagramDoor::DatagramDoor(io::Datagrams& datagrams, Sessions& sessions, DatagramHandler& handler, shm::CoreStats& stats)
    : datagrams_(datagrams), sessions_(sessions), handler_(handler), stats_(stats) {
    for (auto* list : {&pending_, &stalled_, &working_}) list->reserve(kDatagramSessionCountMax);
    outgoing_.resize(io::kDatagramBurstMax * kAnswerBytesMax);
}

Status DatagramDoor::open(std::string_view address, uint16_t port, const frame::DatagramSecret& secret) {
    const auto opened = datagrams_.open(address, port);
    if (!opened) return opened.error();
    secret_ = secret;
    open_ = true;
    return {};
}

Result<frame::DatagramToken> DatagramDoor::admit(Session& session, const io::Address& peer, uint32_t datagram_bytes,
                                                 std::string_view client_name) {
    if (!open_ || peer.family == 0) return Errc::kUnavailable;
    close(session);
    if (count_ == kDatagramSessionCountMax) return error_of(Errc::kLimitExceeded, kDatagramSessionCountMax);
    if (early_ == nullptr) {
        early_ = std::make_unique_for_overwrite<std::byte[]>(kEarlyPacketCountMax * kEarlyPacketBytes);
        early_bytes_.resize(kEarlyPacketCountMax);
        free_places_.reserve(kEarlyPacketCountMax);
        for (uint32_t place = kEarlyPacketCountMax; place > 0; --place) free_places_.push_back(static_cast<uint16_t>(place - 1));
    }
    session.datagrams = std::make_unique<DatagramSession>();
    DatagramSession& datagrams = *session.datagrams;
    datagrams.token = frame::make_datagram_token(secret_, session_number(session), peer.ip_bytes());
    datagrams.peer = peer;
    datagrams.datagram_bytes = answer_bytes(datagram_bytes);
    datagrams.answers.reserve(kAnswerCountMax);
    datagrams.stats = stats_slot();
    *datagrams.stats = shm::DatagramProducer{};
    client_name.copy(datagrams.stats->name, sizeof(datagrams.stats->name) - 1);
    datagrams.stats->open = 1;
    datagrams.stats->session = session_number(session);
    stats_.datagram_sessions = ++count_;
    return datagrams.token;
}

// A slot that nobody has used, else that of the session that ended longest ago; beyond that many at once: uncounted.
shm::DatagramProducer* DatagramDoor::stats_slot() {
    for (uint32_t i = 0; i < shm::kDatagramProducerSlots; ++i) {
        shm::DatagramProducer& slot = stats_.datagram_producers[next_slot_];
        next_slot_ = (next_slot_ + 1) % shm::kDatagramProducerSlots;
        if (slot.open == 0) return &slot;
    }
    return &spare_stats_;
}

void DatagramDoor::close(Session& session) {
    if (session.datagrams == nullptr) return;
    free_places(*session.datagrams);
    session.datagrams->stats->open = 0;
    session.datagrams.reset();
    stats_.datagram_sessions = --count_;
}

void DatagramDoor::free_places(DatagramSession& datagrams) {
    for (uint16_t& place : datagrams.places) {
        if (place != kNoPlace) free_places_.push_back(place);
        place = kNoPlace;
    }
}

size_t DatagramDoor::receive(uint64_t now_ns, bool may_receive) {
    if (!open_) return 0;
    size_t total = 0;
    if (!stalled_.empty()) {
        working_.swap(stalled_);
        for (const reactor::OutletId id : working_) {
            Session* session = sessions_.find(id);
            if (session == nullptr || session->datagrams == nullptr || !session->datagrams->stalled) continue;
            session->datagrams->stalled = false;
            const uint64_t before = session->datagrams->numbered.next();
            work_off_early(*session);
            total += session->datagrams->numbered.next() - before;
        }
        working_.clear();
    }
    if (!may_receive) return total;
    std::array<io::RxPacket, io::kDatagramBurstMax> packets;
    for (uint32_t burst = 0; burst < kBurstsPerTurn; ++burst) {
        const size_t count = datagrams_.rx_burst(packets);
        const auto received = std::span(packets).first(count);
        for (const io::RxPacket& packet : received) take(packet, now_ns);
        datagrams_.release(received);
        total += count;
        if (count < packets.size()) break;
    }
    return total;
}

void DatagramDoor::take(const io::RxPacket& packet, uint64_t now_ns) {
    ++stats_.datagrams_in;
    stats_.bytes_in += packet.bytes.size();
    const auto view = frame::decode_datagram(packet.bytes);
    if (!view || view->header.kind == DatagramKind::kAnswer) {
        ++stats_.datagrams_refused;
        return;
    }
    const reactor::OutletId id{static_cast<uint32_t>(view->header.session), static_cast<uint32_t>(view->header.session >> 32U)};
    Session* session = sessions_.find(id);
    DatagramSession* datagrams = session == nullptr ? nullptr : session->datagrams.get();
    if (datagrams == nullptr || view->header.token != datagrams->token || !packet.from.same_host(datagrams->peer) ||
        (datagrams->pinned && packet.from.port != datagrams->peer.port)) {
        ++stats_.datagrams_refused;
        return;
    }
    datagrams->pinned = true;
    datagrams->peer.port = packet.from.port;
    datagrams->stats->port = packet.from.port;
    // A path that has become narrower one way has so the other way.
    datagrams->datagram_bytes = answer_bytes(view->header.window);
    if (view->header.kind == DatagramKind::kNumbered) {
        take_numbered(*session, *view, now_ns);
    } else {
        take_loose(*session, *view);
    }
}

Result<DatagramDoor::Frame> DatagramDoor::frame_in(std::span<std::byte> bytes) {
    Frame frame;
    if (bytes.empty()) return frame;
    if (bytes.size() < frame::kHeaderBytes) return Errc::kBadLength;
    const auto header = frame::decode_header(bytes);
    if (!header) return header.error();
    if (frame::kHeaderBytes + header->payload_bytes != bytes.size()) return Errc::kBadLength;
    frame.present = true;
    frame.header = *header;
    frame.payload = bytes.subspan(frame::kHeaderBytes);
    return frame;
}

void DatagramDoor::take_numbered(Session& session, const DatagramView& view, uint64_t now_ns) {
    DatagramSession& datagrams = *session.datagrams;
    const uint64_t packet = view.header.packet;
    if (datagrams.numbered.has(packet) || !datagrams.numbered.fits(packet)) {
        // Repeated: our acknowledgement was lost. Too far ahead: an honest sender doesn't, but may hear where we are.
        ++(datagrams.numbered.has(packet) ? stats_.datagrams_repeated : stats_.datagrams_dropped);
        acknowledge_by(session, now_ns);
        return;
    }
    const auto frame = frame_in(view.frames);
    if (!frame) {
        ++stats_.datagrams_refused;
        return;
    }
    const bool in_order = packet == datagrams.numbered.next();
    if (in_order) {
        const Handled handled =
            frame->present ? handler_.on_datagram(session, frame->header, frame->payload) : Handled::kDone;
        if (handled != Handled::kDone) {
            ++(handled == Handled::kBlocked ? stats_.datagrams_dropped : stats_.datagrams_refused);
            return;
        }
        datagrams.numbered.mark(packet);
        datagrams.numbered.pass();
        if (datagrams.numbered.has_gap()) work_off_early(session);
    } else if (!keep_early(datagrams, view, *frame)) {
        return;
    }
    ++datagrams.stats->received;
    ++stats_.frames_in;
    datagrams.newest_sent_ns = std::max(datagrams.newest_sent_ns, view.header.sent_ns);
    ++datagrams.unacknowledged;
    const bool now = datagrams.unacknowledged >= kAcknowledgeEvery || datagrams.numbered.has_gap() || !in_order;
    acknowledge_by(session, now ? now_ns : now_ns + kAcknowledgeDelayNs);
}

// Once acknowledged it is ours, so it must be sound before it is kept.
bool DatagramDoor::keep_early(DatagramSession& datagrams, const DatagramView& view, const Frame& frame) {
    if (frame.present && !frame::payload_matches(frame.header, frame.payload)) {
        ++stats_.datagrams_refused;
        return false;
    }
    if (free_places_.empty()) {
        ++stats_.datagrams_dropped;
        return false;
    }
    const uint16_t place = free_places_.back();
    free_places_.pop_back();
    EAGRE_ASSERT_LE(view.frames.size(), kEarlyPacketBytes);
    if (!view.frames.empty()) std::memcpy(early_.get() + place * kEarlyPacketBytes, view.frames.data(), view.frames.size());
    early_bytes_[place] = static_cast<uint32_t>(view.frames.size());
    uint16_t& mine = datagrams.places[view.header.packet % kDatagramWindow];
    EAGRE_ASSERT_EQ(mine, kNoPlace);
    mine = place;
    datagrams.numbered.mark(view.header.packet);
    ++stats_.datagrams_early;
    return true;
}

void DatagramDoor::work_off_early(Session& session) {
    DatagramSession& datagrams = *session.datagrams;
    while (datagrams.numbered.has_gap() && datagrams.numbered.has(datagrams.numbered.next())) {
        uint16_t& place = datagrams.places[datagrams.numbered.next() % kDatagramWindow];
        EAGRE_ASSERT_NE(place, kNoPlace);
        const auto frame = frame_in({early_.get() + place * kEarlyPacketBytes, early_bytes_[place]});
        EAGRE_ASSERT(frame.has_value());  // It was when we kept it.
        if (frame->present && handler_.on_datagram(session, frame->header, frame->payload) == Handled::kBlocked) {
            if (!datagrams.stalled) stalled_.push_back(session.id);
            datagrams.stalled = true;
            return;
        }
        free_places_.push_back(place);
        place = kNoPlace;
        datagrams.numbered.pass();
    }
}

void DatagramDoor::take_loose(Session& session, const DatagramView& view) {
    DatagramSession& datagrams = *session.datagrams;
    const auto frame = frame_in(view.frames);
    const uint64_t packet = view.header.packet;
    // A number near the end of all numbers would leave none for those that follow.
    if (!frame || packet > UINT64_MAX / 2 ||
        (frame->present && frame::ack_mode_of(frame->header) != frame::AckMode::kNone)) {
        ++stats_.datagrams_refused;
        return;
    }
    datagrams.loose.slide_to(packet);
    if (datagrams.loose.has(packet)) {
        ++stats_.datagrams_repeated;
        return;
    }
    const Handled handled = frame->present ? handler_.on_datagram(session, frame->header, frame->payload) : Handled::kDone;
    if (handled == Handled::kClose) {  // Corrupt: as if it had not come.
        ++stats_.datagrams_refused;
        return;
    }
    if (handled == Handled::kBlocked) {
        ++stats_.datagrams_dropped;
        ++datagrams.stats->dropped;
    }
    datagrams.loose.mark(packet);
    ++datagrams.loose_count;
    ++datagrams.stats->received;
    ++stats_.frames_in;
    const uint64_t missing = datagrams.loose.end() - datagrams.loose_count;
    stats_.datagrams_missing += missing - datagrams.stats->missing;  // May fall again: a late one comes after all.
    datagrams.stats->missing = missing;
}

void DatagramDoor::acknowledge_by(Session& session, uint64_t time_ns) {
    DatagramSession& datagrams = *session.datagrams;
    if (datagrams.acknowledge_at_ns == 0 || time_ns < datagrams.acknowledge_at_ns) datagrams.acknowledge_at_ns = time_ns;
    pend(session);
}

void DatagramDoor::pend(Session& session) {
    if (session.datagrams->pending) return;
    session.datagrams->pending = true;
    pending_.push_back(session.id);
}

void DatagramDoor::answer(Session& session, const FrameHeader& header) {
    if (session.datagrams == nullptr || !session.datagrams->pinned) return;
    DatagramSession& datagrams = *session.datagrams;
    if (datagrams.answers.size() == kAnswerCountMax) {
        ++stats_.datagram_answers_dropped;
        return;
    }
    datagrams.answers.push_back(header);
    pend(session);
}

void DatagramDoor::flush(uint64_t now_ns) {
    if (pending_.empty()) return;
    next_timer_ns_ = UINT64_MAX;
    working_.swap(pending_);
    for (const reactor::OutletId id : working_) {
        Session* session = sessions_.find(id);
        if (session == nullptr || session->datagrams == nullptr || !session->datagrams->pending) continue;
        DatagramSession& datagrams = *session->datagrams;
        datagrams.pending = false;
        const bool due = datagrams.acknowledge_at_ns != 0 && datagrams.acknowledge_at_ns <= now_ns;
        if (datagrams.answers.empty() && !due) {
            next_timer_ns_ = std::min(next_timer_ns_, datagrams.acknowledge_at_ns);
            pend(*session);
            continue;
        }
        send_answers(*session);
    }
    working_.clear();
    transmit();
}

void DatagramDoor::send_answers(Session& session) {
    DatagramSession& datagrams = *session.datagrams;
    DatagramHeader header;
    header.kind = DatagramKind::kAnswer;
    header.session = session_number(session);
    header.token = datagrams.token;
    header.next_packet = datagrams.numbered.next();
    header.sent_ns = datagrams.newest_sent_ns;
    header.window = kDatagramWindow;
    std::array<uint64_t, frame::kDatagramBitmapWordsMax> words;
    header.bitmap_words = static_cast<uint16_t>(datagrams.numbered.copy_bitmap(words));
    const auto bitmap = std::as_bytes(std::span(words)).first(size_t{header.bitmap_words} * 8);
    size_t next = 0;
    do {
        if (outgoing_count_ == io::kDatagramBurstMax) transmit();
        std::byte* const place = outgoing_.data() + outgoing_count_ * kAnswerBytesMax;
        header.packet = datagrams.answer_count++;
        frame::seal_datagram(header, bitmap);
        std::memcpy(place, &header, sizeof(header));
        if (!bitmap.empty()) std::memcpy(place + sizeof(header), bitmap.data(), bitmap.size());
        size_t bytes = sizeof(header) + bitmap.size();
        for (; next < datagrams.answers.size() && bytes + frame::kHeaderBytes <= datagrams.datagram_bytes; ++next) {
            FrameHeader& each = datagrams.answers[next];
            frame::seal_header(each);
            std::memcpy(place + bytes, &each, sizeof(each));
            bytes += sizeof(each);
        }
        outgoing_packets_[outgoing_count_++] = {{place, bytes}, datagrams.peer};
    } while (next < datagrams.answers.size());
    datagrams.answers.clear();
    datagrams.unacknowledged = 0;
    datagrams.acknowledge_at_ns = 0;
}

void DatagramDoor::transmit() {
    if (outgoing_count_ == 0) return;
    const size_t taken = datagrams_.tx_burst(std::span(outgoing_packets_).first(outgoing_count_));
    for (size_t i = 0; i < taken; ++i) stats_.bytes_out += outgoing_packets_[i].bytes.size();
    stats_.datagrams_out += taken;
    // Lost, as datagrams are: who misses an answer asks again.
    stats_.datagram_answers_dropped += outgoing_count_ - taken;
    outgoing_count_ = 0;
}

}  // namespace eagre::ingress
