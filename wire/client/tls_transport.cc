// TLS over another transport: pipes that it connects are encrypted, datagrams and the clock are those below.
#include <algorithm>
#include <map>
#include <vector>

#include "wire/base/assert.h"
#include "wire/client/transport.h"
#include "wire/tls/tls.h"

namespace eagre::client {
namespace {

class TlsTransport final : public Transport {
  public:
    TlsTransport(std::unique_ptr<Transport> below, TlsOptions options) : below_(std::move(below)), options_(std::move(options)) {}

    Result<PipeId> connect(std::string_view address, uint16_t port) override {
        // The name to check is known only here; one box, one address, so the context is made once.
        if (context_ == nullptr) {
            auto made = options_.certificate_file.empty()
                            ? tls::TlsContext::client(options_.ca_file, options_.name.empty() ? std::string(address) : options_.name)
                            : tls::TlsContext::client_of(options_.certificate_file);
            if (!made) return made.error();
            context_ = std::move(*made);
        }
        auto tls = tls::TlsPipe::create(*context_);
        if (!tls) return tls.error();
        const auto pipe = below_->connect(address, port);
        if (pipe) pipes_[pipe->value] = std::move(*tls);
        return pipe;
    }

    Result<size_t> send(PipeId pipe, std::span<const Slice> slices) override {
        tls::TlsPipe* tls = find(pipe);
        if (tls == nullptr) return Errc::kDisconnected;
        const auto ready = shake_hands(pipe, *tls);
        if (!ready) return ready.error();
        if (!*ready) return size_t{0};
        size_t total = 0;
        tls::Pieces<Slice> pieces(slices);
        for (;;) {
            const auto flushed = flush(pipe, *tls);
            if (!flushed) return flushed.error();
            if (!*flushed) return total;  // The socket will say when it takes more.
            const auto plain = pieces.next(plain_);
            if (plain.empty()) return total;
            if (const Status sent = tls->send(plain); !sent) return sent.error();
            total += plain.size();
        }
    }

    Result<size_t> receive(PipeId pipe, std::span<std::byte> target) override {
        tls::TlsPipe* tls = find(pipe);
        if (tls == nullptr) return Errc::kDisconnected;
        const auto ready = shake_hands(pipe, *tls);
        if (!ready) return ready.error();
        if (!*ready) return size_t{0};
        tls::ReceiveSource source(*below_, pipe);
        const auto got = tls->receive(source, target);
        // Also what an earlier send left: nobody may have anything new to send.
        if (const auto flushed = flush(pipe, *tls); !flushed && got && *got == 0) return flushed.error();
        return got;
    }

    void close(PipeId pipe) override {
        if (tls::TlsPipe* tls = find(pipe)) {
            tls->end();
            (void)flush(pipe, *tls);
            pipes_.erase(pipe.value);
        }
        below_->close(pipe);
    }

    Result<PipeId> open_datagrams(std::string_view address, uint16_t port) override { return below_->open_datagrams(address, port); }
    std::string local_address(PipeId pipe) override { return below_->local_address(pipe); }
    uint32_t datagram_bytes(PipeId pipe) override { return below_->datagram_bytes(pipe); }
    Result<size_t> send_datagrams(PipeId pipe, std::span<const DatagramSlices> datagrams) override {
        return below_->send_datagrams(pipe, datagrams);
    }
    Result<size_t> receive_datagrams(PipeId pipe, std::span<std::byte> area, std::span<uint32_t> lengths) override {
        return below_->receive_datagrams(pipe, area, lengths);
    }
    void wait(uint64_t timeout_ns) override { below_->wait(timeout_ns); }
    void wake_on(int fd) override { below_->wake_on(fd); }
    uint64_t monotonic_ns() override { return below_->monotonic_ns(); }
    uint64_t wall_ns() override { return below_->wall_ns(); }
    uint64_t random() override { return below_->random(); }

  private:
    tls::TlsPipe* find(PipeId pipe) {
        const auto found = pipes_.find(pipe.value);
        return found == pipes_.end() ? nullptr : found->second.get();
    }
    /// True when nothing is left to hand on. Errors: kDisconnected.
    Result<bool> flush(PipeId pipe, tls::TlsPipe& tls) {
        while (!tls.outgoing().empty()) {
            const Slice slice{tls.outgoing().data(), tls.outgoing().size()};
            const auto taken = below_->send(pipe, {&slice, 1});
            if (!taken) return taken.error();
            tls.sent(*taken);
            if (*taken < slice.bytes) return false;
        }
        return true;
    }
    Result<bool> shake_hands(PipeId pipe, tls::TlsPipe& tls) {
        if (tls.established()) return true;
        tls::ReceiveSource source(*below_, pipe);
        const auto done = tls.handshake(source);
        const auto flushed = flush(pipe, tls);
        if (!done) return done.error();
        if (!flushed) return flushed.error();
        return *done;
    }

    std::unique_ptr<Transport> below_;
    TlsOptions options_;
    std::unique_ptr<tls::TlsContext> context_;  // Before the pipes, which use it.
    std::map<uint64_t, std::unique_ptr<tls::TlsPipe>> pipes_;
    std::vector<std::byte> plain_ = std::vector<std::byte>(tls::kChunkBytes);
};

}  // namespace

std::unique_ptr<Transport> make_tls_transport(std::unique_ptr<Transport> below, const TlsOptions& options) {
    return std::make_unique<TlsTransport>(std::move(below), options);
}

}  // namespace eagre::client
