#pragma once
// A simulated disk: files with what is durable and what is not, names with what is durable and what
// is not. Outlives the nodes that use it. Belongs to the test; used by one node at a time (its lock
// file sees to that).
//
// Rules. A write that has completed is visible to reads at once and durable only when a sync,
// submitted after the write was reaped, has completed. Until then each of its 512-byte sectors
// survives a loss of power or not, whatever the others do. A name (create, remove, rename,
// make_directory) is durable only after sync_directory of its directory; replace() is durable when
// it returns. A process that is killed takes nothing with it that had completed; what was in flight
// may land late.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/io/sim/sim_bytes.h"
#include "dataplane/io/sim/sim_faults.h"
#include "wire/base/result.h"

namespace eagre::io::sim {

/// A write that no completed sync covers yet.
struct SimWrite {
    enum class State : uint8_t { kInFlight, kLanded, kReaped };
    uint64_t id = 0;            // Of the disk; rises with submission.
    uint64_t offset_bytes = 0;  // Where it landed (lands).
    std::vector<std::byte> bytes;
    std::vector<bool> live;  // Per sector: not superseded by a newer durable one.
    State state = State::kInFlight;
    uint64_t landed_order = 0;  // Order in which reads began to see it.
    bool orphan = false;        // Its process is dead: nobody will reap it.
};

struct SimFile {
    uint64_t id = 0;
    uint64_t size_bytes = 0;
    SimBytes current;  // What a read sees.
    SimBytes durable;  // What is left if every unsynced sector is lost.
    std::vector<SimWrite> unsynced;
    std::map<uint64_t, bool> bad_sectors;  // By sector number: reads of them fail.
};

/// One sector that a loss of power may or may not take.
struct UnsyncedSector {
    std::string path;
    uint64_t offset_bytes = 0;
    uint64_t write_id = 0;
    bool in_flight = false;
};

struct CrashPlan {
    enum class Kind : uint8_t {
        kKilled,     // kill -9: the machine lives on. Completed writes stay visible (and unsynced).
        kPowerLost,  // What is not durable survives only as said below.
    };
    Kind kind = Kind::kPowerLost;
    /// kPowerLost: which of unsynced_sectors() survive, by index; those behind the end are lost.
    std::vector<bool> survivors;
    /// kPowerLost: how many of the name operations that were not made durable survive, oldest first
    /// (a metadata log).
    uint32_t name_operations_survive = 0;
    /// kKilled: writes in flight stay pending until SimDisk::land_late_writes (else each lands at
    /// once or never, by turns).
    bool late_writes = false;

    static CrashPlan power_lost(uint64_t survivor_mask = 0);
    /// Survivors by `seed`: one time in four none, one in four all, else each by a coin; names
    /// likewise.
    static CrashPlan power_lost_seeded(const class SimDisk& disk, uint64_t seed);
    static CrashPlan killed(bool late_writes = false);
};

struct SimDiskOptions {
    uint64_t capacity_bytes = 1ULL << 40U;  // create() beyond it: kDiskFull.
    uint32_t block_bytes = 512;             // Of direct I/O; a multiple of kSectorBytes.
};

class SimDisk {
  public:
    explicit SimDisk(const SimDiskOptions& options = {});
    SimDisk(const SimDisk&) = delete;
    SimDisk& operator=(const SimDisk&) = delete;

    // -- For tests.
    /// In order: by file, then by the order in which the writes landed, those in flight last, then
    /// by offset.
    std::vector<UnsyncedSector> unsynced_sectors() const;
    uint32_t unsynced_name_operations() const { return static_cast<uint32_t>(name_log_.size()); }
    /// What a machine finds on this disk if the crash of `plan` happened now. This disk is left as
    /// it is.
    std::unique_ptr<SimDisk> image_after(const CrashPlan& plan) const;
    /// Lets writes of killed processes land: the oldest `count_max`. Returns how many landed.
    size_t land_late_writes(size_t count_max = SIZE_MAX);
    size_t late_write_count() const { return late_.size(); }
    /// Flips the bits of `mask` in one byte, current and durable: rot. Errors: kIo (no such file or
    /// place).
    Status corrupt(std::string_view path, uint64_t offset_bytes, uint8_t mask);
    /// Reads that touch the sector of `offset_bytes` fail with EIO until it is written again.
    Status spoil_sector(std::string_view path, uint64_t offset_bytes);
    void set_capacity(uint64_t capacity_bytes) { options_.capacity_bytes = capacity_bytes; }
    /// Called after each step that changes what a crash would leave (submit, completion, reap,
    /// names): a test that crashes everywhere takes image_after() here.
    void on_change(std::function<void()> observer) { observer_ = std::move(observer); }

    // -- For the node that runs on it (sim_files, sim_storage, sim_world).
    const SimDiskOptions& options() const { return options_; }
    uint64_t used_bytes() const;
    std::shared_ptr<SimFile> find(std::string_view path) const;
    bool is_directory(std::string_view path) const;
    std::vector<std::string> list(std::string_view directory) const;
    void make_directory(std::string_view path);
    std::shared_ptr<SimFile> create(std::string_view path, uint64_t bytes);
    void remove(std::string_view path);
    void rename(std::string_view from, std::string_view to);
    void sync_directory(std::string_view directory);
    void replace(std::string_view path, std::span<const std::byte> bytes);
    /// 0 when free, else the node that holds it.
    uint64_t& lock_holder(std::string_view path);
    void release_locks(uint64_t node);

    uint64_t begin_write(SimFile& file, uint64_t offset_bytes, std::span<const std::byte> bytes);
    /// The sectors for which `lands` is true become visible, at `shift_bytes` from where they
    /// belong.
    void land_write(SimFile& file, uint64_t write_id, const std::vector<bool>& lands,
                    int64_t shift_bytes);
    void reap_write(SimFile& file, uint64_t write_id);
    /// Ids of the writes that a sync submitted now will cover.
    std::vector<uint64_t> covered_by_sync(const SimFile& file) const;
    void complete_sync(SimFile& file, const std::vector<uint64_t>& covered);
    void crash(const CrashPlan& plan);
    void changed();

  private:
    struct Name {
        std::shared_ptr<SimFile> file;  // Null: a directory.
    };
    struct NameOperation {
        enum class Kind : uint8_t { kLink, kUnlink, kRename } kind = Kind::kLink;
        std::string path;
        std::string to;  // kRename.
        Name name;       // kLink.
    };
    struct LateWrite {
        std::shared_ptr<SimFile> file;
        uint64_t write_id = 0;
    };
    using Names = std::map<std::string, Name, std::less<>>;

    std::vector<std::shared_ptr<SimFile>> files_by_id() const;
    static void apply(Names& names, const NameOperation& operation);
    void lose_power(const CrashPlan& plan);
    void kill_writers(const CrashPlan& plan);

    SimDiskOptions options_;
    Names names_;
    Names durable_names_;
    std::vector<NameOperation> name_log_;
    std::vector<LateWrite> late_;
    std::map<std::string, uint64_t, std::less<>> locks_;
    std::function<void()> observer_;
    bool observing_ = false;
    uint64_t next_file_id_ = 1;
    uint64_t next_write_id_ = 1;
    uint64_t next_landed_order_ = 1;
};

}  // namespace eagre::io::sim
