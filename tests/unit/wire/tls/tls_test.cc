// Two pipes of our own talk through memory, with certificates made here: what goes in comes out, however the bytes between are cut;
// a certificate of another name or authority, a changed bit, a key of another certificate are each refused with their error.
#include "wire/tls/tls.h"

#include <deque>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

namespace eagre::tls {
namespace {

namespace fs = std::filesystem;

/// Bytes on their way one way; `grain`: at most so many come at once.
class Way final : public Source {
  public:
    Result<size_t> pull(std::span<std::byte> target) override {
        if (bytes.empty() && ended) return Errc::kDisconnected;
        const size_t count = std::min({target.size(), bytes.size(), grain});
        std::copy_n(bytes.begin(), count, target.begin());
        bytes.erase(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(count));
        return count;
    }
    void take(TlsPipe& from) {
        const auto more = from.outgoing();
        bytes.insert(bytes.end(), more.begin(), more.end());
        from.sent(more.size());
    }
    std::deque<std::byte> bytes;
    size_t grain = SIZE_MAX;
    bool ended = false;
};

class Tls : public testing::Test {
  protected:
    Tls() : directory_(fs::temp_directory_path() / ("eagre-tls-" + std::to_string(getpid()))) {
        fs::remove_all(directory_);
        fs::create_directories(directory_);
        make_certificate("box", "box.example");
        make_certificate("other", "other.example");
    }
    ~Tls() override { fs::remove_all(directory_); }
    std::string path(const std::string& name) const { return directory_ / name; }

    /// Self-signed NAME.pem and NAME.key.
    void make_certificate(const std::string& name, const std::string& host) {
        EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
        X509* certificate = X509_new();
        X509_set_version(certificate, 2);
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
        X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
        X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
        X509_set_pubkey(certificate, key);
        X509_NAME* subject = X509_get_subject_name(certificate);
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const uint8_t*>(host.c_str()), -1, -1, 0);
        X509_set_issuer_name(certificate, subject);
        const std::string names = "DNS:" + host + ",IP:127.0.0.1";
        X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str());
        X509_add_ext(certificate, extension, -1);
        X509_EXTENSION_free(extension);
        X509_sign(certificate, key, EVP_sha256());
        FILE* file = std::fopen(path(name + ".pem").c_str(), "w");
        PEM_write_X509(file, certificate);
        std::fclose(file);
        file = std::fopen(path(name + ".key").c_str(), "w");
        PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
        std::fclose(file);
        X509_free(certificate);
        EVP_PKEY_free(key);
    }

    void set_up(const std::string& ca, const std::string& name) {
        server_context = std::move(*TlsContext::server(path("box.pem"), path("box.key")));
        client_context = std::move(*TlsContext::client(path(ca), name));
        server = std::move(*TlsPipe::create(*server_context));
        client = std::move(*TlsPipe::create(*client_context));
    }
    /// Until both are through, or one of them has failed.
    void shake_hands() {
        for (int i = 0; i < 10000 && client_error.code == Errc::kOk && server_error.code == Errc::kOk; ++i) {
            if (server->established() && client->established()) return;
            const auto c = client->handshake(to_client);
            if (!c) client_error = c.error();
            to_server.take(*client);
            const auto s = server->handshake(to_server);
            if (!s) server_error = s.error();
            to_client.take(*server);
        }
    }

    fs::path directory_;
    std::unique_ptr<TlsContext> server_context;
    std::unique_ptr<TlsContext> client_context;
    std::unique_ptr<TlsPipe> server;
    std::unique_ptr<TlsPipe> client;
    Way to_server;
    Way to_client;
    Error client_error;
    Error server_error;
};

TEST_F(Tls, CarriesBytesHoweverTheyAreCut) {
    for (const size_t grain : {SIZE_MAX, size_t{1}, size_t{1000}}) {
        set_up("box.pem", "box.example");
        to_server.grain = to_client.grain = grain;
        shake_hands();
        ASSERT_TRUE(client->established() && server->established());
        const size_t total = grain == 1 ? 40'000 : kChunkBytes;
        std::vector<std::byte> plain(total);
        for (size_t i = 0; i < total; ++i) plain[i] = static_cast<std::byte>(i * 7);
        ASSERT_TRUE(client->send(plain).has_value());
        const auto cipher = client->outgoing();
        EXPECT_EQ(std::search(cipher.begin(), cipher.end(), plain.begin(), plain.begin() + 64), cipher.end());
        EXPECT_LT(cipher.size(), total + total / 100);
        to_server.take(*client);
        std::vector<std::byte> got(total);
        size_t received = 0;
        for (int i = 0; i < 100'000 && received < total; ++i) {
            const auto more = server->receive(to_server, std::span(got).subspan(received));
            ASSERT_TRUE(more.has_value());
            received += *more;
        }
        EXPECT_EQ(got, plain);
        EXPECT_EQ(server->receive(to_server, got).value(), 0U);
    }
}

TEST_F(Tls, TellsTheEnd) {
    set_up("box.pem", "box.example");
    shake_hands();
    ASSERT_TRUE(client->send(std::vector(10, std::byte{1})).has_value());
    to_server.take(*client);
    client->end();
    to_server.take(*client);
    std::vector<std::byte> got(100);
    EXPECT_EQ(server->receive(to_server, got).value(), 10U);
    EXPECT_EQ(server->receive(to_server, got).error().code, Errc::kDisconnected);
    to_client.ended = true;
    EXPECT_EQ(client->receive(to_client, got).error().code, Errc::kDisconnected);
}

TEST_F(Tls, ChecksTheName) {
    set_up("box.pem", "127.0.0.1");
    shake_hands();
    EXPECT_TRUE(client->established());
    for (const char* wrong : {"other.example", "127.0.0.2"}) {
        client_error = server_error = {};
        to_server.bytes.clear();
        to_client.bytes.clear();
        set_up("box.pem", wrong);
        shake_hands();
        EXPECT_EQ(client_error.code, Errc::kTlsFailed) << wrong;
        EXPECT_NE(client_error.detail, 0U);
        EXPECT_FALSE(client->established());
    }
    EXPECT_EQ(TlsPipe::create(*std::move(*TlsContext::client(path("box.pem"), ""))).error().code, Errc::kBadArgument);
}

TEST_F(Tls, TrustsTheVeryCertificateItWasGiven) {
    for (const bool same : {true, false}) {
        set_up("box.pem", "box.example");
        client_context = std::move(*TlsContext::client_of(path(same ? "box.pem" : "other.pem")));
        client = std::move(*TlsPipe::create(*client_context));
        shake_hands();
        EXPECT_EQ(client->established(), same);
        EXPECT_EQ(client_error.code, same ? Errc::kOk : Errc::kTlsFailed);
    }
    EXPECT_EQ(TlsContext::client_of(path("none.pem")).error().code, Errc::kBadCertificate);
    EXPECT_EQ(TlsContext::client_of(path("box.key")).error().code, Errc::kBadCertificate);
}

TEST_F(Tls, TrustsNobodyElse) {
    set_up("other.pem", "box.example");
    shake_hands();
    EXPECT_EQ(client_error.code, Errc::kTlsFailed);
    EXPECT_NE(client_error.detail, 0U);
}

TEST_F(Tls, NoticesAChangedBit) {
    set_up("box.pem", "box.example");
    shake_hands();
    ASSERT_TRUE(client->send(std::vector(1000, std::byte{1})).has_value());
    to_server.take(*client);
    to_server.bytes[500] ^= std::byte{1};
    std::vector<std::byte> got(1000);
    EXPECT_EQ(server->receive(to_server, got).error().code, Errc::kDisconnected);
}

TEST_F(Tls, RefusesWhatIsNotTls) {
    set_up("box.pem", "box.example");
    for (const char c : std::string("EAGR and more that no TLS client would say")) to_server.bytes.push_back(static_cast<std::byte>(c));
    const auto shaken = server->handshake(to_server);
    ASSERT_FALSE(shaken.has_value());
    EXPECT_EQ(shaken.error().code, Errc::kTlsFailed);
    const auto first = server->first_bytes();
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(first.data()), first.size()), "EAGR");
}

TEST_F(Tls, RefusesCertificatesThatDoNotFit) {
    EXPECT_EQ(TlsContext::server(path("box.pem"), path("other.key")).error().code, Errc::kBadCertificate);
    EXPECT_EQ(TlsContext::server(path("none.pem"), path("box.key")).error().code, Errc::kBadCertificate);
    EXPECT_EQ(TlsContext::server(path("box.key"), path("box.key")).error().code, Errc::kBadCertificate);
    EXPECT_EQ(TlsContext::client(path("none.pem"), "x").error().code, Errc::kBadCertificate);
}

}  // namespace
}  // namespace eagre::tls
