// `eagre feed`: datagrams as an exchange, a daemon or a capture sends them.
#include <algorithm>
#include <ctime>
#include <memory>
#include <stdexcept>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "perf/load/file_source.h"
#include "perf/load/market_session.h"
#include "tools/eagre/commands.h"
#include "tools/eagre/feed/generate.h"
#include "tools/eagre/feed/manage.h"
#include "tools/eagre/feed/replay.h"
#include "tools/eagre/feed/watch.h"
#include "tools/eagre/signals.h"
#include "tools/eagre/text.h"

namespace eagre::cli {
namespace {

using Json = nlohmann::ordered_json;

struct GenerateArguments {
    GenerateOptions options;
    std::vector<std::string> to;
    bool ab = false;
    std::string protocol = "itch50/moldudp64";
    std::string input;
    uint32_t symbols = 200;
    double drop_percent = 0;
    bool json = false;
};

int run_generate(GenerateArguments arguments) {
    if (arguments.options.session.empty()) arguments.options.session = fmt::format("{:%m%d%H%M%S}", fmt::gmtime(std::time(nullptr)));
    for (const std::string& each : arguments.to) arguments.options.to.push_back(parse_endpoint(each));
    auto& to = arguments.options.to;
    if (arguments.ab && to.size() == 1) {
        Endpoint other = to.front();
        if (other.port == UINT16_MAX) throw std::runtime_error("the B line has the port behind the A line's, and there is none; say --to twice");
        ++other.port;
        to.push_back(other);
    }
    if (to.size() > 2) throw std::runtime_error("a feed has one line or two: --to once or twice");
    arguments.options.drop_per_million = static_cast<uint32_t>(arguments.drop_percent * 10'000);
    std::unique_ptr<load::RecordSource> source;
    if (arguments.input.empty()) source = std::make_unique<load::MarketSession>(load::MarketOptions{arguments.options.seed, arguments.symbols});
    else source = std::make_unique<load::FileSource>(arguments.input, load::KeyRuleOptions{});
    if (arguments.input.empty() && arguments.options.message_count == 0 && arguments.options.seconds == 0) arguments.options.seconds = 10;
    Signals::block();
    const GenerateReport report = generate(arguments.options, *source);
    if (arguments.json) {
        Json json = {{"source", source->description()},     {"messages", report.message_count},     {"datagrams", report.datagram_count},
                     {"first_sequence", arguments.options.first_sequence}, {"next_sequence", report.next_sequence},
                     {"lost_messages", report.lost_messages}, {"lost_ranges", report.lost_ranges},    {"seconds", report.seconds},
                     {"lines", Json::array()}};
        for (const LineReport& line : report.lines)
            json["lines"].push_back({{"to", line.to}, {"sent", line.sent}, {"dropped", line.dropped}, {"bytes", line.bytes}, {"refused", line.refused}});
        fmt::print("{}\n", json.dump());
        return 0;
    }
    fmt::print("{}\n{} messages in {} datagrams, numbered {} to {}, in {:.1f} s ({}/s)\n", source->description(), grouped(report.message_count),
               grouped(report.datagram_count), arguments.options.first_sequence, report.next_sequence - 1, report.seconds,
               grouped(report.seconds > 0 ? static_cast<double>(report.message_count) / report.seconds : 0.0));
    Table table({"line", "to", "datagrams", "dropped", "bytes"});
    for (size_t i = 0; i < report.lines.size(); ++i) {
        const LineReport& line = report.lines[i];
        table.add({std::string(1, static_cast<char>('A' + i)), line.to, grouped(line.sent), grouped(line.dropped), bytes_text(static_cast<double>(line.bytes))});
    }
    fmt::print("{}", table.text(2));
    if (report.lost_messages > 0) fmt::print("dropped on every line, as was asked for: {} messages in {} ranges\n", grouped(report.lost_messages), grouped(report.lost_ranges));
    for (const LineReport& line : report.lines) {
        if (line.refused > 0) fmt::print(stderr, "eagre: nobody listens at {}\n", line.to);
    }
    return 0;
}

struct ReplayArguments {
    ReplayOptions options;
    std::string file;
    std::string to;
    std::string speed = "1x";
    std::string filter;
    uint32_t time_column = 1;
    std::string time_unit = "ms";
    double gap_seconds = 0;
    bool json = false;
};

/// "10x", "0.5x"; 0: "max".
double parse_speed(const std::string& text) {
    if (text == "max") return 0;
    try {
        size_t used = 0;
        const double speed = std::stod(text, &used);
        if (speed > 0 && speed <= 1e6 && (text.substr(used) == "x" || used == text.size())) return speed;
    } catch (const std::exception&) {
        // Said below.
    }
    throw std::runtime_error(fmt::format("--speed {}: say 1x, 10x, 0.5x or max", text));
}

uint64_t unit_ns(const std::string& text) {
    if (text == "s") return 1'000'000'000;
    if (text == "ms") return 1'000'000;
    return text == "us" ? 1'000 : 1;
}

int run_replay(ReplayArguments arguments) {
    arguments.options.sender.to = parse_endpoint(arguments.to);
    arguments.options.speed = parse_speed(arguments.speed);
    arguments.options.gap_ns_max = static_cast<uint64_t>(arguments.gap_seconds * 1e9);
    const bool packets = arguments.file.ends_with(".pcap") || arguments.file.ends_with(".pcapng") || arguments.file.ends_with(".cap");
    if (!packets && !arguments.filter.empty()) throw std::runtime_error("--filter is for captures of packets (.pcap, .pcapng)");
    const auto source = packets ? open_packets(arguments.file, arguments.filter) : open_lines(arguments.file, {arguments.time_column, unit_ns(arguments.time_unit)});
    Signals::block();
    const ReplayReport report = replay(arguments.options, *source);
    const CaptureStats& seen = source->stats();
    if (arguments.json) {
        fmt::print("{}\n", Json({{"sent", report.sent}, {"bytes", report.bytes}, {"refused", report.refused}, {"late", report.late}, {"backwards", report.backwards},
                                 {"others", seen.others}, {"fragments", seen.fragments}, {"cut", seen.cut}, {"captured_seconds", report.captured_seconds},
                                 {"seconds", report.seconds}})
                               .dump());
    } else {
        fmt::print("{} datagrams ({}) to {}: {} of the capture in {:.1f} s\n", grouped(report.sent), bytes_text(static_cast<double>(report.bytes)), arguments.to,
                   clock_text(report.captured_seconds), report.seconds);
        const auto told = [](uint64_t count, const char* what) {
            if (count > 0) fmt::print("  {} {}\n", grouped(count), what);
        };
        told(report.late, "more than 1 ms later than they should have been");
        told(report.backwards, "with a time before that of the one before: sent at once");
        told(seen.fragments, "fragments of larger datagrams left out");
        told(seen.cut, "captured in part left out");
        told(seen.others, packets ? "packets that are no UDP left out" : "lines of a heading left out");
    }
    if (report.refused > 0) fmt::print(stderr, "eagre: nobody listens at {}\n", arguments.to);
    if (report.sent == 0) throw std::runtime_error(fmt::format("{} holds nothing to send", arguments.file));
    return 0;
}

struct WatchArguments {
    WatchOptions options;
    std::vector<std::string> on;
    std::string interface;
    std::string source;
    double window_ms = 50;
    bool strict = false;
    bool json = false;
};

Json json_of(const WatchReport& report) {
    Json json = {{"session", report.session},         {"sessions", report.session_count},       {"first_sequence", report.first_sequence},
                 {"next_sequence", report.next_sequence}, {"messages", report.messages},        {"bytes", report.bytes},
                 {"gap_messages", report.gap_messages},   {"gap_ranges", report.gap_ranges},    {"ended", report.ended},
                 {"seconds", report.seconds},         {"lines", Json::array()}};
    for (const WatchedLine& line : report.lines) {
        json["lines"].push_back({{"at", line.at}, {"datagrams", line.datagrams}, {"messages", line.messages}, {"bytes", line.bytes}, {"first", line.first},
                                 {"repeated", line.repeated}, {"broken", line.broken}, {"dropped", line.dropped}, {"lost", line.lost}});
    }
    return json;
}

int run_watch(WatchArguments arguments) {
    for (const std::string& each : arguments.on) arguments.options.lines.push_back({parse_endpoint(each), arguments.interface, arguments.source});
    arguments.options.limits.window_ns = static_cast<uint64_t>(arguments.window_ms * 1e6);
    Signals::block();
    const WatchReport report = watch(arguments.options);
    const bool whole = report.gap_messages == 0 && report.messages > 0;
    if (arguments.json) {
        fmt::print("{}\n", json_of(report).dump());
        return arguments.strict && !whole ? 1 : 0;
    }
    if (report.session_count == 0) {
        fmt::print(stderr, "eagre: nothing came; is it sent here, and is the group joined on the right --interface?\n");
        return arguments.strict ? 1 : 0;
    }
    fmt::print("session {}, messages {} to {}{}\n", report.session, report.first_sequence, report.next_sequence - 1, report.ended ? ", ended" : "");
    Table table({"line", "at", "datagrams", "messages", "lost", "first", "repeated", "broken", "dropped here"});
    for (size_t i = 0; i < report.lines.size(); ++i) {
        const WatchedLine& line = report.lines[i];
        table.add({std::string(1, static_cast<char>('A' + i)), line.at, grouped(line.datagrams), grouped(line.messages), grouped(line.lost), grouped(line.first),
                   grouped(line.repeated), grouped(line.broken), grouped(line.dropped)});
    }
    fmt::print("{}", table.text(2));
    fmt::print("together {} messages ({}, {}/s), {}\n", grouped(report.messages), bytes_text(static_cast<double>(report.bytes)),
               grouped(report.seconds > 0 ? static_cast<double>(report.messages) / report.seconds : 0.0),
               report.gap_messages == 0 ? std::string("none missing") : fmt::format("{} missing in {} gaps", grouped(report.gap_messages), grouped(report.gap_ranges)));
    return arguments.strict && !whole ? 1 : 0;
}

void add_watch(CLI::App& feed, int& status) {
    auto arguments = std::make_shared<WatchArguments>();
    CLI::App* command = feed.add_subcommand("watch", "Listen to a MoldUDP64 feed, and say what each of its lines has lost");
    command->add_option("--on", arguments->on, "ADDRESS:PORT, a group or an address of this machine; twice: lines A and B")->required()->allow_extra_args(false);
    command->add_option("--interface", arguments->interface, "Where groups are joined");
    command->add_option("--source", arguments->source, "Only from this sender (source-specific multicast)");
    command->add_option("--window-ms", arguments->window_ms, "So long the other line may bring what one has lost")->capture_default_str()->check(CLI::Range(0.0, 60'000.0));
    command->add_option("--seconds", arguments->options.seconds, "End after so long [when the session ends]");
    command->add_flag("--strict", arguments->strict, "Status 1 where something is missing on all lines");
    command->add_flag("--json", arguments->json, "Print one JSON object");
    command->footer("Examples:\n"
                    "  eagre feed watch --on 239.1.1.1:5000 --on 239.1.1.2:5000 --interface eth1\n"
                    "  eagre feed watch --on 127.0.0.1:5000 --on 127.0.0.1:5001 --strict &\n"
                    "  eagre feed generate --to 127.0.0.1:5000 --ab --rate 300000 --drop 1");
    command->callback([arguments, &status] { status = run_watch(*arguments); });
}

void add_generate(CLI::App& feed, int& status) {
    auto arguments = std::make_shared<GenerateArguments>();
    GenerateOptions& options = arguments->options;
    options.session.clear();
    CLI::App* command = feed.add_subcommand("generate", "Send a market session as an exchange does");
    command->add_option("--to", arguments->to, "ADDRESS:PORT, unicast or multicast; twice: lines A and B")->required()->allow_extra_args(false);
    command->add_flag("--ab", arguments->ab, "Two lines: B is at the port behind A's");
    command->add_option("--protocol", arguments->protocol, "What is in the datagrams")->capture_default_str()->check(CLI::IsMember({"itch50/moldudp64"}));
    command->add_option("--input", arguments->input, "Messages are the lines of this file (also .gz, .zip), not a generated session");
    command->add_option("--symbols", arguments->symbols, "Of the generated session")->capture_default_str()->check(CLI::Range(1U, load::MarketSession::kSymbolCountMax));
    command->add_option("--rate", options.rate_per_s, "Messages a second; 0: as fast as they go")->capture_default_str();
    command->add_option("--messages", options.message_count, "End after so many");
    command->add_option("--seconds", options.seconds, "End after so long [10, of a generated session]");
    command->add_option("--drop", arguments->drop_percent, "Percent of datagrams that each line loses, by itself")->capture_default_str()->check(CLI::Range(0.0, 100.0));
    command->add_option("--session", options.session, "Its name, at most 10 letters [the time: a box takes one session's numbers once]")->check([](const std::string& text) {
        return text.empty() || text.size() > 10 ? std::string("1 to 10 letters") : std::string();
    });
    command->add_option("--first", options.first_sequence, "Number of the first message")->capture_default_str();
    command->add_option("--datagram-bytes", options.datagram_bytes, "At most so large")->capture_default_str()->check(CLI::Range(64U, 65'507U));
    command->add_option("--datagram-messages", options.messages_max, "At most so many messages in one [as many as are due]");
    command->add_option("--seed", options.seed, "Of the session and of the losses")->capture_default_str();
    command->add_option("--interface", options.interface, "Where multicast goes out");
    command->add_option("--hops", options.hops, "Of multicast")->capture_default_str()->check(CLI::Range(0U, 255U));
    command->add_flag("--json", arguments->json, "Print one JSON object");
    command->footer("Examples:\n"
                    "  eagre feed generate --to 127.0.0.1:5000 --rate 300000\n"
                    "  eagre feed generate --to 239.1.1.1:5000 --to 239.1.1.2:5000 --drop 1    lines A and B\n"
                    "  eagre feed generate --to 127.0.0.1:5000 --ab --input quotes.zip --rate 0");
    command->callback([arguments, &status] { status = run_generate(*arguments); });
}

void add_replay(CLI::App& feed, int& status) {
    auto arguments = std::make_shared<ReplayArguments>();
    CLI::App* command = feed.add_subcommand("replay", "Send again what was captured, with its timing");
    command->add_option("file", arguments->file, "FILE.pcap or .pcapng: its UDP payloads; .csv (also .gz, .zip): its lines")->required();
    command->add_option("--to", arguments->to, "ADDRESS:PORT, unicast or multicast")->required();
    command->add_option("--speed", arguments->speed, "1x, 10x, 0.5x; max: as fast as it goes")->capture_default_str();
    command->add_option("--filter", arguments->filter, "Of packets, as tcpdump takes it: 'udp and dst port 26400'");
    command->add_option("--time-column", arguments->time_column, "Of lines: where their time stands, from 1")->capture_default_str()->check(CLI::Range(1U, 10'000U));
    command->add_option("--time-unit", arguments->time_unit, "Of these times")->capture_default_str()->check(CLI::IsMember({"s", "ms", "us", "ns"}));
    command->add_option("--gap-max", arguments->gap_seconds, "Cut a longer silence to so many seconds [none is cut]")->check(CLI::NonNegativeNumber);
    command->add_option("--count", arguments->options.count, "End after so many datagrams");
    command->add_option("--interface", arguments->options.sender.interface, "Where multicast goes out");
    command->add_option("--hops", arguments->options.sender.hops, "Of multicast")->capture_default_str()->check(CLI::Range(0U, 255U));
    command->add_flag("--json", arguments->json, "Print one JSON object");
    command->footer("Examples:\n"
                    "  eagre feed replay session.pcapng --to 239.1.1.1:5000 --filter 'dst port 26400'\n"
                    "  eagre feed replay quotes.zip --time-column 1 --time-unit ms --speed 100x --gap-max 1 --to 127.0.0.1:5000");
    command->callback([arguments, &status] { status = run_replay(*arguments); });
}

}  // namespace

void add_feed(CLI::App& app, int& status) {
    CLI::App* feed = app.add_subcommand("feed", "Datagrams of others: capture them into a stream; generate, replay, watch");
    feed->require_subcommand(1);
    add_feed_management(*feed, status);
    add_generate(*feed, status);
    add_replay(*feed, status);
    add_watch(*feed, status);
}

}  // namespace eagre::cli
