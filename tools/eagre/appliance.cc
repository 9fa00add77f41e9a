#include "tools/eagre/appliance.h"

#include <algorithm>
#include <deque>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include <fmt/format.h>

#include "tools/eagre/progress.h"
#include "tools/eagre/signals.h"
#include "tools/eagre/target.h"
#include "wire/client/control_client.h"
#include "wire/shm/stats_snapshot.h"

namespace eagre::cli {
namespace {

constexpr uint64_t kProbeNs = 250'000'000ULL;
constexpr uint64_t kTickNs = 20'000'000ULL;
constexpr size_t kLogLinesShown = 10;
constexpr uint32_t kGatewayEarlyDeathsMax = 3;

std::string last_lines(const std::string& path) {
    std::ifstream file(path);
    std::deque<std::string> lines;
    for (std::string line; std::getline(file, line);) {
        lines.push_back("  " + line + "\n");
        if (lines.size() > kLogLinesShown) lines.pop_front();
    }
    std::string text;
    for (const auto& line : lines) text += line;
    return text;
}

}  // namespace

std::string Appliance::address() const {
    if (options_.listen == "0.0.0.0") return "127.0.0.1";
    return options_.listen == "::" ? "::1" : options_.listen;
}

void Appliance::start_dataplane() {
    std::filesystem::create_directories(options_.data);
    std::vector<std::string> arguments = {"--data",   options_.data,
                                          "--listen", options_.listen,
                                          "--port",   fmt::format("{}", options_.port),
                                          "--wait",   options_.wait};
    for (const std::string& directory : options_.also)
        arguments.insert(arguments.end(), {"--also", directory});
    if (!options_.cores.empty()) arguments.insert(arguments.end(), {"--cores", options_.cores});
    if (!options_.store_bytes_max.empty())
        arguments.insert(arguments.end(), {"--store-bytes-max", options_.store_bytes_max});
    if (!options_.when_full.empty())
        arguments.insert(arguments.end(), {"--when-full", options_.when_full});
    if (options_.insecure) arguments.emplace_back("--insecure");
    arguments.insert(arguments.end(), {"--auth", options_.auth});
    for (const std::string& nic : options_.nics) arguments.insert(arguments.end(), {"--nic", nic});
    if (!options_.nic_address.empty()) arguments.insert(arguments.end(), {"--nic-address", options_.nic_address});
    if (!options_.nic_gateway.empty()) arguments.insert(arguments.end(), {"--nic-gateway", options_.nic_gateway});
    if (options_.nic_no_huge) arguments.emplace_back("--nic-no-huge");
    if (!options_.tls_cert.empty())
        arguments.insert(arguments.end(), {"--tls-cert", options_.tls_cert});
    if (!options_.tls_key.empty())
        arguments.insert(arguments.end(), {"--tls-key", options_.tls_key});
    arguments.insert(arguments.end(), {"--cleaner", options_.cleaner});
    if (!options_.cleaner_bytes_per_s.empty())
        arguments.insert(arguments.end(), {"--cleaner-bytes-per-s", options_.cleaner_bytes_per_s});
    arguments.insert(arguments.end(), options_.more_arguments.begin(),
                     options_.more_arguments.end());
    dataplane_.start(own_directory() + "/eagred", arguments,
                     options_.log_to_files ? options_.data + "/eagred.log" : "");
}

void Appliance::start_control() {
    std::vector<std::string> arguments = {"--data", options_.data};
    if (options_.metrics_port) {
        const bool v6 = options_.metrics_listen.find(':') != std::string::npos;
        arguments.emplace_back("--metrics");
        arguments.push_back(
            v6 ? fmt::format("[{}]:{}", options_.metrics_listen, *options_.metrics_port)
               : fmt::format("{}:{}", options_.metrics_listen, *options_.metrics_port));
        if (options_.insecure) arguments.emplace_back("--insecure");
    }
    control_.process.start(own_directory() + "/eagre-control", arguments,
                           options_.log_to_files ? options_.data + "/eagre-control.log" : "");
    control_.started_ns = monotonic_ns();
    control_.due_ns = 0;
}

void Appliance::start_gateway() {
    std::vector<std::string> arguments = {"--data", options_.data, "--listen", options_.listen, "--port", fmt::format("{}", *options_.kinesis_port),
                                          "--box", address(), "--box-port", fmt::format("{}", port_), "--auth", options_.auth};
    if (options_.insecure) arguments.emplace_back("--insecure");
    if (!options_.tls_cert.empty())
        arguments.insert(arguments.end(), {"--box-cert", options_.tls_cert, "--tls-cert", options_.tls_cert, "--tls-key", options_.tls_key});
    arguments.insert(arguments.end(), options_.gateway_arguments.begin(), options_.gateway_arguments.end());
    gateway_.process.start(own_directory() + "/eagre-gateway", arguments,
                           options_.log_to_files ? options_.data + "/eagre-gateway.log" : "");
    gateway_.early_deaths_max = kGatewayEarlyDeathsMax;  // Its port is taken, as a rule.
    gateway_.started_ns = monotonic_ns();
    gateway_.due_ns = 0;
}

bool Appliance::dataplane_answers() {
    // eagred removes an old DATA/ports before it writes its pid into the statistics, and writes a
    // new one when it serves: with our child's pid there, the port is our child's and not that of
    // another process.
    if (shm::stats_pid(options_.data + "/stats.shm") != static_cast<uint32_t>(dataplane_.pid()))
        return false;
    port_ = port_of_directory(options_.data);
    if (port_ == 0) return false;
    client::ClientOptions probe;
    probe.address = address();
    probe.port = port_;
    probe.name = "eagre-up";
    probe.request_timeout_ns = kProbeNs;
    const auto probed = client::Client::connect(client::make_tcp_transport(), probe);
    // One that asks for a key, or for TLS, answers.
    return probed.has_value() || probed.error().code == Errc::kUnauthenticated ||
           probed.error().code == Errc::kTlsRequired;
}

bool Appliance::control_answers() {
    auto control = client::ControlClient::connect(options_.data + "/control.sock", kProbeNs);
    return control && (*control)->list_streams().has_value();
}

std::string Appliance::with_log(const std::string& reason, const std::string& log) const {
    return options_.log_to_files
               ? reason + "; the end of its log:\n" + last_lines(options_.data + log)
               : reason;
}

bool Appliance::start(const std::function<bool(const std::string&, double)>& tick) {
    const uint64_t start_ns = monotonic_ns();
    const auto give_up = [&](const std::string& what) {
        Signals::wait(kTickNs);
        return tick(what, static_cast<double>(monotonic_ns() - start_ns) / 1e9);
    };
    start_dataplane();
    while (!dataplane_answers()) {
        if (const auto how = dataplane_.ended()) {
            throw std::runtime_error(with_log("eagred did not start: " + *how, "/eagred.log"));
        }
        if (monotonic_ns() - start_ns > kReadyNs) {
            throw std::runtime_error(with_log("eagred did not answer in time", "/eagred.log"));
        }
        if (give_up("recovering the journals")) return false;
    }
    start_control();
    while (!control_answers()) {
        if (const auto how = control_.process.ended()) {
            throw std::runtime_error(
                with_log("eagre-control did not start: " + *how, "/eagre-control.log"));
        }
        if (monotonic_ns() - control_.started_ns > kControlReadyNs) {
            throw std::runtime_error(
                with_log("eagre-control did not answer in time", "/eagre-control.log"));
        }
        if (give_up("starting control")) return false;
    }
    if (options_.kinesis_port) start_gateway();
    return true;
}

bool Appliance::look_after(Helper& helper, const std::string& name, const std::function<void(const std::string&)>& say) {
    const uint64_t now_ns = monotonic_ns();
    if (const auto how = helper.process.ended()) {
        // One that ran for long has earned a prompt restart; one that dies at once waits longer each time.
        const bool lived = now_ns - helper.started_ns > kRestartNsMax;
        helper.restart_ns = lived ? kRestartNsMin : std::min(helper.restart_ns * 2, kRestartNsMax);
        helper.early_deaths = lived ? 0 : helper.early_deaths + 1;
        if (helper.early_deaths >= helper.early_deaths_max) {
            say(fmt::format("{} does not start ({}); everything else serves on without it", name, *how));
            return false;
        }
        helper.due_ns = now_ns + helper.restart_ns;
        say(fmt::format("{} has died ({}); the dataplane serves on; starting it again in {:.1f} s", name, *how,
                        static_cast<double>(helper.restart_ns) / 1e9));
    }
    return helper.due_ns != 0 && now_ns >= helper.due_ns;
}

std::optional<std::string> Appliance::watch(const std::function<void(const std::string&)>& say) {
    if (const auto how = dataplane_.ended())
        return with_log("eagred has died: " + *how, "/eagred.log");
    if (look_after(control_, "eagre-control", say)) {
        start_control();
        say(fmt::format("eagre-control runs again (pid {})", control_.process.pid()));
    }
    if (options_.kinesis_port && look_after(gateway_, "eagre-gateway", say)) {
        start_gateway();
        say(fmt::format("eagre-gateway runs again (pid {})", gateway_.process.pid()));
    }
    return std::nullopt;
}

bool Appliance::stop() {
    // Who asks stops before whom he asks.
    const bool gateway_stopped = gateway_.process.stop(kStopNs);
    const bool control_stopped = control_.process.stop(kStopNs);
    return dataplane_.stop(kStopNs) && control_stopped && gateway_stopped;
}

}  // namespace eagre::cli
