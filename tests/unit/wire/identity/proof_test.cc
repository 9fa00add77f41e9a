// A proof is right for one challenge and one side only; the bytes that it covers are those of the page (wire/FORMAT.md).
#include "wire/identity/proof.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "wire/identity/secret.h"

namespace eagre::identity {
namespace {

Challenge challenge() {
    Challenge c;
    c.box_id_high = 0x0102030405060708;
    c.box_id_low = 0x1112131415161718;
    c.incarnation = 3;
    c.core = 1;
    c.client_nonce.fill(std::byte{0xC1});
    c.server_nonce.fill(std::byte{0x5E});
    c.key_id = "ek-0123456789abcdef";
    return c;
}

Bytes32 verifier() {
    Bytes32 secret{};
    secret[0] = std::byte{1};
    return verifier_of(secret);
}

TEST(Proof, CoversTheBytesOfThePage) {
    std::vector<std::byte> page(136);
    const auto put = [&page](size_t at, const void* bytes, size_t count) { std::memcpy(page.data() + at, bytes, count); };
    const auto put_integer = [&put](size_t at, uint64_t value, size_t count) { put(at, &value, count); };
    put(0, "eagre proof 1", 13);
    put_integer(15, 1, 1);
    put_integer(16, 0x0102030405060708, 8);
    put_integer(24, 0x1112131415161718, 8);
    put_integer(32, 3, 8);
    put_integer(40, 1, 4);
    put_integer(44, 1, 4);
    std::memset(page.data() + 48, 0xC1, 32);
    std::memset(page.data() + 80, 0x5E, 32);
    put_integer(112, 19, 4);
    put(116, "ek-0123456789abcdef", 19);
    EXPECT_EQ(client_proof(verifier(), challenge()), hmac_sha256(verifier(), page));
    page[15] = std::byte{2};
    EXPECT_EQ(server_proof(verifier(), challenge()), hmac_sha256(verifier(), page));
}

TEST(Proof, IsRightForNothingElse) {
    const Bytes32 right = client_proof(verifier(), challenge());
    const std::function<void(Challenge&)> changes[] = {
        [](Challenge& c) { c.box_id_high ^= 1; },
        [](Challenge& c) { c.box_id_low ^= 1; },
        [](Challenge& c) { ++c.incarnation; },
        [](Challenge& c) { ++c.core; },
        [](Challenge& c) { c.client_nonce[31] ^= std::byte{1}; },
        [](Challenge& c) { c.server_nonce[31] ^= std::byte{1}; },
        [](Challenge& c) { c.key_id = "ek-0123456789abcdee"; },
        [](Challenge& c) { c.purpose = static_cast<Purpose>(2); },
    };
    for (const auto& change : changes) {
        Challenge other = challenge();
        change(other);
        EXPECT_NE(client_proof(verifier(), other), right);
    }
    Bytes32 other_verifier = verifier();
    other_verifier[0] ^= std::byte{1};
    EXPECT_NE(client_proof(other_verifier, challenge()), right);
    EXPECT_NE(server_proof(verifier(), challenge()), right);
}

}  // namespace
}  // namespace eagre::identity
