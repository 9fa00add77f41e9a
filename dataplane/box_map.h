#pragma once
// DATA/eagred.map: the last known map of shards, so that a start that misses a journal knows which shards lie in it and
// answers for them with kUnavailable. The journals hold the facts; the map is derived from them and counts for shards of missing
// journals only. Written by core 0 of a box with more than one journal: before a change is answered where there are further data
// directories, else within kBoxMapNs.
//
// Format (little endian): 8 bytes "AGREMAP1", length of the payload (u32), CRC-32C of the payload (u32), payload: table BoxMap
// of wire/schema/control.fbs.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "dataplane/io/files.h"
#include "dataplane/shard/directory.h"
#include "wire/base/result.h"

namespace eagre {

struct Box;
struct Recovered;

inline constexpr std::string_view kBoxMapFile = "eagred.map";
/// Writing syncs, and streams may be made by the thousand: with one directory, where journals are not missed but by accident, a
/// change may wait so long.
inline constexpr uint64_t kBoxMapNs = 1'000'000'000ULL;

struct BoxMap {
    std::vector<shard::StreamEntry> streams;
    uint64_t stream_id_max = 0;
    uint64_t shard_id_max = 0;
    uint64_t epoch = 0;
};

/// The map of `box` as its directory has it.
std::vector<std::byte> encode_box_map(const Box& box, const shard::Directory& directory, const BoxMap& maxima);

/// Errors: kNewerFormat, kCorruptDirectory (also: rotten), kForeignBox.
Result<BoxMap> decode_box_map(std::span<const std::byte> bytes, uint64_t box_id_high, uint64_t box_id_low);

/// The map of an earlier start; an empty one when there is none. Errors: as decode_box_map, kIo.
Result<BoxMap> load_box_map(io::Files& files, uint64_t box_id_high, uint64_t box_id_low);

/// Adds to what the journals say what the map knows of journals that are missing; those shards are not available. A shard that
/// has children is closed, however late the map is.
void add_missing_shards(Recovered& recovered, const BoxMap& map, const Box& box);

}  // namespace eagre
