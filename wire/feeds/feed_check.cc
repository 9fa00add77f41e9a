#include "wire/feeds/feed_check.h"

#include <algorithm>
#include <array>

#include <arpa/inet.h>

#include "wire/feeds/key_rule.h"

namespace eagre::feeds {
namespace {

struct Parsed {
    int family = 0;  // 4, 6; 0: no numeric address.
    bool group = false;
};

Parsed parse(const std::string& text) {
    std::array<unsigned char, 16> bytes{};
    if (::inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) return {4, bytes[0] >= 224 && bytes[0] < 240};
    if (::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) return {6, bytes[0] == 0xff};
    return {};
}

std::string check_line(const FeedLine& line) {
    const std::string at = line.address + ":" + std::to_string(line.port);
    const Parsed address = parse(line.address);
    if (address.family == 0) return line.address + " is no numeric address";
    if (line.port == 0) return at + " has no port";
    if (line.interface.size() > 15) return "an interface's name has at most 15 letters";
    if (line.source.empty()) return {};
    const Parsed source = parse(line.source);
    if (source.family == 0 || source.group) return "the source " + line.source + " is no numeric address of a host";
    if (source.family != address.family) return "the source " + line.source + " and " + at + " are not of one IP version";
    return {};
}

bool is_name(std::string_view name) {
    return !name.empty() && name.size() <= kFeedNameBytesMax && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
    });
}

}  // namespace

std::string check(const FeedSpec& spec) {
    if (!is_name(spec.name)) return "a feed's name has 1 to 48 letters, digits, '_', '-' or '.'";
    if (spec.lines.empty() || spec.lines.size() > kFeedLineCountMax) return "a feed has one line or two";
    for (const FeedLine& line : spec.lines) {
        if (std::string wrong = check_line(line); !wrong.empty()) return wrong;
    }
    if (spec.lines.size() == 2) {
        if (spec.framing != Framing::kMoldUdp64) return "two lines need numbered messages: --framing moldudp64";
        if (spec.lines[0].address == spec.lines[1].address && spec.lines[0].port == spec.lines[1].port) return "both lines are the same";
    }
    if (spec.framing != Framing::kRaw && spec.framing != Framing::kMoldUdp64 && spec.framing != Framing::kLines) return "no such framing";
    if (spec.window_ms > kFeedWindowMsMax) return "the window is at most 60 s";
    const auto rule = KeyRule::parse(spec.key);
    return rule ? std::string() : key_rule_help(spec.key);
}

}  // namespace eagre::feeds
