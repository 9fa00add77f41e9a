// `eagre feed add|list|describe|pause|resume|remove`: feeds of the box, through eagre-control; what they do, from shared memory.
#include "tools/eagre/feed/manage.h"

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/eagre/actions.h"
#include "tools/eagre/feed/datagram_sender.h"
#include "tools/eagre/feed_view.h"
#include "tools/eagre/position.h"
#include "tools/eagre/stats_view.h"
#include "tools/eagre/target.h"
#include "tools/eagre/text.h"
#include "wire/feeds/feed_check.h"

namespace eagre::cli {
namespace {

using Json = nlohmann::ordered_json;
using feeds::FeedLine;
using feeds::FeedSpec;

// A socket is opened with the turn that takes the feed in; a box that is busy takes a while for one.
constexpr auto kAppearsWithin = std::chrono::seconds(2);

struct FeedOptions {
    Target target;
    std::string name;
    std::string stream;
    std::vector<std::string> udp;
    std::vector<std::string> interfaces;
    std::vector<std::string> sources;
    std::string framing = "raw";
    std::string key = "source";
    uint32_t window_ms = feeds::kFeedWindowMsDefault;
    bool json = false;
};

std::string line_text(const FeedLine& line) {
    const bool v6 = line.address.find(':') != std::string::npos;
    std::string text = fmt::format("{}:{}", v6 ? "[" + line.address + "]" : line.address, line.port);
    if (!line.interface.empty()) text += fmt::format(" ({})", line.interface);
    if (!line.source.empty()) text += fmt::format(" from {}", line.source);
    return text;
}

std::string lines_text(const FeedSpec& spec) {
    std::string text;
    for (const FeedLine& line : spec.lines) text += (text.empty() ? "" : ", ") + line_text(line);
    return text;
}

Json spec_json(const FeedSpec& spec) {
    Json json = {{"name", spec.name},       {"id", spec.id},         {"stream", spec.stream_name}, {"framing", feeds::framing_name(spec.framing)}, {"key", spec.key},
                 {"window_ms", spec.window_ms}, {"paused", spec.paused}, {"created", rfc3339(spec.created_ns)}, {"lines", Json::array()}};
    for (const FeedLine& line : spec.lines)
        json["lines"].push_back({{"address", line.address}, {"port", line.port}, {"interface", line.interface}, {"source", line.source}});
    return json;
}

/// Nothing: the dataplane is down, or has written down another layout.
std::optional<shm::StatsSnapshot> figures(const FeedOptions& options) {
    try {
        shm::StatsSnapshot now = read_stats(options.target.stats_file());
        if (now.alive()) return now;
    } catch (const std::exception&) {
        // As if there were none.
    }
    return std::nullopt;
}

/// One said for both lines, or one each.
std::string of_line(const std::vector<std::string>& said, size_t index, size_t line_count, const char* option) {
    if (said.empty()) return {};
    if (said.size() == 1) return said.front();
    if (said.size() != line_count) throw std::runtime_error(fmt::format("{} once for all lines, or once for each", option));
    return said[index];
}

void add(const FeedOptions& options) {
    FeedSpec spec;
    spec.name = options.name;
    spec.stream_name = options.stream;
    spec.key = options.key;
    spec.window_ms = options.window_ms;
    const auto framing = feeds::framing_of(options.framing);
    if (!framing) throw std::runtime_error(fmt::format("--framing {}: say raw, moldudp64 or lines", options.framing));
    spec.framing = *framing;
    for (size_t i = 0; i < options.udp.size(); ++i) {
        const Endpoint at = parse_endpoint(options.udp[i]);
        spec.lines.push_back({at.address, at.port, of_line(options.interfaces, i, options.udp.size(), "--interface"), of_line(options.sources, i, options.udp.size(), "--source")});
    }
    if (const std::string wrong = feeds::check(spec); !wrong.empty()) throw std::runtime_error(wrong);
    const auto control = options.target.connect_control();
    const auto added = control->add_feed(spec);
    if (!added) refuse("feed " + options.name, *control, added.error());
    remark(*control);

    const shm::FeedStats* feed = nullptr;
    std::optional<shm::StatsSnapshot> now;
    for (const auto until = std::chrono::steady_clock::now() + kAppearsWithin; std::chrono::steady_clock::now() < until;) {
        now = figures(options);
        feed = now ? find_feed(*now, added->id) : nullptr;
        if (feed != nullptr && feed->state != static_cast<uint64_t>(shm::FeedState::kNoStream)) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    if (options.json) {
        Json json = spec_json(*added);
        json["state"] = feed == nullptr ? "-" : feed_state_text(*feed);
        fmt::print("{}\n", json.dump());
    }
    if (feed != nullptr && feed->state == static_cast<uint64_t>(shm::FeedState::kRefused)) {
        const Error why{static_cast<Errc>(feed->error), static_cast<int32_t>(feed->os_errno), 0};
        fmt::print(stderr, "eagre: feed {} cannot listen at {}; it is tried again every second, until 'eagre feed remove {}'\n", added->name, lines_text(*added), added->name);
        fail("feed " + added->name, why);
    }
    if (options.json) return;
    if (feed == nullptr || feed->state != static_cast<uint64_t>(shm::FeedState::kListening)) {
        fmt::print("feed {} is added; the dataplane does not yet say that it listens: see 'eagre feed list'\n", added->name);
        return;
    }
    fmt::print("feed {} listens at {} -> stream {}, {}, key {}\n", added->name, lines_text(*added), added->stream_name, feeds::framing_name(added->framing), added->key);
}

void list(const FeedOptions& options) {
    const auto specs = options.target.connect_control()->list_feeds("");
    if (!specs) fail("list", specs.error());
    const auto now = figures(options);
    Json all = Json::array();
    Table table({"feed", "stream", "framing", "listens at", "state", "records", "gaps", "dropped"});
    for (const FeedSpec& spec : *specs) {
        const shm::FeedStats* feed = now ? find_feed(*now, spec.id) : nullptr;
        all.push_back(spec_json(spec));
        if (feed != nullptr) all.back()["stats"] = feed_json(*feed);
        const auto count = [&](uint64_t value) { return feed == nullptr ? std::string("-") : grouped(value); };
        table.add({spec.name, spec.stream_name, std::string(feeds::framing_name(spec.framing)), lines_text(spec), feed == nullptr ? "-" : feed_state_text(*feed),
                   count(feed == nullptr ? 0 : feed->records), count(feed == nullptr ? 0 : feed->gap_messages), count(feed == nullptr ? 0 : feed_overflowed(*feed))});
    }
    if (options.json) fmt::print("{}\n", Json{{"feeds", all}}.dump());
    else fmt::print("{}", table.empty() ? "no feeds: make one with 'eagre feed add NAME --stream S --udp ADDRESS:PORT --framing raw'\n" : table.text());
}

void describe_lines(const FeedSpec& spec, const shm::FeedStats* feed) {
    Table table({"line", "listens at", "datagrams", "first", "repeated", "broken", "refused", "dropped here"});
    for (size_t i = 0; i < spec.lines.size(); ++i) {
        const shm::FeedLineStats line = feed != nullptr ? feed->lines[i] : shm::FeedLineStats{};
        const auto count = [&](uint64_t value) { return feed == nullptr ? std::string("-") : grouped(value); };
        table.add({spec.lines.size() == 1 ? std::string("-") : std::string(1, static_cast<char>('A' + i)), line_text(spec.lines[i]), count(line.datagrams), count(line.first),
                   count(line.repeated), count(line.broken), count(line.refused), count(line.overflowed)});
    }
    fmt::print("{}", table.text(2));
}

void describe(const FeedOptions& options) {
    const auto specs = options.target.connect_control()->list_feeds(options.name);
    if (!specs) fail("feed " + options.name, specs.error());
    const FeedSpec& spec = specs->front();
    const auto now = figures(options);
    const shm::FeedStats* feed = now ? find_feed(*now, spec.id) : nullptr;
    if (options.json) {
        Json json = spec_json(spec);
        json["stats"] = feed == nullptr ? Json() : feed_json(*feed);
        fmt::print("{}\n", json.dump());
        return;
    }
    fmt::print("feed {} -> stream {}: {}, key {}{}\n", spec.name, spec.stream_name, feeds::framing_name(spec.framing), spec.key,
               spec.framing == feeds::Framing::kMoldUdp64 ? fmt::format(", gaps wait {} ms", spec.window_ms) : std::string());
    fmt::print("  state    {}, since {}\n", feed == nullptr ? (spec.paused ? "paused" : "the dataplane does not say") : feed_state_text(*feed), rfc3339(spec.created_ns));
    if (feed != nullptr) {
        fmt::print("  records  {} ({}), {} durable\n", grouped(feed->records), bytes_text(static_cast<double>(feed->record_bytes)), grouped(feed->records_durable));
        if (spec.framing == feeds::Framing::kMoldUdp64 && feed->sessions > 0) {
            fmt::print("  session  {}: next {}, durable before {}\n", feed_session_text(*feed), feed->next_sequence, feed->durable_sequence);
            fmt::print("  gaps     {} messages in {} ranges\n", grouped(feed->gap_messages), grouped(feed->gap_ranges));
        }
        if (feed->keyless > 0) fmt::print("  keyless  {} records in which the key rule found nothing: their key is {}\n", grouped(feed->keyless), spec.name);
        if (feed->unstored > 0) fmt::print("  unstored {} records that the stream did not take\n", grouped(feed->unstored));
        if (feed->wild > 0) fmt::print("  wild     {} datagrams whose numbers nothing bore out\n", grouped(feed->wild));
        const Histogram& durable = feed->durable_ns;
        if (durable.count() > 0)
            fmt::print("  packet to durable: p50 {}, p99 {}, p99.9 {}, max {}\n", duration_text(durable.percentile(50)), duration_text(durable.percentile(99)),
                       duration_text(durable.percentile(99.9)), duration_text(durable.max()));
    }
    describe_lines(spec, feed);
}

void change(const FeedOptions& options, const char* what, Status (*act)(client::ControlClient&, const std::string&)) {
    const auto control = options.target.connect_control();
    if (const Status done = act(*control, options.name); !done) refuse("feed " + options.name, *control, done.error());
    if (options.json) fmt::print("{}\n", Json{{"name", options.name}, {what, true}}.dump());
    else fmt::print("{} {}\n", what, options.name);
}

void pause(const FeedOptions& options) {
    change(options, "paused", [](client::ControlClient& control, const std::string& name) { return control.pause_feed(name, true); });
}
void resume(const FeedOptions& options) {
    change(options, "resumed", [](client::ControlClient& control, const std::string& name) { return control.pause_feed(name, false); });
}
void remove(const FeedOptions& options) {
    change(options, "removed", [](client::ControlClient& control, const std::string& name) { return control.remove_feed(name); });
}

}  // namespace

void add_feed_management(CLI::App& feed, int& status) {
    auto options = std::make_shared<FeedOptions>();
    const ActionAdder<FeedOptions> adder(feed, options, status);
    CLI::App* sub = adder("add", "Capture what comes in at an address or a group into a stream", add);
    sub->add_option("name", options->name, "1 to 48 of a-z A-Z 0-9 _ . -")->required();
    sub->add_option("--stream", options->stream, "Where the records go")->required();
    sub->add_option("--udp", options->udp, "ADDRESS:PORT, an address of this machine or a group; twice: lines A and B")->required()->allow_extra_args(false);
    sub->add_option("--interface", options->interfaces, "Where groups are joined; twice: one for each line")->allow_extra_args(false);
    sub->add_option("--source", options->sources, "Only from this sender; twice: one for each line")->allow_extra_args(false);
    sub->add_option("--framing", options->framing, "What makes a record: raw (a datagram), moldudp64 (a message), lines (a line)")->capture_default_str();
    sub->add_option("--key", options->key, "Partition key: constant:NAME, source, bytes:AT:COUNT, until:TEXT, regex:PATTERN, round-robin")->capture_default_str();
    sub->add_option("--window-ms", options->window_ms, "So long the other line may bring what one has lost")->capture_default_str();
    sub->footer("Examples:\n"
                "  eagre feed add itch --stream ticks --udp 239.1.1.1:5000 --udp 239.1.1.2:5000 --interface eth1 --framing moldudp64 --key bytes:1:2\n"
                "  eagre feed add statsd --stream metrics --udp 127.0.0.1:8125 --framing lines --key until::\n"
                "  eagre feed add syslog --stream logs --udp 0.0.0.0:514 --framing raw --key source\n"
                "  eagre feed add influx --stream metrics --udp [::1]:8089 --framing lines --key 'regex:^([^, ]+)'");
    adder("list", "List feeds and what they have taken in", list);
    sub = adder("describe", "All about one feed", describe);
    sub->add_option("name", options->name, "The feed")->required();
    sub = adder("pause", "Close its sockets, and keep the feed", pause);
    sub->add_option("name", options->name, "The feed")->required();
    sub = adder("resume", "Listen again", resume);
    sub->add_option("name", options->name, "The feed")->required();
    sub = adder("remove", "End the feed; its records stay", remove);
    sub->add_option("name", options->name, "The feed")->required();
}

}  // namespace eagre::cli
