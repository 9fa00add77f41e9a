#include "dataplane/io/dpdk/eal.h"

#include <thread>
#include <vector>

#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>

namespace eagre::io {
namespace {

// Without huge pages the memory is reserved at once; only what is used of it is ever touched.
constexpr const char* kPlainMegabytes = "512";

bool is_pci(const std::string& spec) { return spec.find(':') != std::string::npos && spec.find('=') == std::string::npos; }

}  // namespace

std::string device_name(const std::string& spec) { return spec.substr(0, spec.find(',')); }

std::string device_argument(const std::string& spec, const std::string& key) {
    const std::string wanted = "," + key + "=";
    const size_t at = spec.find(wanted);
    if (at == std::string::npos) return {};
    const size_t begin = at + wanted.size();
    return spec.substr(begin, spec.find(',', begin) - begin);
}

std::string start_environment(const NicOptions& options) {
    std::vector<std::string> arguments{"eagred", "--no-telemetry", "--log-level=error",
                                       "--file-prefix=eagre-" + std::to_string(::getpid())};
    // One thread of theirs, on any CPU of ours: the cores register themselves.
    arguments.push_back("--lcores=0@" + std::to_string(options.cpus.empty() ? 0 : options.cpus.front()));
    if (options.huge_pages) {
        arguments.emplace_back("--in-memory");
    } else {
        arguments.insert(arguments.end(), {"--no-huge", "--no-shconf", "-m", kPlainMegabytes});
    }
    bool pci = false;
    for (const std::string& spec : options.devices) {
        if (is_pci(spec)) {
            pci = true;
            arguments.insert(arguments.end(), {"-a", spec});
        } else {
            arguments.push_back("--vdev=" + spec);
        }
    }
    if (!pci) arguments.emplace_back("--no-pci");

    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    int result = 0;
    int why = 0;
    // A thread of its own: DPDK pins the one that initialises it, for good.
    std::thread([&] {
        result = rte_eal_init(static_cast<int>(pointers.size()), pointers.data());
        why = rte_errno;
    }).join();
    if (result >= 0) {
        (void)::rmdir(rte_eal_get_runtime_dir());  // Empty: nothing is shared with other processes.
        return {};
    }
    std::string text = std::string("DPDK did not start: ") + rte_strerror(why);
    if (options.huge_pages && (why == ENOMEM || why == EACCES || why == ENOENT)) {
        text += "; huge pages may be missing (sysctl vm.nr_hugepages), or do without them: --nic-no-huge";
    }
    return text;
}

}  // namespace eagre::io
