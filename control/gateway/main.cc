// eagre-gateway: options, the connection to the dataplane, the loop, an orderly end.
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <memory>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/gateway/gateway.h"
#include "control/log/log.h"
#include "wire/base/limits.h"
#include "wire/identity/key_file.h"
#include "wire/identity/secret.h"

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
    std::string key_id;
    std::string secret_file;
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

std::optional<eagre::identity::Bytes32> read_secret(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    if (!std::getline(file, line)) return std::nullopt;
    const auto secret = eagre::identity::parse_secret(line);
    if (!secret) return std::nullopt;
    return *secret;
}

/// Null: told to stop, or refused for good.
std::unique_ptr<eagre::client::Client> connect(const Options& options, const eagre::client::ClientOptions& wanted, int signal_fd) {
    for (bool told = false; !stop_requested(signal_fd); usleep(kConnectPauseUs)) {
        auto transport = eagre::client::make_tcp_transport();
        transport->wake_on(signal_fd);
        auto client = eagre::client::Client::connect(std::move(transport), wanted);
        if (client) return std::move(*client);
        const Errc code = client.error().code;
        if (code == Errc::kUnauthenticated || code == Errc::kBadVersion || code == Errc::kTlsRequired || code == Errc::kBadArgument) {
            fail("the dataplane refuses us address=" + options.box, client.error());
            return nullptr;
        }
        if (!std::exchange(told, true)) elog::warning("gateway", "waits for the dataplane address={} port={}", options.box, options.box_port);
    }
    return nullptr;
}

int run(const Options& options) {
    if (!is_loopback(options.listen) && !options.insecure) {
        elog::error("gateway", "refusing to listen at {}: whoever reaches it may read and write everything; choose a loopback address, or say "
                               "--insecure if that is meant", options.listen);
        return 1;
    }
    const int signal_fd = stop_signals();
    eagre::client::ClientOptions wanted;
    wanted.address = options.box;
    wanted.port = options.box_port;
    wanted.name = "eagre-gateway";
    wanted.key_id = options.key_id;
    if (!options.key_id.empty()) {
        const auto secret = read_secret(options.secret_file);
        if (!secret) return fail("the secret cannot be read path=" + options.secret_file, eagre::error_of(Errc::kBadArgument));
        wanted.secret = *secret;
    }
    const auto client = connect(options, wanted, signal_fd);
    if (client == nullptr) return 1;

    eagre::identity::Bytes32 fresh;
    for (std::byte& byte : fresh) byte = static_cast<std::byte>(client->transport().random());
    const auto master = eagre::identity::open_key_file(options.data, fresh);
    if (!master) return fail("key file cannot be used path=" + options.data + "/" + eagre::identity::kKeyFileName, master.error());
    constexpr std::string_view kPurpose = "eagre gateway: shard iterators";
    const auto iterator_key = eagre::identity::hmac_sha256(*master, std::as_bytes(std::span(kPurpose)));

    gateway::ServerLimits limits;
    limits.connection_count = options.connections;
    auto server = gateway::Server::listen(options.listen, options.port, limits);
    if (!server) return fail("cannot listen at " + options.listen + ":" + std::to_string(options.port), server.error());
    gateway::GatewayOptions gateway_options;
    gateway_options.data = options.data;
    gateway_options.arns = {options.region, options.account};
    gateway_options.shard_quota = options.shard_quota;
    gateway::Gateway gateway(*client, **server, iterator_key, gateway_options);
    elog::info("gateway", "serving at http://{}:{} pid={}", options.listen, (*server)->port(), getpid());
    while (!stop_requested(signal_fd)) gateway.poll(kTurnNs);
    elog::info("gateway", "stopping");
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
    auto* key = app.add_option("--key-id", options.key_id, "Key that this gateway proves to the dataplane, where --auth is on");
    app.add_option("--secret-file", options.secret_file, "File with that key's secret")->needs(key);
    app.add_option("--region", options.region, "Region in ARNs")->capture_default_str();
    app.add_option("--account", options.account, "Account in ARNs, 12 digits")->capture_default_str()->check([](const std::string& text) {
        return text.size() == 12 && text.find_first_not_of("0123456789") == text.npos ? std::string() : text + " is not 12 digits";
    });
    app.add_option("--shard-quota", options.shard_quota, "Open shards of all streams together")->capture_default_str();
    app.add_option("--connections", options.connections, "Connections at once; more are closed")->capture_default_str();
    app.add_flag("--insecure", options.insecure, "Allow an address other than loopback: whoever reaches it may read and write everything");
    app.add_option("--log-level", options.log_level, "debug, info, warning, error or off")
        ->capture_default_str()
        ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}));
    app.footer("Example:\n  eagre-gateway --data /var/lib/eagre\n  aws --endpoint-url http://127.0.0.1:4567 kinesis list-streams");
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
