// `eagre up`: an appliance in the foreground.
#include <memory>
#include <stdexcept>

#include <fmt/format.h>

#include "tools/eagre/appliance.h"
#include "tools/eagre/commands.h"
#include "tools/eagre/progress.h"
#include "tools/eagre/signals.h"
#include "tools/eagre/target.h"

namespace eagre::cli {
namespace {

constexpr uint64_t kWatchNs = 200'000'000;
constexpr double kShowAfterSeconds = 0.5;
constexpr uint16_t kKinesisPort = 4567;  // Where emulators of Kinesis are looked for.

int run_up(ApplianceOptions options, bool no_kinesis) {
    if (no_kinesis && options.kinesis_port) throw std::runtime_error("--kinesis-port and --no-kinesis: one of them");
    if (!no_kinesis && !options.kinesis_port) options.kinesis_port = options.port == 0 ? uint16_t{0} : kKinesisPort;
    Signals::block();
    Appliance appliance(options);
    Progress progress;
    const bool started = appliance.start([&](const std::string& what, double seconds) {
        if (seconds > kShowAfterSeconds) progress.show(what, -1, fmt::format("{:.0f} s", seconds));
        return Signals::wait(0);
    });
    progress.clear();
    if (!started) {
        appliance.stop();
        return 130;
    }
    fmt::print("eagre: listening on {}:{}, data in {} (eagred pid {}, eagre-control pid {})\n",
               options.listen, appliance.port(), options.data, appliance.dataplane_pid(),
               appliance.control_pid());
    if (options.kinesis_port.value_or(0) != 0)
        fmt::print("eagre: the Kinesis API is at {}://{}:{}{}\n", options.tls_cert.empty() ? "http" : "https",
                   options.listen.find(':') == std::string::npos ? options.listen : "[" + options.listen + "]", *options.kinesis_port,
                   options.auth == "on" ? ", for those who sign with a key of this box" : "");
    fmt::print("eagre: Ctrl-C stops it. Next: eagre stream create NAME --shards 4\n");
    std::fflush(stdout);
    const auto say = [](const std::string& text) { fmt::print(stderr, "eagre: {}\n", text); };
    while (!Signals::wait(kWatchNs)) {
        if (const auto why = appliance.watch(say)) {
            appliance.stop();
            throw std::runtime_error(*why);
        }
    }
    say("stopping");
    const bool orderly = appliance.stop();
    say(orderly ? "stopped" : "stopped, but one process did not end in time and was killed");
    return orderly ? 0 : 1;
}

}  // namespace

void add_up(CLI::App& app, int& status) {
    CLI::App* command =
        app.add_subcommand("up", "Start an appliance (dataplane, control, gateway) in the foreground");
    auto options = std::make_shared<ApplianceOptions>();
    options->data = default_data_directory();
    command->add_option("--data", options->data,
                        "Data directory [$EAGRE_DATA or ~/.local/share/eagre]");
    command
        ->add_option("--also", options->also,
                     "One more data directory, on another device (repeatable). Remembered: name it "
                     "once, and again where it moved")
        ->allow_extra_args(false);
    command->add_option(
        "--cores", options->cores,
        "CPUs to run a reactor on, like 0 or 2,3 or 2-5; may differ from start to start [0]");
    command->add_option("--listen", options->listen, "Numeric address to listen on [127.0.0.1]");
    command->add_option("--port", options->port,
                        "Port of core 0; core k listens on port + k; 0: any [4568]");
    command
        ->add_option("--auth", options->auth,
                     "on: nobody comes in without a key, see 'eagre key create' [off]")
        ->check(CLI::IsMember({"on", "off"}));
    command
        ->add_option("--nic", options->nics,
                     "uring: datagrams through the kernel; dpdk:DEVICE: through a device of Eagre's own, a PCI address or a DPDK vdev "
                     "(repeatable) [uring]")
        ->allow_extra_args(false);
    command->add_option("--nic-address", options->nic_address,
                        "IPv4 address that Eagre answers to on that device, and its network: 10.0.0.5/24");
    command->add_option("--nic-gateway", options->nic_gateway, "For those who are not on that network");
    command->add_flag("--nic-no-huge", options->nic_no_huge, "That device without huge pages: slower, for trying it out");
    command->add_option("--tls-cert", options->tls_cert,
                        "Certificate (PEM, with its chain): TCP then speaks TLS 1.3 only");
    command->add_option("--tls-key", options->tls_key, "Its private key (PEM)");
    command->add_flag("--insecure", options->insecure,
                      "Allow an address other than loopback although --auth is off");
    command->add_option("--metrics-port", options->metrics_port,
                        "Serve metrics for Prometheus at http://127.0.0.1:PORT/metrics; 9568 is "
                        "usual, 0: any [off]");
    command->add_option("--metrics-listen", options->metrics_listen,
                        "Numeric address of the metrics; beyond loopback only with --insecure "
                        "[127.0.0.1]");
    command->add_option("--kinesis-port", options->kinesis_port,
                        "Port of the Kinesis API; HTTPS with --tls-cert; 0: any [4567]");
    auto no_kinesis = std::make_shared<bool>(false);
    command->add_flag("--no-kinesis", *no_kinesis, "Without the Kinesis API");
    command
        ->add_option("--wait", options->wait,
                     "How an idle core waits: spin, adaptive or block [adaptive]")
        ->check(CLI::IsMember({"spin", "adaptive", "block"}));
    command->add_option("--store-bytes-max", options->store_bytes_max,
                        "All that is stored takes up at most so much: 100G [as much as the disk has]");
    command
        ->add_option("--when-full", options->when_full,
                     "refuse: writes wait until there is room; trim-oldest: the oldest records make room [refuse]")
        ->check(CLI::IsMember({"refuse", "trim-oldest"}));
    command
        ->add_option("--cleaner", options->cleaner,
                     "Move what is alive out of mostly dead segments: on or off [on]")
        ->check(CLI::IsMember({"on", "off"}));
    command->add_option("--cleaner-bytes-per-s", options->cleaner_bytes_per_s,
                        "What it may read and write per core, like 64M [64M]");
    command
        ->add_option("--eagred", options->more_arguments,
                     "One more argument for eagred, as it is (repeatable)")
        ->allow_extra_args(false);
    command->add_option("--gateway", options->gateway_arguments,
                     "One more argument for eagre-gateway, as it is (repeatable)")
        ->allow_extra_args(false);
    command->footer(
        "Stops all in good order on Ctrl-C or SIGTERM. If control or the gateway dies it is started again while "
        "the dataplane\n"
        "serves on; if the dataplane dies, so does this, with status 1.\n\n"
        "Examples:\n"
        "  eagre up\n"
        "  eagre up --metrics-port 9568               and curl 127.0.0.1:9568/metrics\n"
        "  eagre up --data /var/lib/eagre --cores 2-3 --wait spin\n"
        "  eagre up --data /var/lib/eagre --also /mnt/nvme1/eagre\n"
        "  eagre up --listen 0.0.0.0 --auth on        for those who have a key\n"
        "  eagre up --auth on --nic dpdk:0000:03:00.0 --nic-address 10.0.0.5/24\n"
        "  eagre up --gateway=--region --gateway=eu-central-1\n"
        "  eagre up --listen 0.0.0.0 --insecure       on a network that you trust\n"
        "  eagre up --store-bytes-max 100G --when-full trim-oldest\n"
        "  eagre up --port 0 --eagred=--segment-bytes=67108864");
    command->callback([options, no_kinesis, &status] { status = run_up(*options, *no_kinesis); });
}

}  // namespace eagre::cli
