#include "tools/eagre/top/layout.h"

#include <algorithm>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "tools/eagre/text.h"

namespace eagre::cli::top {
namespace {

// From here on rates and latencies stand side by side.
constexpr size_t kWide = 160;
constexpr size_t kLabelWidth = 13;
constexpr size_t kFigureWidth = 11;
constexpr size_t kDiskBarWidth = 16;
constexpr size_t kTrendWidthMax = 60;

std::string right(std::string_view text, size_t width) {
    const size_t wide = text_width(text);
    return std::string(width > wide ? width - wide : 0, ' ') + std::string(text);
}

std::string up_for(const View& view) {
    const uint64_t seconds = view.now_wall_ns > view.started_wall_ns
                                 ? (view.now_wall_ns - view.started_wall_ns) / 1'000'000'000
                                 : 0;
    const uint64_t days = seconds / 86'400;
    return (days == 0 ? "" : fmt::format("{} d ", days)) +
           fmt::format("{}:{:02}:{:02}", seconds / 3'600 % 24, seconds / 60 % 60, seconds % 60);
}

std::string wall_clock(uint64_t wall_ns) {
    return fmt::format("{:%H:%M:%S}",
                       fmt::localtime(static_cast<std::time_t>(wall_ns / 1'000'000'000)));
}

std::string plural(size_t count, const char* what) {
    return fmt::format("{} {}{}", grouped(uint64_t{count}), what, count == 1 ? "" : "s");
}

/// Left and right parts on one line; the left one gives way.
Line spread(Line left, const Line& right_part, const Size& size) {
    const size_t room = size.width - std::min(size.width, right_part.width() + 1);
    left.clip(room, size.utf8);
    left.pad_to(size.width - std::min(size.width, right_part.width()));
    for (const Span& span : right_part.spans()) left.add(span.text, span.style);
    return left;
}

Line header(const View& view, const Settings& settings, const Size& size) {
    Line left;
    left.add("eagre top", Style::kStrong);
    if (view.dataplane_up) {
        left.add(fmt::format("  up {}  {}  {}  {}", up_for(view), plural(view.cores.size(), "core"),
                             plural(view.streams.size(), "stream"),
                             plural(view.shards.size(), "shard")));
    }
    left.add("  " + view.data, Style::kDim);
    Line right_part;
    if (settings.paused) right_part.add("PAUSED", Style::kWarning).add("  ");
    if (!view.dataplane_up) right_part.add("DATAPLANE DOWN", Style::kAlarm).add("  ");
    if (view.control == ControlState::kDown)
        right_part.add("CONTROL DOWN", Style::kAlarm).add("  ");
    right_part.add(wall_clock(view.now_wall_ns));
    return spread(std::move(left), right_part, size);
}

Line flow_line(const char* name, const Flow& flow, const std::vector<double>& trend,
               size_t trend_width, bool utf8) {
    Line line;
    line.add(fmt::format("{:<{}}", name, kLabelWidth), Style::kStrong);
    line.add(right(count_text(flow.records_per_s), kFigureWidth));
    line.add(right(bytes_text(flow.bytes_per_s) + "/s", kFigureWidth + 2));
    line.add("  ").add(sparkline(trend, trend_width, utf8), Style::kGood);
    return line;
}

Line disk_line(const View& view, size_t width, bool utf8) {
    Line line;
    line.add(fmt::format("{:<{}}", "disk", kLabelWidth), Style::kStrong);
    if (!view.disk || view.disk->total_bytes == 0)
        return line.add(right("-", kFigureWidth), Style::kDim);
    const Disk& disk = *view.disk;
    const double taken =
        1 - static_cast<double>(disk.free_bytes) / static_cast<double>(disk.total_bytes);
    const Style style = taken > 0.95   ? Style::kAlarm
                        : taken > 0.85 ? Style::kWarning
                                       : Style::kPlain;
    line.add(right(bytes_text(static_cast<double>(disk.used_bytes)), kFigureWidth));
    line.add(" ours")
        .add(right(bytes_text(static_cast<double>(disk.free_bytes)), 9))
        .add(" free  ");
    line.add(share_bar(taken, kDiskBarWidth, utf8), style);
    line.add(fmt::format("{:4.0f} % of {}", taken * 100,
                         bytes_text(static_cast<double>(disk.total_bytes))),
             style);
    double alive = 0;
    double used = 0;
    for (const CoreRow& core : view.cores) {
        alive += static_cast<double>(core.alive_bytes);
        used += static_cast<double>(core.used_bytes);
    }
    const std::string share = fmt::format("  alive {:.0f} %", used <= 0 ? 100 : 100 * alive / used);
    if (line.width() + share.size() <= width) line.add(share);
    return line;
}

Screen flow_block(const View& view, const Size& size) {
    constexpr size_t kFixed = kLabelWidth + 2 * kFigureWidth + 2 + 2;
    const size_t trend_width =
        std::min(kTrendWidthMax, size.width > kFixed ? size.width - kFixed : 0);
    Line heading;
    heading.add(std::string(kLabelWidth, ' ') + right("records/s", kFigureWidth) +
                    right("bytes", kFigureWidth + 2) + "  " + "over time",
                Style::kTitle);
    return {heading, flow_line("in", view.in, view.in_trend, trend_width, size.utf8),
            flow_line("out", view.out, view.out_trend, trend_width, size.utf8),
            disk_line(view, size.width, size.utf8)};
}

Line latency_line(const char* name, const Latency& latency) {
    Line line;
    line.add(fmt::format("{:<{}}", name, kLabelWidth), Style::kStrong);
    if (latency.count == 0) {
        for (int i = 0; i < 5; ++i) line.add(right("-", kFigureWidth), Style::kDim);
        return line;
    }
    for (const uint64_t ns : {latency.p50_ns, latency.p99_ns, latency.p999_ns, latency.max_ns})
        line.add(right(duration_text(ns), kFigureWidth));
    return line.add(right(count_text(latency.count_per_s), kFigureWidth));
}

Screen latency_block(const View& view) {
    Line heading;
    heading.add(fmt::format("{:<{}}", fmt::format("last {:.0f} s", view.window_s), kLabelWidth),
                Style::kTitle);
    for (const char* title : {"p50", "p99", "p99.9", "max", "count/s"})
        heading.add(right(title, kFigureWidth), Style::kTitle);
    return {heading, latency_line("acknowledge", view.ack), latency_line("write", view.write),
            latency_line("sync", view.sync)};
}

/// `second` beside `first`, from column `at` on.
Screen beside(Screen first, const Screen& second, size_t at) {
    for (size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
        if (i == first.size()) first.emplace_back();
        first[i].pad_to(at);
        if (i >= second.size()) continue;
        for (const Span& span : second[i].spans()) first[i].add(span.text, span.style);
    }
    return first;
}

Line errors_line(const View& view) {
    Line line;
    line.add(fmt::format("{:<{}}", "errors", kLabelWidth), Style::kStrong);
    if (view.errors.empty()) {
        line.add(fmt::format("none in the last {:.0f} s", view.window_s), Style::kDim);
    } else {
        std::vector<std::pair<uint64_t, std::string>> most;
        for (const auto& [name, count] : view.errors) most.emplace_back(count, name);
        std::sort(most.rbegin(), most.rend());
        for (const auto& [count, name] : most) {
            line.add(
                fmt::format("{} {}/s  ", name,
                            count_text(static_cast<double>(count) / std::max(view.window_s, 1.0))),
                Style::kWarning);
        }
    }
    if (view.error_count != 0)
        line.add(fmt::format("  {} since start", grouped(view.error_count)), Style::kDim);
    return line;
}

Screen help_lines() {
    static constexpr std::pair<const char*, const char*> kKeys[] = {
        {"q", "quit"},
        {"p, space", "pause: the screen stands still, counting goes on"},
        {"Tab", "streams, shards or consumer groups"},
        {"up, down", "select a row; PgUp, PgDn, Home, End; j, k"},
        {"Enter", "the shards of the selected stream"},
        {"Esc", "one step back"},
        {"/", "show only names that hold what you type; Enter keeps it, Esc ends it"},
        {"s, S", "sort by the next or the previous column; right and left do the same"},
        {"r", "the other way round"},
        {"?", "this page"},
    };
    Screen lines;
    for (const auto& [key, what] : kKeys) {
        Line line;
        line.add(fmt::format("  {:<10}", key), Style::kStrong).add(what);
        lines.push_back(line);
    }
    lines.emplace_back();
    lines.emplace_back("  acknowledge: from the whole batch in memory to the answer at the socket");
    lines.emplace_back(
        "  stall: the longest turn of a core in the last 10 s; nobody is served meanwhile");
    lines.emplace_back("  newest: how long ago a record arrived");
    lines.emplace_back("  unread: what a group has not done with; behind: since when; ? not known");
    return lines;
}

const char* next_name(TableKind table) {
    switch (table) {
        case TableKind::kStreams:
            return "shards";
        case TableKind::kShards:
            return "groups";
        case TableKind::kGroups:
            break;
    }
    return "streams";
}

std::string nothing_text(const Settings& settings) {
    if (!settings.current().filter.empty())
        return "nothing has '" + settings.current().filter + "' in its name";
    return settings.table == TableKind::kGroups
               ? "no consumer groups: 'eagre tail STREAM --group NAME' makes one"
               : "no streams: make one with 'eagre stream create NAME'";
}

Line keys_line(const Settings& settings, const Size& size) {
    Line line;
    if (settings.typing) {
        return line.add("filter: ", Style::kStrong)
            .add(settings.current().filter)
            .add("_", Style::kSelected)
            .add("   Enter keeps it, Esc ends it", Style::kDim);
    }
    const bool streams = settings.table == TableKind::kStreams;
    const std::pair<const char*, const char*> keys[] = {
        {"q", "quit"},    {"Tab", next_name(settings.table)},
        {"/", "filter"},  {"s", "sort"},
        {"r", "reverse"}, {"p", settings.paused ? "go on" : "pause"},
        {"?", "help"},    {"Enter", "its shards"}};
    for (const auto& [key, what] : keys) {
        if (!streams && std::string_view(key) == "Enter") continue;
        if (line.width() + text_width(key) + text_width(what) + 3 > size.width) break;
        line.add(key, Style::kStrong).add(fmt::format(" {}  ", what), Style::kDim);
    }
    const RowOrder& order = settings.current();
    if (order.filter.empty()) return line;
    Line right_part;
    right_part.add((order.exact ? "of " : "filter ") + cut_text(order.filter, 24, size.utf8),
                   Style::kWarning);
    return spread(std::move(line), right_part, size);
}

/// Rows as many as fit, and a line that says what does not.
void add_rows(Screen& screen, const TableModel& table, const std::vector<size_t>& columns,
              const Settings* settings, size_t first, size_t count, const Size& size) {
    const size_t end = std::min(table.rows.size(), first + count);
    for (size_t i = first; i < end; ++i) {
        Line line = row_line(table, columns, table.rows[i], size.utf8);
        if (settings != nullptr && !settings->selected.empty() &&
            table.rows[i].key == settings->selected) {
            line.pad_to(size.width);
            line.paint(Style::kSelected);
        }
        screen.push_back(std::move(line));
    }
}

void add_cores(Screen& screen, const View& view, size_t rows_max, const Size& size) {
    TableModel table = core_table(view, size.utf8);
    const auto columns = columns_that_fit(table, size.width);
    const size_t cores = table.rows.size();
    const bool all = cores <= rows_max;
    // Of more cores than there is room for, the busiest.
    if (!all) {
        std::vector<size_t> by_busy;
        for (size_t i = 0; i < cores; ++i) by_busy.push_back(i);
        std::stable_sort(by_busy.begin(), by_busy.end(), [&](size_t a, size_t b) {
            return view.cores[a].busy > view.cores[b].busy;
        });
        by_busy.resize(rows_max - 1);
        std::sort(by_busy.begin(), by_busy.end());
        std::vector<Row> shown;
        for (const size_t index : by_busy) shown.push_back(table.rows[index]);
        table.rows = std::move(shown);
    }
    screen.push_back(heading_line(table, columns, SIZE_MAX, false, size.utf8));
    add_rows(screen, table, columns, nullptr, 0, rows_max, size);
    if (!all)
        screen.emplace_back(
            fmt::format("      and {} less busy", plural(cores - rows_max + 1, "core")),
            Style::kDim);
}

/// The table of streams or shards in the `room` lines that are left.
Listing add_table(Screen& screen, const View& view, Settings& settings, size_t room,
                  const Size& size) {
    TableModel table = table_of(view, settings.table, size.width, size.utf8);
    const auto columns = columns_that_fit(table, size.width);
    arrange(table, settings.current());
    Listing listing;
    for (const Row& row : table.rows) {
        listing.keys.push_back(row.key);
        listing.names.push_back(row.cells[0].text);
    }
    for (const size_t column : columns) {
        if (table.columns[column].sortable) listing.sort_columns.push_back(column);
    }
    const bool everything = size.height == kAllRows;
    listing.page_rows =
        everything ? std::max<size_t>(table.rows.size(), 1) : room - std::min<size_t>(room, 1);
    // A page that does not hold all gives its last line to saying so.
    const bool more = !everything && table.rows.size() > listing.page_rows && listing.page_rows > 1;
    if (more) --listing.page_rows;
    keep_in_sight(listing, settings);
    screen.push_back(heading_line(table, columns, settings.current().column,
                                  settings.current().reversed, size.utf8));
    if (table.rows.empty()) {
        screen.emplace_back(nothing_text(settings), Style::kDim);
        return listing;
    }
    add_rows(screen, table, columns, &settings, settings.first_row, listing.page_rows, size);
    if (more) {
        screen.emplace_back(
            fmt::format("{} to {} of {}", settings.first_row + 1,
                        std::min(settings.first_row + listing.page_rows, table.rows.size()),
                        grouped(uint64_t{table.rows.size()})),
            Style::kDim);
    }
    return listing;
}

}  // namespace

Frame draw(const View& view, Settings& settings, const Size& size) {
    const bool everything = size.height == kAllRows;
    const bool roomy = everything || size.height >= 20;
    Frame frame;
    Screen& screen = frame.screen;
    screen.push_back(header(view, settings, size));
    for (const std::string& alarm : view.alarms) screen.emplace_back(alarm, Style::kAlarm);
    if (!view.why_down.empty())
        screen.emplace_back(view.why_down + "; waiting for it", Style::kAlarm);
    if (roomy) screen.emplace_back();
    if (settings.help) {
        for (Line& line : help_lines()) screen.push_back(std::move(line));
    } else {
        const Screen latencies = latency_block(view);
        const size_t latency_width = kLabelWidth + 5 * kFigureWidth;
        Screen top;
        if (size.width >= kWide) {
            Size part = size;
            part.width = size.width - latency_width - 3;
            const size_t at =
                std::min(part.width, kLabelWidth + 2 * kFigureWidth + 4 + kTrendWidthMax) + 3;
            top = beside(flow_block(view, part), latencies, at);
        } else {
            top = flow_block(view, size);
            top.push_back(errors_line(view));
            if (roomy) top.emplace_back();
            top.insert(top.end(), latencies.begin(), latencies.end());
        }
        if (size.width >= kWide) top.push_back(errors_line(view));
        for (Line& line : top) screen.push_back(std::move(line));
        if (roomy) screen.emplace_back();
        // Cores may take a third of a tall screen; a short one shows the streams.
        const size_t cores_max =
            everything ? view.cores.size() : std::max<size_t>(size.height / 6, 2);
        if (!view.cores.empty()) {
            add_cores(screen, view, std::max<size_t>(cores_max, 1), size);
            if (roomy) screen.emplace_back();
        }
        const size_t used = screen.size() + 1;  // And the line of keys.
        const size_t room = everything ? 0 : size.height - std::min(size.height, used);
        frame.listing = add_table(screen, view, settings, room, size);
    }
    if (!everything) {
        screen.resize(size.height - 1);
        screen.push_back(keys_line(settings, size));
    }
    for (Line& line : screen) line.clip(size.width, size.utf8);
    return frame;
}

}  // namespace eagre::cli::top
