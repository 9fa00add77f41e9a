#include "tests/sim/simulation.h"

#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "tests/sim/promise.h"
#include "tests/sim/sim_control.h"
#include "tests/sim/sim_eagred.h"
#include "tests/sim/workload.h"

namespace eagre::test {
namespace {

using io::sim::CrashPlan;
using io::sim::SimDisk;

constexpr uint32_t kShardCount = 3;
constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr uint64_t kUpNsMax =
    60 * kSecondNs;  // For anything that must come about when nothing disturbs.
constexpr int kAsksMax = 5;
constexpr uint64_t kChaosPerMillion = 4'000;  // Per tick.

class Simulation {
  public:
    explicit Simulation(const SimulationOptions& options)
        : options_(options),
          chaos_(options.seed ^ 0x6368616f73ULL),
          world_(options.seed, faults()),
          control_(world_) {
        promises_.push_back(acked_records_survive());
        promises_.push_back(sequence_numbers_increase());
        promises_.push_back(no_gap_in_iterator());
        promises_.push_back(fanout_sees_all());
        promises_.push_back(nothing_twice());
        promises_.push_back(order_per_key());
        promises_.push_back(parent_read_before_child());
        disk_ = std::make_unique<SimDisk>();
        workload_ = std::make_unique<Workload>(world_, promises_, "sim", kPortDefault);
    }
    ~Simulation() {
        workload_.reset();
        if (eagred_) crash(CrashPlan::killed());
    }

    SimulationResult run();

  private:
    static io::sim::SimFaults faults() {
        io::sim::SimFaults faults;
        faults.chunk_bytes_max = 1500;
        faults.reset_per_million = 300;
        faults.net_delay_per_million = 500;
        return faults;
    }
    Options box_options();
    bool start();
    void crash(const CrashPlan& plan);
    void disturb();
    void relent();
    void come_back();
    bool settle();
    bool rot_one();
    bool fail(const char* promise, const std::string& what);
    bool all_kept();
    void say(const char* format, ...) const __attribute__((format(printf, 2, 3)));

    SimulationOptions options_;
    Prng chaos_;
    io::sim::SimWorld world_;
    std::vector<std::unique_ptr<Promise>> promises_;
    // Disks that a crash left behind stay: what was scheduled on them may still look.
    std::vector<std::unique_ptr<SimDisk>> old_disks_;
    std::unique_ptr<SimDisk> disk_;
    SimControl control_;
    std::unique_ptr<Workload> workload_;
    std::unique_ptr<SimEagred> eagred_;
    uint64_t down_until_tick_ = 0;
    uint64_t control_down_until_tick_ = 0;
    uint64_t full_until_tick_ = 0;  // 0: there is room.
    uint64_t restart_at_tick_ = 0;  // 0: no I/O error was ordered.
    uint64_t tick_ = 0;
    uint32_t crash_count_ = 0;
    std::set<std::pair<ShardId, ShardId>> children_;  // With their parents, as far as the promises know.
    SimulationResult result_;
};

void Simulation::say(const char* format, ...) const {
    if (!options_.talkative) return;
    std::fprintf(stderr, "tick %6" PRIu64 " %10.3f ms: ", tick_,
                 static_cast<double>(world_.now_ns()) / 1e6);
    va_list arguments;
    va_start(arguments, format);
    std::vfprintf(stderr, format, arguments);
    va_end(arguments);
    std::fputc('\n', stderr);
}

Options Simulation::box_options() {
    Options options;
    // Each start has the cores and the directories it gets: journals are made for new ones and move
    // together on fewer.
    options.cpus.clear();
    const auto core_count = static_cast<uint32_t>(1 + chaos_.below(3));
    for (uint32_t cpu = 0; cpu < core_count; ++cpu) options.cpus.push_back(cpu);
    if (chaos_.below(4) == 0) options.also = {"also-1"};
    options.wait = reactor::WaitPolicy::kSpin;
    options.stats_shard_capacity = 16;
    options.ack_queue_count = 4096;
    options.journal.segment_bytes = 256 << 10U;  // A run of 4000 ticks fills several.
    options.journal.ready_segment_count = 1;
    options.journal.window_bytes = 1 << 20U;
    options.journal.commit_bytes_max = 32 << 10U;
    options.journal.run_index_count = 4096;
    options.journal.shard_count_max = 64;
    options.journal.producer_state_count_max = 256;
    options.journal.disk_reserve_bytes = 0;
    options.journal.mutants = options_.mutants;
    return options;
}

bool Simulation::fail(const char* promise, const std::string& what) {
    if (result_.promise.empty()) {
        result_.promise = promise;
        result_.what = what;
    }
    return false;
}

bool Simulation::all_kept() {
    for (const auto& promise : promises_) {
        if (promise->broken()) return fail(promise->name().c_str(), *promise->broken());
    }
    return result_.promise.empty();
}

bool Simulation::start() {
    auto eagred = SimEagred::start(world_, *disk_, box_options());
    if (!eagred) {
        return fail("recovery",
                    "eagred does not start: " + std::string(errc_name(eagred.error().code)) +
                        " errno " + std::to_string(eagred.error().os_errno) + " detail " +
                        std::to_string(eagred.error().detail));
    }
    eagred_ = std::move(*eagred);
    return true;
}

void Simulation::crash(const CrashPlan& plan) {
    world_.crash(eagred_->node(), plan);
    eagred_.reset();
    ++crash_count_;
}

// Finds the bytes of an old acknowledged record on the disk and flips one of them.
bool Simulation::rot_one() {
    const Sighting* victim = workload_->old_acknowledged(chaos_.next());
    if (victim == nullptr) return false;
    const std::vector<std::byte> bytes = record_bytes(victim->id, victim->party);
    const auto directories = disk_->list("");
    for (const std::string& directory : directories) {
        if (!disk_->is_directory(directory)) continue;
        for (const std::string& name : disk_->list(directory)) {
            const std::string path = directory + "/" + name;
            const auto file = disk_->find(path);
            if (!file) continue;
            std::vector<std::byte> content(file->size_bytes);
            file->current.read(0, content);
            const void* found =
                ::memmem(content.data(), content.size(), bytes.data(), bytes.size());
            if (found == nullptr) continue;
            const auto place =
                static_cast<uint64_t>(static_cast<const std::byte*>(found) - content.data());
            if (!disk_->corrupt(path, place + 20 + chaos_.below(bytes.size() - 20), 0x10))
                return false;
            workload_->note_rot({victim->shard, victim->sequence});
            say("rot in record %" PRIu64 " (shard %" PRIu64 " sequence %" PRIu64 ")", victim->id,
                victim->shard.value, victim->sequence);
            return true;
        }
    }
    return false;
}

void Simulation::disturb() {
    if (chaos_.below(2) == 0 && control_.reshard_some("sim", chaos_)) {
        say("a reshard is asked for");
        // Often the next blow falls while it is under way.
        if (chaos_.below(2) == 0) return;
        for (uint64_t turns = chaos_.below(12); turns > 0; --turns) world_.turn();
    }
    const uint64_t what = chaos_.below(12);
    if (eagred_ && what <= 6) {
        if (what <= 2) {
            say("power lost");
            crash(CrashPlan::power_lost_seeded(*disk_, chaos_.next()));
        } else if (what == 3) {
            say("killed");
            crash(CrashPlan::killed(false));
        } else if (what <= 5) {
            say("killed, writes land late");
            crash(CrashPlan::killed(true));
        } else {
            say("stopped in good order");
            // A journal that failed because we ordered it can't be sealed.
            if (const Status stopped = eagred_->stop(); !stopped && restart_at_tick_ == 0) {
                fail("recovery",
                     "eagred does not stop: " + std::string(errc_name(stopped.error().code)));
            }
            eagred_.reset();
        }
        restart_at_tick_ = restart_at_tick_ == 0 ? 0 : tick_;
        down_until_tick_ = tick_ + chaos_.below(200);
        return;
    }
    if (what == 7 && control_.alive()) {
        say("control killed");
        control_.kill();
        control_down_until_tick_ = tick_ + chaos_.below(400);
    } else if (what == 8) {
        say("all connections reset");
        world_.network().reset_all();
    } else if (what == 9 && eagred_) {
        const auto jump_ns = static_cast<int64_t>(chaos_.below(10 * kSecondNs)) -
                             static_cast<int64_t>(5 * kSecondNs);
        say("wall clock jumps by %.3f s", static_cast<double>(jump_ns) / 1e9);
        eagred_->node().jump_wall(jump_ns);
    } else if (what == 10 && eagred_ && restart_at_tick_ == 0) {
        // The journal fails for good; its producers hear OutcomeUnknown until somebody starts
        // eagred anew.
        const bool sync = chaos_.below(2) == 0;
        say("the next %s fails", sync ? "sync" : "write");
        (sync ? world_.faults().sync_error_nth : world_.faults().write_error_nth) = 1;
        restart_at_tick_ = tick_ + 50 + chaos_.below(200);
    } else if (what == 11 && eagred_) {
        say("the disk is full");
        disk_->set_capacity(disk_->used_bytes());
        full_until_tick_ = tick_ + chaos_.below(300);
    }
}

// What lasts for a while comes to its end.
void Simulation::relent() {
    if (full_until_tick_ != 0 && tick_ >= full_until_tick_) {
        disk_->set_capacity(io::sim::SimDiskOptions{}.capacity_bytes);
        full_until_tick_ = 0;
        say("there is room again");
    }
    if (restart_at_tick_ != 0 && tick_ >= restart_at_tick_) {
        restart_at_tick_ = 0;
        world_.faults().sync_error_nth = world_.faults().write_error_nth = 0;
        if (eagred_) {
            say("restarted after an I/O error");
            crash(CrashPlan::killed(false));
            down_until_tick_ = tick_;
        }
    }
}

void Simulation::come_back() {
    if (!eagred_ && tick_ >= down_until_tick_ && full_until_tick_ == 0) {
        if (chaos_.below(4) == 0) {
            // A crash during recovery: take what the disk would be at one of its steps, and begin
            // again from there.
            uint64_t step = 0;
            const uint64_t crash_step = 1 + chaos_.below(chaos_.below(2) == 0 ? 4 : 60);
            std::unique_ptr<SimDisk> image;
            const uint64_t seed = chaos_.next();
            disk_->on_change([&] {
                if (++step == crash_step)
                    image = disk_->image_after(CrashPlan::power_lost_seeded(*disk_, seed));
            });
            const bool up = start();
            disk_->on_change(nullptr);
            if (!up) return;
            if (image) {
                say("power lost during recovery, at step %" PRIu64, crash_step);
                crash(CrashPlan::killed(false));
                old_disks_.push_back(std::move(disk_));
                disk_ = std::move(image);
            }
        }
        if (!eagred_ && !start()) return;
        say("eagred is up, incarnation %" PRIu64 ", %zu cores, %u journals, late writes %zu",
            eagred_->box().incarnation, eagred_->cores().size(), eagred_->box().journal_count,
            disk_->late_write_count());
    }
    if (!control_.alive() && tick_ >= control_down_until_tick_) {
        control_.start();
        say("control is up");
    }
    if (disk_->late_write_count() != 0 && chaos_.below(20) == 0) {
        say("a late write lands");
        disk_->land_late_writes(1);
    }
}

// Nothing disturbs any more: everything under way must come to its end.
bool Simulation::settle() {
    world_.faults().reset_per_million = 0;
    world_.faults().net_delay_per_million = 0;
    world_.faults().idle_step_ns_max = 500'000;
    down_until_tick_ = control_down_until_tick_ = 0;
    if (full_until_tick_ != 0) full_until_tick_ = tick_;
    if (restart_at_tick_ != 0) restart_at_tick_ = tick_;
    relent();
    come_back();
    if (!result_.promise.empty()) return false;
    disk_->land_late_writes();
    if (!world_.run_until([this] { return control_.ready() && control_.settled("sim"); }, kUpNsMax))
        return fail("liveness", "a reshard is neither finished nor undone although nothing disturbs");
    if (!world_.run_until([this] { return workload_->all_answered(); }, 2 * kUpNsMax)) {
        return fail("liveness", "producers got no answer although nothing disturbs");
    }
    if (!world_.run_until([this] { return workload_->all_read(); }, kUpNsMax)) {
        // Which reader misses what is for fanout_sees_all to say.
        say("readers do not reach the end");
    }
    return all_kept();
}

SimulationResult Simulation::run() {
    const auto live = [this]() -> bool {
        come_back();  // The first start of all may be interrupted as well.
        if (!eagred_) return false;
        if (!control_.alive()) control_.start();
        if (!world_.run_until([this] { return control_.ready(); }, kUpNsMax))
            return fail("liveness", "control never agrees");
        Status made = Errc::kDisconnected;
        for (int ask = 0; ask < kAsksMax && !made; ++ask) {  // The network breaks connections from the first one on.
            made = control_.create_stream("sim", kShardCount);
            if (!made && made.error().code == Errc::kStreamExists) made = {};  // Only the answer was lost.
            if (!made && made.error().code != Errc::kDisconnected) break;
        }
        if (!made) return fail("liveness", "no stream: " + std::string(errc_name(made.error().code)));
        if (!workload_->add_producer() || !workload_->add_producer())
            return fail("liveness", "no producer can be made");
        if (!workload_->add_reader(client::ConsumerOptions::Mode::kSubscribe) ||
            !workload_->add_reader(client::ConsumerOptions::Mode::kPull)) {
            return fail("liveness", "no reader can be made");
        }
        bool rotten = false;
        for (; tick_ < options_.ticks; ++tick_) {
            world_.turn();
            workload_->put_some();
            if (chaos_.below(1'000'000) < kChaosPerMillion) disturb();
            if (!eagred_ && !rotten && tick_ > options_.ticks / 2) rotten = rot_one();
            relent();
            come_back();
            for (const auto& [child, parent] : control_.parents("sim")) {
                if (!children_.emplace(child, parent).second) continue;
                for (auto& promise : promises_) promise->child(child, parent);
            }
            if (!all_kept()) return false;
        }
        if (!settle()) return false;
        // The last loss of power takes all that was not synced. Then somebody reads everything
        // anew.
        const std::vector<uint32_t> followers = workload_->readers();
        if (!rotten) rot_one();
        crash(CrashPlan::power_lost(0));
        if (!start()) return false;
        if (!workload_->add_reader(client::ConsumerOptions::Mode::kPull))
            return fail("liveness", "no reader after the last crash");
        const uint32_t last_reader = workload_->readers().back();
        world_.run_until([&] { return workload_->reader_has_read_all(last_reader); }, kUpNsMax);
        for (auto& promise : promises_) promise->finish(followers, last_reader);
        return all_kept();
    };
    live();
    result_.history_hash = world_.history_hash();
    result_.child_count = static_cast<uint32_t>(children_.size());
    result_.put_count = workload_->put_count();
    result_.acked_count = workload_->acked_count();
    result_.failed_count = workload_->failed_count();
    result_.delivered_count = workload_->delivered_count();
    result_.crash_count = crash_count_;
    result_.simulated_ns = world_.now_ns();
    return result_;
}

}  // namespace

SimulationResult simulate(const SimulationOptions& options) {
    return Simulation(options).run();
}

}  // namespace eagre::test
