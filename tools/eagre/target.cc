#include "tools/eagre/target.h"

#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include <fmt/format.h>

#include "perf/load/error_text.h"

namespace eagre::cli {
namespace {
constexpr uint64_t kControlTimeoutNs = 10'000'000'000ULL;
}

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
    return options;
}

std::unique_ptr<client::Client> Target::connect(bool spin) const {
    const client::ClientOptions options = client_options();
    auto connected = client::Client::connect(client::make_tcp_transport(spin), options);
    if (!connected)
        fail(fmt::format("cannot reach {}:{}", options.address, options.port), connected.error());
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
