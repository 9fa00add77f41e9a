// eagre-gateway: its command line.
#include <algorithm>
#include <charconv>
#include <string>

#include <CLI/CLI.hpp>
#include <sys/stat.h>

#include "control/gateway/serve.h"
#include "control/log/log.h"

namespace {

/// "2,3", "2-5". False: it is none, or of too many.
bool parse_cpus(std::string_view text, std::vector<uint32_t>& cpus) {
    const auto number = [](std::string_view digits, uint32_t& value) {
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
        return error == std::errc() && end == digits.data() + digits.size() && value < 1024;
    };
    while (!text.empty()) {
        const std::string_view part = text.substr(0, text.find(','));
        text.remove_prefix(std::min(text.size(), part.size() + 1));
        const size_t dash = part.find('-');
        uint32_t first = 0;
        if (!number(part.substr(0, dash), first)) return false;
        uint32_t last = first;
        if (dash != part.npos && !number(part.substr(dash + 1), last)) return false;
        for (uint32_t cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
    }
    return !cpus.empty() && cpus.size() <= eagre::gateway::kReactorCountMax;
}

}  // namespace

int main(int argc, char** argv) {
    eagre::gateway::ServeOptions options;
    std::string auth = "off";
    std::string cores;
    std::string log_level = "info";
    CLI::App app("eagre-gateway: the Kinesis API over HTTP, for aws-cli, boto3 and every other AWS SDK");
    app.add_option("--data", options.data, "Data directory of the box: its key file and eagre-control's socket")->capture_default_str();
    app.add_option("--listen", options.listen, "Address to serve at")->capture_default_str();
    app.add_option("--port", options.port, "Port to serve at; 0: any free one")->capture_default_str();
    app.add_option("--cores", cores, "CPUs to run a reactor on, like 2 or 2,3 or 2-5 [one, wherever the system puts it]")
        ->check([&options](const std::string& text) {
            options.cpus.clear();
            return parse_cpus(text, options.cpus) ? std::string() : text + " is no list of CPUs";
        });
    app.add_option("--box", options.box, "Address of the dataplane (eagred)")->capture_default_str();
    app.add_option("--box-port", options.box_port, "Port of its core 0")->capture_default_str();
    app.add_option("--box-cert", options.box_cert, "The dataplane speaks TLS: its certificate (PEM), and no other is taken");
    app.add_option("--auth", auth, "on: every call has to be signed (SigV4) with a key of this box (see 'eagre key create')")
        ->capture_default_str()
        ->check(CLI::IsMember({"on", "off"}));
    auto* cert = app.add_option("--tls-cert", options.tls_cert, "Certificate (PEM, with its chain): the port then speaks TLS, HTTP/2 by ALPN");
    auto* tls_key = app.add_option("--tls-key", options.tls_key, "Its private key (PEM)")->needs(cert);
    cert->needs(tls_key);
    app.add_option("--plain-port", options.plain_port, "One more port, without TLS; 0: any free one")->needs(cert);
    app.add_option("--region", options.region, "Region in ARNs, where a request says none")->capture_default_str();
    app.add_option("--account", options.account, "Account in ARNs, 12 digits")->capture_default_str()->check([](const std::string& text) {
        return text.size() == 12 && text.find_first_not_of("0123456789") == text.npos ? std::string() : text + " is not 12 digits";
    });
    app.add_option("--shard-quota", options.shard_quota, "Open shards of all streams together")->capture_default_str();
    app.add_option("--connections", options.connections, "Connections at once; more are closed")->capture_default_str();
    app.add_flag("--insecure", options.insecure, "Allow an address other than loopback although --auth is off");
    app.add_option("--log-level", log_level, "debug, info, warning, error or off")
        ->capture_default_str()
        ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}));
    app.footer("Examples:\n"
               "  eagre-gateway --data /var/lib/eagre\n"
               "  aws --endpoint-url http://127.0.0.1:4567 kinesis list-streams\n"
               "  eagre-gateway --data /var/lib/eagre --cores 2,3 --listen 0.0.0.0 --auth on --tls-cert box.pem --tls-key box.key");
    CLI11_PARSE(app, argc, argv);
    options.auth = auth == "on";
    eagre::log::set_level(log_level);
    umask(0077);
    try {
        return eagre::gateway::serve(options);
    } catch (const std::exception& exception) {
        eagre::log::error("gateway", "ended by an error nobody expected: {}", exception.what());
        return 1;
    }
}
