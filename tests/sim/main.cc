// eagre_sim: runs the simulation from seeds. A failure prints the promise that was broken and the
// one line that shows it again.
#include <array>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>

#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/simulation.h"

namespace eagre::test {
namespace {

constexpr uint64_t kMutantSeedCount = 100;  // Tried one after the other until one turns red.
constexpr int kPromiseBroken = 1;
constexpr int kUsage = 2;

struct Mutant {
    const char* name;
    bool journal::Mutants::*flag;
};
constexpr std::array<Mutant, 6> kMutants{{
    {"ack-before-sync", &journal::Mutants::ack_before_sync},
    {"skip-one-sync", &journal::Mutants::skip_one_sync},
    {"ignore-run-crc", &journal::Mutants::ignore_run_crc},
    {"append-to-old-tail", &journal::Mutants::append_to_old_tail},
    {"recycle-before-sync", &journal::Mutants::recycle_before_sync},
    {"accept-repeated-batch", &journal::Mutants::accept_repeated_batch},
}};

void usage(std::FILE* out) {
    std::fputs(
        "eagre_sim: dataplane, control and clients in one simulated thread, with crashes, from a "
        "seed\n"
        "  --seed=N      one run (default 1)          --seeds=N    seeds 1 to N\n"
        "  --fresh=N     N seeds that nobody has tried: they begin at a random place, which is printed\n"
        "  --ticks=N     turns with disturbances (default 4000)\n"
        "  --mutant=NAME switch one protection off: ack-before-sync, skip-one-sync, "
        "ignore-run-crc,\n"
        "                append-to-old-tail, recycle-before-sync, accept-repeated-batch\n"
        "  --mutants     every mutant must be caught by one of 100 seeds\n"
        "  --talk        say what happens to the box\n"
        "Example: eagre_sim --seed=7 --talk\n",
        out);
}

bool run_one(const SimulationOptions& options, std::string_view mutant, uint64_t* children = nullptr) {
    const SimulationResult result = simulate(options);
    if (children != nullptr) *children += result.child_count;
    std::printf("seed %" PRIu64 ": %" PRIu64 " put, %" PRIu64 " acknowledged, %" PRIu64
                " failed, %" PRIu64 " delivered, %u crashes, %u shards made, %.1f s simulated, history %016" PRIx64
                "\n",
                options.seed, result.put_count, result.acked_count, result.failed_count,
                result.delivered_count, result.crash_count, result.child_count,
                static_cast<double>(result.simulated_ns) / 1e9, result.history_hash);
    if (!result.promise.empty()) {
        std::printf("BROKEN PROMISE %s: %s\nagain: eagre_sim --seed=%" PRIu64 " --ticks=%" PRIu64
                    "%s%.*s --talk\n",
                    result.promise.c_str(), result.what.c_str(), options.seed, options.ticks,
                    mutant.empty() ? "" : " --mutant=", static_cast<int>(mutant.size()),
                    mutant.data());
    }
    std::fflush(stdout);
    return result.promise.empty();
}

// The same seed must give the same history, to the last event.
bool repeats(SimulationOptions options) {
    const uint64_t first = simulate(options).history_hash;
    const uint64_t second = simulate(options).history_hash;
    if (first != second) {
        std::printf("seed %" PRIu64 " is not deterministic: history %016" PRIx64
                    ", then %016" PRIx64 "\n",
                    options.seed, first, second);
    }
    return first == second;
}

// In a process of its own: an assertion that fails catches a mutant as well as a checker does.
bool turns_red(const SimulationOptions& options, std::string_view mutant) {
    std::fflush(stdout);
    const pid_t child = ::fork();
    if (child == 0) ::_exit(run_one(options, mutant) ? 0 : kPromiseBroken);
    int status = 0;
    if (child < 0 || ::waitpid(child, &status, 0) != child) std::abort();
    return status != 0;
}

// Caught is a mutant when a seed that is green without it is red with it.
bool caught(const Mutant& mutant, uint64_t ticks) {
    for (uint64_t seed = 1; seed <= kMutantSeedCount; ++seed) {
        SimulationOptions healthy;
        healthy.seed = seed;
        healthy.ticks = ticks;
        SimulationOptions mutated = healthy;
        mutated.mutants.*mutant.flag = true;
        if (turns_red(mutated, mutant.name) && !turns_red(healthy, "")) return true;
    }
    return false;
}

int run_mutants(uint64_t ticks) {
    int survivors = 0;
    for (const Mutant& mutant : kMutants) {
        const bool dead = caught(mutant, ticks);
        std::printf("mutant %s: %s\n", mutant.name, dead ? "caught" : "SURVIVED");
        survivors += dead ? 0 : 1;
    }
    return survivors == 0 ? 0 : kPromiseBroken;
}

bool number_of(std::string_view argument, std::string_view name, uint64_t& value) {
    if (!argument.starts_with(name)) return false;
    const std::string_view digits = argument.substr(name.size());
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size();
}

int run(int argc, char** argv) {
    SimulationOptions options;
    uint64_t seeds = 0;
    uint64_t fresh = 0;
    bool mutants = false;
    std::string_view mutant_name;
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument = argv[i];
        if (number_of(argument, "--seed=", options.seed) ||
            number_of(argument, "--seeds=", seeds) || number_of(argument, "--fresh=", fresh) ||
            number_of(argument, "--ticks=", options.ticks)) {
            continue;
        }
        if (argument == "--mutants") {
            mutants = true;
        } else if (argument == "--talk") {
            options.talkative = true;
        } else if (argument.starts_with("--mutant=")) {
            mutant_name = argument.substr(9);
            bool known = false;
            for (const Mutant& mutant : kMutants) {
                if (mutant_name != mutant.name) continue;
                options.mutants.*mutant.flag = true;
                known = true;
            }
            if (!known) return usage(stderr), kUsage;
        } else {
            usage(argument == "--help" ? stdout : stderr);
            return argument == "--help" ? 0 : kUsage;
        }
    }
    if (mutants) return run_mutants(options.ticks);
    if (fresh != 0) {
        // Below 2^48, so that the line that repeats a failure is short.
        options.seed = (uint64_t{std::random_device{}()} << 16U) + 1;
        uint64_t children = 0;
        bool kept = true;
        for (const uint64_t end = options.seed + fresh; options.seed < end; ++options.seed) kept = run_one(options, mutant_name, &children) && kept;
        std::printf("%" PRIu64 " fresh seeds, %" PRIu64 " shards made by splits and merges\n", fresh, children);
        return kept && children > fresh ? 0 : kPromiseBroken;
    }
    bool kept = seeds == 0 || repeats(options);
    const uint64_t last = seeds == 0 ? options.seed : seeds;
    for (options.seed = seeds == 0 ? options.seed : 1; options.seed <= last; ++options.seed) {
        kept = run_one(options, mutant_name) && kept;
    }
    return kept ? 0 : kPromiseBroken;
}

}  // namespace
}  // namespace eagre::test

int main(int argc, char** argv) {
    return eagre::test::run(argc, argv);
}
