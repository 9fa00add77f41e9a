// Recovery from segments that somebody has written over. A journal with sealed and unsealed
// segments is made once; an input is a list of patches to its files, some sealed with right CRCs
// again, since rot is not the only way to get wrong bytes. Recovery must end in a journal or a
// typed error; what it serves must be readable, and a restart without further damage must agree.
//
// A patch: file or place (1 byte), flags (1: bit 0 seals what it hits), offset (2), length (1),
// bytes.
#include <map>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz_input.h"
#include "tests/unit/dataplane/journal/journal_rig.h"
#include "wire/base/assert.h"

using namespace eagre;
using namespace eagre::journal;

namespace {

using FileSet = std::map<std::string, std::vector<std::byte>>;

constexpr size_t kPatchHeadBytes = 5;
constexpr size_t kPatchCountMax = 16;
constexpr uint64_t kShardCount = 2;

JournalOptions tiny_options() {
    JournalOptions options = small_options();
    options.segment_bytes = 16 * kPageBytes;
    options.window_bytes = 64 * 1024;
    options.commit_bytes_max = 8 * 1024;
    options.run_index_count = 128;
    options.read_buffer_bytes = 16 * 1024;
    return options;
}

enum class What : uint8_t { kSegment, kTrailer, kPage, kCommit, kRun };
struct Place {
    std::string file;
    uint64_t offset;
    What what;
};

struct Template {
    FileSet files;
    std::vector<Place> places;  // Structures that have a CRC of their own.

    Template() {
        JournalRig rig(tiny_options());
        EAGRE_ASSERT(rig.start().has_value());
        for (uint64_t shard = 1; shard <= kShardCount; ++shard)
            EAGRE_ASSERT(rig.open_shard(shard).has_value());
        for (uint32_t i = 0; i < 40; ++i) {
            EAGRE_ASSERT(
                rig.append({.shard = 1 + i % kShardCount, .bytes = 512 + i % 7 * 512}).has_value());
            if (i % 3 == 0) EAGRE_ASSERT(rig.settle());
        }
        EAGRE_ASSERT(rig.settle());
        rig.crash(io::sim::CrashPlan::killed());
        io::Io io = rig.world.start_node(*rig.disk).io();
        const auto names = io.files.list(rig.options.directory);
        EAGRE_ASSERT(names.has_value());
        for (const std::string& name : *names) {
            const std::string path = rig.options.directory + "/" + name;
            files[path] = *io.files.read_all(path);
        }
        for (const auto& [path, bytes] : files) find_places(path, bytes);
        EAGRE_ASSERT(places.size() > 40);
    }

    void find_places(const std::string& path, const std::vector<std::byte>& bytes) {
        for (uint64_t at = 0; at + sizeof(SegmentHeader) <= bytes.size(); at += 8) {
            const std::byte* here = bytes.data() + at;
            if (at == 0 && verify(load<SegmentHeader>(here)))
                places.push_back({path, at, What::kSegment});
            if (at % kPageBytes == 0 && verify(load<Trailer>(here)))
                places.push_back({path, at, What::kTrailer});
            if (at % kPageBytes == 0 && load<PageHeader>(here).magic == kPageMagic)
                places.push_back({path, at, What::kPage});
            if (verify(load<CommitHeader>(here))) places.push_back({path, at, What::kCommit});
            if (verify(load<RunHeader>(here))) places.push_back({path, at, What::kRun});
        }
    }
};

template <class T>
void seal_at(std::byte* here) {
    T value = load<T>(here);
    seal(value);
    std::memcpy(here, &value, sizeof(value));
}

void seal_again(std::vector<std::byte>& bytes, const Place& place) {
    std::byte* here = bytes.data() + place.offset;
    switch (place.what) {
        case What::kSegment:
            seal_at<SegmentHeader>(here);
            break;
        case What::kTrailer:
            seal_at<Trailer>(here);
            break;
        case What::kCommit:
            seal_at<CommitHeader>(here);
            break;
        case What::kRun:
            seal_at<RunHeader>(here);
            break;
        case What::kPage: {
            auto header = load<PageHeader>(here);
            header.crc = crc32c(std::span<const std::byte>(here, kPageBytes).subspan(8));
            std::memcpy(here, &header, sizeof(header));
            break;
        }
    }
}

void patch(FileSet& files, const std::vector<Place>& places, std::span<const uint8_t> input) {
    for (size_t count = 0; count < kPatchCountMax && input.size() >= kPatchHeadBytes; ++count) {
        uint16_t offset = 0;
        std::memcpy(&offset, input.data() + 2, sizeof(offset));
        const bool sealed = (input[1] & 1U) != 0;
        const Place& place = places[(input[0] + 256U * (input[1] >> 1U)) % places.size()];
        std::vector<std::byte>& bytes = files[place.file];
        const uint64_t at = sealed ? place.offset + offset % 64 : offset % bytes.size();
        const size_t length =
            std::min<size_t>({input[4] % 64U, input.size() - kPatchHeadBytes, bytes.size() - at});
        std::memcpy(bytes.data() + at, input.data() + kPatchHeadBytes, length);
        if (sealed) seal_again(bytes, place);
        input = input.subspan(kPatchHeadBytes + length);
    }
}

// Everything that readers get, folded: sequence numbers, counts, bytes.
uint64_t read_all(JournalRig& rig) {
    uint64_t folded = 0;
    for (uint64_t shard = 1; shard <= kShardCount; ++shard) {
        const auto back = rig.read_shard(shard);
        EAGRE_ASSERT(back.error != Errc::kTimeout);
        for (const ModelRun& run : back.runs) {
            folded = folded * 31 + run.first_sequence * 7 + run.record_count + crc32c(run.payload);
        }
    }
    return folded;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const Template pristine;
    FileSet files = pristine.files;
    patch(files, pristine.places, {data, size});

    JournalRig rig(tiny_options());
    io::sim::SimNode& writer = rig.world.start_node(*rig.disk);
    io::Io io = writer.io();
    EAGRE_ASSERT(io.files.make_directory(rig.options.directory).has_value());
    for (const auto& [path, bytes] : files) EAGRE_ASSERT(io.files.replace(path, bytes).has_value());
    rig.world.stop(writer);

    const Status first = rig.start();
    if (!first) {
        EAGRE_ASSERT(first.error().code != Errc::kOk);
        return 0;
    }
    const uint64_t served = read_all(rig);
    const Status second = rig.start();
    EAGRE_ASSERT(second.has_value());
    EAGRE_ASSERT_EQ(read_all(rig), served);
    return 0;
}
