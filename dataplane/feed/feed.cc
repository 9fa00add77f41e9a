#include "dataplane/feed/feed.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "wire/base/assert.h"
#include "wire/base/crc32c.h"

namespace eagre::feed {
namespace {

std::string_view text_of(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// JSON's own characters; names of sessions are a stranger's bytes.
void append_quoted(std::string& into, std::string_view text) {
    static constexpr char kDigits[] = "0123456789abcdef";
    into += '"';
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            into += '\\';
            into += c;
        } else if (byte < 0x20 || byte > 0x7e) {
            into += "\\u00";
            into += kDigits[byte >> 4U];
            into += kDigits[byte & 0xfU];
        } else {
            into += c;
        }
    }
    into += '"';
}

std::string_view trimmed(const feeds::MoldSession& session) {
    std::string_view name(session.data(), session.size());
    while (name.ends_with(' ') || name.ends_with('\0')) name.remove_suffix(1);
    return name;
}

}  // namespace

std::string gap_text(std::string_view feed, std::string_view session, uint64_t first, uint64_t count, uint64_t time_ns) {
    std::string text = R"({"eagre":"gap","feed":)";
    append_quoted(text, feed);
    text += R"(,"session":)";
    append_quoted(text, session);
    text += ",\"first\":" + std::to_string(first) + ",\"count\":" + std::to_string(count) + ",\"time_ns\":" + std::to_string(time_ns) + "}";
    return text;
}

size_t Feed::receive(const Now& now, bool may_receive) {
    now_ = now;
    if (!follow_map()) return 0;
    // What waits may be all that keeps a shard from closing, or a gap from being told: it goes on whether we may receive or not.
    size_t total = 0;
    if (may_receive && !spec_.paused && !closed_ && open_lines(now.monotonic_ns)) {
        for (Line& line : lines_) line.more = true;
        for (uint32_t burst = 0; burst < kFeedBurstsPerTurn; ++burst) {
            size_t count = 0;
            for (size_t i = 0; i < lines_.size() && !backlogged(); ++i) {
                if (lines_[i].more) count += receive_burst(i);
            }
            total += count;
            if (count == 0) break;
        }
    }
    if (spec_.framing == feeds::Framing::kMoldUdp64 && !backlogged() && now.monotonic_ns >= arbiter_.deadline_ns()) arbiter_.expire(now.monotonic_ns);
    flush(false);
    return total;
}

size_t Feed::receive_burst(size_t index) {
    Line& line = lines_[index];
    std::array<io::RxPacket, io::kDatagramBurstMax> packets;
    const size_t count = datagrams_.rx_inlet(*line.inlet, packets);
    line.more = count == packets.size();
    const auto received = std::span(packets).first(count);
    for (const io::RxPacket& packet : received) take(index, packet);
    datagrams_.release(received);
    if (count > 0) stats_.lines[index].last_ns = received.back().stamped_ns;
    return count;
}

void Feed::take(size_t index, const io::RxPacket& packet) {
    Line& line = lines_[index];
    shm::FeedLineStats& counts = stats_.lines[index];
    if (line.source.family != 0 && !packet.from.same_host(line.source)) {
        ++counts.refused;
        return;
    }
    ++counts.datagrams;
    counts.bytes += packet.bytes.size();
    line_ = &line;
    from_ = packet.from;
    switch (spec_.framing) {
        case feeds::Framing::kRaw:
            ++counts.first;
            store(packet.bytes, 0, packet.stamped_ns);
            return;
        case feeds::Framing::kLines:
            ++counts.first;
            now_.wall_ns = packet.stamped_ns;
            take_lines(packet.bytes);
            return;
        case feeds::Framing::kMoldUdp64:
            break;
    }
    const auto header = feeds::decode_mold_header(packet.bytes);
    if (!header) {
        ++counts.broken;
        return;
    }
    switch (arbiter_.take(*header, packet.bytes, now_.monotonic_ns, packet.stamped_ns)) {
        case feeds::Arbiter::Taken::kFirst:
            ++counts.first;
            break;
        case feeds::Arbiter::Taken::kRepeated:
            ++counts.repeated;
            break;
        case feeds::Arbiter::Taken::kBroken:
            ++counts.broken;
            break;
        case feeds::Arbiter::Taken::kWild:
            break;
    }
}

// What ends a line does not belong to it. The last one need not have an end: a datagram is one.
void Feed::take_lines(std::span<const std::byte> datagram) {
    const uint64_t stamp_ns = now_.wall_ns;
    std::string_view rest = text_of(datagram);
    while (!rest.empty()) {
        const size_t end = rest.find('\n');
        std::string_view line = rest.substr(0, end);
        rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (!line.empty()) store(std::as_bytes(std::span(line)), 0, stamp_ns);
    }
}

void Feed::store(std::span<const std::byte> record, uint64_t sequence, uint64_t stamp_ns) {
    std::string_view key;
    Lane* lane = route(record, key);
    if (lane == nullptr) {
        ++stats_.unstored;
        return;
    }
    if (sequence != 0 && sequence < lane->skip_before) return;
    frame::RecordView view;
    view.partition_key = key;
    view.data = record;
    view.source_time_ns = stamp_ns;
    view.source_sequence = sequence;
    add(*lane, view);
}

void Feed::add(Lane& lane, const frame::RecordView& record) {
    const size_t bytes = record.partition_key.size() + record.data.size() + Place::kRecordOverheadBytes;
    lane.place->prepare(lane, bytes, now_.monotonic_ns);
    if (!lane.place->add(lane, record, bytes, now_.monotonic_ns)) {
        ++stats_.unstored;
        return;
    }
    ++stats_.records;
    stats_.record_bytes += record.data.size();
}

// The key lies where the rule found it until the record has been added.
Lane* Feed::route(std::span<const std::byte> record, std::string_view& key) {
    switch (rule_.kind()) {
        case feeds::KeyRule::Kind::kConstant:
            key = rule_.constant();
            return constant_lane_;
        case feeds::KeyRule::Kind::kRoundRobin:
            key = spec_.name;
            if (in_order_.empty()) return nullptr;
            if (++next_lane_ >= in_order_.size()) next_lane_ = 0;
            return in_order_[next_lane_];
        case feeds::KeyRule::Kind::kSource: {
            auto& line = const_cast<Line&>(*line_);
            if (!line.from.same_host(from_) || line.from_key.empty()) {
                line.from = from_;
                line.from_key = io::address_text(from_);
            }
            key = line.from_key;
            return lane_of(key);
        }
        default:
            break;
    }
    key = rule_.key_of(record);
    if (!key.empty()) return lane_of(key);
    ++stats_.keyless;
    key = spec_.name;
    return nameless_lane_;
}

Lane* Feed::lane_of(std::string_view key) {
    const uint64_t fingerprint = hot_keys_.fingerprint_of(key);
    if (Lane* const known = hot_keys_.find(fingerprint); known != nullptr) return known;
    const HashKey hash = frame::hash_partition_key(key);
    const auto at = std::upper_bound(in_order_.begin(), in_order_.end(), hash, [](const HashKey& value, const Lane* lane) { return value < lane->range.starting; });
    if (at == in_order_.begin() || !(*std::prev(at))->range.contains(hash)) return nullptr;
    hot_keys_.insert(fingerprint, *std::prev(at));
    return *std::prev(at);
}

uint64_t Feed::on_session(const feeds::MoldSession& session, uint64_t first) {
    for (const auto& place : places_) place->cut(now_.monotonic_ns);
    if (source_.session != 0) sessions_[source_.session] = told_next_;
    const std::string_view name = trimmed(session);
    source_ = {spec_.id, crc32c(std::as_bytes(std::span(session)))};
    ++stats_.sessions;
    std::memset(stats_.session, 0, sizeof(stats_.session));
    name.copy(stats_.session, sizeof(stats_.session) - 1);

    uint64_t next = first;
    const auto known = sessions_.find(source_.session);
    remembered_ = known != sessions_.end() || sessions_.size() < kFeedSessionCountMax;
    if (!remembered_) ++stats_.sessions_unremembered;
    for (const auto& place : places_) place->set_source(producer(place->is_remote()));
    for (Lane* lane : in_order_) lane->skip_before = 0;
    if (known != sessions_.end()) {
        next = known->second;
    } else {
        if (remembered_) sessions_[source_.session] = first;
        if (const shard::StreamEntry* stream = surroundings_.stream(spec_.stream); stream != nullptr) resume_lanes(*stream);
        uint64_t lowest = UINT64_MAX;
        for (const Lane* lane : in_order_) {
            if (lane->skip_before != 0) lowest = std::min(lowest, lane->skip_before);
        }
        if (lowest != UINT64_MAX) next = lowest;
    }
    told_next_ = next;
    return next;
}

void Feed::on_message(uint64_t sequence, std::span<const std::byte> message) {
    store(message, sequence, arbiter_.stamp_ns());
    told_next_ = sequence + 1;
}

void Feed::on_gap(uint64_t first, uint64_t count) {
    stats_.gap_messages += count;
    ++stats_.gap_ranges;
    for (Lane* lane : in_order_) {
        const uint64_t begin = std::max(first, lane->skip_before);
        if (begin >= first + count) continue;  // All of it is stored there.
        const std::string text = gap_text(spec_.name, stats_.session, begin, first + count - begin, now_.wall_ns);
        frame::RecordView record;
        record.partition_key = spec_.name;
        record.data = std::as_bytes(std::span(text));
        record.source_time_ns = now_.wall_ns;
        record.source_sequence = begin;
        record.gap = true;
        add(*lane, record);
        --stats_.records;  // Not of the source.
    }
    told_next_ = first + count;
}

void Feed::flush(bool all) {
    Error blocked;
    for (const auto& place : places_) {
        if (!(all ? place->has_pending() : place->flush_due(now_.monotonic_ns))) continue;
        if (!place->flush(now_.monotonic_ns)) blocked = place->blocked();
    }
    if (stats_.state != static_cast<uint64_t>(shm::FeedState::kListening) && stats_.state != static_cast<uint64_t>(shm::FeedState::kBlocked)) return;
    // A window that is full for a moment is the way of things.
    const bool for_long = blocked.code != Errc::kOk && blocked.code != Errc::kBusy;
    set_state(for_long ? shm::FeedState::kBlocked : shm::FeedState::kListening, for_long ? blocked : Error{});
}

bool Feed::backlogged() const {
    return std::any_of(places_.begin(), places_.end(), [](const auto& place) { return place->backlog_bytes() > 0; });
}

void Feed::settle(const Now& now) {
    uint64_t records = 0;
    uint64_t durable = told_next_;
    for (const auto& place : places_) {
        if (place->settled() && !place->has_pending()) continue;
        records += place->settle(now.wall_ns, stats_.durable_ns);
        if (!place->settled() || place->has_pending()) durable = std::min(durable, place->durable_number());
    }
    stats_.records_durable += records;
    stats_.next_sequence = told_next_;
    stats_.durable_sequence = durable;
    stats_.waiting_bytes = arbiter_.waiting_bytes();
    stats_.wild = arbiter_.wild_count();
}

bool Feed::on_reply(const frame::FrameHeader& header, const Now& now) {
    now_ = now;
    for (auto* places : {&places_, &leaving_}) {
        for (const auto& place : *places) {
            if (place->token() != header.correlation) continue;
            Group again;
            if (place->on_reply(header, now.wall_ns, stats_.durable_ns, stats_.records_durable, again)) route_anew(again.pieces);
            std::erase_if(leaving_, [](const auto& each) { return each->settled() && !each->has_pending(); });
            return true;
        }
    }
    return false;
}

bool Feed::settled() const {
    const auto done = [](const auto& place) { return place->settled() && !place->has_pending(); };
    return std::all_of(places_.begin(), places_.end(), done) && std::all_of(leaving_.begin(), leaving_.end(), done);
}

uint64_t Feed::next_timer_ns() const {
    uint64_t at_ns = arbiter_.deadline_ns();
    for (const auto& place : places_) {
        at_ns = std::min(at_ns, place->due_ns());
        if (place->backlog_bytes() > 0) at_ns = std::min(at_ns, now_.monotonic_ns + kFeedBlockedNs);
    }
    const bool waits = !spec_.paused && !closed_ && (!mapped_ || std::any_of(lines_.begin(), lines_.end(), [](const Line& line) { return !line.inlet; }));
    return waits ? std::min(at_ns, retry_at_ns_) : at_ns;
}

}  // namespace eagre::feed
