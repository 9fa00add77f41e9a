#pragma once
// An appliance as child processes of ours: eagred, eagre-control and eagre-gateway on one data directory. Used by
// `eagre up` and `eagre session`; called from the main thread only, between Signals::block() and
// the end.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tools/eagre/process.h"
#include "wire/client/client.h"

namespace eagre::cli {

struct ApplianceOptions {
    std::string data;
    std::vector<std::string> also;  // As eagred's --also.
    std::string cores;  // As eagred's --cores; empty: its default.
    std::string store_bytes_max;  // As eagred's; empty: as much as the disk has.
    std::string when_full;        // As eagred's; empty: its default.
    std::string listen = "127.0.0.1";
    uint16_t port = kPortDefault;  // 0: any free one.
    bool insecure = false;
    std::string auth = "off";
    std::vector<std::string> nics;  // As eagred's --nic.
    std::string nic_address;        // As eagred's; empty: none.
    std::string nic_gateway;
    bool nic_no_huge = false;
    std::string tls_cert;  // Both or neither.
    std::string tls_key;
    std::string wait = "adaptive";
    std::optional<uint16_t> metrics_port;  // None: no metrics; 0: any free one.
    std::string metrics_listen = "127.0.0.1";
    std::optional<uint16_t> kinesis_port;  // None: no gateway; 0: any free one.
    std::string cleaner = "on";
    std::string cleaner_bytes_per_s;  // Empty: eagred's default.
    std::vector<std::string> more_arguments;  // Passed to eagred as they are.
    std::vector<std::string> gateway_arguments;  // The same to eagre-gateway.
    bool log_to_files =
        false;  // DATA/eagred.log, DATA/eagre-control.log instead of our own output.
};

/// Recovery scans what was not sealed; on a slow disk that may take a while. It is shown while it
/// lasts.
inline constexpr uint64_t kReadyNs = 120'000'000'000ULL;
inline constexpr uint64_t kControlReadyNs = 20'000'000'000ULL;
inline constexpr uint64_t kStopNs = 10'000'000'000ULL;
/// A dead control or gateway process is started again at once, then after twice the pause before, up to the
/// longest.
inline constexpr uint64_t kRestartNsMin = 200'000'000ULL;
inline constexpr uint64_t kRestartNsMax = 10'000'000'000ULL;

class Appliance {
  public:
    explicit Appliance(ApplianceOptions options) : options_(std::move(options)) {}
    /// Stops what still runs, also when an exception passes by.
    ~Appliance() { stop(); }
    Appliance(const Appliance&) = delete;
    Appliance& operator=(const Appliance&) = delete;

    /// Starts both and waits until they answer; `tick(what, seconds)` is called meanwhile, and a
    /// true answer gives up. False: gave up. Throws std::runtime_error with the reason when one of
    /// them ends or does not answer in time.
    bool start(const std::function<bool(const std::string&, double)>& tick);
    /// Looks after the children. Returns why when the dataplane has died; restarts control by
    /// itself and reports that through `say`. Call a few times a second.
    std::optional<std::string> watch(const std::function<void(const std::string&)>& say);
    /// Stops the gateway, control, then the dataplane. False when one of them had to be killed.
    bool stop();

    uint16_t port() const { return port_; }
    /// The address to connect to (the listen address, or loopback when that is a wildcard).
    std::string address() const;
    const std::string& data() const { return options_.data; }
    pid_t dataplane_pid() const { return dataplane_.pid(); }
    pid_t control_pid() const { return control_.process.pid(); }
    bool has_gateway() const { return options_.kinesis_port.has_value(); }

  private:
    void start_dataplane();
    void start_control();
    void start_gateway();
    bool dataplane_answers();
    bool control_answers();
    std::string with_log(const std::string& reason, const std::string& log) const;

    ApplianceOptions options_;
    uint16_t port_ = 0;
    Process dataplane_;
    /// One that is started again when it dies.
    struct Helper {
        Process process;
        uint64_t started_ns = 0;
        uint64_t due_ns = 0;  // When to start it again; 0: it runs.
        uint64_t restart_ns = kRestartNsMin;
        uint32_t early_deaths = 0;  // In a row.
        uint32_t early_deaths_max = UINT32_MAX;  // Then it is given up: what keeps it from starting does not go away.
    };
    /// True: it is to be started now.
    static bool look_after(Helper& helper, const std::string& name, const std::function<void(const std::string&)>& say);
    Helper control_;
    Helper gateway_;
};

}  // namespace eagre::cli
