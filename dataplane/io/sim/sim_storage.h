#pragma once
// Storage and files of one simulated core. Checks what the seam asks of its callers: alignment,
// known files, frozen buffers, no overlap of writes in flight.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/io/files.h"
#include "dataplane/io/sim/sim_disk.h"
#include "dataplane/io/storage.h"

namespace eagre::io::sim {

class SimNode;

class SimStorage final : public Storage, public Files {
  public:
    explicit SimStorage(SimNode& node) : node_(node) {}

    size_t submit(std::span<StorageOp* const> ops) override;
    size_t reap(std::span<StorageOp*> done) override;
    size_t in_flight() const override { return in_flight_; }

    Result<std::vector<std::string>> list(std::string_view directory) override;
    bool exists(std::string_view path) override;
    Status make_directory(std::string_view path) override;
    Status sync_directory(std::string_view path) override;
    Result<FileId> open(std::string_view path) override;
    Result<FileId> create(std::string_view path, uint64_t bytes) override;
    Result<uint64_t> size(FileId file) override;
    void close(FileId file) override;
    Status remove(std::string_view path) override;
    Status rename(std::string_view from, std::string_view to) override;
    Result<std::vector<std::byte>> read_all(std::string_view path) override;
    Status replace(std::string_view path, std::span<const std::byte> bytes) override;
    Status lock(std::string_view path) override;
    uint32_t block_bytes() const override;
    Result<uint64_t> free_bytes() override;

    /// Events::poll: what is queued goes to the device, what has completed can be reaped.
    void poll();
    /// Ditto, without collecting.
    void start_queued();
    /// Something has completed that no poll has collected yet.
    bool has_arrived() const { return !arrived_.empty(); }
    /// The process is gone: buffers and operations are not touched again.
    void die();

  private:
    struct Completion {
        StorageOp* op = nullptr;
        std::shared_ptr<SimFile> file;
        uint64_t write_id = 0;  // 0: not a write.
    };
    std::shared_ptr<SimFile> file_of(FileId file) const;
    void check(const StorageOp& op) const;
    void finish_read(StorageOp& op, SimFile& file);
    void finish_write(StorageOp& op, SimFile& file, uint64_t write_id);
    void finish_sync(StorageOp& op, SimFile& file, const std::vector<uint64_t>& covered);

    SimNode& node_;
    std::map<uint32_t, std::shared_ptr<SimFile>> open_;
    uint32_t next_file_ = 1;
    size_t in_flight_ = 0;
    std::deque<Completion> queued_;   // Submitted, not yet polled.
    std::deque<Completion> arrived_;  // Completed, not yet polled.
    std::deque<Completion> reapable_;
};

}  // namespace eagre::io::sim
