#pragma once
// Which appliance a command speaks to: options that all commands share, and the ways to reach it.

#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "wire/client/client.h"
#include "wire/client/control_client.h"

namespace eagre::cli {

/// $EAGRE_DATA, else ~/.local/share/eagre.
std::string default_data_directory();

/// The port of core 0 that the eagred of this data directory wrote down (DATA/ports); 0: it did
/// not.
uint16_t port_of_directory(const std::string& data);

/// Throws std::runtime_error("<what>: <advice>") for an error.
[[noreturn]] void fail(const std::string& what, const Error& error);

/// The same in control's own words, where it has some: it knows what was asked and what is wrong with it.
[[noreturn]] void refuse(const std::string& what, const client::ControlClient& control, const Error& error);

/// Prints the reservation with which control has answered, if any. On standard error: standard output may be read by a program.
void remark(const client::ControlClient& control);

/// "durable", "appended" or "none".
frame::AckMode ack_mode(const std::string& name);

struct Target {
    std::string data = default_data_directory();
    std::string address = "127.0.0.1";
    uint16_t port = 0;  // 0: as in DATA/ports, else kPortDefault.
    std::string key_id;       // Empty: $EAGRE_KEY_ID, and if that is empty too, no key.
    bool tls = false;
    std::string tls_ca;    // Empty: $EAGRE_TLS_CA, and if that is empty too, whom the system trusts.
    std::string tls_name;  // Empty: the address.
    std::string secret_file;  // Empty: $EAGRE_SECRET is the secret itself.

    bool udp = false;             // Batches go by datagram.
    uint32_t datagram_bytes = kDatagramBytesDefault;  // 0: what the path takes.

    /// --data, --address, --port, --key-id, --secret-file, --tls and what belongs to it.
    void add_options(CLI::App& command);
    /// --udp, --datagram-bytes: for commands that produce.
    void add_datagram_options(CLI::App& command);
    /// --data only, for commands that use files beside the appliance.
    void add_data_option(CLI::App& command);

    std::string control_socket() const { return data + "/control.sock"; }
    std::string stats_file() const { return data + "/stats.shm"; }
    /// Throws std::runtime_error when a key is named and its secret is not to be had.
    client::ClientOptions client_options() const;
    /// The same without datagrams: who reads needs none.
    client::ClientOptions reader_options() const;
    /// Both throw std::runtime_error with what to do when nobody answers.
    std::unique_ptr<client::Client> connect(bool spin = false) const;
    std::unique_ptr<client::ControlClient> connect_control() const;
};

}  // namespace eagre::cli
