#pragma once
// A generated market session: messages in the layouts of NASDAQ TotalView-ITCH 5.0 (big-endian; add
// order without MPID 4.3.1, executed 4.4.1, cancel 4.4.3, delete 4.4.4, replace 4.4.5, non-cross
// trade 4.5.1) from a seeded model of 200 order books. The symbol is the partition key. Popularity
// of symbols follows Zipf's law, as trading does.
//
// Invariants: executes, cancels, deletes and replaces name an order that is live, of the same
// symbol, with enough shares; timestamps never run backwards; the same seed gives the same bytes.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "perf/load/record_source.h"
#include "wire/base/prng.h"

namespace eagre::load {

struct MarketOptions {
    uint64_t seed = 20131007;
    uint32_t symbol_count = 200;
    double zipf_exponent = 1.0;  // Share of the k-th symbol is proportional to 1 / k^exponent.
};

class MarketSession final : public RecordSource {
  public:
    static constexpr uint32_t kSymbolCountMax = 4096;

    explicit MarketSession(const MarketOptions& options);
    /// Endless.
    std::optional<frame::RecordView> next() override;
    void rewind() override;
    std::string description() const override;

    /// Shown padded with spaces to 8 characters in messages, without them as the partition key.
    const std::vector<std::string>& symbols() const { return symbols_; }

  private:
    struct Order {
        uint64_t reference = 0;
        uint32_t shares = 0;
        uint32_t price = 0;  // In 1/10,000 dollar.
        char side = 'B';
    };
    struct Book {
        uint32_t price = 0;  // Around which orders are placed; walks at random.
        std::vector<Order> orders;
    };
    // Books stay this small so that the whole model lies in the L2 cache.
    static constexpr size_t kBookOrdersMax = 128;
    static constexpr size_t kPopularitySlots = 65536;

    void reset();
    uint16_t draw_symbol();
    size_t make_message(uint16_t symbol, Book& book);
    size_t add(uint16_t symbol, Book& book);
    size_t execute(uint16_t symbol, Book& book, size_t index);
    size_t cancel(uint16_t symbol, Book& book, size_t index);
    size_t remove(uint16_t symbol, Book& book, size_t index);
    size_t replace(uint16_t symbol, Book& book, size_t index);
    size_t trade(uint16_t symbol, const Book& book);
    uint32_t place(const Book& book, char side);

    MarketOptions options_;
    Prng prng_;
    uint64_t time_ns_ = 0;  // Since midnight.
    uint64_t last_reference_ = 0;
    uint64_t last_match_ = 0;
    std::vector<std::string> symbols_;
    std::vector<std::string> padded_;
    std::vector<uint16_t>
        popularity_;  // kPopularitySlots entries; a uniform draw gives a Zipf one.
    std::vector<Book> books_;
    std::array<std::byte, 64> message_{};
};

}  // namespace eagre::load
