#include "tools/eagre/top/table.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "tools/eagre/text.h"

namespace eagre::cli::top {
namespace {

constexpr size_t kGap = 2;
constexpr size_t kNameWidthMin = 14;
constexpr size_t kNameWidthMax = 40;
constexpr size_t kNameShare = 4;  // A name takes at most one part in four of the width.
constexpr size_t kTrendWidth = 30;
constexpr size_t kBusyBarWidth = 10;

Cell figure(double value) {
    return {count_text(value), value};
}
Cell figure(uint64_t value) {
    return figure(static_cast<double>(value));
}
Cell flow_bytes(double bytes) {
    return {bytes > 0 ? bytes_text(bytes) + "/s" : "0", bytes};
}
Cell words(std::string value) {
    return {std::move(value), 0};
}

/// How long ago, to the second; "-" for never.
Cell age(uint64_t then_ns, uint64_t now_ns) {
    if (then_ns == 0) return {"-", -1e18};
    const double seconds = now_ns > then_ns ? static_cast<double>(now_ns - then_ns) / 1e9 : 0.0;
    std::string shown = seconds < 0.95      ? "now"
                        : seconds < 100     ? fmt::format("{:.0f} s", seconds)
                        : seconds < 5'940   ? fmt::format("{:.0f} min", seconds / 60)
                        : seconds < 172'800 ? fmt::format("{:.0f} h", seconds / 3'600)
                                            : fmt::format("{:.0f} d", seconds / 86'400);
    return {std::move(shown), -seconds};
}

Cell retention(uint64_t ms) {
    if (ms == 0) return {"-", 0};
    const double hours = static_cast<double>(ms) / 3'600'000;
    std::string shown = hours >= 72  ? fmt::format("{:.0f} d", hours / 24)
                        : hours >= 2 ? fmt::format("{:.0f} h", hours)
                                     : fmt::format("{:.0f} min", hours * 60);
    return {std::move(shown), static_cast<double>(ms)};
}

bool is_quiet(const Flow& in, const Flow& out) {
    return in.records_per_s <= 0 && out.records_per_s <= 0;
}

size_t name_width(const TableModel& table, size_t screen_width) {
    size_t width = kNameWidthMin;
    for (const Row& row : table.rows) width = std::max(width, text_width(row.cells[0].text));
    return std::min(width, std::clamp(screen_width / kNameShare, kNameWidthMin, kNameWidthMax));
}

TableModel stream_table(const View& view, size_t screen_width, bool utf8) {
    TableModel table;
    table.columns = {{"stream", 0, false, 0, true},
                     {"shards", 7, true, 1, true},
                     {"in rec/s", 10, true, 0, true},
                     {"in", 9, true, 0, true},
                     {"out rec/s", 10, true, 0, true},
                     {"out", 9, true, 1, true},
                     {"records", 8, true, 2, true},
                     {"newest", 7, true, 3, true},
                     {"closed", 7, true, 5, true},
                     {"retention", 10, true, 4, true},
                     {"in rec/s over time", kTrendWidth, false, 6, false}};
    for (const StreamRow& row : view.streams) {
        table.rows.push_back(
            {row.name,
             {words(row.name), figure(row.open_shards), figure(row.in.records_per_s),
              flow_bytes(row.in.bytes_per_s), figure(row.out.records_per_s),
              flow_bytes(row.out.bytes_per_s), figure(row.records),
              age(row.records == 0 ? 0 : row.last_arrival_ns, view.now_wall_ns),
              figure(row.closed_shards), retention(row.retention_ms),
              words(sparkline(row.in_trend, kTrendWidth, utf8))},
             is_quiet(row.in, row.out)});
    }
    table.columns[0].width = name_width(table, screen_width);
    return table;
}

TableModel shard_table(const View& view, size_t screen_width) {
    TableModel table;
    table.columns = {{"stream", 0, false, 0, true},      {"shard", 6, true, 0, true},
                     {"in rec/s", 10, true, 0, true},    {"in", 9, true, 0, true},
                     {"out rec/s", 10, true, 0, true},   {"out", 9, true, 1, true},
                     {"records", 8, true, 2, true},      {"newest", 7, true, 3, true},
                     {"state", 6, false, 4, true},       {"next sequence", 15, true, 5, true},
                     {"trim horizon", 15, true, 6, true}};
    for (const ShardRow& row : view.shards) {
        table.rows.push_back({fmt::format("{}/{}", row.stream, row.shard),
                              {words(row.stream),
                               {fmt::format("{}", row.shard), static_cast<double>(row.shard)},
                               figure(row.in.records_per_s),
                               flow_bytes(row.in.bytes_per_s),
                               figure(row.out.records_per_s),
                               flow_bytes(row.out.bytes_per_s),
                               figure(row.records),
                               age(row.records == 0 ? 0 : row.last_arrival_ns, view.now_wall_ns),
                               words(row.open ? "open" : "closed"),
                               {grouped(row.next_sequence), static_cast<double>(row.next_sequence)},
                               {grouped(row.trim_horizon), static_cast<double>(row.trim_horizon)}},
                              is_quiet(row.in, row.out)});
    }
    table.columns[0].width = name_width(table, screen_width);
    return table;
}

TableModel group_table(const View& view, size_t screen_width) {
    TableModel table;
    table.columns = {{"group", 0, false, 0, true},  {"stream", kNameWidthMin, false, 0, true},
                     {"members", 8, true, 0, true}, {"unread", 9, true, 0, true},
                     {"bytes", 9, true, 1, true},   {"behind", 9, true, 0, true}};
    for (const GroupRow& row : view.groups) {
        const auto known = [&](Cell cell) { return row.known ? cell : Cell{"?", 1e18}; };
        // Of two that can't be measured and one that is far behind, the former want a look first.
        const Cell behind = row.unread_since_ns == 0
                                ? Cell{"0 s", 0}
                                : Cell{age(row.unread_since_ns, view.now_wall_ns).text,
                                       static_cast<double>(view.now_wall_ns) -
                                           static_cast<double>(row.unread_since_ns)};
        table.rows.push_back(
            {fmt::format("{}/{}", row.stream, row.group),
             {words(row.group), words(row.stream), figure(row.members),
              known(figure(row.unread_records)),
              known(
                  {row.unread_bytes == 0 ? "0" : bytes_text(static_cast<double>(row.unread_bytes)),
                   static_cast<double>(row.unread_bytes)}),
              known(behind)},
             row.known && row.unread_records == 0});
    }
    table.columns[0].width = name_width(table, screen_width);
    for (const Row& row : table.rows) {
        table.columns[1].width =
            std::clamp(text_width(row.cells[1].text), table.columns[1].width,
                       std::clamp(screen_width / kNameShare, kNameWidthMin, kNameWidthMax));
    }
    return table;
}

std::string padded(const std::string& text, const Column& column, bool utf8) {
    const std::string cut = cut_text(text, column.width, utf8);
    const std::string blanks(column.width - text_width(cut), ' ');
    return column.figures ? blanks + cut : cut + blanks;
}

}  // namespace

std::string count_text(double value) {
    if (value > 0 && value < 9.95 && std::abs(value - std::round(value)) > 0.05)
        return fmt::format("{:.1f}", value);
    if (value < 999'999.5) return grouped(value);
    // The units of bytes_text without their B: "1.23 MB" -> "1.23 M".
    std::string shown = bytes_text(value);
    shown.pop_back();
    return shown;
}

TableModel table_of(const View& view, TableKind kind, size_t width, bool utf8) {
    switch (kind) {
        case TableKind::kStreams:
            return stream_table(view, width, utf8);
        case TableKind::kShards:
            return shard_table(view, width);
        case TableKind::kGroups:
            break;
    }
    return group_table(view, width);
}

TableModel core_table(const View& view, bool utf8) {
    TableModel table;
    table.columns = {{"core", 4, true, 0, true},
                     {"cpu", 4, true, 2, true},
                     {"busy", kBusyBarWidth + 6, false, 0, true},
                     {"turns/s", 8, true, 0, true},
                     {"idle", 6, true, 3, true},
                     {"commits/s", 9, true, 1, true},
                     {"ack p99", 8, true, 1, true},
                     {"stall", 8, true, 0, true},
                     {"conns", 6, true, 1, true},
                     {"subs", 5, true, 4, true},
                     {"in rec/s", 10, true, 5, true},
                     {"in", 9, true, 5, true},
                     {"out rec/s", 10, true, 6, true},
                     {"out", 9, true, 6, true},
                     {"segments", 8, true, 7, true},
                     {"ready", 6, true, 7, true},
                     {"alive", 9, true, 6, true}};
    for (const CoreRow& row : view.cores) {
        table.rows.push_back(
            {fmt::format("{}", row.core),
             {words(fmt::format("{}", row.core)), words(fmt::format("{}", row.cpu)),
              words(fmt::format("{} {:3.0f} %", share_bar(row.busy, kBusyBarWidth, utf8),
                                std::min(row.busy, 1.0) * 100)),
              figure(row.turns_per_s), words(fmt::format("{:.0f} %", row.idle_share * 100)),
              figure(row.commits_per_s),
              words(row.ack.count == 0 ? "-" : duration_text(row.ack.p99_ns)),
              words(row.turn_max_ns == 0 ? "-" : duration_text(row.turn_max_ns)),
              figure(row.connections), figure(row.subscriptions), figure(row.in.records_per_s),
              flow_bytes(row.in.bytes_per_s), figure(row.out.records_per_s),
              flow_bytes(row.out.bytes_per_s), figure(row.segments_live),
              figure(row.segments_ready), words(bytes_text(static_cast<double>(row.alive_bytes)))},
             false});
    }
    return table;
}

void arrange(TableModel& table, const RowOrder& order) {
    if (!order.filter.empty()) {
        std::erase_if(table.rows, [&](const Row& row) {
            const std::string& name = row.cells[0].text;
            return order.exact ? name != order.filter
                               : name.find(order.filter) == std::string::npos;
        });
    }
    if (order.column >= table.columns.size()) return;
    const bool figures = table.columns[order.column].figures;
    std::stable_sort(table.rows.begin(), table.rows.end(), [&](const Row& a, const Row& b) {
        const Cell& first = (order.reversed ? b : a).cells[order.column];
        const Cell& second = (order.reversed ? a : b).cells[order.column];
        return figures ? first.value > second.value : first.text < second.text;
    });
}

std::vector<size_t> columns_that_fit(const TableModel& table, size_t width) {
    std::vector<size_t> by_rank;
    for (size_t i = 0; i < table.columns.size(); ++i) by_rank.push_back(i);
    std::stable_sort(by_rank.begin(), by_rank.end(), [&](size_t a, size_t b) {
        return table.columns[a].rank < table.columns[b].rank;
    });
    std::vector<size_t> chosen;
    size_t used = 0;
    for (const size_t column : by_rank) {
        const size_t more = table.columns[column].width + (chosen.empty() ? 0 : kGap);
        // The next rank is not tried when this one has no room: columns come in a known order.
        if (used + more > width && table.columns[column].rank != 0) break;
        used += more;
        chosen.push_back(column);
    }
    std::sort(chosen.begin(), chosen.end());
    return chosen;
}

Line heading_line(const TableModel& table, const std::vector<size_t>& columns, size_t sorted,
                  bool reversed, bool utf8) {
    Line line;
    for (const size_t index : columns) {
        const Column& column = table.columns[index];
        if (line.width() != 0) line.add(std::string(kGap, ' '), Style::kTitle);
        if (index != sorted) {
            line.add(padded(column.title, column, utf8), Style::kTitle);
            continue;
        }
        // Figures sort from the greatest, names from A.
        const bool down = column.figures != reversed;
        const std::string mark = utf8 ? (down ? "▾" : "▴") : (down ? "v" : "^");
        const std::string title = column.figures ? mark + column.title : column.title + mark;
        line.add(padded(title, column, utf8), Style::kTitle);
    }
    return line;
}

Line row_line(const TableModel& table, const std::vector<size_t>& columns, const Row& row,
              bool utf8) {
    Line line;
    const Style style = row.quiet ? Style::kDim : Style::kPlain;
    for (const size_t index : columns) {
        if (line.width() != 0) line.add(std::string(kGap, ' '), style);
        line.add(padded(row.cells[index].text, table.columns[index], utf8), style);
    }
    return line;
}

}  // namespace eagre::cli::top
