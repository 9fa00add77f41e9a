#include "tools/eagre/load_report.h"

#include <algorithm>

#include <fmt/format.h>

#include "tools/eagre/latency_json.h"
#include "tools/eagre/text.h"
#include "wire/base/errc.h"

namespace eagre::cli {
namespace {

using Json = nlohmann::ordered_json;

double per_second(uint64_t count, double seconds) {
    return seconds <= 0 ? 0 : static_cast<double>(count) / seconds;
}
double ratio(uint64_t a, uint64_t b) {
    return b == 0 ? 0 : static_cast<double>(a) / static_cast<double>(b);
}
double cpu_per_million(const LoadPart& part) {
    const uint64_t count = part.result.producers.acknowledged_count;
    return count == 0 ? 0 : part.use.cpu_seconds * 1e6 / static_cast<double>(count);
}

template <class Count>
uint64_t sum_parts(const LoadReport& report, Count count) {
    uint64_t sum = 0;
    for (const LoadPart& part : report.parts) sum += count(part.result);
    return sum;
}
template <class Count>
uint64_t sum_readers(const LoadReport& report, Count count) {
    return sum_parts(report, [&](const load::PhaseResult& result) {
        uint64_t sum = 0;
        for (const auto& reader : result.readers) sum += count(reader);
        return sum;
    });
}

/// The part whose rate speaks (as fast as it goes, else the last), and the one whose latencies do
/// (paced, else the last).
const LoadPart& throughput_part(const LoadReport& report) {
    for (const LoadPart& part : report.parts) {
        if (part.rate_per_s == 0) return part;
    }
    return report.parts.back();
}
const LoadPart& latency_part(const LoadReport& report) {
    for (const LoadPart& part : report.parts) {
        if (part.rate_per_s != 0) return part;
    }
    return report.parts.back();
}

Json errors_json(const std::map<Errc, uint64_t>& errors) {
    Json json = Json::object();
    for (const auto& [code, count] : errors) json[std::string(errc_name(code))] = count;
    return json;
}

Json part_json(const LoadReport& report, const LoadPart& part) {
    const load::ProducerResult& producers = part.result.producers;
    Json json = {
        {"name", part.name},
        {"rate_per_s", part.rate_per_s},
        {"sent", producers.sent_count},
        {"acknowledged", producers.acknowledged_count},
        {"failed", producers.failed_count},
        {"late", producers.late_count},
        {"never_sent", producers.never_sent_count},
        {"seconds", part.result.producing_seconds},
        {"records_per_s", per_second(producers.acknowledged_count, part.result.producing_seconds)},
        {"mb_per_s", per_second(producers.blob_bytes, part.result.producing_seconds) / 1e6},
        {"batches", producers.batch_count},
        {"resends", producers.resend_count},
        {"errors", errors_json(producers.errors)},
        {"ack_us", latency_json(producers.ack_ns)}};
    for (size_t i = 0; i < part.result.readers.size(); ++i) {
        const load::ReaderVerdict& reader = part.result.readers[i];
        json["readers"].push_back({{"name", report.reader_names[i]},
                                   {"read", reader.read_count},
                                   {"lost", reader.lost_count},
                                   {"duplicated", reader.duplicated_count},
                                   {"out_of_order", reader.out_of_order_count},
                                   {"end_to_end_us", latency_json(reader.latency_ns)}});
    }
    if (part.use.known) {
        json["dataplane_cpu_s_per_million"] = cpu_per_million(part);
        json["journal_bytes_per_batch_byte"] =
            ratio(part.use.journal_bytes, part.use.payload_bytes);
        json["device_bytes_per_batch_byte"] =
            ratio(part.use.device_written_bytes, part.use.payload_bytes);
    }
    return json;
}

/// Rows of figures, one column per part.
class PartTable {
  public:
    explicit PartTable(const LoadReport& report) : report_(report), table_(heading(report)) {}
    template <class Cell>
    void row(const std::string& name, Cell cell) {
        std::vector<std::string> cells = {name};
        for (const LoadPart& part : report_.parts) cells.push_back(cell(part));
        table_.add(std::move(cells));
    }
    template <class Count>
    void counts(const std::string& name, Count count) {
        row(name, [&](const LoadPart& part) {
            return grouped(static_cast<uint64_t>(count(part.result)));
        });
    }
    Table table() && { return std::move(table_); }

  private:
    static std::vector<std::string> heading(const LoadReport& report) {
        std::vector<std::string> cells = {""};
        for (const LoadPart& part : report.parts) cells.push_back(part.name);
        return cells;
    }
    const LoadReport& report_;
    Table table_;
};

}  // namespace

uint64_t LoadReport::sent_count() const {
    return sum_parts(*this, [](const auto& result) { return result.producers.sent_count; });
}
uint64_t LoadReport::acknowledged_count() const {
    return sum_parts(*this, [](const auto& result) { return result.producers.acknowledged_count; });
}
uint64_t LoadReport::failed_count() const {
    return sum_parts(*this, [](const auto& result) { return result.producers.failed_count; });
}
uint64_t LoadReport::read_count(size_t reader) const {
    return sum_parts(*this,
                     [reader](const auto& result) { return result.readers[reader].read_count; });
}
uint64_t LoadReport::lost_count() const {
    return sum_readers(*this, [](const auto& reader) { return reader.lost_count; });
}
uint64_t LoadReport::duplicated_count() const {
    return sum_readers(*this, [](const auto& reader) { return reader.duplicated_count; });
}
uint64_t LoadReport::out_of_order_count() const {
    return sum_readers(*this, [](const auto& reader) { return reader.out_of_order_count; }) +
           sum_parts(*this, [](const auto& result) { return result.producers.out_of_order_count; });
}
bool LoadReport::clean() const {
    return sent_count() != 0 && acknowledged_count() == sent_count() && lost_count() == 0 &&
           duplicated_count() == 0 && out_of_order_count() == 0;
}

Json report_json(const LoadReport& report) {
    const LoadPart& fast = throughput_part(report);
    const LoadPart& paced = latency_part(report);
    Json json = {{"sent", report.sent_count()}, {"acknowledged", report.acknowledged_count()}};
    json["read"] = Json::object();
    for (size_t i = 0; i < report.reader_names.size(); ++i)
        json["read"][report.reader_names[i]] = report.read_count(i);
    json["lost"] = report.lost_count();
    json["duplicated"] = report.duplicated_count();
    json["out_of_order"] = report.out_of_order_count();
    json["failed"] = report.failed_count();
    const Json figures = part_json(report, fast);
    for (const char* name : {"records_per_s", "mb_per_s"}) json[name] = figures[name];
    json["ack_us"] = latency_json(paced.result.producers.ack_ns);
    json["end_to_end_us"] = Json::object();
    for (size_t i = 0; i < paced.result.readers.size(); ++i) {
        json["end_to_end_us"][report.reader_names[i]] =
            latency_json(paced.result.readers[i].latency_ns);
    }
    for (const char* name : {"dataplane_cpu_s_per_million", "journal_bytes_per_batch_byte",
                             "device_bytes_per_batch_byte"}) {
        if (figures.contains(name)) json[name] = figures[name];
    }
    json["parts"] = Json::array();
    for (const LoadPart& part : report.parts) json["parts"].push_back(part_json(report, part));
    return json;
}

Table figures_table(const LoadReport& report) {
    PartTable table(report);
    table.row("offered", [](const LoadPart& part) {
        return part.rate_per_s == 0 ? std::string("-") : grouped(part.rate_per_s) + "/s";
    });
    table.counts("records sent", [](const auto& result) { return result.producers.sent_count; });
    table.counts("acknowledged durable",
                 [](const auto& result) { return result.producers.acknowledged_count; });
    for (size_t i = 0; i < report.reader_names.size(); ++i) {
        table.counts("read, " + report.reader_names[i],
                     [i](const auto& result) { return result.readers[i].read_count; });
    }
    const auto readers = [&](const std::string& name, uint64_t load::ReaderVerdict::*count) {
        table.counts(name, [&](const load::PhaseResult& result) {
            uint64_t sum = 0;
            for (const auto& reader : result.readers) sum += reader.*count;
            return sum;
        });
    };
    if (!report.reader_names.empty()) {
        readers("lost", &load::ReaderVerdict::lost_count);
        readers("duplicated", &load::ReaderVerdict::duplicated_count);
        table.counts("out of order", [](const load::PhaseResult& result) {
            uint64_t sum = result.producers.out_of_order_count;
            for (const auto& reader : result.readers) sum += reader.out_of_order_count;
            return sum;
        });
    }
    if (report.failed_count() != 0)
        table.counts("failed", [](const auto& result) { return result.producers.failed_count; });
    table.row("sent over 1 ms late", [](const LoadPart& part) {
        return part.rate_per_s == 0 ? std::string("-") : grouped(part.result.producers.late_count);
    });
    table.row("due but never sent", [](const LoadPart& part) {
        return part.rate_per_s == 0 ? std::string("-")
                                    : grouped(part.result.producers.never_sent_count);
    });
    table.row("records per second", [](const LoadPart& part) {
        return grouped(
            per_second(part.result.producers.acknowledged_count, part.result.producing_seconds));
    });
    table.row("MB per second", [](const LoadPart& part) {
        return fmt::format(
            "{:.1f}",
            per_second(part.result.producers.blob_bytes, part.result.producing_seconds) / 1e6);
    });
    table.row("until all have read",
              [](const LoadPart& part) { return fmt::format("{:.2f} s", part.result.seconds); });
    if (std::all_of(report.parts.begin(), report.parts.end(),
                    [](const LoadPart& part) { return part.use.known; })) {
        table.row("dataplane CPU, s per million", [](const LoadPart& part) {
            return fmt::format("{:.3f}", cpu_per_million(part));
        });
        table.row("journal bytes per batch byte", [](const LoadPart& part) {
            return fmt::format("{:.3f}", ratio(part.use.journal_bytes, part.use.payload_bytes));
        });
        table.row("device bytes per batch byte", [](const LoadPart& part) {
            return fmt::format("{:.3f}",
                               ratio(part.use.device_written_bytes, part.use.payload_bytes));
        });
    }
    return std::move(table).table();
}

std::vector<LatencySeries> latency_series(const LoadReport& report) {
    std::vector<LatencySeries> series;
    const auto add = [&](const std::string& name, const Histogram& histogram) {
        if (histogram.count() != 0) series.push_back({name, &histogram});
    };
    for (const LoadPart& part : report.parts) {
        add(part.name + ": acknowledged", part.result.producers.ack_ns);
        for (size_t i = 0; i < part.result.readers.size(); ++i) {
            add(part.name + ": read, " + report.reader_names[i], part.result.readers[i].latency_ns);
        }
    }
    return series;
}

Table latencies_table(const LoadReport& report) {
    Table table(
        {"latency from the intended send time", "p50", "p99", "p99.9", "p99.99", "max", "count"});
    for (const auto& [name, histogram] : latency_series(report)) {
        std::vector<std::string> row = {name};
        for (const double percent : {50.0, 99.0, 99.9, 99.99})
            row.push_back(duration_text(histogram->percentile(percent)));
        row.push_back(duration_text(histogram->max()));
        row.push_back(grouped(histogram->count()));
        table.add(std::move(row));
    }
    return table;
}

std::string report_text(const LoadReport& report, bool utf8) {
    std::string text = figures_table(report).text(2) + "\n" + latencies_table(report).text(2) + "\n";
    const LoadPart& paced = latency_part(report);
    text += fmt::format(
        "  Acknowledgement, {}{}\n", paced.name,
        paced.rate_per_s == 0 ? "" : fmt::format(" at {} records/s", grouped(paced.rate_per_s)));
    text += latency_plot(paced.result.producers.ack_ns, 4, utf8);
    if (!paced.result.readers.empty()) {
        text += fmt::format("\n  End to end, {}, {}\n", report.reader_names[0], paced.name);
        text += latency_plot(paced.result.readers[0].latency_ns, 4, utf8);
    }
    for (const LoadPart& part : report.parts) {
        for (const auto& [code, count] : part.result.producers.errors) {
            text += fmt::format("\n  {}: {} records: {} ({})\n", part.name, grouped(count),
                                errc_advice(code), errc_name(code));
        }
    }
    return text;
}

std::string verdict_text(const LoadReport& report) {
    const size_t count = report.reader_names.size();
    const std::string readers = count == 1   ? "the consumer"
                                : count == 2 ? "both consumers"
                                             : fmt::format("all {} consumers", count);
    if (report.clean()) {
        if (report.reader_names.empty())
            return fmt::format("{} records acknowledged.", grouped(report.sent_count()));
        return fmt::format(
            "{} records came back to {}: none lost, none twice, all in order, byte for byte.",
            grouped(report.sent_count()), readers);
    }
    if (report.sent_count() == 0) return "FAILED: nothing was sent.";
    return fmt::format("FAILED: {} sent, {} acknowledged, {} lost, {} duplicated, {} out of order.",
                       grouped(report.sent_count()), grouped(report.acknowledged_count()),
                       grouped(report.lost_count()), grouped(report.duplicated_count()),
                       grouped(report.out_of_order_count()));
}

}  // namespace eagre::cli
