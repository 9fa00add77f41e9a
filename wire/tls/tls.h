#pragma once
// TLS 1.3 over anything that moves bytes: one context per process and side, one pipe per connection. No sockets, no waiting.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wire/base/limits.h"
#include "wire/base/result.h"

struct ssl_ctx_st;
struct ssl_st;
struct x509_st;

namespace eagre::tls {

inline constexpr size_t kRecordBytes = 16 * kKiB;      // RFC 8446, 5.1: plaintext of one record.
inline constexpr size_t kChunkBytes = 4 * kRecordBytes;  // Plaintext that is encrypted before it is tried to be sent.
inline constexpr size_t kReadBufferBytes = 64 * kKiB;  // Ciphertext asked for per call, per pipe.

class TlsContext {
  public:
    /// PEM files; the certificate with its chain, its own first. Errors: kBadCertificate (cannot be read, or they don't fit each other).
    static Result<std::unique_ptr<TlsContext>> server(const std::string& certificate_file, const std::string& key_file);
    /// Trusts who is signed by one in `ca_file` (PEM; empty: those whom the system trusts) and is called `name` (DNS name or address).
    /// Errors: kBadCertificate (the file cannot be read).
    static Result<std::unique_ptr<TlsContext>> client(const std::string& ca_file, const std::string& name);
    /// Trusts who shows the very certificate that comes first in `certificate_file` (PEM), and nobody else. Errors: kBadCertificate.
    static Result<std::unique_ptr<TlsContext>> client_of(const std::string& certificate_file);
    /// A server for everybody's clients: TLS 1.2 will do, idle pipes keep no buffers, and of the client's list of protocols (ALPN, RFC 7301)
    /// it takes the first that is in `protocols`, most wanted first. Who brings no list, or none of these, is taken as he is. Before the
    /// first pipe.
    void serve_web(std::vector<std::string> protocols);
    ~TlsContext();
    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;

  private:
    friend class TlsPipe;
    friend struct ContextHooks;
    TlsContext() = default;
    ssl_ctx_st* context_ = nullptr;
    bool server_ = false;
    std::string name_;
    x509_st* pinned_ = nullptr;  // Null: by name.
    std::vector<std::string> protocols_;
};

/// Where a pipe's ciphertext comes from.
class Source {
  public:
    virtual ~Source() = default;
    /// Bytes put into `target`; 0: none now. Errors: kDisconnected.
    virtual Result<size_t> pull(std::span<std::byte> target) = 0;
};

/// The receiving end of one connection of `Below`: anything with receive(id, target).
template <class Below, class Id>
class ReceiveSource final : public Source {
  public:
    ReceiveSource(Below& below, Id id) : below_(below), id_(id) {}
    Result<size_t> pull(std::span<std::byte> target) override { return below_.receive(id_, target); }

  private:
    Below& below_;
    Id id_;
};

/// Cuts slices ({data, bytes} each) into pieces to encrypt. A piece of a long slice lies where it lay, only short ones are
/// gathered: copying all of it took 5 % of a producer's core.
template <class SliceType>
class Pieces {
  public:
    explicit Pieces(std::span<const SliceType> slices) : slices_(slices) {}

    /// The next piece, at most kChunkBytes; empty at the end. `room`: for what is gathered; the piece is valid until it is used again.
    std::span<const std::byte> next(std::span<std::byte> room) {
        if (!slices_.empty() && slices_.front().bytes - offset_bytes_ >= kRecordBytes) {
            const size_t count = std::min(slices_.front().bytes - offset_bytes_, kChunkBytes);
            const std::span<const std::byte> piece(slices_.front().data + offset_bytes_, count);
            skip(count);
            return piece;
        }
        size_t gathered = 0;
        while (!slices_.empty() && gathered < room.size()) {
            const size_t left = slices_.front().bytes - offset_bytes_;
            if (gathered > 0 && left >= kRecordBytes) break;
            const size_t count = std::min(left, room.size() - gathered);
            std::copy_n(slices_.front().data + offset_bytes_, count, room.begin() + static_cast<ptrdiff_t>(gathered));
            gathered += count;
            skip(count);
        }
        return room.first(gathered);
    }

  private:
    void skip(size_t count) {
        offset_bytes_ += count;
        if (offset_bytes_ < slices_.front().bytes) return;
        slices_ = slices_.subspan(1);
        offset_bytes_ = 0;
    }

    std::span<const SliceType> slices_;
    size_t offset_bytes_ = 0;
};

class TlsPipe {
  public:
    /// `context` must outlive it. Errors: kIo (no memory).
    static Result<std::unique_ptr<TlsPipe>> create(const TlsContext& context);
    ~TlsPipe();
    TlsPipe(const TlsPipe&) = delete;
    TlsPipe& operator=(const TlsPipe&) = delete;

    /// Goes on with the handshake; true when it is done. Errors: kTlsFailed (detail = result of the certificate's verification, an
    /// X509_V_ERR_* number, 0 when it was something else), kDisconnected. What there is to say to the other side lies in outgoing().
    Result<bool> handshake(Source& source);
    bool established() const { return established_; }
    /// What both sides agreed to speak (ALPN); empty: nothing was agreed. Once established.
    std::string_view protocol() const;
    /// Plaintext into `target`, as much as there is; 0: none now. Errors: kDisconnected (ended, orderly or not).
    Result<size_t> receive(Source& source, std::span<std::byte> target);
    /// Encrypts `plain`, at most kChunkBytes, into outgoing(), which must be empty. The pipe must be established. Errors: kDisconnected.
    Status send(std::span<const std::byte> plain);
    /// Says that nothing more will come.
    void end();

    std::span<const std::byte> outgoing() const { return std::span(outgoing_).subspan(sent_); }
    void sent(size_t bytes);
    /// The first bytes that ever came: what the other side speaks.
    std::span<const std::byte> first_bytes() const { return std::span(first_).first(first_count_); }

  private:
    TlsPipe() = default;
    friend struct PipeBio;
    int on_read(std::span<std::byte> target);
    Error failure(int code) const;

    ssl_st* ssl_ = nullptr;
    Source* source_ = nullptr;  // While a call of ours is under way.
    bool established_ = false;
    bool disconnected_ = false;
    bool would_block_ = false;
    std::vector<std::byte> outgoing_;
    size_t sent_ = 0;
    std::array<std::byte, 4> first_{};
    size_t first_count_ = 0;
};

}  // namespace eagre::tls
