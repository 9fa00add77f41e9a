#pragma once
// What bench and session share around a load: CPUs to pin to, the readers, a progress line, what
// the dataplane used.

#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

#include "perf/load/phase.h"
#include "tools/eagre/load_report.h"
#include "tools/eagre/progress.h"
#include "tools/eagre/stats_view.h"

namespace eagre::cli {

/// "0", "2,3", "2-5" or a mix. Throws std::runtime_error.
std::vector<int> parse_cores(const std::string& text);

/// CPU time of the process so far (all threads, user and kernel), in seconds; negative when it is
/// not there.
double cpu_seconds_of(pid_t pid);
/// Highest resident memory of the process so far, in bytes; 0 when it is not there.
uint64_t memory_peak_of(pid_t pid);

/// Takes readings at the beginning and the end of a part.
class UseMeter {
  public:
    /// `stats_path`: DATA/stats.shm. When it cannot be read nothing is known and nothing fails.
    explicit UseMeter(std::string stats_path);
    DataplaneUse since() const;

  private:
    struct Reading {
        bool known = false;
        double cpu_seconds = 0;
        uint64_t payload_bytes = 0;
        uint64_t journal_bytes = 0;
        uint64_t device_written_bytes = 0;
    };
    Reading read() const;
    std::string stats_path_;
    Reading before_;
};

/// `rate_per_s` and `total` (0: unknown) for the bar; shows and waits a little. True when Ctrl-C
/// came.
bool show_load(Progress& progress, const std::string& name, const load::PhaseProgress& now,
               uint64_t total, double seconds_total);

}  // namespace eagre::cli
