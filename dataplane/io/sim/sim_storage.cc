#include "dataplane/io/sim/sim_storage.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "dataplane/io/sim/sim_world.h"
#include "wire/base/assert.h"

namespace eagre::io::sim {

std::shared_ptr<SimFile> SimStorage::file_of(FileId file) const {
    const auto found = open_.find(file.value);
    return found == open_.end() ? nullptr : found->second;
}

void SimStorage::check(const StorageOp& op) const {
    EAGRE_ASSERT(file_of(op.file) != nullptr);
    if (op.kind == StorageOp::Kind::kSync) return;
    const uint32_t block = node_.disk().options().block_bytes;
    EAGRE_ASSERT_GT(op.length_bytes, 0U);
    EAGRE_ASSERT_EQ(op.offset_bytes % block, 0U);
    EAGRE_ASSERT_EQ(op.length_bytes % block, 0U);
    EAGRE_ASSERT_EQ(reinterpret_cast<uintptr_t>(op.buffer) % block, 0U);
}

size_t SimStorage::submit(std::span<StorageOp* const> ops) {
    if (!node_.alive()) return ops.size();
    size_t taken = 0;
    for (StorageOp* op : ops) {
        if (in_flight_ >= node_.world().faults().storage_queue_depth) break;
        check(*op);
        Completion submission{op, file_of(op->file), 0};
        if (op->kind == StorageOp::Kind::kWrite) {
            submission.write_id = node_.disk().begin_write(*submission.file, op->offset_bytes,
                                                           {op->buffer, op->length_bytes});
        }
        queued_.push_back(std::move(submission));
        ++in_flight_;
        ++taken;
        node_.disk().changed();
    }
    return taken;
}

size_t SimStorage::reap(std::span<StorageOp*> done) {
    if (!node_.alive()) return 0;
    size_t count = 0;
    while (count < done.size() && !reapable_.empty()) {
        const Completion completion = std::move(reapable_.front());
        reapable_.pop_front();
        if (completion.write_id != 0)
            node_.disk().reap_write(*completion.file, completion.write_id);
        done[count++] = completion.op;
        --in_flight_;
        node_.disk().changed();
    }
    return count;
}

void SimStorage::start_queued() {
    SimWorld& world = node_.world();
    SimFaults& faults = world.faults();
    while (!queued_.empty()) {
        Completion submission = std::move(queued_.front());
        queued_.pop_front();
        const bool sync = submission.op->kind == StorageOp::Kind::kSync;
        const uint64_t latency_ns =
            sync ? world.between(faults.sync_latency_ns_min, faults.sync_latency_ns_max)
                 : world.between(faults.disk_latency_ns_min, faults.disk_latency_ns_max);
        // What a sync covers is settled when it is submitted.
        std::vector<uint64_t> covered;
        if (sync) covered = node_.disk().covered_by_sync(*submission.file);
        world.schedule(latency_ns, [this, submission, covered] {
            if (!node_.alive()) return;
            StorageOp& op = *submission.op;
            switch (op.kind) {
                case StorageOp::Kind::kRead:
                    finish_read(op, *submission.file);
                    break;
                case StorageOp::Kind::kWrite:
                    finish_write(op, *submission.file, submission.write_id);
                    break;
                case StorageOp::Kind::kSync:
                    finish_sync(op, *submission.file, covered);
                    break;
            }
            node_.world().note(
                4, static_cast<uint64_t>(op.kind) << 40U ^ static_cast<uint32_t>(op.result));
            arrived_.push_back(submission);
            node_.disk().changed();
        });
    }
}

void SimStorage::poll() {
    start_queued();
    while (!arrived_.empty()) {
        reapable_.push_back(std::move(arrived_.front()));
        arrived_.pop_front();
    }
}

void SimStorage::finish_read(StorageOp& op, SimFile& file) {
    SimWorld& world = node_.world();
    op.result = -EIO;
    if (world.fault(world.faults().read_error_nth, world.faults().read_error_per_million)) return;
    const uint64_t begin = std::min(op.offset_bytes, file.size_bytes);
    uint64_t count = std::min<uint64_t>(op.length_bytes, file.size_bytes - begin);
    const auto bad = file.bad_sectors.lower_bound(begin / kSectorBytes);
    if (bad != file.bad_sectors.end() && bad->first * kSectorBytes < begin + count) return;
    if (count > kSectorBytes && world.prng().chance(world.faults().short_read_per_million)) {
        count = kSectorBytes * world.prng().below(count / kSectorBytes);
    }
    file.current.read(begin, {op.buffer, count});
    op.result = static_cast<int32_t>(count);
}

void SimStorage::finish_write(StorageOp& op, SimFile& file, uint64_t write_id) {
    SimWorld& world = node_.world();
    SimFaults& faults = world.faults();
    const auto write = std::find_if(file.unsynced.begin(), file.unsynced.end(),
                                    [write_id](const SimWrite& w) { return w.id == write_id; });
    EAGRE_ASSERT(write != file.unsynced.end());
    // The device may look at the buffer at any moment until now: it must still be what was
    // submitted.
    EAGRE_ASSERT(std::memcmp(write->bytes.data(), op.buffer, op.length_bytes) == 0 &&
                 "a frozen buffer has changed");
    std::vector<bool> lands(write->live.size(), true);
    int64_t shift_bytes = 0;
    op.result = static_cast<int32_t>(op.length_bytes);
    if (world.fault(faults.write_error_nth, faults.write_error_per_million)) {
        for (size_t s = 0; s < lands.size(); ++s) lands[s] = world.prng().below(2) == 1;
        op.result = -EIO;
    } else if (world.prng().chance(faults.short_write_per_million)) {
        const size_t landed = world.prng().below(lands.size());
        for (size_t s = landed; s < lands.size(); ++s) lands[s] = false;
        op.result = static_cast<int32_t>(landed * kSectorBytes);
    } else if (world.prng().chance(faults.misdirected_write_per_million)) {
        const uint32_t block = node_.disk().options().block_bytes;
        if (file.size_bytes >= op.length_bytes) {
            const uint64_t places = (file.size_bytes - op.length_bytes) / block + 1;
            const uint64_t target = world.prng().below(places) * block;
            shift_bytes = static_cast<int64_t>(target) - static_cast<int64_t>(op.offset_bytes);
        }
    }
    node_.disk().land_write(file, write_id, lands, shift_bytes);
}

void SimStorage::finish_sync(StorageOp& op, SimFile& file, const std::vector<uint64_t>& covered) {
    SimWorld& world = node_.world();
    if (world.fault(world.faults().sync_error_nth, world.faults().sync_error_per_million)) {
        op.result = -EIO;
        return;
    }
    node_.disk().complete_sync(file, covered);
    op.result = 0;
}

void SimStorage::die() {
    // Operations that never reached the device are not part of what a crash leaves.
    for (const Completion& submission : queued_) {
        if (submission.write_id == 0) continue;
        std::erase_if(submission.file->unsynced,
                      [&submission](const SimWrite& w) { return w.id == submission.write_id; });
    }
    queued_.clear();
    arrived_.clear();
    reapable_.clear();
    open_.clear();
    in_flight_ = 0;
}

// ---------------------------------------------------------------------------------------------------------------
// files

Result<std::vector<std::string>> SimStorage::list(std::string_view directory) {
    if (!node_.alive() || !node_.disk().is_directory(directory)) return os_error(Errc::kIo, ENOENT);
    return node_.disk().list(directory);
}

bool SimStorage::exists(std::string_view path) {
    return node_.alive() && (node_.disk().find(path) != nullptr || node_.disk().is_directory(path));
}

Status SimStorage::make_directory(std::string_view path) {
    if (!node_.alive()) return os_error(Errc::kIo, EIO);
    if (node_.disk().is_directory(path)) return {};
    const size_t slash = path.rfind('/');
    const std::string_view parent =
        slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash);
    if (!node_.disk().is_directory(parent)) return os_error(Errc::kIo, ENOENT);
    node_.disk().make_directory(path);
    return {};
}

Status SimStorage::sync_directory(std::string_view path) {
    if (!node_.alive()) return os_error(Errc::kIo, EIO);
    if (!node_.disk().is_directory(path)) return os_error(Errc::kIo, ENOENT);
    node_.disk().sync_directory(path);
    return {};
}

Result<FileId> SimStorage::open(std::string_view path) {
    if (!node_.alive()) return os_error(Errc::kIo, EIO);
    auto file = node_.disk().find(path);
    if (!file) return os_error(Errc::kIo, ENOENT);
    open_.emplace(next_file_, std::move(file));
    return FileId{next_file_++};
}

Result<FileId> SimStorage::create(std::string_view path, uint64_t bytes) {
    if (!node_.alive()) return os_error(Errc::kIo, EIO);
    const SimDisk& disk = node_.disk();
    if (disk.find(path) || disk.is_directory(path)) return os_error(Errc::kIo, EEXIST);
    const size_t slash = path.rfind('/');
    if (slash != std::string_view::npos && !disk.is_directory(path.substr(0, slash)))
        return os_error(Errc::kIo, ENOENT);
    if (disk.used_bytes() + bytes > disk.options().capacity_bytes)
        return os_error(Errc::kDiskFull, ENOSPC);
    open_.emplace(next_file_, node_.disk().create(path, bytes));
    return FileId{next_file_++};
}

Result<uint64_t> SimStorage::size(FileId file) {
    const auto found = file_of(file);
    if (!found) return os_error(Errc::kIo, EBADF);
    return found->size_bytes;
}

void SimStorage::close(FileId file) {
    open_.erase(file.value);
}

Status SimStorage::remove(std::string_view path) {
    if (!node_.alive()) return os_error(Errc::kIo, EIO);
    if (!node_.disk().find(path)) return os_error(Errc::kIo, ENOENT);
    node_.disk().remove(path);
    return {};
}

Status SimStorage::rename(std::string_view from, std::string_view to) {
    if (!node_.alive()) return os_error(Errc::kIo, EIO);
    if (!node_.disk().find(from)) return os_error(Errc::kIo, ENOENT);
    node_.disk().rename(from, to);
    return {};
}

Result<std::vector<std::byte>> SimStorage::read_all(std::string_view path) {
    if (!node_.alive()) return os_error(Errc::kIo, EIO);
    const auto file = node_.disk().find(path);
    if (!file) return os_error(Errc::kIo, ENOENT);
    std::vector<std::byte> bytes(file->size_bytes);
    file->current.read(0, bytes);
    return bytes;
}

Status SimStorage::replace(std::string_view path, std::span<const std::byte> bytes) {
    if (!node_.alive()) return os_error(Errc::kIo, EIO);
    const SimDisk& disk = node_.disk();
    if (disk.used_bytes() + bytes.size() > disk.options().capacity_bytes)
        return os_error(Errc::kDiskFull, ENOSPC);
    node_.disk().replace(path, bytes);
    return {};
}

Status SimStorage::lock(std::string_view path) {
    if (!node_.alive()) return os_error(Errc::kIo, EIO);
    uint64_t& holder = node_.disk().lock_holder(path);
    if (holder != 0) return error_of(Errc::kLocked, holder);
    holder = node_.id();
    return {};
}

uint32_t SimStorage::block_bytes() const {
    return node_.disk().options().block_bytes;
}

Result<uint64_t> SimStorage::free_bytes() {
    const SimDisk& disk = node_.disk();
    const uint64_t used = disk.used_bytes();
    return used >= disk.options().capacity_bytes ? 0 : disk.options().capacity_bytes - used;
}

}  // namespace eagre::io::sim
