// Each family of checks on a made-up /proc and /sys, good and not: the grade, the value found, and
// that whatever is not good says what mends it.
#include "tools/eagre/doctor/checks.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

namespace eagre::doctor {
namespace {

class DoctorChecks : public testing::Test {
  protected:
    DoctorChecks() {
        char name[] = "/tmp/eagre-doctor-XXXXXX";
        root_ = ::mkdtemp(name);
        file("/proc/sys/kernel/osrelease", "6.1.0-13-amd64\n");
        file("/sys/devices/system/cpu/online", "0-3\n");
        limits("unlimited", "1048576");
    }
    ~DoctorChecks() override { std::filesystem::remove_all(root_); }

    void file(const std::string& path, const std::string& text) {
        std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
        std::ofstream(root_ + path) << text;
    }
    void limits(const std::string& locked, const std::string& files) {
        file("/proc/self/limits",
             "Limit                     Soft Limit           Hard Limit           Units\n"
             "Max open files            " + files + "                20000                files\n"
             "Max locked memory         " + locked + "              8388608              bytes\n");
    }
    MachineView view() const { return MachineView(root_); }

    static Check find(const Checks& checks, const std::string& name) {
        for (const Check& check : checks) {
            EXPECT_EQ(check.grade == Grade::kGood, check.mend.empty())
                << check.name << ": " << check.value << " / " << check.mend;
            if (check.name == name) return check;
        }
        ADD_FAILURE() << "no check " << name;
        return {};
    }
    static void expect(const Check& check, Grade grade, const std::string& words) {
        EXPECT_EQ(check.grade, grade) << check.name << ": " << check.value;
        EXPECT_NE((check.value + " " + check.mend).find(words), std::string::npos)
            << check.value << " / " << check.mend;
    }

    std::string root_;
};

TEST_F(DoctorChecks, Kernel) {
    expect(find(kernel_checks(view(), {}), "release"), Grade::kGood, "6.1.0");
    expect(find(kernel_checks(view(), {}), "io_uring"), Grade::kGood, "all");
    file("/proc/sys/kernel/osrelease", "5.15.0\n");
    expect(find(kernel_checks(view(), {}), "release"), Grade::kBad, "6.1");
    file("/proc/sys/kernel/osrelease", "7.0\n");
    expect(find(kernel_checks(view(), {}), "release"), Grade::kGood, "7.0");
    expect(find(kernel_checks(view(), {EPERM, {}}), "io_uring"), Grade::kBad, "seccomp");
    expect(find(kernel_checks(view(), {0, {"accept"}}), "io_uring"), Grade::kBad, "accept");
    file("/proc/sys/kernel/io_uring_disabled", "2\n");
    expect(find(kernel_checks(view(), {EPERM, {}}), "io_uring"), Grade::kBad, "sysctl");
    expect(find(kernel_checks(view(), {}), "io_uring"), Grade::kWarn, "sysctl");
}

TEST_F(DoctorChecks, MemoryAndLimits) {
    expect(find(memory_checks(view()), "locked memory"), Grade::kGood, "unlimited");
    expect(find(memory_checks(view()), "huge pages"), Grade::kWarn, "CONFIG_");
    file("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    expect(find(memory_checks(view()), "huge pages"), Grade::kGood, "madvise");
    file("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
    expect(find(memory_checks(view()), "huge pages"), Grade::kWarn, "tee");
    expect(find(limit_checks(view()), "open files"), Grade::kGood, "1048576");
    limits("8388608", "4096");
    expect(find(memory_checks(view()), "locked memory"), Grade::kWarn, "8 MiB");
    expect(find(limit_checks(view()), "open files"), Grade::kWarn, "ulimit -n");
    limits("8388608", "256");
    expect(find(limit_checks(view()), "open files"), Grade::kBad, "256");
}

TEST_F(DoctorChecks, Cpu) {
    const std::vector<uint32_t> cores{2, 3};
    expect(find(cpu_checks(view(), cores, 20), "cores"), Grade::kGood, "2-3 of 0-3");
    expect(find(cpu_checks(view(), {2, 9}, 20), "cores"), Grade::kBad, "CPU 9");
    expect(find(cpu_checks(view(), {0, 1, 2, 3}, 20), "cores"), Grade::kWarn, "none is left");
    expect(find(cpu_checks(view(), cores, 20), "governor"), Grade::kGood, "not the kernel's");
    file("/sys/devices/system/cpu/cpu2/cpufreq/scaling_governor", "performance\n");
    file("/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "powersave\n");
    expect(find(cpu_checks(view(), cores, 20), "governor"), Grade::kWarn, "cpupower -c 2-3");
    expect(find(cpu_checks(view(), cores, 20), "isolated"), Grade::kWarn, "isolcpus");
    file("/sys/devices/system/cpu/isolated", "1-3\n");
    expect(find(cpu_checks(view(), cores, 20), "isolated"), Grade::kGood, "1-3");
    file("/sys/devices/system/cpu/cpu2/topology/thread_siblings_list", "0,2\n");
    expect(find(cpu_checks(view(), cores, 20), "hyperthreads"), Grade::kWarn, "cpu0/online");
    file("/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n");
    file("/sys/devices/system/clocksource/clocksource0/available_clocksource", "hpet tsc\n");
    expect(find(cpu_checks(view(), cores, 1100), "clock source"), Grade::kWarn, "echo tsc");
    expect(find(cpu_checks(view(), cores, 25), "clock source"), Grade::kGood, "25 ns");
}

TEST_F(DoctorChecks, Interrupts) {
    std::filesystem::create_directories(root_ + "/sys/bus/virtio/drivers/virtio_blk/virtio1");
    std::filesystem::create_directories(root_ + "/sys/class/net/eth0");
    file("/proc/interrupts",
         "           CPU0       CPU1\n"
         " 35:          0          1  PCI-MSIX-0000:00:02.0   0-edge      virtio1-config\n"
         " 36:          0    6935144  PCI-MSIX-0000:00:02.0   1-edge      virtio1-req.0\n"
         " 37:          5          0  PCI-MSIX-0000:00:05.0   1-edge      virtio10-input.0\n"
         " 40:       7187          0  PCI-MSIX-0000:00:04.0   1-edge      eth0-TxRx-0\n"
         "NMI:          0          0   Non-maskable interrupts\n");
    file("/proc/irq/36/effective_affinity_list", "1\n");
    file("/proc/irq/37/smp_affinity_list", "0-3\n");
    file("/proc/irq/40/smp_affinity_list", "0\n");
    Checks checks = interrupt_checks(view(), {0});
    expect(find(checks, "block"), Grade::kGood, "all 1 away");
    expect(find(checks, "network"), Grade::kWarn, "1 of 1 on CPU 0: eth0-TxRx-0 (40)");
    expect(find(checks, "network"), Grade::kWarn, "for i in 40; do echo 1-3");
    checks = interrupt_checks(view(), {1});
    expect(find(checks, "block"), Grade::kWarn, "virtio1-req.0 (36)");
    expect(find(checks, "network"), Grade::kGood, "away from CPU 1");
    file("/proc/interrupts", "");
    expect(find(interrupt_checks(view(), {0}), "block"), Grade::kGood, "none found");
}

TEST_F(DoctorChecks, Storage) {
    constexpr uint64_t kGiB = 1ULL << 30U;
    file("/proc/self/mountinfo",
         "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
         "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard\n"
         "28 1 254:1 / /fast rw - xfs /dev/vdb rw,nobarrier\n"
         "29 1 0:28 / /tmp rw - tmpfs none rw\n"
         "30 1 0:29 / /cow rw - btrfs /dev/vdc rw\n");
    file("/sys/dev/block/254:0/queue/scheduler", "none [mq-deadline] bfq\n");
    file("/sys/dev/block/254:0/queue/write_cache", "write back\n");
    DirectoryAnswer answer{"/data", 254, 0, 100 * kGiB, 0, 512, 4};
    Checks checks = storage_checks(view(), answer);
    expect(find(checks, "file system"), Grade::kGood, "ext4");
    expect(find(checks, "direct I/O"), Grade::kGood, "512 in the file, 4 in memory");
    expect(find(checks, "free space"), Grade::kGood, "100.0 GiB");
    expect(find(checks, "device"), Grade::kGood, "mq-deadline, write back");
    file("/sys/dev/block/254:0/queue/scheduler", "none mq-deadline [bfq]\n");
    expect(find(storage_checks(view(), answer), "device"), Grade::kWarn, "echo none");
    answer.device_minor = 1;
    expect(find(storage_checks(view(), answer), "file system"), Grade::kBad, "nobarrier");
    answer.device_major = 0;
    answer.device_minor = 28;
    expect(find(storage_checks(view(), answer), "file system"), Grade::kBad, "gone");
    answer.device_minor = 29;
    expect(find(storage_checks(view(), answer), "file system"), Grade::kWarn, "mkfs.xfs");
    answer.direct_errno = EINVAL;
    expect(find(storage_checks(view(), answer), "direct I/O"), Grade::kBad, "ext4");
    answer.direct_errno = 0;
    answer.offset_align_bytes = 16384;
    expect(find(storage_checks(view(), answer), "direct I/O"), Grade::kBad, "4096");
    answer.free_bytes = 2 * kGiB;
    expect(find(storage_checks(view(), answer), "free space"), Grade::kWarn, "make room");
    answer.free_bytes = kGiB / 2;
    expect(find(storage_checks(view(), answer), "free space"), Grade::kBad, "0.5 GiB");
}

Histogram all_at(uint64_t ns) {
    Histogram histogram;
    for (int i = 0; i < 1000; ++i) histogram.record(ns);
    return histogram;
}

TEST_F(DoctorChecks, DurableWrites) {
    CommitFigures figures{all_at(100'000), all_at(110'000), all_at(90'000), all_at(4'000'000), true,
                          0};
    Checks checks = commit_checks(figures);
    expect(find(checks, "use"), Grade::kGood, "write, then fdatasync");
    expect(find(checks, "write, fdatasync"), Grade::kGood, "100 us");
    figures.dsync_idle = all_at(40'000);
    expect(find(commit_checks(figures), "use"), Grade::kGood, "fdatasync");
    figures.dsync_busy = all_at(50'000);
    expect(find(commit_checks(figures), "use"), Grade::kWarn, "RWF_DSYNC writes would be faster");
    figures.sync_idle = all_at(900);
    expect(find(commit_checks(figures), "write, fdatasync"), Grade::kWarn, "cache=unsafe");
    figures.sync_idle = all_at(30'000'000);
    expect(find(commit_checks(figures), "write, fdatasync"), Grade::kWarn, "faster device");
    figures.os_errno = EACCES;
    EXPECT_EQ(commit_checks(figures).at(0).grade, Grade::kBad);
}

TEST_F(DoctorChecks, SchedulingAndPauses) {
    expect(find(schedule_checks({all_at(190'000), all_at(100'000), 0}), "commit loop"),
           Grade::kGood, "SCHED_IDLE 100 us");
    expect(find(schedule_checks({all_at(4'000'000), all_at(100'000), 0}), "commit loop"),
           Grade::kWarn, "--sched=idle");
    expect(find(schedule_checks({{}, {}, EPERM}), "commit loop"), Grade::kWarn, "can't");
    expect(find(pause_checks(view(), {2'000'000'000, 300'000, 600'000, 3}), "bare loop"),
           Grade::kGood, "3 above 100 us in 2.0 s (0.03 % lost)");
    expect(find(pause_checks(view(), {2'000'000'000, 4'000'000, 9'000'000, 5}), "bare loop"),
           Grade::kWarn, "isolate");
    expect(find(pause_checks(view(), {}), "kdamond"), Grade::kGood, "not running");
    file("/proc/77/comm", "kdamond.0\n");
    expect(find(pause_checks(view(), {}), "kdamond"), Grade::kWarn, "pid 77");
}

TEST(CpuList, IsReadAndWrittenAsTheKernelDoes) {
    EXPECT_EQ(parse_cpu_list("0,2-3"), (std::vector<uint32_t>{0, 2, 3}));
    EXPECT_EQ(parse_cpu_list(""), std::vector<uint32_t>{});
    for (const char* text : {"a", "3-1", "1-", "-1", "1,,2", "0-99999999"})
        EXPECT_FALSE(parse_cpu_list(text).has_value()) << text;
    EXPECT_EQ(cpu_list_text({0, 2, 3, 4, 7}), "0,2-4,7");
}

}  // namespace
}  // namespace eagre::doctor
