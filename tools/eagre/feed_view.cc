#include "tools/eagre/feed_view.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "tools/eagre/latency_json.h"
#include "tools/eagre/progress.h"
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

std::string feed_session_text(const shm::FeedStats& feed) {
    std::string text(shm::text_of(feed.session, sizeof(feed.session)));
    for (char& c : text) {
        if (c < ' ' || c > '~') c = '?';
    }
    return text;
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
                 {"session", feed_session_text(feed)},
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

doctor::Checks feed_checks(const shm::FeedStats& feed) {
    using doctor::Grade;
    doctor::Checks checks;
    const std::string name(shm::text_of(feed.name, sizeof(feed.name)));
    const auto found = [&](Grade grade, const std::string& what, const std::string& mend) { checks.push_back({"feed", name, grade, what, mend}); };
    const auto why = static_cast<Errc>(feed.error);
    switch (static_cast<shm::FeedState>(feed.state)) {
        case shm::FeedState::kRefused:
            found(Grade::kBad, fmt::format("cannot listen: {}{}", errc_name(why), feed.os_errno != 0 ? fmt::format(" ({})", std::strerror(static_cast<int>(feed.os_errno))) : ""),
                  "its address and --interface: 'eagre feed describe " + name + "'; who else listens: ss -ulnp");
            break;
        case shm::FeedState::kBlocked:
            found(Grade::kBad, fmt::format("nothing can be stored: {}", errc_name(why)), std::string(errc_advice(why)));
            break;
        case shm::FeedState::kNoStream:
            found(Grade::kBad, "its stream is not there", "eagre feed remove " + name + ", or create the stream and add the feed anew");
            break;
        default:
            break;
    }
    if (const uint64_t lost = feed_overflowed(feed); lost > 0)
        found(Grade::kWarn, grouped(lost) + " datagrams dropped: its socket was full", "CAP_NET_ADMIN for eagred or a larger net.core.rmem_max, a core of its own (--wait spin), or --nic dpdk:...");
    if (feed.gap_messages > 0)
        found(Grade::kWarn, grouped(feed.gap_messages) + " messages missing on all lines", "the path to here; a longer --window-ms where the lines are far apart");
    if (checks.empty()) found(Grade::kGood, grouped(feed.records) + " records, none missing", "");
    return checks;
}

doctor::Checks feed_checks(const std::string& stats_path) {
    doctor::Checks all;
    const auto now = shm::StatsSnapshot::read(stats_path, monotonic_ns());
    if (!now || !now->alive()) return all;
    for_each_feed(*now, [&](uint32_t, const shm::FeedStats& feed) {
        for (doctor::Check& check : feed_checks(feed)) all.push_back(std::move(check));
    });
    return all;
}

}  // namespace eagre::cli
