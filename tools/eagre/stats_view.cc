#include "tools/eagre/stats_view.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include <fmt/format.h>

#include "tools/eagre/progress.h"
#include "wire/base/errc.h"

namespace eagre::cli {
namespace {

uint64_t errors_of(const StatsSnapshot& snapshot, uint32_t code) {
    uint64_t count = 0;
    for (uint32_t core = 0; core < snapshot.core_count(); ++core)
        count += snapshot.core(core).errors[code];
    return count;
}

std::string error_name(uint32_t code) {
    return std::string(errc_name(static_cast<Errc>(code)));
}

}  // namespace

StatsSnapshot read_stats(const std::string& path) {
    auto snapshot = StatsSnapshot::read(path, monotonic_ns());
    if (snapshot) return std::move(*snapshot);
    const Error error = snapshot.error();
    if (error.code == Errc::kIo) {
        throw std::runtime_error(fmt::format("{}: {}: has an eagred run with this --data?", path,
                                             std::strerror(error.os_errno)));
    }
    if (error.code == Errc::kBadVersion) {
        throw std::runtime_error(
            path + ": another version's statistics: use the eagre that came with this eagred");
    }
    throw std::runtime_error(path + ": too short to be Eagre's statistics");
}

Histogram histogram_between(const Histogram& before, const Histogram& after) {
    std::map<uint64_t, uint64_t> counts;
    after.for_each([&](uint64_t upper, uint64_t count) { counts[upper] += count; });
    before.for_each([&](uint64_t upper, uint64_t count) {
        uint64_t& now = counts[upper];
        // eagred may have been started anew in between: then its counts begin at 0 again.
        now -= std::min(now, count);
    });
    Histogram between;
    for (const auto& [upper, count] : counts) {
        if (count != 0) between.record(upper, count);
    }
    return between;
}

double StatsInterval::seconds() const {
    return std::max(1e-6, static_cast<double>(after.taken_ns() - before.taken_ns()) / 1e9);
}

bool StatsInterval::same_run() const {
    return before.header().incarnation == after.header().incarnation &&
           before.header().pid == after.header().pid &&
           before.core_count() == after.core_count();
}

double StatsInterval::core_rate(uint32_t core, uint64_t shm::CoreStats::*counter) const {
    const uint64_t from = same_run() ? before.core(core).*counter : 0;
    return static_cast<double>(after.core(core).*counter - from) / seconds();
}

double StatsInterval::total_rate(uint64_t shm::CoreStats::*counter) const {
    const uint64_t from = same_run() ? before.total(counter) : 0;
    return static_cast<double>(after.total(counter) - from) / seconds();
}

Histogram StatsInterval::core_histogram(uint32_t core,
                                        Histogram shm::CoreStats::*histogram) const {
    return same_run() ? histogram_between(before.core(core).*histogram, after.core(core).*histogram)
                      : after.core(core).*histogram;
}

Histogram StatsInterval::merged_histogram(Histogram shm::CoreStats::*histogram) const {
    return same_run() ? histogram_between(before.merged(histogram), after.merged(histogram))
                      : after.merged(histogram);
}

std::vector<ShardRate> StatsInterval::shard_rates() const {
    std::vector<ShardRate> rates;
    rates.reserve(after.shards().size());
    for (const shm::ShardStats& shard : after.shards()) {
        const shm::ShardStats* old = same_run() ? before.find(shard.shard) : nullptr;
        const auto rate = [&](uint64_t shm::ShardStats::*counter) {
            // A shard that moved to another core in between counts from 0 there.
            const uint64_t from = old == nullptr || old->*counter > shard.*counter
                                      ? 0
                                      : old->*counter;
            return static_cast<double>(shard.*counter - from) / seconds();
        };
        rates.push_back({&shard, rate(&shm::ShardStats::records_in),
                         rate(&shm::ShardStats::bytes_in), rate(&shm::ShardStats::records_out),
                         rate(&shm::ShardStats::bytes_out)});
    }
    std::stable_sort(rates.begin(), rates.end(), [](const ShardRate& a, const ShardRate& b) {
        return a.records_in_per_s + a.records_out_per_s > b.records_in_per_s + b.records_out_per_s;
    });
    return rates;
}

std::map<std::string, uint64_t> StatsInterval::errors() const {
    std::map<std::string, uint64_t> errors;
    for (uint32_t code = 1; code < shm::kErrcSlots; ++code) {
        const uint64_t from = same_run() ? errors_of(before, code) : 0;
        if (const uint64_t to = errors_of(after, code); to > from)
            errors[error_name(code)] += to - from;
    }
    return errors;
}

std::map<std::string, uint64_t> errors_by_name(const StatsSnapshot& snapshot) {
    std::map<std::string, uint64_t> errors;
    for (uint32_t code = 1; code < shm::kErrcSlots; ++code) {
        if (const uint64_t count = errors_of(snapshot, code); count != 0)
            errors[error_name(code)] += count;
    }
    return errors;
}

}  // namespace eagre::cli
