#include "wire/frame/batch.h"

#include <flatbuffers/flatbuffers.h>
#include <openssl/evp.h>
#include <openssl/md5.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <utility>

#include "wire/base/assert.h"
#include "wire/frame/aligned.h"
#include "wire/frame/frame.h"
#include "wire/schema/batch_generated.h"

namespace eagre::frame {
namespace {

constexpr uint16_t kEntryHasHash = 0x1;
constexpr uint16_t kEntryIsGap = 0x2;
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

// An optional column of 8-byte elements.
template <class Vector>
bool absent_or_one_each(const Vector* vector, size_t count) {
    if (vector == nullptr) return true;
    return vector->size() == count && lies_aligned(vector);
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
    unsigned flags = 0;
    for (const wire::Entry& entry : entries) {
        flags |= entry.flags();
        const uint64_t end = entry.end();
        if (end < begin || end > blob_bytes || entry.key_len() > end - begin) return Errc::kBadSchema;
        if (!key_length_is_legal(blob + begin, entry.key_len())) return Errc::kBadPartitionKey;
        if (end - begin - entry.key_len() > record_bytes_max) {
            return error_of(Errc::kRecordTooLarge, record_bytes_max);
        }
        begin = end;
    }
    if (begin != blob_bytes) return Errc::kBadSchema;
    BatchView view = trusted(payload);
    view.has_gap_ = (flags & kEntryIsGap) != 0;
    return view;
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
    record.gap = (entry.flags() & kEntryIsGap) != 0;
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
constexpr size_t kFirstBytes = 1024;
constexpr size_t kFirstEntries = 16;

// realloc knows how to grow in place, and nothing here needs a constructor.
template <class T>
void resize_block(T*& block, size_t count) {
    static_assert(std::is_trivially_copyable_v<T>);
    auto* grown = static_cast<T*>(std::realloc(block, count * sizeof(T)));
    EAGRE_ASSERT(grown != nullptr);
    block = grown;
}

}  // namespace

struct BatchBuilder::Columns {
    std::vector<wire::Hash128> hashes;
    std::vector<uint64_t> times;
    std::vector<uint64_t> source_sequences;
    bool any_hash = false;
    bool any_time = false;
    bool any_source_sequence = false;
    void clear() {
        hashes.clear();
        times.clear();
        source_sequences.clear();
        any_hash = any_time = any_source_sequence = false;
    }
    size_t bytes() const {
        return hashes.size() * sizeof(wire::Hash128) + (times.size() + source_sequences.size()) * sizeof(uint64_t);
    }
};

BatchBuilder::BatchBuilder() : blob_end_(sizeof(Prelude)) {
    static_assert(kSurplusBytes == kHeaderBytes - kVectorOverheadBytes);
    static_assert(sizeof(wire::Entry) == kEntryBytes);
    grow(kFirstBytes);
    grow_entries();
}

BatchBuilder::~BatchBuilder() {
    std::free(bytes_);
    std::free(entries_);
    delete columns_;
}

BatchBuilder::BatchBuilder(BatchBuilder&& other) noexcept { *this = std::move(other); }

BatchBuilder& BatchBuilder::operator=(BatchBuilder&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(blob_end_, other.blob_end_);
    std::swap(capacity_, other.capacity_);
    std::swap(entries_, other.entries_);
    std::swap(entry_count_, other.entry_count_);
    std::swap(entry_capacity_, other.entry_capacity_);
    std::swap(columns_, other.columns_);
    std::swap(column_bytes_, other.column_bytes_);
    return *this;
}

void BatchBuilder::grow(size_t bytes) {
    capacity_ = std::max(blob_end_ + bytes, 2 * capacity_);
    resize_block(bytes_, capacity_);
}

void BatchBuilder::grow_entries() {
    entry_capacity_ = std::max(kFirstEntries, 2 * entry_capacity_);
    resize_block(entries_, entry_capacity_);
}

Status BatchBuilder::add(const RecordView& record) {
    const size_t key_bytes = record.partition_key.size();
    const size_t data_bytes = record.data.size();
    if (!key_length_is_legal(reinterpret_cast<const uint8_t*>(record.partition_key.data()), key_bytes)) {
        return Errc::kBadPartitionKey;
    }
    if (data_bytes > kRecordDataBytesMax) return error_of(Errc::kRecordTooLarge, kRecordDataBytesMax);
    if (capacity_ - blob_end_ < key_bytes + data_bytes) [[unlikely]] grow(key_bytes + data_bytes);
    if (entry_count_ == entry_capacity_) [[unlikely]] grow_entries();
    std::memcpy(bytes_ + blob_end_, record.partition_key.data(), key_bytes);
    if (data_bytes > 0) std::memcpy(bytes_ + blob_end_ + key_bytes, record.data.data(), data_bytes);
    blob_end_ += key_bytes + data_bytes;
    const wire::Entry entry(static_cast<uint32_t>(blob_end_ - sizeof(Prelude)), static_cast<uint16_t>(key_bytes),
                            static_cast<uint16_t>((record.explicit_hash ? kEntryHasHash : 0) | (record.gap ? kEntryIsGap : 0)));
    std::memcpy(entries_ + entry_count_++, &entry, sizeof(entry));
    if (columns_ != nullptr || record.explicit_hash || record.source_time_ns != 0 || record.source_sequence != 0) {
        add_columns(record);
    }
    return {};
}

// Optional columns come into being with the first record that has one; earlier records get the empty value.
void BatchBuilder::add_columns(const RecordView& record) {
    if (columns_ == nullptr) columns_ = new Columns;
    Columns& c = *columns_;
    if (record.explicit_hash || c.any_hash) {
        c.any_hash = true;
        c.hashes.resize(entry_count_ - 1);
        const HashKey hash = record.explicit_hash.value_or(HashKey{});
        c.hashes.emplace_back(hash.high, hash.low);
    }
    if (record.source_time_ns != 0 || c.any_time) {
        c.any_time = true;
        c.times.resize(entry_count_ - 1);
        c.times.push_back(record.source_time_ns);
    }
    if (record.source_sequence != 0 || c.any_source_sequence) {
        c.any_source_sequence = true;
        c.source_sequences.resize(entry_count_ - 1);
        c.source_sequences.push_back(record.source_sequence);
    }
    column_bytes_ = c.bytes();
}

std::span<const std::byte> BatchBuilder::finish() { return finish_frame().subspan(kHeaderBytes); }

std::span<std::byte> BatchBuilder::finish_frame() {
    EAGRE_ASSERT(entry_count_ > 0);
    const size_t whole_bytes_max = kHeaderBytes + payload_bytes();
    if (capacity_ < whole_bytes_max) grow(whole_bytes_max - blob_end_);
    Prelude prelude;
    const auto put = [&](flatbuffers::voffset_t slot, uint32_t* field, size_t target) {
        const auto place = static_cast<size_t>(reinterpret_cast<const uint8_t*>(field) -
                                               reinterpret_cast<const uint8_t*>(&prelude));
        prelude.vtable[slot / 2] = static_cast<uint16_t>(place - kTable);
        *field = static_cast<uint32_t>(target - place);
    };
    size_t end = blob_end_;
    const auto pad = [&](size_t ahead, size_t alignment) {
        for (; (end + ahead) % alignment != 0; ++end) bytes_[end] = std::byte{0};
    };
    // A vector whose elements are aligned to `alignment` (at least 4), behind its length. Tells where the length lies.
    const auto append_vector = [&](const void* elements, size_t count, size_t element_bytes, size_t alignment) {
        pad(sizeof(uint32_t), alignment);
        const size_t place = end;
        const auto length = static_cast<uint32_t>(count);
        std::memcpy(bytes_ + end, &length, sizeof(length));
        std::memcpy(bytes_ + end + sizeof(length), elements, count * element_bytes);
        end += sizeof(length) + count * element_bytes;
        return place;
    };
    prelude.root = kTable - offsetof(Prelude, root);
    prelude.vtable[0] = sizeof(prelude.vtable);
    prelude.vtable[1] = offsetof(Prelude, padding_behind) - kTable;
    prelude.table_to_vtable = static_cast<int32_t>(kTable - offsetof(Prelude, vtable));
    prelude.vtable[wire::Batch::VT_BASE_TIME / 2] = offsetof(Prelude, base_time) - kTable;
    prelude.blob_bytes = static_cast<uint32_t>(blob_end_ - sizeof(Prelude));
    put(wire::Batch::VT_BLOB, &prelude.blob, offsetof(Prelude, blob_bytes));
    put(wire::Batch::VT_ENTRIES, &prelude.entries, append_vector(entries_, entry_count_, kEntryBytes, 4));
    if (columns_ != nullptr) {
        const Columns& c = *columns_;
        const auto put_column = [&](bool any, flatbuffers::voffset_t slot, uint32_t* field, const auto& column) {
            if (any) put(slot, field, append_vector(column.data(), column.size(), sizeof(column[0]), 8));
        };
        put_column(c.any_hash, wire::Batch::VT_EXPLICIT_HASHES, &prelude.explicit_hashes, c.hashes);
        put_column(c.any_time, wire::Batch::VT_TIMES, &prelude.times, c.times);
        put_column(c.any_source_sequence, wire::Batch::VT_SOURCE_SEQUENCES, &prelude.source_sequences, c.source_sequences);
    }
    pad(0, 8);
    std::memcpy(bytes_, &prelude, sizeof(prelude));
    EAGRE_ASSERT_LE(end, capacity_);
    EAGRE_ASSERT_EQ(reinterpret_cast<uintptr_t>(bytes_) % 8, 0U);
    return {bytes_, end};
}

void BatchBuilder::clear() {
    blob_end_ = sizeof(Prelude);
    entry_count_ = 0;
    column_bytes_ = 0;
    if (columns_ != nullptr) columns_->clear();
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
