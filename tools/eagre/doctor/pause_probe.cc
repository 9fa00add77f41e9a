#include <algorithm>

#include "tools/eagre/doctor/pinned_thread.h"
#include "tools/eagre/doctor/probes.h"

namespace eagre::doctor {
namespace {
constexpr uint64_t kPauseProbeNs = 2'000'000'000;
}

PauseFigures measure_pauses(uint32_t core) {
    PauseFigures figures;
    pinned_thread(core, [&figures] {
        const uint64_t begin = monotonic_now_ns();
        uint64_t last = begin;
        while (last - begin < kPauseProbeNs) {
            const uint64_t now = monotonic_now_ns();
            const uint64_t gap = now - last;
            last = now;
            figures.longest_ns = std::max(figures.longest_ns, gap);
            if (gap < kPauseNsMin) continue;
            ++figures.count;
            figures.lost_ns += gap;
        }
        figures.duration_ns = last - begin;
    }).join();
    return figures;
}

}  // namespace eagre::doctor
