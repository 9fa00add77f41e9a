#include "wire/frame/batch.h"

#include <flatbuffers/flatbuffers.h>
#include <openssl/evp.h>
#include <openssl/md5.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "wire/base/assert.h"
#include "wire/frame/frame.h"
#include "wire/schema/batch_generated.h"

namespace eagre::frame {
namespace {

constexpr uint16_t kEntryHasHash = 0x1;
// Batch is one table with five vectors of scalars and structs: depth 1. Anything deeper lies.
constexpr flatbuffers::uoffset_t kDepthMax = 2;
constexpr flatbuffers::uoffset_t kTableCountMax = 1;

std::span<const wire::Entry> entries_of(const wire::Batch& batch) {
    return {reinterpret_cast<const wire::Entry*>(batch.entries()->Data()), batch.entries()->size()};
}

// Characters, not bytes, are limited; continuation bytes (10xxxxxx) don't count.
bool key_length_is_legal(const uint8_t* key, size_t bytes) {
    if (bytes == 0 || bytes > kPartitionKeyBytesMax) return false;
    if (bytes <= kPartitionKeyCharactersMax) return true;
    const auto characters = std::count_if(key, key + bytes, [](uint8_t c) { return (c & 0xC0U) != 0x80U; });
    return static_cast<size_t>(characters) <= kPartitionKeyCharactersMax;
}

// An optional column of 8-byte elements. FlatBuffers' verifier looks at the alignment of a vector's length word only
// (found by batch_fuzz), so a hostile column may lie 4 bytes beside an element's place: undefined to read.
template <class Vector>
bool absent_or_one_each(const Vector* vector, size_t count) {
    if (vector == nullptr) return true;
    return vector->size() == count && reinterpret_cast<uintptr_t>(vector->Data()) % 8 == 0;
}

}  // namespace

Result<BatchView> BatchView::verify(std::span<const std::byte> payload, uint32_t record_count,
                                    uint64_t record_bytes_max) {
    if (payload.size() < 16 || payload.size() > kFramePayloadBytesMax) return Errc::kBadLength;
    EAGRE_ASSERT_EQ(reinterpret_cast<uintptr_t>(payload.data()) % 8, 0U);
    const auto* bytes = reinterpret_cast<const uint8_t*>(payload.data());
    flatbuffers::Verifier verifier(bytes, payload.size(), kDepthMax, kTableCountMax);
    if (!verifier.VerifyBuffer<wire::Batch>(nullptr)) return Errc::kBadSchema;
    const wire::Batch* batch = wire::GetBatch(bytes);

    const auto entries = entries_of(*batch);
    if (entries.empty() || entries.size() > kBatchRecordCountMax || entries.size() != record_count) {
        return Errc::kBadSchema;
    }
    if (entries.size() > 1 && payload.size() > kBatchBytesMax) return error_of(Errc::kBadLength, kBatchBytesMax);
    if (!absent_or_one_each(batch->explicit_hashes(), entries.size()) ||
        !absent_or_one_each(batch->times(), entries.size()) ||
        !absent_or_one_each(batch->source_sequences(), entries.size())) {
        return Errc::kBadSchema;
    }

    const uint8_t* blob = batch->blob()->data();
    const uint64_t blob_bytes = batch->blob()->size();
    uint64_t begin = 0;
    for (const wire::Entry& entry : entries) {
        const uint64_t end = entry.end();
        if (end < begin || end > blob_bytes || entry.key_len() > end - begin) return Errc::kBadSchema;
        if (!key_length_is_legal(blob + begin, entry.key_len())) return Errc::kBadPartitionKey;
        if (end - begin - entry.key_len() > record_bytes_max) {
            return error_of(Errc::kRecordTooLarge, record_bytes_max);
        }
        begin = end;
    }
    if (begin != blob_bytes) return Errc::kBadSchema;
    return trusted(payload);
}

BatchView BatchView::trusted(std::span<const std::byte> payload) {
    const wire::Batch* batch = wire::GetBatch(payload.data());
    BatchView view;
    view.table_ = batch;
    view.blob_ = reinterpret_cast<const std::byte*>(batch->blob()->data());
    view.entries_ = batch->entries()->Data();
    view.blob_bytes_ = batch->blob()->size();
    view.record_count_ = batch->entries()->size();
    return view;
}

RecordView BatchView::record(uint32_t index) const {
    EAGRE_ASSERT_LT(index, record_count_);
    const auto* batch = static_cast<const wire::Batch*>(table_);
    const auto* entries = static_cast<const wire::Entry*>(entries_);
    const uint32_t begin = index == 0 ? 0 : entries[index - 1].end();
    const wire::Entry& entry = entries[index];
    RecordView record;
    record.partition_key = {reinterpret_cast<const char*>(blob_) + begin, entry.key_len()};
    record.data = {blob_ + begin + entry.key_len(), entry.end() - begin - entry.key_len()};
    if ((entry.flags() & kEntryHasHash) != 0 && batch->explicit_hashes() != nullptr) {
        const wire::Hash128* hash = batch->explicit_hashes()->Get(index);
        record.explicit_hash = HashKey{hash->high(), hash->low()};
    }
    if (batch->times() != nullptr) record.source_time_ns = batch->times()->Get(index);
    if (batch->source_sequences() != nullptr) record.source_sequence = batch->source_sequences()->Get(index);
    return record;
}

namespace {

// What stands in front of the blob, laid out by hand so that keys and data are copied once, into their final place;
// flatbuffers::FlatBufferBuilder would copy the whole blob again at the end. The table and its vtable come first, the blob
// behind them, then the entries, then the optional columns. Any order is legal: readers follow the offsets.
struct Prelude {
    std::byte header_room[kHeaderBytes] = {};  // Not of the payload: finish_frame().
    uint32_t root = 0;                         // The payload begins here. -> table_to_vtable
    uint16_t vtable[8] = {};      // Its own bytes, the table's bytes, then the fields in the order of batch.fbs.
    uint32_t padding_before = 0;
    int32_t table_to_vtable = 0;  // The table begins here.
    uint32_t entries = 0;
    uint64_t base_time = 1;       // Not 0, so that the field is there and the buffer 8-byte aligned by it.
    uint32_t blob = 0;
    uint32_t explicit_hashes = 0;
    uint32_t times = 0;
    uint32_t source_sequences = 0;
    uint32_t padding_behind = 0;
    uint32_t blob_bytes = 0;      // Length of the blob's vector; its bytes follow.
};
static_assert(sizeof(Prelude) == kHeaderBytes + 64);
static_assert(offsetof(Prelude, root) == kHeaderBytes);
static_assert(offsetof(Prelude, base_time) % 8 == 0);
static_assert(offsetof(Prelude, blob_bytes) + sizeof(uint32_t) == sizeof(Prelude));
constexpr size_t kTable = offsetof(Prelude, table_to_vtable);
// Padding and lengths of the vectors behind the blob: 7 for the entries, 11 for each of three columns, 7 at the end.
constexpr size_t kVectorOverheadBytes = 47;
static_assert(sizeof(Prelude) - kHeaderBytes + kVectorOverheadBytes <= 128, "payload_bytes() promises so");

}  // namespace

struct BatchBuilder::Impl {
    // Prelude and blob; behind them, after finish(), the other vectors.
    std::vector<uint8_t> buffer = std::vector<uint8_t>(sizeof(Prelude));
    size_t blob_end = sizeof(Prelude);
    std::vector<wire::Entry> entries;
    std::vector<wire::Hash128> hashes;
    std::vector<uint64_t> times;
    std::vector<uint64_t> source_sequences;
    bool any_hash = false;
    bool any_time = false;
    bool any_source_sequence = false;

    /// Appends a vector whose elements are aligned to `alignment` (at least 4); returns where its length lies.
    template <class Element>
    size_t append_vector(const std::vector<Element>& elements, size_t alignment) {
        while ((buffer.size() + 4) % alignment != 0) buffer.push_back(0);
        const size_t place = buffer.size();
        const auto count = static_cast<uint32_t>(elements.size());
        const auto* length = reinterpret_cast<const uint8_t*>(&count);
        buffer.insert(buffer.end(), length, length + sizeof(count));
        const auto* first = reinterpret_cast<const uint8_t*>(elements.data());
        buffer.insert(buffer.end(), first, first + elements.size() * sizeof(Element));
        return place;
    }
};

BatchBuilder::BatchBuilder() : impl_(new Impl) {}
BatchBuilder::~BatchBuilder() { delete impl_; }
BatchBuilder::BatchBuilder(BatchBuilder&& other) noexcept : impl_(std::exchange(other.impl_, nullptr)) {}
BatchBuilder& BatchBuilder::operator=(BatchBuilder&& other) noexcept {
    std::swap(impl_, other.impl_);
    return *this;
}

Status BatchBuilder::add(const RecordView& record) {
    const auto* key = reinterpret_cast<const uint8_t*>(record.partition_key.data());
    if (!key_length_is_legal(key, record.partition_key.size())) return Errc::kBadPartitionKey;
    if (record.data.size() > kRecordDataBytesMax) return error_of(Errc::kRecordTooLarge, kRecordDataBytesMax);
    Impl& b = *impl_;
    if (b.buffer.size() != b.blob_end) b.buffer.resize(b.blob_end);  // Going on after finish().
    // insert, not resize and memcpy: resize would write zeros first.
    b.buffer.insert(b.buffer.end(), key, key + record.partition_key.size());
    const auto* data = reinterpret_cast<const uint8_t*>(record.data.data());
    b.buffer.insert(b.buffer.end(), data, data + record.data.size());
    b.blob_end = b.buffer.size();
    b.entries.emplace_back(static_cast<uint32_t>(b.blob_end - sizeof(Prelude)),
                           static_cast<uint16_t>(record.partition_key.size()),
                           record.explicit_hash ? kEntryHasHash : uint16_t{0});
    const size_t count = b.entries.size();
    // Optional columns come into being with the first record that has one; earlier records get the empty value.
    if (record.explicit_hash || b.any_hash) {
        b.any_hash = true;
        b.hashes.resize(count - 1);
        const HashKey hash = record.explicit_hash.value_or(HashKey{});
        b.hashes.emplace_back(hash.high, hash.low);
    }
    if (record.source_time_ns != 0 || b.any_time) {
        b.any_time = true;
        b.times.resize(count - 1);
        b.times.push_back(record.source_time_ns);
    }
    if (record.source_sequence != 0 || b.any_source_sequence) {
        b.any_source_sequence = true;
        b.source_sequences.resize(count - 1);
        b.source_sequences.push_back(record.source_sequence);
    }
    return {};
}

uint32_t BatchBuilder::record_count() const { return static_cast<uint32_t>(impl_->entries.size()); }

size_t BatchBuilder::payload_bytes() const {
    const Impl& b = *impl_;
    return b.blob_end - kHeaderBytes + b.entries.size() * sizeof(wire::Entry) + b.hashes.size() * sizeof(wire::Hash128) +
           (b.times.size() + b.source_sequences.size()) * 8 + kVectorOverheadBytes;
}

size_t BatchBuilder::capacity() const { return impl_->buffer.capacity(); }

std::span<const std::byte> BatchBuilder::finish() { return finish_frame().subspan(kHeaderBytes); }

std::span<std::byte> BatchBuilder::finish_frame() {
    Impl& b = *impl_;
    EAGRE_ASSERT(!b.entries.empty());
    b.buffer.resize(b.blob_end);
    Prelude prelude;
    const auto put = [&](flatbuffers::voffset_t slot, uint32_t* field, size_t target) {
        const auto place = static_cast<size_t>(reinterpret_cast<const uint8_t*>(field) -
                                               reinterpret_cast<const uint8_t*>(&prelude));
        prelude.vtable[slot / 2] = static_cast<uint16_t>(place - kTable);
        *field = static_cast<uint32_t>(target - place);
    };
    prelude.root = kTable - offsetof(Prelude, root);
    prelude.vtable[0] = sizeof(prelude.vtable);
    prelude.vtable[1] = offsetof(Prelude, padding_behind) - kTable;
    prelude.table_to_vtable = static_cast<int32_t>(kTable - offsetof(Prelude, vtable));
    prelude.vtable[wire::Batch::VT_BASE_TIME / 2] = offsetof(Prelude, base_time) - kTable;
    prelude.blob_bytes = static_cast<uint32_t>(b.blob_end - sizeof(Prelude));
    put(wire::Batch::VT_BLOB, &prelude.blob, offsetof(Prelude, blob_bytes));
    put(wire::Batch::VT_ENTRIES, &prelude.entries, b.append_vector(b.entries, 4));
    if (b.any_hash) put(wire::Batch::VT_EXPLICIT_HASHES, &prelude.explicit_hashes, b.append_vector(b.hashes, 8));
    if (b.any_time) put(wire::Batch::VT_TIMES, &prelude.times, b.append_vector(b.times, 8));
    if (b.any_source_sequence) {
        put(wire::Batch::VT_SOURCE_SEQUENCES, &prelude.source_sequences, b.append_vector(b.source_sequences, 8));
    }
    while (b.buffer.size() % 8 != 0) b.buffer.push_back(0);
    std::memcpy(b.buffer.data(), &prelude, sizeof(prelude));
    EAGRE_ASSERT_EQ(reinterpret_cast<uintptr_t>(b.buffer.data()) % 8, 0U);
    return std::as_writable_bytes(std::span(b.buffer));
}

void BatchBuilder::clear() {
    Impl& b = *impl_;
    b.entries.clear();
    b.buffer.resize(sizeof(Prelude));
    b.blob_end = sizeof(Prelude);
    b.hashes.clear();
    b.times.clear();
    b.source_sequences.clear();
    b.any_hash = b.any_time = b.any_source_sequence = false;
}

HashKey hash_partition_key(std::string_view partition_key) {
    // Fetched once: with EVP_md5() OpenSSL 3 looks the digest up anew at each init, 290 ns a key instead of 120.
    static const EVP_MD* const md5 = EVP_MD_fetch(nullptr, "MD5", nullptr);
    static thread_local EVP_MD_CTX* const context = EVP_MD_CTX_new();
    EAGRE_ASSERT(md5 != nullptr);
    unsigned char digest[MD5_DIGEST_LENGTH];
    unsigned int digest_bytes = 0;
    EVP_DigestInit_ex2(context, md5, nullptr);
    EVP_DigestUpdate(context, partition_key.data(), partition_key.size());
    EVP_DigestFinal_ex(context, digest, &digest_bytes);
    EAGRE_ASSERT_EQ(digest_bytes, 16U);
    HashKey key;
    std::memcpy(&key.high, digest, 8);
    std::memcpy(&key.low, digest + 8, 8);
    key.high = __builtin_bswap64(key.high);
    key.low = __builtin_bswap64(key.low);
    return key;
}

}  // namespace eagre::frame
