#include "perf/load/market_session.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "wire/base/assert.h"

namespace eagre::load {
namespace {

constexpr uint64_t kOpenNs =
    34'200ULL * 1'000'000'000ULL;  // 09:30, when continuous trading begins.
constexpr uint32_t kTick = 100;    // One cent.
constexpr uint32_t kPriceMin = 100 * kTick;

// Writes fields as ITCH lays them out: big-endian integers of 1, 2, 4, 6 and 8 bytes, text padded
// with spaces.
class MessageWriter {
  public:
    explicit MessageWriter(std::span<std::byte> target) : target_(target) {}
    MessageWriter& number(uint64_t value, size_t bytes) {
        EAGRE_ASSERT_LE(used_ + bytes, target_.size());
        for (size_t i = 0; i < bytes; ++i) {
            target_[used_ + i] = static_cast<std::byte>(value >> (8 * (bytes - 1 - i)));
        }
        used_ += bytes;
        return *this;
    }
    MessageWriter& letter(char value) { return number(static_cast<unsigned char>(value), 1); }
    MessageWriter& text(const std::string& value) {
        for (const char c : value) letter(c);
        return *this;
    }
    /// The fields that open every message: type, stock locate, tracking number, timestamp.
    MessageWriter& head(char type, uint16_t symbol, uint64_t time_ns) {
        return letter(type).number(symbol + 1U, 2).number(0, 2).number(time_ns, 6);
    }
    size_t bytes() const { return used_; }

  private:
    std::span<std::byte> target_;
    size_t used_ = 0;
};

}  // namespace

MarketSession::MarketSession(const MarketOptions& options)
    : options_(options), prng_(options.seed) {
    if (options.symbol_count == 0 || options.symbol_count > kSymbolCountMax) {
        throw std::runtime_error("a market session has 1 to 4096 symbols");
    }
    double total = 0;
    std::vector<double> cumulative;
    for (uint32_t k = 0; k < options.symbol_count; ++k) {
        // Four letters, every one different: base 26 of a number that strides through the space
        // (prime, so no repeats).
        uint32_t code = (k * 104'729U) % (26U * 26U * 26U * 26U);
        std::string symbol(4, 'A');
        for (char& letter : symbol) {
            letter = static_cast<char>('A' + code % 26U);
            code /= 26U;
        }
        symbols_.push_back(symbol);
        padded_.push_back(symbol + std::string(8 - symbol.size(), ' '));
        total += 1.0 / std::pow(k + 1.0, options.zipf_exponent);
        cumulative.push_back(total);
    }
    popularity_.resize(kPopularitySlots);
    size_t symbol = 0;
    for (size_t slot = 0; slot < kPopularitySlots; ++slot) {
        const double share =
            total * (static_cast<double>(slot) + 0.5) / static_cast<double>(kPopularitySlots);
        while (cumulative[symbol] < share && symbol + 1 < cumulative.size()) ++symbol;
        popularity_[slot] = static_cast<uint16_t>(symbol);
    }
    reset();
}

void MarketSession::reset() {
    prng_ = Prng(options_.seed);
    time_ns_ = kOpenNs;
    last_reference_ = 0;
    last_match_ = 0;
    books_.assign(options_.symbol_count, Book{});
    for (Book& book : books_) {
        book.price = kPriceMin + static_cast<uint32_t>(prng_.below(30'000)) * kTick;
        book.orders.reserve(kBookOrdersMax);
    }
}

void MarketSession::rewind() {
    reset();
}

std::string MarketSession::description() const {
    return "generated market session (ITCH 5.0 layouts), " + std::to_string(options_.symbol_count) +
           " symbols, seed " + std::to_string(options_.seed);
}

uint16_t MarketSession::draw_symbol() {
    return popularity_[prng_.below(kPopularitySlots)];
}

std::optional<frame::RecordView> MarketSession::next() {
    // Gaps of 0..20 us: 100,000 messages a second of session time, the order of a busy opening.
    time_ns_ += prng_.below(20'000);
    const uint16_t symbol = draw_symbol();
    const size_t bytes = make_message(symbol, books_[symbol]);
    frame::RecordView record;
    record.partition_key = symbols_[symbol];
    record.data = std::span<const std::byte>(message_).first(bytes);
    return record;
}

size_t MarketSession::make_message(uint16_t symbol, Book& book) {
    const uint64_t draw = prng_.below(100);
    if (prng_.below(4) == 0) {
        const bool up = prng_.below(2) == 0;
        book.price = up ? book.price + kTick : std::max(book.price - kTick, kPriceMin);
    }
    // Near the shape of a real session: adds and deletes make up most of it; trades are rare.
    if (book.orders.empty() || (draw < 44 && book.orders.size() < kBookOrdersMax))
        return add(symbol, book);
    const size_t index = prng_.below(book.orders.size());
    if (draw < 54) return execute(symbol, book, index);
    if (draw < 60) return cancel(symbol, book, index);
    if (draw < 88) return remove(symbol, book, index);
    if (draw < 98) return replace(symbol, book, index);
    return trade(symbol, book);
}

uint32_t MarketSession::place(const Book& book, char side) {
    const auto away = static_cast<uint32_t>(1 + prng_.below(20)) * kTick;
    return side == 'B' ? book.price - std::min(away, book.price - kTick) : book.price + away;
}

size_t MarketSession::add(uint16_t symbol, Book& book) {
    EAGRE_ASSERT_LT(book.orders.size(), kBookOrdersMax);
    const char side = prng_.below(2) == 0 ? 'B' : 'S';
    const auto shares = static_cast<uint32_t>(1 + prng_.below(10)) * 100;
    book.orders.push_back({++last_reference_, shares, place(book, side), side});
    const Order& order = book.orders.back();
    return MessageWriter(message_)
        .head('A', symbol, time_ns_)
        .number(order.reference, 8)
        .letter(side)
        .number(order.shares, 4)
        .text(padded_[symbol])
        .number(order.price, 4)
        .bytes();
}

size_t MarketSession::execute(uint16_t symbol, Book& book, size_t index) {
    Order& order = book.orders[index];
    const auto shares = static_cast<uint32_t>(1 + prng_.below(order.shares));
    const size_t bytes = MessageWriter(message_)
                             .head('E', symbol, time_ns_)
                             .number(order.reference, 8)
                             .number(shares, 4)
                             .number(++last_match_, 8)
                             .bytes();
    order.shares -= shares;
    book.price = order.price;
    if (order.shares == 0) {
        order = book.orders.back();
        book.orders.pop_back();
    }
    return bytes;
}

size_t MarketSession::cancel(uint16_t symbol, Book& book, size_t index) {
    Order& order = book.orders[index];
    // A cancel leaves something of the order; taking all of it is a delete.
    if (order.shares < 2) return remove(symbol, book, index);
    const auto shares = static_cast<uint32_t>(1 + prng_.below(order.shares - 1));
    order.shares -= shares;
    return MessageWriter(message_)
        .head('X', symbol, time_ns_)
        .number(order.reference, 8)
        .number(shares, 4)
        .bytes();
}

size_t MarketSession::remove(uint16_t symbol, Book& book, size_t index) {
    const uint64_t reference = book.orders[index].reference;
    book.orders[index] = book.orders.back();
    book.orders.pop_back();
    return MessageWriter(message_).head('D', symbol, time_ns_).number(reference, 8).bytes();
}

size_t MarketSession::replace(uint16_t symbol, Book& book, size_t index) {
    Order& order = book.orders[index];
    const uint64_t old_reference = order.reference;
    order = {++last_reference_, static_cast<uint32_t>(1 + prng_.below(10)) * 100,
             place(book, order.side), order.side};
    return MessageWriter(message_)
        .head('U', symbol, time_ns_)
        .number(old_reference, 8)
        .number(order.reference, 8)
        .number(order.shares, 4)
        .number(order.price, 4)
        .bytes();
}

size_t MarketSession::trade(uint16_t symbol, const Book& book) {
    // Against a hidden order: reference 0, side always B (ITCH 5.0, 4.5.1).
    return MessageWriter(message_)
        .head('P', symbol, time_ns_)
        .number(0, 8)
        .letter('B')
        .number((1 + prng_.below(10)) * 100, 4)
        .text(padded_[symbol])
        .number(book.price, 4)
        .number(++last_match_, 8)
        .bytes();
}

}  // namespace eagre::load
