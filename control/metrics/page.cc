#include "control/metrics/page.h"

#include <algorithm>
#include <array>
#include <span>

#include <fmt/format.h>

#include "control/metrics/exposition.h"
#include "wire/base/errc.h"

namespace eagre::metrics {
namespace {

using shm::CoreStats;
using shm::ShardStats;

struct CoreFamily {
    std::string_view name;
    Kind kind;
    uint64_t CoreStats::*member;
    std::string_view help;
};
constexpr Kind kCounter = Kind::kCounter;
constexpr Kind kGauge = Kind::kGauge;

constexpr CoreFamily kCoreFamilies[] = {
    {"eagre_core_turns_total", kCounter, &CoreStats::turn_count, "Turns of the reactor."},
    {"eagre_core_idle_turns_total", kCounter, &CoreStats::idle_turn_count,
     "Turns that found nothing to do."},
    {"eagre_core_connections", kGauge, &CoreStats::connection_count, "Connections open now."},
    {"eagre_core_connections_accepted_total", kCounter, &CoreStats::connections_accepted,
     "Connections accepted."},
    {"eagre_core_connections_misbehaved_total", kCounter, &CoreStats::connections_closed_bad,
     "Connections closed because the other side broke the protocol."},
    {"eagre_core_received_frames_total", kCounter, &CoreStats::frames_in, "Frames received."},
    {"eagre_core_received_bytes_total", kCounter, &CoreStats::bytes_in,
     "Bytes received from sockets."},
    {"eagre_core_sent_bytes_total", kCounter, &CoreStats::bytes_out, "Bytes sent to sockets."},
    {"eagre_core_appended_batches_total", kCounter, &CoreStats::batches_appended,
     "Batches appended."},
    {"eagre_core_appended_records_total", kCounter, &CoreStats::records_appended,
     "Records appended."},
    {"eagre_core_appended_bytes_total", kCounter, &CoreStats::payload_bytes_appended,
     "Bytes of the batches appended."},
    {"eagre_core_acknowledged_batches_total", kCounter, &CoreStats::batches_acknowledged,
     "Batches acknowledged to their producer."},
    {"eagre_core_repeated_batches_total", kCounter, &CoreStats::batches_repeated,
     "Batches that had come before and were answered from memory."},
    {"eagre_core_delivered_records_total", kCounter, &CoreStats::records_delivered,
     "Records given to consumers."},
    {"eagre_core_delivered_bytes_total", kCounter, &CoreStats::payload_bytes_delivered,
     "Bytes of the batches given to consumers."},
    {"eagre_core_subscriptions", kGauge, &CoreStats::subscriptions, "Subscriptions open now."},
    {"eagre_core_handed_over_frames_total", kCounter, &CoreStats::handed_over,
     "Frames handed over to the core that owns the shard."},
    {"eagre_core_handover_refused_total", kCounter, &CoreStats::handover_refused,
     "Frames not handed over because the quota was used up (Busy)."},
    {"eagre_core_commits_total", kCounter, &CoreStats::commit_count,
     "Commits written to the journal."},
    {"eagre_core_journal_written_bytes_total", kCounter, &CoreStats::journal_bytes,
     "Bytes that the journal has used, padding included."},
    {"eagre_core_device_written_bytes_total", kCounter, &CoreStats::device_written_bytes,
     "Bytes written to the device."},
    {"eagre_core_device_read_bytes_total", kCounter, &CoreStats::device_read_bytes,
     "Bytes read from the device."},
    {"eagre_core_segments_recycled_total", kCounter, &CoreStats::segments_recycled,
     "Segments whose records have all expired, made ready again."},
    {"eagre_core_alive_bytes", kGauge, &CoreStats::alive_bytes,
     "Bytes of the journal whose records can still be read."},
    {"eagre_core_used_bytes", kGauge, &CoreStats::used_bytes,
     "Bytes of all segments that hold records, alive or not."},
    {"eagre_core_relocated_bytes_total", kCounter, &CoreStats::relocated_bytes,
     "Bytes moved by the cleaner out of segments that were mostly dead."},
    {"eagre_core_damaged_segments", kGauge, &CoreStats::segments_damaged,
     "Segments kept as they are because of damage."},
    {"eagre_core_damaged_runs_total", kCounter, &CoreStats::damaged_runs,
     "Stored batches found damaged when read."},
    {"eagre_core_journal_failed", kGauge, &CoreStats::journal_failed,
     "1 when a write or sync failed: the journal takes nothing until eagred is started again."},
    {"eagre_core_disk_full", kGauge, &CoreStats::disk_full,
     "1 while appends are refused because no segment can be made ready."},
    {"eagre_core_retention_waits", kGauge, &CoreStats::clock_waits,
     "1 while retention waits for 'eagre clock accept'."},
    {"eagre_core_datagram_sessions", kGauge, &CoreStats::datagram_sessions,
     "Sessions that send datagrams, open now."},
    {"eagre_core_received_datagrams_total", kCounter, &CoreStats::datagrams_in,
     "Datagrams received, good or bad."},
    {"eagre_core_sent_datagrams_total", kCounter, &CoreStats::datagrams_out, "Datagrams sent."},
    {"eagre_core_refused_datagrams_total", kCounter, &CoreStats::datagrams_refused,
     "Datagrams that were corrupt or lacked the right token, host or port."},
    {"eagre_core_repeated_datagrams_total", kCounter, &CoreStats::datagrams_repeated,
     "Datagrams that had come before."},
    {"eagre_core_early_datagrams_total", kCounter, &CoreStats::datagrams_early,
     "Datagrams kept until the gap before them was filled."},
    {"eagre_core_dropped_datagrams_total", kCounter, &CoreStats::datagrams_dropped,
     "Datagrams that found no room; numbered ones come again."},
    {"eagre_core_overflowed_datagrams_total", kCounter, &CoreStats::datagrams_overflowed,
     "Datagrams that the kernel dropped because the socket was full."},
    {"eagre_core_missing_datagrams", kGauge, &CoreStats::datagrams_missing,
     "Gaps in the numbers of fire-and-forget datagrams that are open now."},
    {"eagre_core_dropped_datagram_answers_total", kCounter, &CoreStats::datagram_answers_dropped,
     "Answers to datagrams that found no room."},
};

struct CoreHistogram {
    std::string_view name;
    Histogram CoreStats::*member;
    std::string_view help;
};
constexpr CoreHistogram kCoreHistograms[] = {
    {"eagre_core_ack_duration_seconds", &CoreStats::ack_ns,
     "From the whole batch in memory to its acknowledgement handed to the socket."},
    {"eagre_core_journal_write_duration_seconds", &CoreStats::write_ns, "Writes of the journal."},
    {"eagre_core_journal_sync_duration_seconds", &CoreStats::sync_ns, "Syncs of the journal."},
    {"eagre_core_turn_duration_seconds", &CoreStats::turn_ns,
     "Turns of the reactor that did something."},
};

double seconds(uint64_t ns) {
    return static_cast<double>(ns) / 1e9;
}

/// Calls `write(core, "its number")` for each.
template <class Write>
void each_core(const shm::StatsSnapshot& snapshot, Write write) {
    for (uint32_t index = 0; index < snapshot.core_count(); ++index)
        write(snapshot.core(index), fmt::format_int(snapshot.core(index).core).str());
}

void write_box(Exposition& page, const PageSource& source) {
    page.family("eagre_build_info", kGauge, "Always 1; the version of eagre-control.");
    page.sample({{"version", EAGRE_VERSION}}, uint64_t{1});
    page.family("eagre_dataplane_up", kGauge, "1 while eagred gives signs of life.");
    page.sample({}, uint64_t{source.snapshot != nullptr});
    page.family("eagre_control_ready", kGauge,
                "1 while control is connected to eagred and agrees with it on what there is.");
    page.sample({}, uint64_t{source.control_ready});
    page.family("eagre_streams", kGauge, "Streams in the catalogue.");
    page.sample({}, uint64_t{source.table->streams().size()});
    page.family("eagre_shards", kGauge, "Shards in the catalogue.");
    page.sample({}, source.table->shard_count());
    page.family("eagre_metrics_connections_cut_total", kCounter,
                "Connections to this page cut off because they took too long.");
    page.sample({}, source.connections_cut);
    if (source.snapshot == nullptr) return;
    page.family("eagre_dataplane_start_time_seconds", kGauge,
                "When eagred was started, in seconds since 1970.");
    page.sample({}, seconds(source.snapshot->header().started_wall_ns));
}

void write_cores(Exposition& page, const shm::StatsSnapshot& snapshot) {
    page.family("eagre_core_info", kGauge, "Always 1; the CPU that a core runs on.");
    each_core(snapshot, [&](const CoreStats& core, const std::string& name) {
        page.sample({{"core", name}, {"cpu", fmt::format_int(core.os_cpu).str()}}, uint64_t{1});
    });
    for (const CoreFamily& family : kCoreFamilies) {
        page.family(family.name, family.kind, family.help);
        each_core(snapshot, [&](const CoreStats& core, const std::string& name) {
            page.sample({{"core", name}}, core.*family.member);
        });
    }
    page.family("eagre_core_cpu_seconds_total", kCounter, "CPU time of the core's thread.");
    each_core(snapshot, [&](const CoreStats& core, const std::string& name) {
        page.sample({{"core", name}}, seconds(core.cpu_ns));
    });
    page.family("eagre_core_longest_turn_seconds", kGauge,
                "Longest turn since eagred was started.");
    each_core(snapshot, [&](const CoreStats& core, const std::string& name) {
        page.sample({{"core", name}}, seconds(core.stall_ns_max));
    });
    page.family("eagre_core_deliveries_total", kCounter,
                "Deliveries to consumers, by where the bytes came from.");
    each_core(snapshot, [&](const CoreStats& core, const std::string& name) {
        page.sample({{"core", name}, {"source", "memory"}}, core.deliveries_from_memory);
        page.sample({{"core", name}, {"source", "device"}}, core.deliveries_from_device);
    });
    page.family("eagre_core_segments", kGauge, "Segments of the journal, now.");
    each_core(snapshot, [&](const CoreStats& core, const std::string& name) {
        page.sample({{"core", name}, {"state", "live"}}, core.segments_live);
        page.sample({{"core", name}, {"state", "ready"}}, core.segments_ready);
    });
    for (const CoreHistogram& family : kCoreHistograms) {
        page.family(family.name, Kind::kHistogram, family.help);
        each_core(snapshot, [&](const CoreStats& core, const std::string& name) {
            page.histogram({{"core", name}}, core.*family.member);
        });
    }
}

/// Every error that has a name, also at 0: a rate wants the 0 before the first.
void write_errors(Exposition& page, const shm::StatsSnapshot& snapshot) {
    page.family("eagre_errors_total", kCounter,
                "Typed errors given to producers, consumers and control, by name.");
    for (uint32_t code = 1; code < shm::kErrcSlots; ++code) {
        const std::string_view name = errc_name(static_cast<Errc>(code));
        uint64_t count = 0;
        each_core(snapshot,
                  [&](const CoreStats& core, const std::string&) { count += core.errors[code]; });
        if (name != "Unknown") page.sample({{"error", name}}, count);
    }
}

/// Of what administrators and groups' members asked control.
void write_refusals(Exposition& page, const PageSource& source) {
    page.family("eagre_control_refused_total", kCounter,
                "Requests that control refused, by what was asked and the error it answered.");
    if (source.refusals == nullptr) return;
    for (const auto& [what, count] : source.refusals->counts())
        page.sample({{"request", what.first}, {"error", errc_name(what.second)}}, count);
}

using StreamEntry = std::map<std::string, StreamTotals::Stream, std::less<>>::value_type;

struct StreamFamily {
    std::string_view name;
    Kind kind;
    uint64_t (*value)(const StreamTotals::Stream&);
    std::string_view help;
};
constexpr StreamFamily kStreamFamilies[] = {
    {"eagre_stream_appended_records_total", kCounter,
     [](const StreamTotals::Stream& stream) { return stream.counters.records_in; },
     "Records appended to the stream."},
    {"eagre_stream_appended_bytes_total", kCounter,
     [](const StreamTotals::Stream& stream) { return stream.counters.bytes_in; },
     "Bytes of the batches appended to the stream."},
    {"eagre_stream_appended_batches_total", kCounter,
     [](const StreamTotals::Stream& stream) { return stream.counters.batches_in; },
     "Batches appended to the stream."},
    {"eagre_stream_delivered_records_total", kCounter,
     [](const StreamTotals::Stream& stream) { return stream.counters.records_out; },
     "Records of the stream given to consumers."},
    {"eagre_stream_delivered_bytes_total", kCounter,
     [](const StreamTotals::Stream& stream) { return stream.counters.bytes_out; },
     "Bytes of the stream's batches given to consumers."},
    {"eagre_stream_records", kGauge,
     [](const StreamTotals::Stream& stream) { return stream.now.record_count; },
     "Records that can be read now."},
};

void write_streams(Exposition& page, const PageSource& source) {
    std::vector<const StreamEntry*> shown;
    for (const StreamEntry& entry : source.totals->streams()) {
        if (shown.size() < kStreamSeriesMax) shown.push_back(&entry);
    }
    for (const StreamFamily& family : kStreamFamilies) {
        page.family(family.name, family.kind, family.help);
        for (const StreamEntry* entry : shown)
            page.sample({{"stream", entry->first}}, family.value(entry->second));
    }
    page.family("eagre_stream_shards", kGauge, "Shards of the stream, by state.");
    for (const StreamEntry* entry : shown) {
        page.sample({{"stream", entry->first}, {"state", "open"}},
                    entry->second.now.open_shard_count);
        page.sample({{"stream", entry->first}, {"state", "closed"}},
                    entry->second.now.closed_shard_count);
    }
    page.family("eagre_stream_retention_seconds", kGauge,
                "How long the stream keeps its records, as the catalogue has it.");
    for (const StreamEntry* entry : shown) {
        const streams::Stream* stream = source.table->find(entry->first);
        if (stream == nullptr) continue;
        page.sample({{"stream", entry->first}},
                    static_cast<double>(stream->row.retention_ms) / 1e3);
    }
}

struct ShardFamily {
    std::string_view name;
    Kind kind;
    uint64_t ShardStats::*member;
    std::string_view help;
};
constexpr ShardFamily kShardFamilies[] = {
    {"eagre_shard_appended_records_total", kCounter, &ShardStats::records_in,
     "Records appended to the shard."},
    {"eagre_shard_appended_bytes_total", kCounter, &ShardStats::bytes_in,
     "Bytes of the batches appended to the shard."},
    {"eagre_shard_appended_batches_total", kCounter, &ShardStats::batches_in,
     "Batches appended to the shard."},
    {"eagre_shard_delivered_records_total", kCounter, &ShardStats::records_out,
     "Records of the shard given to consumers."},
    {"eagre_shard_delivered_bytes_total", kCounter, &ShardStats::bytes_out,
     "Bytes of the shard's batches given to consumers."},
    {"eagre_shard_throttled_batches_total", kCounter, &ShardStats::throttled,
     "Batches refused because the shard's quota was spent."},
    {"eagre_shard_next_sequence_number", kGauge, &ShardStats::durable_sequence,
     "Sequence number of the next record to become durable."},
    {"eagre_shard_trim_horizon_sequence_number", kGauge, &ShardStats::trim_horizon,
     "Sequence number of the oldest record that can be read."},
    {"eagre_shard_open", kGauge, &ShardStats::open, "1 while the shard takes records."},
};

/// The open ones first, then by id, so that the same ones are shown each time.
std::vector<const ShardStats*> shards_shown(const PageSource& source) {
    std::vector<const ShardStats*> shown;
    shown.reserve(source.shards->size());
    for (const ShardStats& shard : *source.shards) shown.push_back(&shard);
    std::stable_partition(shown.begin(), shown.end(),
                          [](const ShardStats* shard) { return shard->open != 0; });
    shown.resize(std::min<size_t>(shown.size(), source.shard_series_max));
    return shown;
}

void write_shards(Exposition& page, const PageSource& source) {
    const auto shown = shards_shown(source);
    std::vector<std::string> ids;
    ids.reserve(shown.size());
    for (const ShardStats* shard : shown) ids.push_back(fmt::format_int(shard->shard).str());
    for (const ShardFamily& family : kShardFamilies) {
        page.family(family.name, family.kind, family.help);
        for (size_t i = 0; i < shown.size(); ++i) {
            page.sample({{"stream", shm::stream_name(*shown[i])}, {"shard", ids[i]}},
                        shown[i]->*family.member);
        }
    }
    page.family("eagre_shard_last_arrival_timestamp_seconds", kGauge,
                "When the newest record arrived, in seconds since 1970; 0 before the first.");
    for (size_t i = 0; i < shown.size(); ++i) {
        page.sample({{"stream", shm::stream_name(*shown[i])}, {"shard", ids[i]}},
                    seconds(shown[i]->last_arrival_ns));
    }
}

uint64_t lag_ns(const PageSource& source, uint64_t arrival_ns) {
    return arrival_ns == 0 || arrival_ns > source.wall_ns ? 0 : source.wall_ns - arrival_ns;
}

struct GroupFamily {
    std::string_view name;
    double (*value)(const PageSource&, const consumers::GroupLag&);
    std::string_view help;
};
constexpr GroupFamily kGroupFamilies[] = {
    {"eagre_group_lag_records",
     [](const PageSource&, const consumers::GroupLag& lag) {
         return static_cast<double>(lag.records);
     },
     "Durable records that the group has not yet done with; 0 only when there is nothing to read."},
    {"eagre_group_lag_bytes",
     [](const PageSource&, const consumers::GroupLag& lag) {
         return static_cast<double>(lag.bytes);
     },
     "Their bytes; exact near the tail, else a bound from above."},
    {"eagre_group_lag_seconds",
     [](const PageSource& source, const consumers::GroupLag& lag) {
         return seconds(lag_ns(source, lag.arrival_ns));
     },
     "For how long the oldest of them has been there."},
};

/// Groups whose lag is not known have no series of it: a 0 would be a promise.
void write_groups(Exposition& page, const PageSource& source) {
    const size_t shown = std::min<size_t>(source.groups->size(), kGroupSeriesMax);
    const std::span<const GroupView> groups(source.groups->data(), shown);
    page.family("eagre_group_members", kGauge, "Members of a consumer group, now.");
    for (const GroupView& group : groups)
        page.sample({{"stream", group.stream}, {"group", group.group}}, group.member_count);
    page.family("eagre_group_lag_known", kGauge,
                "1 when the lag of the group could be measured on all its shards.");
    for (const GroupView& group : groups)
        page.sample({{"stream", group.stream}, {"group", group.group}}, uint64_t{group.lag.known});
    for (const GroupFamily& family : kGroupFamilies) {
        page.family(family.name, kGauge, family.help);
        for (const GroupView& group : groups) {
            if (!group.lag.known) continue;
            page.sample({{"stream", group.stream}, {"group", group.group}},
                        family.value(source, group.lag));
        }
    }
}

/// Returns how many had no room.
uint64_t write_group_shards(Exposition& page, const PageSource& source) {
    uint64_t left_out = 0;
    uint64_t shown = 0;
    page.family("eagre_group_shard_lag_records", kGauge,
                "Durable records of a shard that the group has not yet done with.");
    for (const GroupView& group : *source.groups) {
        for (const auto& [shard, lag] : group.lag.shards) {
            if (!lag.known) continue;
            if (shown == kGroupShardSeriesMax) {
                ++left_out;
                continue;
            }
            ++shown;
            page.sample({{"stream", group.stream},
                         {"group", group.group},
                         {"shard", fmt::format_int(shard.value).str()}},
                        lag.records);
        }
    }
    return left_out;
}

uint64_t beyond(size_t count, size_t most) {
    return count > most ? count - most : 0;
}

void write_left_out(Exposition& page, const PageSource& source, uint64_t group_shards) {
    page.family("eagre_metrics_left_out", kGauge,
                "What has no series of its own on this page, by kind.");
    page.sample({{"kind", "group"}}, beyond(source.groups->size(), kGroupSeriesMax));
    page.sample({{"kind", "group_shard"}}, group_shards);
    if (source.snapshot == nullptr) return;
    page.sample({{"kind", "shard"}}, beyond(source.shards->size(), source.shard_series_max));
    page.sample({{"kind", "stream"}}, beyond(source.totals->streams().size(), kStreamSeriesMax));
}

}  // namespace

std::string metrics_page(const PageSource& source) {
    Exposition page;
    write_box(page, source);
    if (source.snapshot != nullptr) {
        write_cores(page, *source.snapshot);
        write_errors(page, *source.snapshot);
        write_streams(page, source);
        write_shards(page, source);
    }
    write_refusals(page, source);
    write_groups(page, source);
    write_left_out(page, source, write_group_shards(page, source));
    return page.take();
}

}  // namespace eagre::metrics
