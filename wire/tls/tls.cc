#include "wire/tls/tls.h"

#include <algorithm>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "wire/base/assert.h"

namespace eagre::tls {
namespace {

// AES-128 first: a quarter faster than AES-256, and beyond reach all the same.
constexpr const char* kCiphers = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

SSL_CTX* make_context(const SSL_METHOD* method) {
    SSL_CTX* context = SSL_CTX_new(method);
    if (context == nullptr) return nullptr;
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(context, kCiphers);
    // Nothing is remembered of a session: a connection lives for long, and is proved anew each time.
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, kReadBufferBytes);
    return context;
}

bool is_address(const std::string& name) {
    ASN1_OCTET_STRING* address = a2i_IPADDRESS(name.c_str());
    if (address == nullptr) return false;
    ASN1_OCTET_STRING_free(address);
    return true;
}

}  // namespace

// What OpenSSL calls for bytes: a BIO whose data is the pipe.
struct PipeBio {
    static int read(BIO* bio, char* target, size_t bytes, size_t* got) {
        auto* pipe = static_cast<TlsPipe*>(BIO_get_data(bio));
        BIO_clear_retry_flags(bio);
        const int count = pipe->on_read(std::as_writable_bytes(std::span(target, bytes)));
        if (count <= 0) {
            if (pipe->would_block_) BIO_set_retry_read(bio);
            return count;
        }
        *got = static_cast<size_t>(count);
        return 1;
    }
    static int write(BIO* bio, const char* source, size_t bytes, size_t* taken) {
        auto* pipe = static_cast<TlsPipe*>(BIO_get_data(bio));
        const auto from = std::as_bytes(std::span(source, bytes));
        pipe->outgoing_.insert(pipe->outgoing_.end(), from.begin(), from.end());
        *taken = bytes;
        return 1;
    }
    static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

    static BIO_METHOD* method() {
        static BIO_METHOD* const made = [] {
            BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "eagre pipe");
            EAGRE_ASSERT(method != nullptr);
            BIO_meth_set_read_ex(method, read);
            BIO_meth_set_write_ex(method, write);
            BIO_meth_set_ctrl(method, control);
            return method;
        }();
        return made;
    }
};

// What OpenSSL asks the context for.
struct ContextHooks {
    static int is_pinned(X509_STORE_CTX* shown, void* data) {
        const X509* certificate = X509_STORE_CTX_get0_cert(shown);
        const bool same = certificate != nullptr && X509_cmp(certificate, static_cast<const TlsContext*>(data)->pinned_) == 0;
        X509_STORE_CTX_set_error(shown, same ? X509_V_OK : X509_V_ERR_CERT_UNTRUSTED);
        return same ? 1 : 0;
    }
    static int choose(SSL*, const unsigned char** chosen, unsigned char* chosen_bytes, const unsigned char* offered, unsigned int offered_bytes, void* data) {
        for (const std::string& wanted : static_cast<const TlsContext*>(data)->protocols_) {
            // A list of (length, name), checked by OpenSSL.
            for (unsigned int at = 0; at < offered_bytes; at += 1U + offered[at]) {
                if (wanted != std::string_view(reinterpret_cast<const char*>(offered) + at + 1, offered[at])) continue;
                *chosen = offered + at + 1;
                *chosen_bytes = offered[at];
                return SSL_TLSEXT_ERR_OK;
            }
        }
        return SSL_TLSEXT_ERR_NOACK;
    }
};

TlsContext::~TlsContext() {
    X509_free(pinned_);
    SSL_CTX_free(context_);
}

Result<std::unique_ptr<TlsContext>> TlsContext::client_of(const std::string& certificate_file) {
    std::unique_ptr<TlsContext> context(new TlsContext);
    context->context_ = make_context(TLS_client_method());
    if (context->context_ == nullptr) return Errc::kIo;
    if (BIO* file = BIO_new_file(certificate_file.c_str(), "r"); file != nullptr) {
        context->pinned_ = PEM_read_bio_X509(file, nullptr, nullptr, nullptr);
        BIO_free(file);
    }
    ERR_clear_error();
    if (context->pinned_ == nullptr) return Errc::kBadCertificate;
    SSL_CTX_set_verify(context->context_, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_cert_verify_callback(context->context_, ContextHooks::is_pinned, context.get());
    return context;
}

void TlsContext::serve_web(std::vector<std::string> protocols) {
    protocols_ = std::move(protocols);
    SSL_CTX_set_min_proto_version(context_, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(context_, "ECDHE+AESGCM:ECDHE+CHACHA20");
    // A pipe only ever waits for bytes of the other side: nothing is negotiated twice.
    SSL_CTX_set_options(context_, SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(context_, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_alpn_select_cb(context_, ContextHooks::choose, this);
}

Result<std::unique_ptr<TlsContext>> TlsContext::server(const std::string& certificate_file, const std::string& key_file) {
    std::unique_ptr<TlsContext> context(new TlsContext);
    context->server_ = true;
    context->context_ = make_context(TLS_server_method());
    if (context->context_ == nullptr) return Errc::kIo;
    const bool good = SSL_CTX_use_certificate_chain_file(context->context_, certificate_file.c_str()) == 1 &&
                      SSL_CTX_use_PrivateKey_file(context->context_, key_file.c_str(), SSL_FILETYPE_PEM) == 1 &&
                      SSL_CTX_check_private_key(context->context_) == 1;
    ERR_clear_error();
    if (!good) return Errc::kBadCertificate;
    return context;
}

Result<std::unique_ptr<TlsContext>> TlsContext::client(const std::string& ca_file, const std::string& name) {
    std::unique_ptr<TlsContext> context(new TlsContext);
    context->name_ = name;
    context->context_ = make_context(TLS_client_method());
    if (context->context_ == nullptr) return Errc::kIo;
    SSL_CTX_set_verify(context->context_, SSL_VERIFY_PEER, nullptr);
    const bool good = ca_file.empty() ? SSL_CTX_set_default_verify_paths(context->context_) == 1
                                      : SSL_CTX_load_verify_locations(context->context_, ca_file.c_str(), nullptr) == 1;
    ERR_clear_error();
    if (!good) return Errc::kBadCertificate;
    return context;
}

Result<std::unique_ptr<TlsPipe>> TlsPipe::create(const TlsContext& context) {
    std::unique_ptr<TlsPipe> pipe(new TlsPipe);
    pipe->ssl_ = SSL_new(context.context_);
    BIO* bio = BIO_new(PipeBio::method());
    if (pipe->ssl_ == nullptr || bio == nullptr) {
        BIO_free(bio);
        return Errc::kIo;
    }
    BIO_set_data(bio, pipe.get());
    BIO_set_init(bio, 1);
    SSL_set_bio(pipe->ssl_, bio, bio);
    if (context.server_) {
        SSL_set_accept_state(pipe->ssl_);
        return pipe;
    }
    SSL_set_connect_state(pipe->ssl_);
    if (context.pinned_ != nullptr) return pipe;
    const std::string& name = context.name_;
    bool named = false;
    if (is_address(name)) {
        named = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(pipe->ssl_), name.c_str()) == 1;
    } else {
        // An empty name would switch the check off.
        // SSL_set_tlsext_host_name, without its cast.
        named = !name.empty() && SSL_set1_host(pipe->ssl_, name.c_str()) == 1 &&
                SSL_ctrl(pipe->ssl_, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, const_cast<char*>(name.c_str())) == 1;
    }
    if (!named) return Errc::kBadArgument;
    return pipe;
}

TlsPipe::~TlsPipe() { SSL_free(ssl_); }

std::string_view TlsPipe::protocol() const {
    const unsigned char* name = nullptr;
    unsigned int bytes = 0;
    SSL_get0_alpn_selected(ssl_, &name, &bytes);
    return {reinterpret_cast<const char*>(name), bytes};
}

int TlsPipe::on_read(std::span<std::byte> target) {
    would_block_ = false;
    if (disconnected_ || source_ == nullptr) return 0;
    const auto got = source_->pull(target);
    if (!got) {
        disconnected_ = true;
        return 0;
    }
    if (*got == 0) {
        would_block_ = true;
        return -1;
    }
    const size_t more = std::min(*got, first_.size() - first_count_);
    std::copy_n(target.begin(), more, first_.begin() + static_cast<ptrdiff_t>(first_count_));
    first_count_ += more;
    return static_cast<int>(*got);
}

Error TlsPipe::failure(int code) const {
    const bool wrong = code == SSL_ERROR_SSL && !disconnected_;
    ERR_clear_error();
    if (!wrong || established_) return error_of(Errc::kDisconnected);
    const long verified = SSL_get_verify_result(ssl_);
    return error_of(Errc::kTlsFailed, verified == X509_V_OK ? 0 : static_cast<uint64_t>(verified));
}

Result<bool> TlsPipe::handshake(Source& source) {
    if (established_) return true;
    source_ = &source;
    ERR_clear_error();
    const int done = SSL_do_handshake(ssl_);
    source_ = nullptr;
    if (done == 1) {
        established_ = true;
        return true;
    }
    const int code = SSL_get_error(ssl_, done);
    if (code == SSL_ERROR_WANT_READ) return false;
    return failure(code);
}

Result<size_t> TlsPipe::receive(Source& source, std::span<std::byte> target) {
    size_t total = 0;
    source_ = &source;
    while (total < target.size()) {
        size_t got = 0;
        ERR_clear_error();
        const int done = SSL_read_ex(ssl_, target.data() + total, target.size() - total, &got);
        if (done == 1) {
            total += got;
            continue;
        }
        const int code = SSL_get_error(ssl_, done);
        source_ = nullptr;
        // What came before the end counts; the end shows in the next call.
        if (total > 0 || code == SSL_ERROR_WANT_READ) return total;
        return failure(code);
    }
    source_ = nullptr;
    return total;
}

Status TlsPipe::send(std::span<const std::byte> plain) {
    EAGRE_ASSERT(established_);
    EAGRE_ASSERT(outgoing().empty());
    EAGRE_ASSERT_LE(plain.size(), kChunkBytes);
    if (plain.empty()) return {};
    size_t taken = 0;
    ERR_clear_error();
    // The BIO takes everything, so OpenSSL never has to be asked again.
    if (SSL_write_ex(ssl_, plain.data(), plain.size(), &taken) != 1 || taken != plain.size()) {
        ERR_clear_error();
        return Errc::kDisconnected;
    }
    return {};
}

void TlsPipe::end() {
    if (!established_) return;
    SSL_shutdown(ssl_);
    ERR_clear_error();
}

void TlsPipe::sent(size_t bytes) {
    EAGRE_ASSERT_LE(bytes, outgoing().size());
    sent_ += bytes;
    if (sent_ < outgoing_.size()) return;
    outgoing_.clear();
    sent_ = 0;
}

}  // namespace eagre::tls
