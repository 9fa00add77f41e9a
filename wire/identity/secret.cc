#include "wire/identity/secret.h"

#include <algorithm>

namespace eagre::identity {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";
constexpr std::string_view kBlanks = " \t\r\n";

bool is_name_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
}

}  // namespace

std::string key_id_text(uint64_t random) {
    std::string text(kKeyIdPrefix);
    for (uint32_t shift = 64; shift > 0; shift -= 4) text += kDigits[(random >> (shift - 4)) & 0xFU];
    return text;
}

bool valid_key_id(std::string_view text) {
    if (text.size() != kKeyIdBytes || !text.starts_with(kKeyIdPrefix)) return false;
    return text.find_first_not_of(kDigits, kKeyIdPrefix.size()) == std::string_view::npos;
}

bool valid_key_name(std::string_view name) {
    return !name.empty() && name.size() <= kKeyNameBytesMax && std::all_of(name.begin(), name.end(), is_name_character);
}

std::string secret_text(const Bytes32& secret) {
    std::string text(kSecretPrefix);
    for (const std::byte byte : secret) {
        text += kDigits[std::to_integer<size_t>(byte >> 4U)];
        text += kDigits[std::to_integer<size_t>(byte & std::byte{0xF})];
    }
    return text;
}

Result<Bytes32> parse_secret(std::string_view text) {
    const size_t first = text.find_first_not_of(kBlanks);
    if (first == std::string_view::npos) return Errc::kBadArgument;
    text = text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
    Bytes32 secret;
    if (!text.starts_with(kSecretPrefix)) return Errc::kBadArgument;
    text.remove_prefix(kSecretPrefix.size());
    if (text.size() != 2 * secret.size()) return Errc::kBadArgument;
    for (size_t i = 0; i < secret.size(); ++i) {
        const size_t high = kDigits.find(text[2 * i]);
        const size_t low = kDigits.find(text[2 * i + 1]);
        if (high == std::string_view::npos || low == std::string_view::npos) return Errc::kBadArgument;
        secret[i] = static_cast<std::byte>(high << 4U | low);
    }
    return secret;
}

Bytes32 verifier_of(const Bytes32& secret) { return derive(secret, "eagre verifier 1"); }

}  // namespace eagre::identity
