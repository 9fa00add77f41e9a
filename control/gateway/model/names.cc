#include "control/gateway/model/names.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

namespace eagre::gateway {
namespace {

__extension__ using Uint128 = unsigned __int128;

constexpr uint64_t kWithoutOrdinal = 100'000'000'000;
constexpr std::string_view kShardPrefix = "shardId-";
constexpr uint64_t kTenTo19 = 10'000'000'000'000'000'000ULL;
constexpr size_t kLimbs = 3;
using Wide = std::array<uint64_t, kLimbs>;  // Least first.

std::optional<uint64_t> parse_number(std::string_view text) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

/// By 10^19; the rest.
uint64_t divide(Wide& value) {
    uint64_t rest = 0;
    for (size_t i = kLimbs; i-- > 0;) {
        const Uint128 whole = Uint128{rest} << 64U | value[i];
        value[i] = static_cast<uint64_t>(whole / kTenTo19);
        rest = static_cast<uint64_t>(whole % kTenTo19);
    }
    return rest;
}

/// 19 digits, with zeros in front.
void put_digits(char* target, uint64_t value) {
    for (int i = 18; i > 0; i -= 2) {
        const auto pair = static_cast<uint32_t>(value % 100);
        value /= 100;
        target[i] = static_cast<char>('0' + pair % 10);
        target[i - 1] = static_cast<char>('0' + pair / 10);
    }
    target[0] = static_cast<char>('0' + value);
}

std::string wide_text(Wide value) {
    std::array<uint64_t, 4> parts{};
    size_t count = 0;
    do {
        parts[count++] = divide(value);
    } while (std::any_of(value.begin(), value.end(), [](uint64_t limb) { return limb != 0; }));
    std::string text = fmt::format("{}", parts[count - 1]);
    for (size_t i = count - 1; i-- > 0;) fmt::format_to(std::back_inserter(text), "{:019}", parts[i]);
    return text;
}

std::optional<Wide> parse_wide(std::string_view text) {
    Wide value{};
    if (text.empty() || text.size() > 57) return std::nullopt;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        auto carry = static_cast<Uint128>(static_cast<unsigned char>(c - '0'));
        for (uint64_t& limb : value) {
            carry += Uint128{limb} * 10;
            limb = static_cast<uint64_t>(carry);
            carry >>= 64U;
        }
        if (carry != 0) return std::nullopt;
    }
    return value;
}

/// Bits `at` and up.
void put(Wide& value, unsigned at, uint64_t bits) {
    const size_t limb = at / 64;
    const unsigned shift = at % 64;
    value[limb] |= bits << shift;
    if (shift != 0 && limb + 1 < kLimbs) value[limb + 1] |= bits >> (64 - shift);
}
uint64_t get(const Wide& value, unsigned at, unsigned count) {
    const size_t limb = at / 64;
    const unsigned shift = at % 64;
    uint64_t bits = value[limb] >> shift;
    if (shift != 0 && limb + 1 < kLimbs) bits |= value[limb + 1] << (64 - shift);
    return count == 64 ? bits : bits & ((uint64_t{1} << count) - 1);
}

constexpr unsigned kEndAt = 0, kShardAt = 4, kLaterSecondsAt = 36, kNumberAt = 80, kSecondsAt = 148, kVersionAt = 184;
constexpr uint64_t kVersion = 2;
// 2^80, in limbs of 10^19.
constexpr uint64_t kNumberUnitLow = 5'819'614'629'174'706'176;
constexpr uint64_t kNumberUnitHigh = 120'892;

}  // namespace

uint64_t shard_number(ShardId shard, uint32_t ordinal) { return ordinal != 0 ? ordinal - 1 : kWithoutOrdinal + shard.value; }

std::string shard_name(uint64_t number) { return fmt::format("{}{:012}", kShardPrefix, number); }

std::optional<uint64_t> parse_shard_name(std::string_view text) {
    if (text.starts_with(kShardPrefix)) text.remove_prefix(kShardPrefix.size());
    return parse_number(text);
}

SequenceNumbers::SequenceNumbers(uint64_t stream_created_ns, ShardId shard)
    : seconds_(stream_created_ns / 1'000'000'000), shard_(static_cast<uint32_t>(shard.value)) {
    Wide value{};
    put(value, kEndAt, kVersion);
    put(value, kShardAt, shard_);
    put(value, kLaterSecondsAt, seconds_);
    put(value, kSecondsAt, seconds_);
    put(value, kVersionAt, kVersion);
    for (uint64_t& limb : base_) limb = divide(value);
}

std::string_view SequenceNumbers::text(SequenceNumber number, std::array<char, 64>& target) const {
    // number * 2^80 in limbs of 10^19, by school's multiplication: 2^80 is 120,892 and the rest.
    const Uint128 low = Uint128{number.value} * kNumberUnitLow;
    const Uint128 high = Uint128{number.value} * kNumberUnitHigh + low / kTenTo19;
    std::array<uint64_t, 3> limbs{static_cast<uint64_t>(low % kTenTo19), static_cast<uint64_t>(high % kTenTo19), static_cast<uint64_t>(high / kTenTo19)};
    uint64_t carry = 0;
    for (size_t i = 0; i < limbs.size(); ++i) {
        const Uint128 sum = Uint128{limbs[i]} + base_[i] + carry;
        carry = sum >= kTenTo19 ? 1 : 0;
        limbs[i] = static_cast<uint64_t>(carry == 0 ? sum : sum - kTenTo19);
    }
    char* const end = target.data() + 57;
    for (size_t i = 0; i < limbs.size(); ++i) put_digits(end - 19 * (i + 1), limbs[i]);
    const char* begin = target.data();
    while (*begin == '0' && begin + 1 != end) ++begin;
    return {begin, static_cast<size_t>(end - begin)};
}

std::string SequenceNumbers::text(SequenceNumber number) const {
    std::array<char, 64> target;
    return std::string(text(number, target));
}

std::optional<SequenceNumber> SequenceNumbers::parse(std::string_view text) const {
    const auto value = parse_wide(text);
    if (!value || get(*value, kVersionAt, 8) != kVersion || get(*value, kEndAt, 4) != kVersion) return std::nullopt;
    if (get(*value, kSecondsAt, 36) != seconds_) return std::nullopt;
    return SequenceNumber{get(*value, kNumberAt, 64)};
}

std::string SequenceNumbers::continuation(SequenceNumber next, uint64_t now_ms) const {
    Wide value{};
    put(value, kEndAt, kVersion);
    put(value, kShardAt, shard_);
    put(value, kLaterSecondsAt, std::max(now_ms / 1000, seconds_ + 1));
    put(value, kNumberAt, next.value - std::min<uint64_t>(next.value, 1));
    put(value, kSecondsAt, seconds_);
    put(value, kVersionAt, kVersion);
    return wide_text(value);
}

std::optional<SequenceNumber> SequenceNumbers::parse_at(std::string_view text) const {
    const auto number = parse(text);
    if (!number) return std::nullopt;
    const auto value = parse_wide(text);
    return SequenceNumber{number->value + (get(*value, kLaterSecondsAt, 36) > seconds_ ? 1 : 0)};
}

std::string Arns::consumer(std::string_view stream_name, std::string_view name, uint64_t created_ms) const {
    return fmt::format("{}/consumer/{}:{}", stream(stream_name), name, created_ms / 1000);
}

std::string Arns::user(std::string_view name) const { return fmt::format("arn:aws:iam::{}:user/{}", account, name); }

std::optional<ConsumerArn> parse_consumer_arn(std::string_view arn) {
    const auto stream = stream_of_arn(arn);
    const size_t at = arn.find("/consumer/");
    if (!stream || at == arn.npos) return std::nullopt;
    const std::string_view rest = arn.substr(at + 10);
    const size_t colon = rest.find(':');
    const auto created = colon == rest.npos ? std::nullopt : parse_number(rest.substr(colon + 1));
    if (!created || colon == 0) return std::nullopt;
    return ConsumerArn{std::string(*stream), std::string(rest.substr(0, colon)), *created};
}

std::string Arns::stream(std::string_view name) const { return fmt::format("arn:aws:kinesis:{}:{}:stream/{}", region, account, name); }

std::optional<std::string_view> stream_of_arn(std::string_view arn) {
    const size_t at = arn.find(":stream/");
    if (!arn.starts_with("arn:") || at == arn.npos) return std::nullopt;
    const std::string_view name = arn.substr(at + 8);
    return name.substr(0, name.find('/'));
}

std::string hash_key_text(const HashKey& key) { return wide_text({key.low, key.high, 0}); }

std::optional<HashKey> parse_hash_key(std::string_view text) {
    const auto value = parse_wide(text);
    if (!value || (*value)[2] != 0) return std::nullopt;
    return HashKey{(*value)[1], (*value)[0]};
}

}  // namespace eagre::gateway
