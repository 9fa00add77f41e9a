#include "perf/ceilings/json_line.h"

#include <cmath>
#include <cstdio>

namespace eagre::perf {
namespace {

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\u%04x",
                          static_cast<unsigned>(static_cast<unsigned char>(c)));
            out += escape;
        } else {
            out += c;
        }
    }
    return out + "\"";
}

double us(uint64_t ns) {
    return static_cast<double>(ns) / 1000.0;
}

}  // namespace

void JsonLine::begin(std::string_view key) {
    if (!body_.empty()) body_ += ", ";
    body_ += quoted(key) + ": ";
}

JsonLine& JsonLine::add(std::string_view key, uint64_t value) {
    begin(key);
    body_ += std::to_string(value);
    return *this;
}

JsonLine& JsonLine::add(std::string_view key, double value) {
    begin(key);
    if (!std::isfinite(value)) {
        body_ += "null";
        return *this;
    }
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", value);
    body_ += text;
    return *this;
}

JsonLine& JsonLine::add(std::string_view key, bool value) {
    begin(key);
    body_ += value ? "true" : "false";
    return *this;
}

JsonLine& JsonLine::add(std::string_view key, std::string_view value) {
    begin(key);
    body_ += quoted(value);
    return *this;
}

JsonLine& JsonLine::add_us(std::string_view key, const Histogram& ns) {
    JsonLine inner;
    inner.add("count", ns.count())
        .add("min", us(ns.min()))
        .add("p50", us(ns.percentile(50)))
        .add("p99", us(ns.percentile(99)))
        .add("p999", us(ns.percentile(99.9)))
        .add("p9999", us(ns.percentile(99.99)))
        .add("max", us(ns.max()));
    return add(key, inner);
}

JsonLine& JsonLine::add(std::string_view key, const JsonLine& object) {
    begin(key);
    body_ += object.text();
    return *this;
}

}  // namespace eagre::perf
