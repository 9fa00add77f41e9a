// eagre-gateway: options, the connection to the dataplane, the loop, an orderly end.
#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>
#include <signal.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/gateway/gateway.h"
#include "control/log/log.h"
#include "wire/base/limits.h"
#include "wire/identity/box_key.h"
#include "wire/identity/key_file.h"
#include "wire/tls/tls.h"

namespace {

using eagre::Errc;
using eagre::Error;
namespace elog = eagre::log;
namespace gateway = eagre::gateway;

constexpr uint64_t kTurnNs = 1'000'000'000ULL;
constexpr uint64_t kLastWordsNs = 5'000'000'000ULL;  // For calls that are under way when the end comes.
constexpr unsigned kConnectPauseUs = 200'000;

struct Options {
    std::string data = "eagre-data";
    std::string listen = "127.0.0.1";
    uint16_t port = 4567;
    std::string box = "127.0.0.1";
    uint16_t box_port = eagre::kPortDefault;
    std::string box_cert;
    std::string auth = "off";
    std::string tls_cert;
    std::string tls_key;
    std::optional<uint16_t> plain_port;
    std::string region = "us-east-1";
    std::string account = "000000000000";
    uint32_t shard_quota = 500;
    uint32_t connections = 4096;
    bool insecure = false;
    std::string log_level = "info";
};

bool is_loopback(const std::string& address) { return address.starts_with("127.") || address == "::1"; }

int fail(const std::string& what, const Error& error) {
    elog::error("gateway", "{} reason={} errno={}: {}", what, eagre::errc_name(error.code), error.os_errno, eagre::errc_advice(error.code));
    return 1;
}

int stop_signals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

bool stop_requested(int signal_fd) {
    signalfd_siginfo info;
    return read(signal_fd, &info, sizeof(info)) == sizeof(info);
}

/// Null: told to stop, or refused for good.
std::unique_ptr<eagre::client::Client> connect(const Options& options, const eagre::client::ClientOptions& wanted, int signal_fd) {
    for (bool told = false; !stop_requested(signal_fd); usleep(kConnectPauseUs)) {
        auto transport = eagre::client::make_tcp_transport();
        transport->wake_on(signal_fd);
        auto client = eagre::client::Client::connect(std::move(transport), wanted);
        if (client) return std::move(*client);
        const Errc code = client.error().code;
        switch (code) {
            case Errc::kTlsRequired:
            case Errc::kTlsFailed:
            case Errc::kBadCertificate: fail("the dataplane speaks TLS, and --box-cert is not its certificate address=" + options.box, client.error()); return nullptr;
            case Errc::kUnauthenticated:
            case Errc::kBadVersion:
            case Errc::kBadArgument: fail("the dataplane refuses us address=" + options.box, client.error()); return nullptr;
            default: break;
        }
        if (!std::exchange(told, true)) elog::warning("gateway", "waits for the dataplane address={} port={}", options.box, options.box_port);
    }
    return nullptr;
}

int run(const Options& options) {
    const bool auth = options.auth == "on";
    if (!is_loopback(options.listen) && !auth && !options.insecure) {
        elog::error("gateway", "refusing to listen at {}: whoever reaches it may read and write everything; say --auth on, so that every call has "
                               "to be signed with a key of this box, choose a loopback address, or say --insecure if that is meant", options.listen);
        return 1;
    }
    if (!is_loopback(options.listen) && !auth) elog::warning("gateway", "INSECURE: whoever reaches {} may read and write everything", options.listen);
    const int signal_fd = stop_signals();
    eagre::identity::Bytes32 fresh;
    for (size_t at = 0; at < fresh.size();) {
        const ssize_t got = getrandom(fresh.data() + at, fresh.size() - at, 0);
        if (got > 0) at += static_cast<size_t>(got);
    }
    const auto master = eagre::identity::open_key_file(options.data, fresh);
    if (!master) return fail("key file cannot be used path=" + options.data + "/" + eagre::identity::kKeyFileName, master.error());
    std::unique_ptr<eagre::tls::TlsContext> tls;
    if (!options.tls_cert.empty()) {
        auto made = eagre::tls::TlsContext::server(options.tls_cert, options.tls_key);
        if (!made) return fail("the certificate cannot be used path=" + options.tls_cert + " key=" + options.tls_key, made.error());
        tls = std::move(*made);
        tls->serve_web({"h2", "http/1.1"});
    }

    eagre::client::ClientOptions wanted;
    wanted.address = options.box;
    wanted.port = options.box_port;
    wanted.name = "eagre-gateway";
    wanted.key_id = eagre::identity::kBoxKeyId;
    wanted.secret = eagre::identity::box_secret(*master);
    if (!options.box_cert.empty()) wanted.tls = eagre::client::TlsOptions{{}, {}, options.box_cert};
    const auto client = connect(options, wanted, signal_fd);
    if (client == nullptr) return 1;
    constexpr std::string_view kPurpose = "eagre gateway: shard iterators";
    const auto iterator_key = eagre::identity::hmac_sha256(*master, std::as_bytes(std::span(kPurpose)));

    gateway::ServerLimits limits;
    limits.connection_count = options.connections;
    auto server = gateway::Server::create(limits);
    if (!server) return fail("cannot serve", server.error());
    const auto port = (*server)->listen(options.listen, options.port, tls.get());
    if (!port) return fail("cannot listen at " + options.listen + ":" + std::to_string(options.port), port.error());
    if (options.plain_port) {
        const auto plain = (*server)->listen(options.listen, *options.plain_port);
        if (!plain) return fail("cannot listen at " + options.listen + ":" + std::to_string(*options.plain_port), plain.error());
        elog::info("gateway", "serving at http://{}:{} too", options.listen, *plain);
    }
    gateway::GatewayOptions gateway_options;
    gateway_options.data = options.data;
    gateway_options.arns = {options.region, options.account};
    gateway_options.shard_quota = options.shard_quota;
    gateway_options.auth = auth;
    gateway_options.master = *master;
    gateway::Gateway gateway(*client, **server, iterator_key, gateway_options);
    elog::info("gateway", "serving at {}://{}:{} auth={} pid={}", tls == nullptr ? "http" : "https", options.listen, *port, options.auth, getpid());
    while (!stop_requested(signal_fd)) gateway.poll(kTurnNs);
    elog::info("gateway", "stopping");
    gateway.shut_down();
    const uint64_t end_ns = client->transport().monotonic_ns() + kLastWordsNs;
    while ((*server)->sending() && client->transport().monotonic_ns() < end_ns) gateway.poll(kTurnNs);
    elog::info("gateway", "stopped calls={} failed={}", gateway.stats().call_count, gateway.stats().failed_count);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("eagre-gateway: the Kinesis API over HTTP, for aws-cli, boto3 and every other AWS SDK");
    app.add_option("--data", options.data, "Data directory of the box: its key file and eagre-control's socket")->capture_default_str();
    app.add_option("--listen", options.listen, "Address to serve at")->capture_default_str();
    app.add_option("--port", options.port, "Port to serve at; 0: any free one")->capture_default_str();
    app.add_option("--box", options.box, "Address of the dataplane (eagred)")->capture_default_str();
    app.add_option("--box-port", options.box_port, "Port of its core 0")->capture_default_str();
    app.add_option("--box-cert", options.box_cert, "The dataplane speaks TLS: its certificate (PEM), and no other is taken");
    app.add_option("--auth", options.auth, "on: every call has to be signed (SigV4) with a key of this box, see 'eagre key create'")
        ->capture_default_str()
        ->check(CLI::IsMember({"on", "off"}));
    auto* cert = app.add_option("--tls-cert", options.tls_cert, "Certificate (PEM, with its chain): the port then speaks TLS, HTTP/2 by ALPN");
    auto* tls_key = app.add_option("--tls-key", options.tls_key, "Its private key (PEM)")->needs(cert);
    cert->needs(tls_key);
    app.add_option("--plain-port", options.plain_port, "One more port, without TLS; 0: any free one")->needs(cert);
    app.add_option("--region", options.region, "Region in ARNs")->capture_default_str();
    app.add_option("--account", options.account, "Account in ARNs, 12 digits")->capture_default_str()->check([](const std::string& text) {
        return text.size() == 12 && text.find_first_not_of("0123456789") == text.npos ? std::string() : text + " is not 12 digits";
    });
    app.add_option("--shard-quota", options.shard_quota, "Open shards of all streams together")->capture_default_str();
    app.add_option("--connections", options.connections, "Connections at once; more are closed")->capture_default_str();
    app.add_flag("--insecure", options.insecure, "Allow an address other than loopback although --auth is off");
    app.add_option("--log-level", options.log_level, "debug, info, warning, error or off")
        ->capture_default_str()
        ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}));
    app.footer("Examples:\n"
               "  eagre-gateway --data /var/lib/eagre\n"
               "  aws --endpoint-url http://127.0.0.1:4567 kinesis list-streams\n"
               "  eagre-gateway --data /var/lib/eagre --listen 0.0.0.0 --auth on --tls-cert box.pem --tls-key box.key");
    CLI11_PARSE(app, argc, argv);
    elog::set_level(options.log_level);
    umask(0077);
    try {
        return run(options);
    } catch (const std::exception& exception) {
        elog::error("gateway", "ended by an error nobody expected: {}", exception.what());
        return 1;
    }
}
