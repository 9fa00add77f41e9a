#include "wire/identity/crypto.h"

#include <memory>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "wire/base/assert.h"

namespace eagre::identity {
namespace {

const uint8_t* raw(std::span<const std::byte> bytes) { return reinterpret_cast<const uint8_t*>(bytes.data()); }
uint8_t* raw(std::span<std::byte> bytes) { return reinterpret_cast<uint8_t*>(bytes.data()); }

struct FreeCipher {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, FreeCipher>;

}  // namespace

// Failures of these calls are a lack of memory or a broken OpenSSL: nothing that a caller could act on.
Bytes32 hmac_sha256(std::span<const std::byte> key, std::span<const std::byte> data) {
    Bytes32 digest;
    unsigned length = 0;
    // A null key would mean "the key of the last call".
    static const uint8_t nothing = 0;
    const auto* done = HMAC(EVP_sha256(), key.empty() ? &nothing : raw(key), static_cast<int>(key.size()), raw(data), data.size(),
                            raw(std::span<std::byte>(digest)), &length);
    EAGRE_ASSERT(done != nullptr);
    EAGRE_ASSERT_EQ(length, digest.size());
    return digest;
}

Bytes32 derive(const Bytes32& key, std::string_view label) { return hmac_sha256(key, bytes_of(label)); }

bool equal_constant_time(std::span<const std::byte> a, std::span<const std::byte> b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::vector<std::byte> seal(const Bytes32& key, const SealNonce& nonce, std::span<const std::byte> bound,
                            std::span<const std::byte> plain) {
    std::vector<std::byte> sealed(plain.size() + kSealOverheadBytes);
    std::copy(nonce.begin(), nonce.end(), sealed.begin());
    const auto target = std::span(sealed).subspan(kSealNonceBytes);
    const Cipher cipher(EVP_CIPHER_CTX_new());
    int length = 0;
    int total = 0;
    bool ok = cipher != nullptr && EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, raw(key), raw(nonce)) == 1;
    ok = ok && (bound.empty() ||
                EVP_EncryptUpdate(cipher.get(), nullptr, &length, raw(bound), static_cast<int>(bound.size())) == 1);
    ok = ok && EVP_EncryptUpdate(cipher.get(), raw(target), &total, raw(plain), static_cast<int>(plain.size())) == 1;
    ok = ok && EVP_EncryptFinal_ex(cipher.get(), raw(target.subspan(static_cast<size_t>(total))), &length) == 1;
    ok = ok && EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, static_cast<int>(kSealTagBytes),
                                   raw(target.subspan(plain.size()))) == 1;
    EAGRE_ASSERT(ok);
    EAGRE_ASSERT_EQ(static_cast<size_t>(total + length), plain.size());
    return sealed;
}

Result<std::vector<std::byte>> open(const Bytes32& key, std::span<const std::byte> bound, std::span<const std::byte> sealed) {
    if (sealed.size() < kSealOverheadBytes) return Errc::kCorruptDirectory;
    const auto nonce = sealed.first(kSealNonceBytes);
    const auto body = sealed.subspan(kSealNonceBytes, sealed.size() - kSealOverheadBytes);
    Bytes32 tag{};
    std::copy_n(sealed.last(kSealTagBytes).begin(), kSealTagBytes, tag.begin());
    std::vector<std::byte> plain(body.size());
    const Cipher cipher(EVP_CIPHER_CTX_new());
    EAGRE_ASSERT(cipher != nullptr);
    int length = 0;
    int total = 0;
    bool ok = EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, raw(key), raw(nonce)) == 1;
    ok = ok && (bound.empty() ||
                EVP_DecryptUpdate(cipher.get(), nullptr, &length, raw(bound), static_cast<int>(bound.size())) == 1);
    ok = ok && EVP_DecryptUpdate(cipher.get(), raw(std::span(plain)), &total, raw(body), static_cast<int>(body.size())) == 1;
    ok = ok && EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, static_cast<int>(kSealTagBytes), tag.data()) == 1;
    uint8_t unused[16];
    if (!ok || EVP_DecryptFinal_ex(cipher.get(), unused, &length) != 1) {
        wipe(plain);
        return Errc::kCorruptDirectory;
    }
    return plain;
}

void wipe(std::span<std::byte> bytes) { OPENSSL_cleanse(bytes.data(), bytes.size()); }

}  // namespace eagre::identity
