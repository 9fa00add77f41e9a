#include "control/gateway/serve.h"

#include <atomic>
#include <cerrno>
#include <memory>
#include <thread>
#include <utility>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "control/gateway/gateway.h"
#include "control/log/log.h"
#include "wire/identity/box_key.h"
#include "wire/identity/key_file.h"
#include "wire/tls/tls.h"

namespace eagre::gateway {
namespace {

constexpr uint64_t kTurnNs = 1'000'000'000ULL;
constexpr uint64_t kLastWordsNs = 5'000'000'000ULL;  // For calls that are under way when the end comes.
constexpr unsigned kLastTurnUs = 1'000;
constexpr unsigned kConnectPauseUs = 200'000;
constexpr std::string_view kIteratorPurpose = "eagre gateway: shard iterators";

bool is_loopback(const std::string& address) { return address.starts_with("127.") || address == "::1"; }

int fail(const std::string& what, const Error& error) {
    log::error("gateway", "{} reason={} errno={}: {}", what, errc_name(error.code), error.os_errno, errc_advice(error.code));
    return 1;
}

/// Readable when the process is told to stop. Nobody reads it: it stays so, for every reactor.
int stop_signals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, nullptr);  // Before the threads, which inherit it.
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

bool stop_requested(int signal_fd) {
    pollfd asked{signal_fd, POLLIN, 0};
    return ::poll(&asked, 1, 0) > 0;
}

identity::Bytes32 random_bytes() {
    identity::Bytes32 bytes;
    for (size_t at = 0; at < bytes.size();) {
        const ssize_t got = getrandom(bytes.data() + at, bytes.size() - at, 0);
        if (got > 0) at += static_cast<size_t>(got);
    }
    return bytes;
}

/// One gateway with what it stands on. Made in the main thread, run in its own.
class Reactor {
  public:
    Reactor(const ServeOptions& options, const identity::Bytes32& master, int signal_fd) : options_(options), master_(master), signal_fd_(signal_fd) {}

    /// False: told to stop, or refused for good.
    bool connect() {
        client::ClientOptions wanted;
        wanted.address = options_.box;
        wanted.port = options_.box_port;
        wanted.name = "eagre-gateway";
        wanted.key_id = identity::kBoxKeyId;
        wanted.secret = identity::box_secret(master_);
        if (!options_.box_cert.empty()) wanted.tls = client::TlsOptions{{}, {}, options_.box_cert};
        for (bool told = false; !stop_requested(signal_fd_); usleep(kConnectPauseUs)) {
            auto transport = client::make_tcp_transport();
            transport->wake_on(signal_fd_);
            auto connected = client::Client::connect(std::move(transport), wanted);
            if (connected) {
                client_ = std::move(*connected);
                return true;
            }
            switch (connected.error().code) {
                case Errc::kTlsRequired:
                case Errc::kTlsFailed:
                case Errc::kBadCertificate:
                    fail("the dataplane speaks TLS, and --box-cert is not its certificate address=" + options_.box, connected.error());
                    return false;
                case Errc::kUnauthenticated:
                case Errc::kBadVersion:
                case Errc::kBadArgument: fail("the dataplane refuses us address=" + options_.box, connected.error()); return false;
                default: break;
            }
            if (!std::exchange(told, true)) log::warning("gateway", "waits for the dataplane address={} port={}", options_.box, options_.box_port);
        }
        return false;
    }

    /// The ports become those that were taken. False: it has been said why.
    bool listen(uint16_t& port, std::optional<uint16_t>& plain_port, size_t sharers) {
        if (!options_.tls_cert.empty()) {
            auto made = tls::TlsContext::server(options_.tls_cert, options_.tls_key);
            if (!made) return fail("the certificate cannot be used path=" + options_.tls_cert + " key=" + options_.tls_key, made.error()) == 0;
            tls_ = std::move(*made);
            tls_->serve_web({"h2", "http/1.1"});
        }
        ServerLimits limits;
        limits.connection_count = static_cast<uint32_t>((options_.connections + sharers - 1) / sharers);
        limits.buffered_bytes /= sharers;
        auto server = Server::create(limits);
        if (!server) return fail("cannot serve", server.error()) == 0;
        server_ = std::move(*server);
        if (!listen_at(port, tls_.get(), sharers > 1)) return false;
        return !plain_port || listen_at(*plain_port, nullptr, sharers > 1);
    }

    void make_gateway() {
        GatewayOptions options;
        options.data = options_.data;
        options.arns = {options_.region, options_.account};
        options.shard_quota = options_.shard_quota;
        options.auth = options_.auth;
        options.master = master_;
        const auto iterator_key = identity::hmac_sha256(master_, std::as_bytes(std::span(kIteratorPurpose)));
        gateway_ = std::make_unique<Gateway>(*client_, *server_, iterator_key, options);
    }

    void run() {
        while (!stop_requested(signal_fd_)) gateway_->poll(kTurnNs);
        gateway_->shut_down();
        const uint64_t end_ns = client_->transport().monotonic_ns() + kLastWordsNs;
        while (server_->sending() && client_->transport().monotonic_ns() < end_ns) {
            gateway_->poll(kTurnNs);
            usleep(kLastTurnUs);  // The signal lets nobody sleep any more.
        }
    }
    const GatewayStats& stats() const { return gateway_->stats(); }

  private:
    bool listen_at(uint16_t& port, const tls::TlsContext* tls, bool shared) {
        const auto taken = server_->listen(options_.listen, port, tls, shared);
        if (!taken) return fail("cannot listen at " + options_.listen + ":" + std::to_string(port), taken.error()) == 0;
        port = *taken;
        return true;
    }

    const ServeOptions& options_;
    identity::Bytes32 master_;
    int signal_fd_;
    std::unique_ptr<client::Client> client_;
    std::unique_ptr<tls::TlsContext> tls_;
    std::unique_ptr<Server> server_;
    std::unique_ptr<Gateway> gateway_;
};

void pin(uint32_t cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (const int wrong = pthread_setaffinity_np(pthread_self(), sizeof(set), &set); wrong != 0)
        log::warning("gateway", "cannot be pinned cpu={} errno={}", cpu, wrong);
}

}  // namespace

int serve(const ServeOptions& options) {
    if (!is_loopback(options.listen) && !options.auth && !options.insecure) {
        log::error("gateway", "refusing to listen at {}: whoever reaches it may read and write everything; say --auth on, so that every call has "
                              "to be signed with a key of this box, choose a loopback address, or say --insecure if that is meant", options.listen);
        return 1;
    }
    if (!is_loopback(options.listen) && !options.auth) log::warning("gateway", "INSECURE: whoever reaches {} may read and write everything", options.listen);
    const int signal_fd = stop_signals();
    const auto master = identity::open_key_file(options.data, random_bytes());
    if (!master) return fail("key file cannot be used path=" + options.data + "/" + identity::kKeyFileName, master.error());

    const size_t count = std::max<size_t>(1, options.cpus.size());
    uint16_t port = options.port;
    std::optional<uint16_t> plain_port = options.plain_port;
    if (count > 1 && port != 0) {
        // A port that is shared could be another process's, who shares it too.
        auto probe = Server::create({});
        const auto alone = probe ? (*probe)->listen(options.listen, port) : Result<uint16_t>(probe.error());
        if (!alone) return fail("cannot listen at " + options.listen + ":" + std::to_string(port), alone.error());
    }
    std::vector<std::unique_ptr<Reactor>> reactors;
    for (size_t i = 0; i < count; ++i) {
        reactors.push_back(std::make_unique<Reactor>(options, *master, signal_fd));
        if (!reactors.back()->connect()) return stop_requested(signal_fd) ? 0 : 1;
        if (!reactors.back()->listen(port, plain_port, count)) return 1;
    }
    for (const auto& each : reactors) each->make_gateway();
    if (plain_port) log::info("gateway", "serving at http://{}:{} too", options.listen, *plain_port);
    log::info("gateway", "serving at {}://{}:{} auth={} reactors={} pid={}", options.tls_cert.empty() ? "http" : "https", options.listen, port,
              options.auth ? "on" : "off", count, getpid());

    std::atomic<bool> broken = false;
    const auto run = [&](size_t index) {
        if (!options.cpus.empty()) pin(options.cpus[index]);
        try {
            reactors[index]->run();
        } catch (const std::exception& exception) {
            log::error("gateway", "ended by an error nobody expected: {}", exception.what());
            broken = true;
            ::kill(getpid(), SIGTERM);  // The others end in good order.
        }
    };
    std::vector<std::thread> threads;
    for (size_t i = 1; i < count; ++i) threads.emplace_back(run, i);
    run(0);
    log::info("gateway", "stopping");
    for (std::thread& thread : threads) thread.join();
    uint64_t calls = 0;
    uint64_t failed = 0;
    for (const auto& each : reactors) {
        calls += each->stats().call_count;
        failed += each->stats().failed_count;
    }
    log::info("gateway", "stopped calls={} failed={}", calls, failed);
    return broken ? 1 : 0;
}

}  // namespace eagre::gateway
