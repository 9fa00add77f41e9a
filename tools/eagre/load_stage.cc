#include "tools/eagre/load_stage.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <fmt/format.h>
#include <unistd.h>

#include "tools/eagre/signals.h"
#include "tools/eagre/text.h"

namespace eagre::cli {
namespace {
constexpr uint64_t kTickNs = 50'000'000;
}

std::vector<int> parse_cores(const std::string& text) {
    const auto bad = [&] {
        return std::runtime_error(
            fmt::format("'{}' is no list of CPUs: give 0 or 2,3 or 2-5", text));
    };
    const auto number = [&](std::string_view part) {
        int value = -1;
        const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
        if (error != std::errc{} || end != part.data() + part.size() || value < 0 ||
            value >= CPU_SETSIZE)
            throw bad();
        return value;
    };
    std::vector<int> cores;
    std::istringstream parts(text);
    for (std::string part; std::getline(parts, part, ',');) {
        const size_t dash = part.find('-');
        const int first = number(std::string_view(part).substr(0, dash));
        const int last =
            dash == std::string::npos ? first : number(std::string_view(part).substr(dash + 1));
        if (last < first) throw bad();
        for (int core = first; core <= last; ++core) cores.push_back(core);
    }
    return cores;
}

double cpu_seconds_of(pid_t pid) {
    std::ifstream file(fmt::format("/proc/{}/stat", pid));
    std::string text;
    if (!std::getline(file, text)) return -1;
    // proc(5): the name in parentheses may hold blanks; utime and stime are fields 14 and 15, in
    // clock ticks.
    const size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) return -1;
    std::istringstream fields(text.substr(name_end + 1));
    std::string skipped;
    for (int i = 3; i < 14; ++i) fields >> skipped;
    uint64_t user = 0;
    uint64_t kernel = 0;
    if (!(fields >> user >> kernel)) return -1;
    return static_cast<double>(user + kernel) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

uint64_t memory_peak_of(pid_t pid) {
    std::ifstream file(fmt::format("/proc/{}/status", pid));
    for (std::string name; file >> name;) {
        uint64_t kib = 0;
        if (name == "VmHWM:" && file >> kib) return kib * 1024;
        file.ignore(1 << 16, '\n');
    }
    return 0;
}

UseMeter::UseMeter(std::string stats_path) : stats_path_(std::move(stats_path)), before_(read()) {}

UseMeter::Reading UseMeter::read() const {
    Reading reading;
    try {
        const StatsSnapshot snapshot = read_stats(stats_path_);
        reading.cpu_seconds = cpu_seconds_of(static_cast<pid_t>(snapshot.header().pid));
        reading.payload_bytes = snapshot.total(&shm::CoreStats::payload_bytes_appended);
        reading.journal_bytes = snapshot.total(&shm::CoreStats::journal_bytes);
        reading.device_written_bytes = snapshot.total(&shm::CoreStats::device_written_bytes);
        reading.known = reading.cpu_seconds >= 0;
    } catch (const std::runtime_error&) {
        // Statistics of an appliance elsewhere: the load is measured all the same.
        reading.known = false;
    }
    return reading;
}

DataplaneUse UseMeter::since() const {
    const Reading now = read();
    DataplaneUse use;
    use.known = before_.known && now.known && now.payload_bytes >= before_.payload_bytes;
    if (!use.known) return use;
    use.cpu_seconds = now.cpu_seconds - before_.cpu_seconds;
    use.payload_bytes = now.payload_bytes - before_.payload_bytes;
    use.journal_bytes = now.journal_bytes - before_.journal_bytes;
    use.device_written_bytes = now.device_written_bytes - before_.device_written_bytes;
    return use;
}

bool show_load(Progress& progress, const std::string& name, const load::PhaseProgress& now,
               uint64_t total, double seconds_total) {
    const bool stop = Signals::wait(kTickNs);
    double share = -1;
    if (total != 0)
        share = static_cast<double>(now.acknowledged_count) / static_cast<double>(total);
    if (seconds_total > 0) share = std::max(share, now.seconds / seconds_total);
    const double rate = static_cast<double>(now.acknowledged_count) / std::max(now.seconds, 1e-3);
    progress.show(now.producing ? name : name + ", reading back", share,
                  fmt::format("{} acknowledged, {} read, {}/s", grouped(now.acknowledged_count),
                              grouped(now.read_count), grouped(rate)));
    return stop;
}

}  // namespace eagre::cli
