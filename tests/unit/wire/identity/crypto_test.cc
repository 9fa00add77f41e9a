// The primitives against published vectors; what is sealed opens with all of its parts right and with none of them wrong.
#include "wire/identity/crypto.h"

#include <gtest/gtest.h>

#include "wire/identity/secret.h"

namespace eagre::identity {
namespace {

std::vector<std::byte> from_hex(std::string_view hex) {
    std::vector<std::byte> bytes;
    for (size_t i = 0; i < hex.size(); i += 2) {
        bytes.push_back(static_cast<std::byte>(std::stoul(std::string(hex.substr(i, 2)), nullptr, 16)));
    }
    return bytes;
}

template <size_t kBytes>
std::array<std::byte, kBytes> array_of(std::string_view hex) {
    const auto bytes = from_hex(hex);
    std::array<std::byte, kBytes> array{};
    EXPECT_EQ(bytes.size(), kBytes);
    std::copy(bytes.begin(), bytes.end(), array.begin());
    return array;
}

TEST(Hmac, IsThatOfRfc4231) {
    EXPECT_EQ(hmac_sha256(std::vector(20, std::byte{0x0b}), bytes_of("Hi There")),
              array_of<32>("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"));
    EXPECT_EQ(hmac_sha256(bytes_of("Jefe"), bytes_of("what do ya want for nothing?")),
              array_of<32>("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
    EXPECT_EQ(hmac_sha256(std::vector(131, std::byte{0xaa}), bytes_of("Test Using Larger Than Block-Size Key - Hash Key First")),
              array_of<32>("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"));
}

// The GCM specification of McGrew and Viega, test case 16: AES-256 with additional data.
TEST(Seal, IsAes256Gcm) {
    const auto key = array_of<32>("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
    const auto nonce = array_of<12>("cafebabefacedbaddecaf888");
    const auto bound = from_hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    const auto plain = from_hex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
    const auto sealed = seal(key, nonce, bound, plain);
    EXPECT_EQ(sealed,
              from_hex("cafebabefacedbaddecaf888"
                       "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
                       "76fc6ece0f4e1768cddf8853bb2d551b"));
    EXPECT_EQ(open(key, bound, sealed).value(), plain);
}

TEST(Seal, OpensForNobodyElse) {
    const Bytes32 key = array_of<32>("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
    const auto sealed = seal(key, SealNonce{}, bytes_of("row 1"), bytes_of("secret"));
    ASSERT_TRUE(open(key, bytes_of("row 1"), sealed).has_value());
    EXPECT_EQ(open(key, bytes_of("row 2"), sealed).error().code, Errc::kCorruptDirectory);
    EXPECT_EQ(open(Bytes32{}, bytes_of("row 1"), sealed).error().code, Errc::kCorruptDirectory);
    for (size_t i = 0; i < sealed.size(); ++i) {
        auto changed = sealed;
        changed[i] ^= std::byte{1};
        EXPECT_FALSE(open(key, bytes_of("row 1"), changed).has_value()) << i;
        EXPECT_FALSE(open(key, bytes_of("row 1"), std::span(sealed).first(i)).has_value()) << i;
    }
    EXPECT_TRUE(open(key, {}, seal(key, SealNonce{}, {}, {})).value().empty());
}

TEST(Secret, GoesThroughText) {
    Bytes32 secret;
    for (size_t i = 0; i < secret.size(); ++i) secret[i] = static_cast<std::byte>(7 * i + 200);
    const std::string text = secret_text(secret);
    EXPECT_EQ(text.size(), 67U);
    EXPECT_EQ(parse_secret(text).value(), secret);
    EXPECT_EQ(parse_secret(" " + text + "\r\n").value(), secret);
    for (const std::string& wrong : {std::string(), std::string(" \n"), text.substr(1), text + "0", text.substr(0, 66) + "g"}) {
        EXPECT_EQ(parse_secret(wrong).error().code, Errc::kBadArgument) << wrong;
    }
    EXPECT_NE(verifier_of(secret), secret);
}

TEST(KeyId, IsCheckedToTheLastDigit) {
    EXPECT_EQ(key_id_text(0x0123456789abcdef), "ek-0123456789abcdef");
    EXPECT_TRUE(valid_key_id("ek-0123456789abcdef"));
    for (const char* wrong : {"", "ek-", "ek-0123456789abcde", "ek-0123456789abcdeg", "ek-0123456789abcdef0", "es-0123456789abcdef"}) {
        EXPECT_FALSE(valid_key_id(wrong)) << wrong;
    }
    EXPECT_TRUE(valid_key_name("a.B_c-9"));
    EXPECT_FALSE(valid_key_name(""));
    EXPECT_FALSE(valid_key_name("a b"));
    EXPECT_FALSE(valid_key_name(std::string(65, 'a')));
}

}  // namespace
}  // namespace eagre::identity
