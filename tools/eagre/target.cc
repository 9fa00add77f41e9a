#include "tools/eagre/target.h"

#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include <fmt/format.h>

#include "perf/load/error_text.h"
#include "wire/identity/secret.h"

namespace eagre::cli {
namespace {
constexpr uint64_t kControlTimeoutNs = 10'000'000'000ULL;

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string() : std::string(value);
}

identity::Bytes32 read_secret(const std::string& key_id, const std::string& path) {
    std::string text = environment("EAGRE_SECRET");
    if (!path.empty()) {
        std::ifstream file(path);
        text.assign(std::istreambuf_iterator<char>(file), {});
        if (!file) throw std::runtime_error(fmt::format("cannot read --secret-file {}", path));
    }
    if (text.empty()) {
        throw std::runtime_error(fmt::format(
            "key {} needs its secret: --secret-file FILE, or EAGRE_SECRET in the environment",
            key_id));
    }
    const auto secret = identity::parse_secret(text);
    if (!secret) {
        throw std::runtime_error(fmt::format(
            "{} is no secret of a key: one is es- and 64 hex digits, as 'eagre key create' printed "
            "it",
            path.empty() ? "EAGRE_SECRET" : path));
    }
    return *secret;
}
}  // namespace

std::string default_data_directory() {
    if (const char* data = std::getenv("EAGRE_DATA"); data != nullptr && *data != '\0') return data;
    const char* home = std::getenv("HOME");
    return std::string(home != nullptr ? home : ".") + "/.local/share/eagre";
}

uint16_t port_of_directory(const std::string& data) {
    std::ifstream file(data + "/ports");
    unsigned port = 0;
    return file >> port && port <= UINT16_MAX ? static_cast<uint16_t>(port) : uint16_t{0};
}

void fail(const std::string& what, const Error& error) {
    throw std::runtime_error(load::error_text(what, error));
}

void refuse(const std::string& what, const client::ControlClient& control, const Error& error) {
    if (control.message().empty()) fail(what, error);
    throw std::runtime_error(fmt::format("{} ({})", control.message(), errc_name(error.code)));
}

void remark(const client::ControlClient& control) {
    if (!control.message().empty()) fmt::print(stderr, "eagre: {}\n", control.message());
}

frame::AckMode ack_mode(const std::string& name) {
    if (name == "none") return frame::AckMode::kNone;
    return name == "appended" ? frame::AckMode::kAppended : frame::AckMode::kDurable;
}

void Target::add_data_option(CLI::App& command) {
    command.add_option("--data", data,
                       "Data directory of the appliance [$EAGRE_DATA or ~/.local/share/eagre]");
}

void Target::add_options(CLI::App& command) {
    add_data_option(command);
    command.add_option("--address", address, "Numeric address of the appliance [127.0.0.1]");
    command.add_option("--port", port, "Port of its core 0 [as in DATA/ports, else 4568]");
    command.add_option("--key-id", key_id, "Key to prove, see 'eagre key create' [$EAGRE_KEY_ID]");
    command.add_flag("--tls", tls, "Speak TLS 1.3 (implied by --tls-ca)");
    command.add_option("--tls-ca", tls_ca,
                       "PEM file of the authorities to trust [$EAGRE_TLS_CA, else the system's]");
    command.add_option("--tls-name", tls_name, "Name in the box's certificate [its address]");
    command.add_option("--secret-file", secret_file,
                       "File with the key's secret [the secret itself: $EAGRE_SECRET]");
}

void Target::add_datagram_options(CLI::App& command) {
    command.add_flag("--udp", udp,
                     "Send batches as UDP datagrams, acknowledged and in order like TCP");
    command
        .add_option("--datagram-bytes", datagram_bytes,
                    "Largest datagram; 0: what the path takes [1400]")
        ->check(CLI::Range(0U, kDatagramBytesMax));
}

client::ClientOptions Target::reader_options() const {
    client::ClientOptions options = client_options();
    options.datagrams = false;
    return options;
}

client::ClientOptions Target::client_options() const {
    client::ClientOptions options;
    options.address = address;
    options.port = port;
    if (options.port == 0) options.port = port_of_directory(data);
    if (options.port == 0) options.port = kPortDefault;
    options.datagrams = udp;
    options.datagram_bytes = datagram_bytes;
    options.key_id = key_id.empty() ? environment("EAGRE_KEY_ID") : key_id;
    const std::string ca_file = tls_ca.empty() ? environment("EAGRE_TLS_CA") : tls_ca;
    if (tls || !ca_file.empty()) options.tls = client::TlsOptions{ca_file, tls_name};
    if (!options.key_id.empty()) options.secret = read_secret(options.key_id, secret_file);
    return options;
}

std::unique_ptr<client::Client> Target::connect(bool spin) const {
    const client::ClientOptions options = client_options();
    auto connected = client::Client::connect(client::make_tcp_transport(spin), options);
    if (!connected)
        fail(fmt::format("{} {}:{}",
                         connected.error().code == Errc::kUnauthenticated ? "not let in by"
                                                                          : "cannot reach",
                         options.address, options.port),
             connected.error());
    return std::move(*connected);
}

std::unique_ptr<client::ControlClient> Target::connect_control() const {
    auto connected = client::ControlClient::connect(control_socket(), kControlTimeoutNs);
    if (!connected) {
        throw std::runtime_error(fmt::format(
            "cannot reach eagre-control at {}: is 'eagre up' running with this --data? ({})",
            control_socket(), errc_name(connected.error().code)));
    }
    return std::move(*connected);
}

}  // namespace eagre::cli
