// Limits and tags at their edges: what is allowed, what is refused, with which error and in which words.
#include "control/streams/limits.h"

#include <gtest/gtest.h>

#include "control/streams/streams.h"
#include "wire/base/limits.h"
#include "wire/schema/admin_generated.h"

namespace eagre::streams {
namespace {

Limits sound() {
    return {kRetentionMsDefault, 0, kRecordDataBytesDefault, 0, 0};
}

void expect_fault(const Limits& limits, uint64_t detail, const char* words) {
    const auto fault = find_fault(limits);
    ASSERT_TRUE(fault.has_value());
    EXPECT_EQ(fault->error.code, Errc::kBadArgument);
    EXPECT_EQ(fault->error.detail, detail);
    EXPECT_NE(fault->text.find(words), std::string::npos) << fault->text;
}

TEST(Limits, EachHasItsEdges) {
    EXPECT_FALSE(find_fault(sound()));
    Limits limits{kRetentionMsMax, kRetentionBytesMax, kRecordDataBytesMax, kQuotaPerSMax, kQuotaPerSMax};
    EXPECT_FALSE(find_fault(limits));
    limits = {1, kRetentionBytesMin, 1, 1, 1};
    EXPECT_FALSE(find_fault(limits));

    const auto with = [](auto field, uint64_t value) {
        Limits wrong = sound();
        wrong.*field = value;
        return wrong;
    };
    expect_fault(with(&Limits::retention_ms, 0), kRetentionMsMax, "retention");
    expect_fault(with(&Limits::retention_ms, kRetentionMsMax + 1), kRetentionMsMax, "days");
    expect_fault(with(&Limits::retention_bytes, kRetentionBytesMin - 1), kRetentionBytesMin, "1 MiB");
    expect_fault(with(&Limits::retention_bytes, kRetentionBytesMax + 1), kRetentionBytesMax, "at most");
    expect_fault(with(&Limits::record_bytes_max, 0), kRecordDataBytesMax, "10 MiB");
    expect_fault(with(&Limits::record_bytes_max, kRecordDataBytesMax + 1), kRecordDataBytesMax, "10 MiB");
    expect_fault(with(&Limits::quota_bytes_per_s, kQuotaPerSMax + 1), kQuotaPerSMax, "quota");
    expect_fault(with(&Limits::quota_records_per_s, kQuotaPerSMax + 1), kQuotaPerSMax, "quota");
}

TEST(Limits, AChangeTouchesOnlyWhatItNames) {
    const Limits base{1, 2, 3, 4, 5};
    const Limits values{10, 20, 30, 40, 50};
    using Field = wire::StreamField;
    const auto changed = [&](Field fields) {
        return LimitsChange{static_cast<uint32_t>(fields), values}.applied_to(base);
    };
    EXPECT_EQ(changed({}), base);
    EXPECT_EQ(changed(Field::RetentionMs), (Limits{10, 2, 3, 4, 5}));
    EXPECT_EQ(changed(Field::RetentionBytes), (Limits{1, 20, 3, 4, 5}));
    EXPECT_EQ(changed(Field::RecordBytesMax), (Limits{1, 2, 30, 4, 5}));
    EXPECT_EQ(changed(Field::QuotaBytesPerS), (Limits{1, 2, 3, 40, 5}));
    EXPECT_EQ(changed(Field::QuotaRecordsPerS), (Limits{1, 2, 3, 4, 50}));
    EXPECT_EQ(changed(Field::ANY), values);
}

TEST(Tags, AreLimitedInCharactersAndNumber) {
    catalog::Tags tags;
    // Two bytes a character: characters are what is counted.
    std::string key;
    std::string value;
    for (uint32_t i = 0; i < kTagKeyCharactersMax; ++i) key += "\xC3\xA9";
    for (uint32_t i = 0; i < kTagValueCharactersMax; ++i) value += "\xC3\xA9";
    tags[key] = value;
    EXPECT_FALSE(find_fault(tags));
    EXPECT_EQ(find_fault(catalog::Tags{{key + "x", ""}})->error.detail, kTagKeyCharactersMax);
    EXPECT_EQ(find_fault(catalog::Tags{{"k", value + "x"}})->error.detail, kTagValueCharactersMax);
    EXPECT_EQ(find_fault(catalog::Tags{{"", "v"}})->error.code, Errc::kBadArgument);
    EXPECT_EQ(find_fault(catalog::Tags{{"k", "a\nb"}})->error.code, Errc::kBadArgument);
    while (tags.size() < kTagCountMax) tags["k" + std::to_string(tags.size())] = "";
    EXPECT_FALSE(find_fault(tags));
    tags["one more"] = "";
    const auto fault = find_fault(tags);
    ASSERT_TRUE(fault.has_value());
    EXPECT_EQ(fault->error.code, Errc::kLimitExceeded);
    EXPECT_EQ(fault->error.detail, kTagCountMax);
    EXPECT_NE(fault->text.find("untag"), std::string::npos);
}

class Changes : public testing::Test {
  protected:
    Changes() {
        catalog::Change change;
        catalog::StreamRow row;
        row.id = StreamId(1);
        row.name = "quotes";
        row.state = catalog::StreamState::kActive;
        row.map_version = 4;
        put_limits(row, sound());
        row.tags = {{"team", "feeds"}};
        change.put_streams.push_back(row);
        table_.on_change(change);
    }
    void set_state(catalog::StreamState state) {
        catalog::Change change;
        change.put_streams.push_back(table_.find("quotes")->row);
        change.put_streams[0].state = state;
        table_.on_change(change);
    }
    static LimitsChange only(wire::StreamField field, const Limits& values) {
        return {static_cast<uint32_t>(field), values};
    }
    StreamTable table_;
};

TEST_F(Changes, AnotherRecordLimitIsAnotherMap) {
    Limits values = sound();
    values.quota_records_per_s = 9;
    auto change = plan_set(table_, "quotes", only(wire::StreamField::QuotaRecordsPerS, values));
    ASSERT_TRUE(change.has_value());
    EXPECT_EQ(change->put_streams[0].state, catalog::StreamState::kChanging);
    EXPECT_EQ(change->put_streams[0].quota_records_per_s, 9U);
    EXPECT_EQ(change->put_streams[0].map_version, 4U) << "nobody routes by a quota";
    values.record_bytes_max = 5000;
    change = plan_set(table_, "quotes", only(wire::StreamField::RecordBytesMax, values));
    ASSERT_TRUE(change.has_value());
    EXPECT_EQ(change->put_streams[0].map_version, 5U);
    EXPECT_EQ(change->put_streams[0].quota_records_per_s, 0U);
}

TEST_F(Changes, AreRefusedInTheRightOrder) {
    const LimitsChange wrong = only(wire::StreamField::RetentionMs, Limits{});
    EXPECT_EQ(plan_set(table_, "nobody", wrong).error().code, Errc::kUnknownStream);
    EXPECT_EQ(plan_set(table_, "quotes", wrong).error().code, Errc::kBadArgument);
    set_state(catalog::StreamState::kCreating);
    const LimitsChange right = only(wire::StreamField::RetentionMs, sound());
    EXPECT_EQ(plan_set(table_, "quotes", right).error().code, Errc::kBusy);
    set_state(catalog::StreamState::kDeleting);
    EXPECT_EQ(plan_set(table_, "quotes", right).error().code, Errc::kUnknownStream);
    EXPECT_EQ(plan_tag(table_, "quotes", {}).error().code, Errc::kUnknownStream);
    EXPECT_EQ(plan_untag(table_, "quotes", {}).error().code, Errc::kUnknownStream);
}

TEST_F(Changes, TagsArePutOverOthersAndTakenOff) {
    auto change = plan_tag(table_, "quotes", {{"team", "infra"}, {"env", ""}});
    ASSERT_TRUE(change.has_value());
    EXPECT_EQ(change->put_streams[0].tags, (catalog::Tags{{"env", ""}, {"team", "infra"}}));
    EXPECT_EQ(change->put_streams[0].state, catalog::StreamState::kActive);
    change = plan_untag(table_, "quotes", {{"team", ""}, {"absent", ""}});
    ASSERT_TRUE(change.has_value());
    EXPECT_TRUE(change->put_streams[0].tags.empty());
    catalog::Tags many;
    for (uint32_t i = 0; i < kTagCountMax; ++i) many["k" + std::to_string(i)] = "";
    EXPECT_EQ(plan_tag(table_, "quotes", many).error().code, Errc::kLimitExceeded);
}

}  // namespace
}  // namespace eagre::streams
