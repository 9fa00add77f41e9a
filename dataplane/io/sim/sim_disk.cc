#include "dataplane/io/sim/sim_disk.h"

#include <algorithm>

#include "wire/base/assert.h"
#include "wire/base/prng.h"

namespace eagre::io::sim {
namespace {

std::string_view parent_of(std::string_view path) {
    const size_t slash = path.rfind('/');
    return slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash);
}

std::span<const std::byte> sector_of(const SimWrite& write, size_t sector) {
    const size_t begin = sector * kSectorBytes;
    const size_t count = std::min<size_t>(kSectorBytes, write.bytes.size() - begin);
    return std::span<const std::byte>(write.bytes).subspan(begin, count);
}

// Writes in the order in which the medium would meet them: landed ones as they landed, those in
// flight behind.
std::vector<const SimWrite*> in_medium_order(const SimFile& file) {
    std::vector<const SimWrite*> writes;
    for (const SimWrite& write : file.unsynced) writes.push_back(&write);
    std::stable_sort(writes.begin(), writes.end(), [](const SimWrite* a, const SimWrite* b) {
        const uint64_t order_a =
            a->state == SimWrite::State::kInFlight ? UINT64_MAX : a->landed_order;
        const uint64_t order_b =
            b->state == SimWrite::State::kInFlight ? UINT64_MAX : b->landed_order;
        return order_a != order_b ? order_a < order_b : a->id < b->id;
    });
    return writes;
}

SimWrite* find_write(SimFile& file, uint64_t write_id) {
    for (SimWrite& write : file.unsynced) {
        if (write.id == write_id) return &write;
    }
    return nullptr;
}

}  // namespace

CrashPlan CrashPlan::power_lost(uint64_t survivor_mask) {
    CrashPlan plan;
    for (uint32_t bit = 0; bit < 64; ++bit)
        plan.survivors.push_back(((survivor_mask >> bit) & 1U) != 0);
    return plan;
}

CrashPlan CrashPlan::power_lost_seeded(const SimDisk& disk, uint64_t seed) {
    Prng prng(seed);
    CrashPlan plan;
    const uint64_t manner = prng.below(4);
    const size_t count = disk.unsynced_sectors().size();
    for (size_t i = 0; i < count; ++i)
        plan.survivors.push_back(manner == 1 || (manner > 1 && prng.below(2) == 1));
    plan.name_operations_survive =
        static_cast<uint32_t>(prng.below(disk.unsynced_name_operations() + uint64_t{1}));
    return plan;
}

CrashPlan CrashPlan::killed(bool late_writes) {
    CrashPlan plan;
    plan.kind = Kind::kKilled;
    plan.late_writes = late_writes;
    return plan;
}

SimDisk::SimDisk(const SimDiskOptions& options) : options_(options) {
    EAGRE_ASSERT_EQ(options.block_bytes % kSectorBytes, 0U);
}

void SimDisk::changed() {
    // An observer that touches this disk (it should not, but corrupt() is tempting) must not call
    // itself.
    if (!observer_ || observing_) return;
    observing_ = true;
    observer_();
    observing_ = false;
}

std::vector<std::shared_ptr<SimFile>> SimDisk::files_by_id() const {
    std::map<uint64_t, std::shared_ptr<SimFile>> files;
    for (const Names* names : {&names_, &durable_names_}) {
        for (const auto& [path, name] : *names) {
            if (name.file) files.emplace(name.file->id, name.file);
        }
    }
    std::vector<std::shared_ptr<SimFile>> result;
    for (const auto& [id, file] : files) result.push_back(file);
    return result;
}

std::vector<UnsyncedSector> SimDisk::unsynced_sectors() const {
    std::map<uint64_t, std::string> paths;
    for (const Names* names : {&names_, &durable_names_}) {
        for (const auto& [path, name] : *names) {
            if (name.file) paths.emplace(name.file->id, path);
        }
    }
    std::vector<UnsyncedSector> sectors;
    for (const auto& file : files_by_id()) {
        for (const SimWrite* write : in_medium_order(*file)) {
            for (size_t s = 0; s < write->live.size(); ++s) {
                if (!write->live[s]) continue;
                sectors.push_back({paths[file->id], write->offset_bytes + s * kSectorBytes,
                                   write->id, write->state == SimWrite::State::kInFlight});
            }
        }
    }
    return sectors;
}

std::unique_ptr<SimDisk> SimDisk::image_after(const CrashPlan& plan) const {
    auto image = std::make_unique<SimDisk>(options_);
    std::map<uint64_t, std::shared_ptr<SimFile>> copies;
    const auto copy_of =
        [&copies](const std::shared_ptr<SimFile>& file) -> std::shared_ptr<SimFile> {
        if (!file) return nullptr;
        auto& copy = copies[file->id];
        if (!copy) copy = std::make_shared<SimFile>(*file);
        return copy;
    };
    for (const auto& [path, name] : names_) image->names_.emplace(path, Name{copy_of(name.file)});
    for (const auto& [path, name] : durable_names_)
        image->durable_names_.emplace(path, Name{copy_of(name.file)});
    for (NameOperation operation : name_log_) {
        operation.name.file = copy_of(operation.name.file);
        image->name_log_.push_back(std::move(operation));
    }
    for (const LateWrite& late : late_) image->late_.push_back({copy_of(late.file), late.write_id});
    image->next_file_id_ = next_file_id_;
    image->next_write_id_ = next_write_id_;
    image->next_landed_order_ = next_landed_order_;
    image->crash(plan);
    return image;
}

void SimDisk::crash(const CrashPlan& plan) {
    if (plan.kind == CrashPlan::Kind::kPowerLost) {
        lose_power(plan);
    } else {
        kill_writers(plan);
    }
    locks_.clear();
}

void SimDisk::lose_power(const CrashPlan& plan) {
    size_t index = 0;
    for (const auto& file : files_by_id()) {
        for (const SimWrite* write : in_medium_order(*file)) {
            for (size_t s = 0; s < write->live.size(); ++s) {
                if (!write->live[s]) continue;
                const bool survives = index < plan.survivors.size() && plan.survivors[index];
                ++index;
                if (survives)
                    file->durable.write(write->offset_bytes + s * kSectorBytes,
                                        sector_of(*write, s));
            }
        }
        file->unsynced.clear();
        file->current = file->durable;
    }
    for (uint32_t i = 0; i < plan.name_operations_survive && i < name_log_.size(); ++i) {
        apply(durable_names_, name_log_[i]);
    }
    name_log_.clear();
    late_.clear();
    // What lies in a directory that did not survive is gone with it.
    names_.clear();
    for (const auto& [path, name] : durable_names_) {
        if (parent_of(path).empty() || names_.find(parent_of(path)) != names_.end())
            names_.emplace(path, name);
    }
    durable_names_ = names_;
}

void SimDisk::kill_writers(const CrashPlan& plan) {
    bool land = false;
    for (const auto& file : files_by_id()) {
        std::vector<uint64_t> in_flight;
        for (SimWrite& write : file->unsynced) {
            if (write.state == SimWrite::State::kInFlight && !write.orphan)
                in_flight.push_back(write.id);
            write.orphan = true;
        }
        for (const uint64_t id : in_flight) {
            if (plan.late_writes) {
                late_.push_back({file, id});
                continue;
            }
            const size_t sectors = find_write(*file, id)->live.size();
            if (land) {
                land_write(*file, id, std::vector<bool>(sectors, true), 0);
            } else {
                std::erase_if(file->unsynced,
                              [id](const SimWrite& write) { return write.id == id; });
            }
            land = !land;
        }
    }
}

size_t SimDisk::land_late_writes(size_t count_max) {
    const size_t count = std::min(count_max, late_.size());
    for (size_t i = 0; i < count; ++i) {
        SimWrite* write = find_write(*late_[i].file, late_[i].write_id);
        EAGRE_ASSERT(write != nullptr);
        land_write(*late_[i].file, write->id, std::vector<bool>(write->live.size(), true), 0);
    }
    late_.erase(late_.begin(), late_.begin() + static_cast<ptrdiff_t>(count));
    return count;
}

Status SimDisk::corrupt(std::string_view path, uint64_t offset_bytes, uint8_t mask) {
    const auto file = find(path);
    if (!file || offset_bytes >= file->size_bytes) return Errc::kIo;
    for (SimBytes* bytes : {&file->current, &file->durable}) {
        std::byte value{};
        bytes->read(offset_bytes, {&value, 1});
        value ^= std::byte{mask};
        bytes->write(offset_bytes, {&value, 1});
    }
    return {};
}

Status SimDisk::spoil_sector(std::string_view path, uint64_t offset_bytes) {
    const auto file = find(path);
    if (!file || offset_bytes >= file->size_bytes) return Errc::kIo;
    file->bad_sectors[offset_bytes / kSectorBytes] = true;
    return {};
}

// ------------------------------------------------------------------------------------------------------------
// contents

uint64_t SimDisk::begin_write(SimFile& file, uint64_t offset_bytes,
                              std::span<const std::byte> bytes) {
    for (const SimWrite& other : file.unsynced) {
        if (other.state == SimWrite::State::kReaped || other.orphan) continue;
        // In flight for its owner until it is reaped, even if it has landed.
        const bool apart = offset_bytes + bytes.size() <= other.offset_bytes ||
                           other.offset_bytes + other.bytes.size() <= offset_bytes;
        EAGRE_ASSERT(apart && "two writes in flight share a block");
    }
    SimWrite write;
    write.id = next_write_id_++;
    write.offset_bytes = offset_bytes;
    write.bytes.assign(bytes.begin(), bytes.end());
    write.live.assign((bytes.size() + kSectorBytes - 1) / kSectorBytes, true);
    file.unsynced.push_back(std::move(write));
    return file.unsynced.back().id;
}

void SimDisk::land_write(SimFile& file, uint64_t write_id, const std::vector<bool>& lands,
                         int64_t shift_bytes) {
    SimWrite* write = find_write(file, write_id);
    EAGRE_ASSERT(write != nullptr);
    EAGRE_ASSERT(write->state == SimWrite::State::kInFlight);
    write->state = SimWrite::State::kLanded;
    write->landed_order = next_landed_order_++;
    write->offset_bytes =
        static_cast<uint64_t>(static_cast<int64_t>(write->offset_bytes) + shift_bytes);
    file.size_bytes = std::max(file.size_bytes, write->offset_bytes + write->bytes.size());
    for (size_t s = 0; s < write->live.size(); ++s) {
        write->live[s] = lands[s];
        if (!lands[s]) continue;
        file.current.write(write->offset_bytes + s * kSectorBytes, sector_of(*write, s));
        file.bad_sectors.erase(write->offset_bytes / kSectorBytes + s);
    }
}

void SimDisk::reap_write(SimFile& file, uint64_t write_id) {
    SimWrite* write = find_write(file, write_id);
    EAGRE_ASSERT(write != nullptr);
    EAGRE_ASSERT(write->state == SimWrite::State::kLanded);
    write->state = SimWrite::State::kReaped;
}

std::vector<uint64_t> SimDisk::covered_by_sync(const SimFile& file) const {
    std::vector<uint64_t> covered;
    for (const SimWrite& write : file.unsynced) {
        const bool landed = write.state != SimWrite::State::kInFlight;
        // Nobody is left to reap an orphan: what has landed of the dead process is under this sync.
        if (write.state == SimWrite::State::kReaped || (write.orphan && landed))
            covered.push_back(write.id);
    }
    return covered;
}

void SimDisk::complete_sync(SimFile& file, const std::vector<uint64_t>& covered) {
    std::vector<SimWrite*> writes;
    for (const uint64_t id : covered) {
        // Absent: an earlier sync, submitted later or completed sooner, has made it durable.
        if (SimWrite* write = find_write(file, id)) writes.push_back(write);
    }
    std::sort(writes.begin(), writes.end(), [](const SimWrite* a, const SimWrite* b) {
        return a->landed_order < b->landed_order;
    });
    for (SimWrite* write : writes) {
        for (size_t s = 0; s < write->live.size(); ++s) {
            if (!write->live[s]) continue;
            const uint64_t place = write->offset_bytes + s * kSectorBytes;
            file.durable.write(place, sector_of(*write, s));
            // Older unsynced contents of this sector can no longer come back.
            for (SimWrite& older : file.unsynced) {
                if (older.state == SimWrite::State::kInFlight ||
                    older.landed_order >= write->landed_order)
                    continue;
                if (place < older.offset_bytes || place >= older.offset_bytes + older.bytes.size())
                    continue;
                older.live[(place - older.offset_bytes) / kSectorBytes] = false;
            }
        }
    }
    std::erase_if(file.unsynced, [&covered](const SimWrite& write) {
        return std::find(covered.begin(), covered.end(), write.id) != covered.end();
    });
}

// ---------------------------------------------------------------------------------------------------------------
// names

uint64_t SimDisk::used_bytes() const {
    uint64_t used = 0;
    for (const auto& [path, name] : names_) used += name.file ? name.file->size_bytes : 0;
    return used;
}

std::shared_ptr<SimFile> SimDisk::find(std::string_view path) const {
    const auto name = names_.find(path);
    return name == names_.end() ? nullptr : name->second.file;
}

bool SimDisk::is_directory(std::string_view path) const {
    if (path.empty()) return true;
    const auto name = names_.find(path);
    return name != names_.end() && !name->second.file;
}

std::vector<std::string> SimDisk::list(std::string_view directory) const {
    std::vector<std::string> result;
    for (const auto& [path, name] : names_) {
        if (parent_of(path) != directory) continue;
        result.push_back(path.substr(directory.empty() ? 0 : directory.size() + 1));
    }
    return result;
}

void SimDisk::apply(Names& names, const NameOperation& operation) {
    switch (operation.kind) {
        case NameOperation::Kind::kLink:
            names.insert_or_assign(operation.path, operation.name);
            break;
        case NameOperation::Kind::kUnlink:
            names.erase(operation.path);
            break;
        case NameOperation::Kind::kRename: {
            const auto from = names.find(operation.path);
            if (from == names.end()) break;
            const Name moved = from->second;
            names.erase(from);
            names.insert_or_assign(operation.to, moved);
            break;
        }
    }
}

void SimDisk::make_directory(std::string_view path) {
    name_log_.push_back({NameOperation::Kind::kLink, std::string(path), {}, {}});
    apply(names_, name_log_.back());
    changed();
}

std::shared_ptr<SimFile> SimDisk::create(std::string_view path, uint64_t bytes) {
    auto file = std::make_shared<SimFile>();
    file->id = next_file_id_++;
    file->size_bytes = bytes;
    name_log_.push_back({NameOperation::Kind::kLink, std::string(path), {}, {file}});
    apply(names_, name_log_.back());
    changed();
    return file;
}

void SimDisk::remove(std::string_view path) {
    name_log_.push_back({NameOperation::Kind::kUnlink, std::string(path), {}, {}});
    apply(names_, name_log_.back());
    changed();
}

void SimDisk::rename(std::string_view from, std::string_view to) {
    // Across directories one sync_directory could make half of it durable: nobody needs that, so
    // nobody may.
    EAGRE_ASSERT(parent_of(from) == parent_of(to));
    name_log_.push_back({NameOperation::Kind::kRename, std::string(from), std::string(to), {}});
    apply(names_, name_log_.back());
    changed();
}

void SimDisk::sync_directory(std::string_view directory) {
    std::vector<NameOperation> left;
    for (NameOperation& operation : name_log_) {
        if (parent_of(operation.path) == directory) {
            apply(durable_names_, operation);
        } else {
            left.push_back(std::move(operation));
        }
    }
    name_log_ = std::move(left);
    changed();
}

void SimDisk::replace(std::string_view path, std::span<const std::byte> bytes) {
    auto file = std::make_shared<SimFile>();
    file->id = next_file_id_++;
    file->size_bytes = bytes.size();
    file->current.write(0, bytes);
    file->durable.write(0, bytes);
    name_log_.push_back({NameOperation::Kind::kLink, std::string(path), {}, {file}});
    apply(names_, name_log_.back());
    sync_directory(parent_of(path));
}

uint64_t& SimDisk::lock_holder(std::string_view path) {
    return locks_.try_emplace(std::string(path), 0).first->second;
}

void SimDisk::release_locks(uint64_t node) {
    for (auto& [path, holder] : locks_) {
        if (holder == node) holder = 0;
    }
}

}  // namespace eagre::io::sim
