#include "tools/eagre/feed_view.h"

#include <algorithm>

#include <fmt/format.h>

#include "tools/eagre/latency_json.h"
#include "tools/eagre/text.h"

namespace eagre::cli {
namespace {

using Json = nlohmann::ordered_json;

template <class Visit>
void for_each_feed(const shm::StatsSnapshot& now, Visit visit) {
    for (uint32_t core = 0; core < now.core_count(); ++core) {
        for (const shm::FeedStats& feed : now.core(core).feeds) {
            if (feed.id != 0) visit(core, feed);
        }
    }
}

}  // namespace

const shm::FeedStats* find_feed(const shm::StatsSnapshot& now, uint32_t id) {
    const shm::FeedStats* found = nullptr;
    for_each_feed(now, [&](uint32_t, const shm::FeedStats& feed) {
        if (feed.id == id) found = &feed;
    });
    return found;
}

std::string feed_state_text(const shm::FeedStats& feed) {
    const std::string_view why = errc_name(static_cast<Errc>(feed.error));
    switch (static_cast<shm::FeedState>(feed.state)) {
        case shm::FeedState::kListening:
            return "listening";
        case shm::FeedState::kPaused:
            return "paused";
        case shm::FeedState::kNoStream:
            return "no stream";
        case shm::FeedState::kRefused:
            return fmt::format("refused: {}", why);
        case shm::FeedState::kBlocked:
            return fmt::format("blocked: {}", why);
        case shm::FeedState::kNone:
            break;
    }
    return "-";
}

uint64_t feed_overflowed(const shm::FeedStats& feed) {
    uint64_t sum = 0;
    for (const shm::FeedLineStats& line : feed.lines) sum += line.overflowed;
    return sum;
}

Json feed_json(const shm::FeedStats& feed) {
    Json json = {{"id", feed.id},
                 {"name", std::string(shm::text_of(feed.name, sizeof(feed.name)))},
                 {"state", feed_state_text(feed)},
                 {"records", feed.records},
                 {"record_bytes", feed.record_bytes},
                 {"records_durable", feed.records_durable},
                 {"gap_messages", feed.gap_messages},
                 {"gap_ranges", feed.gap_ranges},
                 {"keyless", feed.keyless},
                 {"unstored", feed.unstored},
                 {"wild", feed.wild},
                 {"sessions", feed.sessions},
                 {"session", std::string(shm::text_of(feed.session, sizeof(feed.session)))},
                 {"next_sequence", feed.next_sequence},
                 {"durable_sequence", feed.durable_sequence},
                 {"waiting_bytes", feed.waiting_bytes},
                 {"lines", Json::array()},
                 {"durable_us", latency_json(feed.durable_ns)}};
    for (uint64_t i = 0; i < std::min<uint64_t>(feed.line_count, shm::kFeedLines); ++i) {
        const shm::FeedLineStats& line = feed.lines[i];
        json["lines"].push_back({{"datagrams", line.datagrams},
                                 {"bytes", line.bytes},
                                 {"first", line.first},
                                 {"repeated", line.repeated},
                                 {"broken", line.broken},
                                 {"refused", line.refused},
                                 {"overflowed", line.overflowed}});
    }
    return json;
}

Json feeds_json(const shm::StatsSnapshot& now) {
    Json all = Json::array();
    for_each_feed(now, [&](uint32_t core, const shm::FeedStats& feed) {
        all.push_back(feed_json(feed));
        all.back()["core"] = core;
    });
    return all;
}

std::string feeds_text(const shm::StatsSnapshot& now) {
    Table table({"feed", "core", "state", "records", "gaps", "dropped", "packet to durable p50", "p99", "p99.9", "max"});
    for_each_feed(now, [&](uint32_t core, const shm::FeedStats& feed) {
        const Histogram& durable = feed.durable_ns;
        const auto at = [&](double percent) { return durable.count() == 0 ? std::string("-") : duration_text(durable.percentile(percent)); };
        table.add({std::string(shm::text_of(feed.name, sizeof(feed.name))), fmt::format("{}", core), feed_state_text(feed), grouped(feed.records),
                   grouped(feed.gap_messages), grouped(feed_overflowed(feed)), at(50), at(99), at(99.9),
                   durable.count() == 0 ? "-" : duration_text(durable.max())});
    });
    return table.empty() ? std::string() : table.text();
}

}  // namespace eagre::cli
