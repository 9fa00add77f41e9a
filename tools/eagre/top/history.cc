#include "tools/eagre/top/history.h"

#include <algorithm>

#include <fmt/format.h>

namespace eagre::cli::top {
namespace {

using shm::CoreStats;

Latency latency_of(const Histogram& histogram, double seconds) {
    return {histogram.count(),          static_cast<double>(histogram.count()) / seconds,
            histogram.percentile(50),   histogram.percentile(99),
            histogram.percentile(99.9), histogram.max()};
}

std::vector<double> values_of(const std::deque<double>& trend) {
    return {trend.begin(), trend.end()};
}

CoreRow core_row(const StatsInterval& last, const StatsInterval& window, uint32_t index) {
    const CoreStats& core = last.after.core(index);
    const auto rate = [&](uint64_t CoreStats::*counter) { return last.core_rate(index, counter); };
    CoreRow row;
    row.core = core.core;
    row.cpu = core.os_cpu;
    row.busy = rate(&CoreStats::cpu_ns) / 1e9;
    row.turns_per_s = rate(&CoreStats::turn_count);
    if (row.turns_per_s > 0) row.idle_share = rate(&CoreStats::idle_turn_count) / row.turns_per_s;
    row.commits_per_s = rate(&CoreStats::commit_count);
    row.connections = core.connection_count;
    row.subscriptions = core.subscriptions;
    row.segments_live = core.segments_live;
    row.segments_ready = core.segments_ready;
    row.alive_bytes = core.alive_bytes;
    row.used_bytes = core.used_bytes;
    row.in = {rate(&CoreStats::records_appended), rate(&CoreStats::payload_bytes_appended)};
    row.out = {rate(&CoreStats::records_delivered), rate(&CoreStats::payload_bytes_delivered)};
    row.ack = latency_of(window.core_histogram(index, &CoreStats::ack_ns), window.seconds());
    row.turn_max_ns = window.core_histogram(index, &CoreStats::turn_ns).max();
    return row;
}

ShardRow shard_row(const ShardRate& rate) {
    const shm::ShardStats& shard = *rate.shard;
    return {std::string(shm::stream_name(shard)),
            shard.shard,
            shard.open != 0,
            {rate.records_in_per_s, rate.bytes_in_per_s},
            {rate.records_out_per_s, rate.bytes_out_per_s},
            shard.durable_sequence - std::min(shard.durable_sequence, shard.trim_horizon),
            shard.durable_sequence,
            shard.trim_horizon,
            shard.last_arrival_ns};
}

void add_flow(Flow& sum, const Flow& part) {
    sum.records_per_s += part.records_per_s;
    sum.bytes_per_s += part.bytes_per_s;
}

std::map<std::string, StreamRow> stream_rows(const std::vector<ShardRow>& shards) {
    std::map<std::string, StreamRow> streams;
    for (const ShardRow& shard : shards) {
        StreamRow& row = streams[shard.stream];
        row.name = shard.stream;
        ++(shard.open ? row.open_shards : row.closed_shards);
        add_flow(row.in, shard.in);
        add_flow(row.out, shard.out);
        row.records += shard.records;
        row.last_arrival_ns = std::max(row.last_arrival_ns, shard.last_arrival_ns);
    }
    return streams;
}

void add_alarms(const StatsSnapshot& now, std::vector<std::string>& alarms) {
    if (now.total(&CoreStats::journal_failed) != 0)
        alarms.emplace_back("A journal has failed: see the log of eagred");
    if (now.total(&CoreStats::disk_full) != 0)
        alarms.emplace_back("The disk is full: producers are refused");
    if (now.total(&CoreStats::clock_waits) != 0)
        alarms.emplace_back("The clock jumped: retention waits for 'eagre clock accept'");
    if (const uint64_t damaged = now.total(&CoreStats::damaged_runs); damaged != 0)
        alarms.push_back(fmt::format("{} stored batches are damaged: see 'eagre verify'", damaged));
}

}  // namespace

void History::push(Trend& trend, double value) {
    trend.push_back(value);
    if (trend.size() > kTrendLength) trend.pop_front();
}

void History::add(StatsSnapshot snapshot) {
    if (!readings_.empty() && !StatsInterval{readings_.back(), snapshot}.same_run())
        readings_.clear();
    readings_.push_back(std::move(snapshot));
    const uint64_t now_ns = readings_.back().taken_ns();
    // The first of them is where the window begins: at least as old as the window is long.
    while (readings_.size() > 2 &&
           (now_ns - readings_[1].taken_ns() >= kWindowNs || readings_.size() > kReadingsMax))
        readings_.pop_front();
    if (readings_.size() >= 2) push_trends();
}

void History::push_trends() {
    const StatsInterval last{readings_[readings_.size() - 2], readings_.back()};
    push(in_trend_, last.total_rate(&CoreStats::records_appended));
    push(out_trend_, last.total_rate(&CoreStats::records_delivered));
    std::map<std::string, double> rates;
    for (const ShardRate& rate : last.shard_rates())
        rates[std::string(shm::stream_name(*rate.shard))] += rate.records_in_per_s;
    std::erase_if(stream_trends_, [&](const auto& trend) { return !rates.contains(trend.first); });
    for (const auto& [name, rate] : rates) {
        if (stream_trends_.size() >= kStreamTrendsMax && !stream_trends_.contains(name)) continue;
        push(stream_trends_[name], rate);
    }
}

void History::miss() {
    push(in_trend_, 0);
    push(out_trend_, 0);
    for (auto& [name, trend] : stream_trends_) push(trend, 0);
}

void History::fill(View& view) const {
    view.in_trend = values_of(in_trend_);
    view.out_trend = values_of(out_trend_);
    if (readings_.empty()) return;
    const StatsSnapshot& now = readings_.back();
    const StatsSnapshot& before = readings_.size() >= 2 ? readings_[readings_.size() - 2] : now;
    const StatsInterval last{before, now};
    const StatsInterval window{readings_.front(), now};
    view.dataplane_up = now.alive();
    if (!view.dataplane_up)
        view.why_down = fmt::format("eagred has given no sign of life for {} s",
                                    now.silent_ns() / 1'000'000'000);
    view.pid = now.header().pid;
    view.started_wall_ns = now.header().started_wall_ns;
    view.interval_s = readings_.size() >= 2 ? last.seconds() : 0;
    view.window_s = readings_.size() >= 2 ? window.seconds() : 0;
    view.in = {last.total_rate(&CoreStats::records_appended),
               last.total_rate(&CoreStats::payload_bytes_appended)};
    view.out = {last.total_rate(&CoreStats::records_delivered),
                last.total_rate(&CoreStats::payload_bytes_delivered)};
    view.ack = latency_of(window.merged_histogram(&CoreStats::ack_ns), window.seconds());
    view.write = latency_of(window.merged_histogram(&CoreStats::write_ns), window.seconds());
    view.sync = latency_of(window.merged_histogram(&CoreStats::sync_ns), window.seconds());
    for (uint32_t index = 0; index < now.core_count(); ++index)
        view.cores.push_back(core_row(last, window, index));
    for (const ShardRate& rate : last.shard_rates()) view.shards.push_back(shard_row(rate));
    for (auto& [name, row] : stream_rows(view.shards)) {
        view.streams.push_back(std::move(row));
        if (const auto trend = stream_trends_.find(name); trend != stream_trends_.end())
            view.streams.back().in_trend = values_of(trend->second);
    }
    view.errors = window.errors();
    for (const auto& [name, count] : errors_by_name(now)) view.error_count += count;
    add_alarms(now, view.alarms);
}

}  // namespace eagre::cli::top
