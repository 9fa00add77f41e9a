// A report from known figures: totals, verdict, and the names that scripts read in the JSON.
#include "tools/eagre/load_report.h"

#include <gtest/gtest.h>

namespace eagre::cli {
namespace {

LoadReport clean_report() {
    LoadReport report;
    report.reader_names = {"subscribe", "pull"};
    for (const uint64_t rate : {uint64_t{50'000}, uint64_t{0}}) {
        LoadPart part;
        part.name = rate == 0 ? "full speed" : "paced";
        part.rate_per_s = rate;
        load::ProducerResult& producers = part.result.producers;
        producers.sent_count = producers.acknowledged_count = rate == 0 ? 1'000'000 : 100'000;
        producers.blob_bytes = producers.sent_count * 40;
        producers.ack_ns.record(rate == 0 ? 2'000'000 : 160'000, producers.sent_count);
        part.result.producing_seconds = rate == 0 ? 0.5 : 2;
        part.result.seconds = part.result.producing_seconds + 0.1;
        part.result.readers.resize(2);
        for (auto& reader : part.result.readers) {
            reader.read_count = producers.sent_count;
            reader.latency_ns.record(200'000, producers.sent_count);
        }
        part.use = {.cpu_seconds = 0.1,
                    .payload_bytes = 1000,
                    .journal_bytes = 1040,
                    .device_written_bytes = 2000,
                    .known = true};
        report.parts.push_back(std::move(part));
    }
    return report;
}

TEST(LoadReport, SumsPartsAndTakesEachFigureWhereItMeansSomething) {
    const LoadReport report = clean_report();
    EXPECT_TRUE(report.clean());
    const auto json = report_json(report);
    EXPECT_EQ(json["sent"], 1'100'000);
    EXPECT_EQ(json["acknowledged"], 1'100'000);
    EXPECT_EQ(json["read"]["subscribe"], 1'100'000);
    EXPECT_EQ(json["read"]["pull"], 1'100'000);
    for (const char* name : {"lost", "duplicated", "out_of_order", "failed"})
        EXPECT_EQ(json[name], 0) << name;
    EXPECT_DOUBLE_EQ(json["records_per_s"], 2'000'000) << "of the part at full speed";
    EXPECT_DOUBLE_EQ(json["mb_per_s"], 80);
    EXPECT_NEAR(json["ack_us"]["p99"], 160, 3) << "of the paced part";
    EXPECT_NEAR(json["end_to_end_us"]["subscribe"]["p999"], 200, 4);
    EXPECT_DOUBLE_EQ(json["dataplane_cpu_s_per_million"], 0.1);
    EXPECT_DOUBLE_EQ(json["journal_bytes_per_batch_byte"], 1.04);
    EXPECT_DOUBLE_EQ(json["device_bytes_per_batch_byte"], 2.0);
    EXPECT_EQ(json["parts"].size(), 2U);
}

TEST(LoadReport, AnyFaultIsNotClean) {
    const auto broken = [](auto change) {
        LoadReport report = clean_report();
        change(report.parts[0].result);
        return !report.clean() && verdict_text(report).starts_with("FAILED");
    };
    EXPECT_TRUE(broken([](auto& result) { result.readers[1].lost_count = 1; }));
    EXPECT_TRUE(broken([](auto& result) { result.readers[0].duplicated_count = 1; }));
    EXPECT_TRUE(broken([](auto& result) { result.readers[0].out_of_order_count = 1; }));
    EXPECT_TRUE(broken([](auto& result) { result.producers.out_of_order_count = 1; }));
    EXPECT_TRUE(broken([](auto& result) { result.producers.acknowledged_count -= 1; }));
    EXPECT_FALSE(broken([](auto&) {}));
    EXPECT_FALSE(LoadReport{}.clean()) << "nothing sent is nothing shown";
}

TEST(LoadReport, TextShowsBothPartsSideBySide) {
    const std::string text = report_text(clean_report(), false);
    EXPECT_NE(text.find("paced  full speed"), std::string::npos) << text;
    EXPECT_NE(text.find("100,000   1,000,000"), std::string::npos) << text;
    EXPECT_NE(text.find("paced: read, pull"), std::string::npos) << text;
}

}  // namespace
}  // namespace eagre::cli
