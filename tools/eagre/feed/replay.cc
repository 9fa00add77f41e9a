#include "tools/eagre/feed/replay.h"

#include <algorithm>

#include <fmt/format.h>

#include "perf/load/schedule.h"
#include "tools/eagre/feed/pace.h"
#include "tools/eagre/progress.h"
#include "tools/eagre/text.h"

namespace eagre::cli {

ReplayReport replay(const ReplayOptions& options, CaptureSource& source) {
    DatagramSender sender(options.sender);
    ReplayReport report;
    Progress progress;
    const uint64_t start_ns = monotonic_ns();
    std::optional<uint64_t> last_ns;
    uint64_t captured_ns = 0;  // From the first one, silences cut.
    while (options.count == 0 || report.sent < options.count) {
        const auto next = source.next();
        if (!next) break;
        const uint64_t before_ns = last_ns.value_or(next->time_ns);
        report.backwards += next->time_ns < before_ns ? 1U : 0U;
        const uint64_t gap_ns = next->time_ns - std::min(next->time_ns, before_ns);
        captured_ns += options.gap_ns_max == 0 ? gap_ns : std::min(gap_ns, options.gap_ns_max);
        last_ns = std::max(before_ns, next->time_ns);
        if (options.speed > 0) {
            const uint64_t due_ns = start_ns + static_cast<uint64_t>(static_cast<double>(captured_ns) / options.speed);
            if (monotonic_ns() < due_ns) {
                sender.flush();  // What was due before does not wait for this.
                if (wait_until(due_ns)) break;
            } else if (monotonic_ns() > due_ns + load::kLateNs) {
                ++report.late;
            }
        } else if (report.sent % 1024 == 0 && wait_until(0)) {
            break;
        }
        sender.send(next->payload);
        ++report.sent;
        progress.show("replaying", -1, fmt::format("{} datagrams, {} of the capture", grouped(report.sent), clock_text(static_cast<double>(captured_ns) / 1e9)));
    }
    sender.flush();
    report.bytes = sender.bytes();
    report.refused = sender.refused();
    report.captured_seconds = static_cast<double>(captured_ns) / 1e9;
    report.seconds = static_cast<double>(monotonic_ns() - start_ns) / 1e9;
    return report;
}

}  // namespace eagre::cli
