// Plays the generated session through an independent order book that decodes every message: a
// message that names an order which is not live, of another symbol or with too few shares is a
// mistake of the generator. Also: the same seed gives the same bytes, and popularity follows Zipf's
// law.
#include "perf/load/market_session.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <unordered_map>

#include <gtest/gtest.h>

#include "perf/load/record_hash.h"

namespace eagre::load {
namespace {

constexpr int kMessages = 300'000;

struct LiveOrder {
    std::string key;
    uint64_t shares = 0;
};

class BookChecker {
  public:
    void play(const frame::RecordView& record) {
        const auto bytes = record.data;
        const auto number = [&](size_t at, size_t length) {
            uint64_t value = 0;
            for (size_t i = 0; i < length; ++i)
                value = value << 8U | std::to_integer<uint64_t>(bytes[at + i]);
            return value;
        };
        const std::string key(record.partition_key);
        const char type = static_cast<char>(bytes[0]);
        ++types[type];
        const uint64_t time_ns = number(5, 6);
        EXPECT_GE(time_ns, last_time_ns_);
        last_time_ns_ = time_ns;
        const uint64_t reference = number(11, 8);
        switch (type) {
            case 'A':
                ASSERT_EQ(bytes.size(), 36U);
                ASSERT_EQ(symbol_at(bytes, 24), key);
                ASSERT_GT(number(32, 4), 0U) << "price";
                ASSERT_TRUE(live_.emplace(reference, LiveOrder{key, number(20, 4)}).second);
                break;
            case 'E':
                ASSERT_EQ(bytes.size(), 31U);
                ASSERT_TRUE(matches_.insert(number(23, 8)).second);
                take(reference, key, number(19, 4), true);
                break;
            case 'X':
                ASSERT_EQ(bytes.size(), 23U);
                take(reference, key, number(19, 4), false);
                break;
            case 'D':
                ASSERT_EQ(bytes.size(), 19U);
                ASSERT_EQ(live_.at(reference).key, key);
                live_.erase(reference);
                break;
            case 'U':
                ASSERT_EQ(bytes.size(), 35U);
                ASSERT_EQ(live_.at(reference).key, key);
                live_.erase(reference);
                ASSERT_TRUE(live_.emplace(number(19, 8), LiveOrder{key, number(27, 4)}).second);
                break;
            case 'P':
                ASSERT_EQ(bytes.size(), 44U);
                ASSERT_EQ(symbol_at(bytes, 24), key);
                ASSERT_TRUE(matches_.insert(number(36, 8)).second);
                break;
            default:
                FAIL() << "type " << type;
        }
    }

    std::map<char, int> types;

  private:
    static std::string symbol_at(std::span<const std::byte> bytes, size_t at) {
        std::string symbol(reinterpret_cast<const char*>(bytes.data()) + at, 8);
        return symbol.substr(0, symbol.find(' '));
    }
    void take(uint64_t reference, const std::string& key, uint64_t shares, bool may_empty) {
        ASSERT_TRUE(live_.contains(reference));
        LiveOrder& order = live_[reference];
        ASSERT_EQ(order.key, key);
        ASSERT_GE(shares, 1U);
        ASSERT_LE(shares, may_empty ? order.shares : order.shares - 1);
        order.shares -= shares;
        if (order.shares == 0) live_.erase(reference);
    }

    uint64_t last_time_ns_ = 0;
    std::unordered_map<uint64_t, LiveOrder> live_;
    std::set<uint64_t> matches_;
};

TEST(MarketSession, NamesOnlyLiveOrders) {
    MarketSession session({});
    BookChecker checker;
    for (int i = 0; i < kMessages && !testing::Test::HasFailure(); ++i)
        checker.play(*session.next());
    for (const char type : {'A', 'E', 'X', 'D', 'U', 'P'})
        EXPECT_GT(checker.types[type], kMessages / 200) << type;
}

TEST(MarketSession, SameSeedSameBytes) {
    const auto digest = [](MarketSession& session) {
        uint64_t sum = 0;
        for (int i = 0; i < 20'000; ++i) sum = sum * 31 + hash_record(*session.next());
        return sum;
    };
    MarketSession a({});
    MarketSession b({});
    MarketSession other({.seed = 2});
    const uint64_t first = digest(a);
    EXPECT_EQ(first, digest(b));
    EXPECT_NE(first, digest(other));
    EXPECT_NE(first, digest(a)) << "it goes on, it does not repeat";
    a.rewind();
    EXPECT_EQ(first, digest(a));
}

TEST(MarketSession, PopularityIsSkewed) {
    MarketSession session({});
    EXPECT_EQ(std::set<std::string>(session.symbols().begin(), session.symbols().end()).size(),
              200U);
    std::map<std::string, int> counts;
    for (int i = 0; i < kMessages; ++i) ++counts[std::string(session.next()->partition_key)];
    // Zipf with exponent 1 over 200: the first has 1 / H(200) = 17.0 % of all, the tenth a tenth of
    // that.
    EXPECT_NEAR(counts[session.symbols()[0]] / static_cast<double>(kMessages), 0.170, 0.01);
    EXPECT_NEAR(counts[session.symbols()[9]] / static_cast<double>(kMessages), 0.0170, 0.002);
    EXPECT_EQ(counts.size(), 200U);
}

}  // namespace
}  // namespace eagre::load
