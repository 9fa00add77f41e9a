#include "dataplane/box_map.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include <flatbuffers/flatbuffers.h>

#include "dataplane/box.h"
#include "dataplane/core.h"
#include "dataplane/recovered.h"
#include "wire/base/crc32c.h"
#include "wire/base/limits.h"
#include "wire/schema/control_generated.h"
#include "wire/shards/shard_info.h"

namespace eagre {
namespace {

constexpr std::string_view kMagic = "AGREMAP";
constexpr char kVersion = '1';
constexpr size_t kHeadBytes = 16;
constexpr flatbuffers::uoffset_t kDepthMax = 8;
constexpr flatbuffers::uoffset_t kTablesMax = kBoxShardCountMax + kBoxStreamCountMax + 1;

shard::StreamEntry entry_from(const shards::StreamDescription& known) {
    shard::StreamEntry entry;
    entry.id = known.id;
    entry.name = known.name;
    entry.map_version = known.map_version;
    entry.retention_ms = known.retention_ms;
    entry.record_bytes_max = known.record_bytes_max;
    entry.retention_bytes = known.retention_bytes;
    entry.quota_bytes_per_s = known.quota_bytes_per_s;
    entry.quota_records_per_s = known.quota_records_per_s;
    entry.created_ns = known.created_ns;
    for (const shards::ShardDescription& each : known.shards) {
        shard::ShardEntry shard;
        shard.id = each.id;
        shard.range = each.range;
        shard.parent = each.parent;
        shard.adjacent_parent = each.adjacent_parent;
        shard.first_sequence = each.first_sequence;
        shard.opened_ns = each.opened_ns;
        shard.ordinal = each.ordinal;
        shard.journal = each.journal;
        shard.open = each.open;
        entry.shards.push_back(shard);
    }
    return entry;
}

void close_parents(shard::StreamEntry& stream) {
    std::unordered_set<ShardId> parents;
    for (const shard::ShardEntry& each : stream.shards) {
        parents.insert(each.parent);
        parents.insert(each.adjacent_parent);
    }
    for (shard::ShardEntry& each : stream.shards) {
        if (!each.available && parents.count(each.id) != 0) each.open = false;
    }
}

}  // namespace

std::vector<std::byte> encode_box_map(const Box& box, const shard::Directory& directory, const BoxMap& maxima) {
    flatbuffers::FlatBufferBuilder builder;
    std::vector<flatbuffers::Offset<wire::StreamInfo>> streams;
    for (const auto& [name, stream] : directory.streams()) streams.push_back(encode_stream(builder, *stream, box, true));
    const auto list = builder.CreateVector(streams);
    builder.Finish(wire::CreateBoxMap(builder, box.box_id_high, box.box_id_low, maxima.stream_id_max, maxima.shard_id_max,
                                      maxima.epoch, list));
    const auto payload = std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize()));
    std::vector<std::byte> bytes(kHeadBytes + payload.size());
    const auto length = static_cast<uint32_t>(payload.size());
    const uint32_t crc = crc32c(payload);
    std::memcpy(bytes.data(), kMagic.data(), kMagic.size());
    std::memcpy(bytes.data() + kMagic.size(), &kVersion, 1);
    std::memcpy(bytes.data() + 8, &length, sizeof(length));
    std::memcpy(bytes.data() + 12, &crc, sizeof(crc));
    std::memcpy(bytes.data() + kHeadBytes, payload.data(), payload.size());
    return bytes;
}

Result<BoxMap> decode_box_map(std::span<const std::byte> bytes, uint64_t box_id_high, uint64_t box_id_low) {
    if (bytes.size() < kHeadBytes || std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0) return Errc::kCorruptDirectory;
    const char version = static_cast<char>(bytes[kMagic.size()]);
    if (version > kVersion && version <= '9') return error_of(Errc::kNewerFormat, static_cast<uint64_t>(version - '0'));
    uint32_t length = 0;
    uint32_t crc = 0;
    std::memcpy(&length, bytes.data() + 8, sizeof(length));
    std::memcpy(&crc, bytes.data() + 12, sizeof(crc));
    // The payload is aligned as its tables want it, wherever the file was read to.
    std::vector<uint64_t> aligned((bytes.size() - kHeadBytes + 7) / 8);
    const auto payload = std::as_writable_bytes(std::span(aligned)).first(bytes.size() - kHeadBytes);
    std::copy(bytes.begin() + kHeadBytes, bytes.end(), payload.begin());
    if (length != payload.size() || version != kVersion || crc32c(payload) != crc) return Errc::kCorruptDirectory;
    const auto* table_bytes = reinterpret_cast<const uint8_t*>(payload.data());
    flatbuffers::Verifier verifier(table_bytes, payload.size(), kDepthMax, kTablesMax);
    if (!verifier.VerifyBuffer<wire::BoxMap>(nullptr)) return Errc::kCorruptDirectory;
    const auto& table = *flatbuffers::GetRoot<wire::BoxMap>(table_bytes);
    if (table.box_id_high() != box_id_high || table.box_id_low() != box_id_low) return Errc::kForeignBox;
    BoxMap map{{}, table.stream_id_max(), table.shard_id_max(), table.epoch()};
    if (table.streams() == nullptr) return map;
    for (const wire::StreamInfo* stream : *table.streams()) map.streams.push_back(entry_from(shards::decode_stream(*stream)));
    return map;
}

Result<BoxMap> load_box_map(io::Files& files, uint64_t box_id_high, uint64_t box_id_low) {
    if (!files.exists(kBoxMapFile)) return BoxMap{};
    const auto bytes = files.read_all(kBoxMapFile);
    if (!bytes) return bytes.error();
    return decode_box_map(*bytes, box_id_high, box_id_low);
}

void Core::keep_map(bool at_once) {
    if (index_.value != 0 || !map_changed_ || box_.journal_count < 2) return;
    if (!at_once && now_ns_ < map_due_ns_) return;
    map_due_ns_ = now_ns_ + kBoxMapNs;
    const auto bytes = encode_box_map(box_, directory_, {{}, stream_id_max_, shard_id_max_, epoch_});
    const Status written = io_.files.replace(kBoxMapFile, bytes);
    map_changed_ = !written;  // A full disk: again when it is due.
}

void add_missing_shards(Recovered& recovered, const BoxMap& map, const Box& box) {
    recovered.stream_id_max = std::max(recovered.stream_id_max, map.stream_id_max);
    recovered.shard_id_max = std::max(recovered.shard_id_max, map.shard_id_max);
    recovered.epoch = std::max(recovered.epoch, map.epoch);
    for (const shard::StreamEntry& known : map.streams) {
        std::vector<shard::ShardEntry> missing;
        for (shard::ShardEntry each : known.shards) {
            if (each.journal.value >= box.journal_count || box.journal_available[each.journal.value]) continue;
            each.available = false;
            each.core = box.core_of(each.journal);
            missing.push_back(each);
        }
        if (missing.empty()) continue;
        const auto same = [&known](const auto& each) { return each.id == known.id; };
        auto at = std::find_if(recovered.streams.begin(), recovered.streams.end(), same);
        if (at == recovered.streams.end()) {
            shard::StreamEntry alone = known;
            alone.shards.clear();
            at = recovered.streams.insert(recovered.streams.end(), std::move(alone));
        }
        at->map_version = std::max(at->map_version, known.map_version);
        at->shards.insert(at->shards.end(), missing.begin(), missing.end());
        close_parents(*at);
    }
}

}  // namespace eagre
