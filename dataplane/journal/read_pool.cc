#include "dataplane/journal/read_pool.h"

#include <algorithm>

#include "wire/base/assert.h"
#include "wire/base/limits.h"

namespace eagre::journal {
namespace {

// Two stretches closer than this are read as one.
constexpr uint64_t kCoalesceBytes = 16 * kKiB;
// How long a buffer is safe in the hands of a reader that has begun to use it, or that has not
// looked at it yet.
constexpr uint64_t kIdleNs = 20'000'000;
constexpr uint64_t kUnseenNs = 1'000'000'000;

}  // namespace

ReadPool::ReadPool(Context& context)
    : context_(context), buffers_(size_t{std::max(context.options.read_buffer_count, 2U)} + 1) {}

Status ReadPool::start() {
    for (ReadBuffer& buffer : buffers_) {
        const bool reserve = &buffer == &buffers_.back();
        const uint64_t bytes = reserve
                                   ? align_up(kFramePayloadBytesMax, kPageBytes) + 3 * kPageBytes
                                   : align_up(context_.options.read_buffer_bytes, kPageBytes);
        auto memory = io::AlignedBuffer::create(bytes);
        if (!memory) return memory.error();
        buffer.memory = std::move(*memory);
    }
    return {};
}

ReadBuffer* ReadPool::take(BufferHolder& holder, Want want) {
    ReadBuffer* found = nullptr;
    ReadBuffer* idle = nullptr;
    for (ReadBuffer& buffer : buffers_) {
        if ((&buffer == &buffers_.back()) != (want == Want::kReserve) || buffer.pending > 0)
            continue;
        if (!buffer.taken) {
            found = &buffer;
            break;
        }
        const uint64_t idle_ns = context_.now_ns - std::min(context_.now_ns, buffer.touched_ns);
        if (idle_ns > (buffer.peeked ? kIdleNs : kUnseenNs) &&
            (idle == nullptr || buffer.touched_ns < idle->touched_ns)) {
            idle = &buffer;
        }
    }
    if (found == nullptr && want != Want::kAhead && idle != nullptr) {
        idle->holder->on_buffer_lost(*idle);
        found = idle;
    }
    if (found == nullptr) return nullptr;
    found->holder = &holder;
    found->taken = true;
    found->peeked = false;
    found->touched_ns = context_.now_ns;
    found->op_count = 0;
    found->piece_count = 0;
    found->used_bytes = 0;
    found->segment = nullptr;
    return found;
}

void ReadPool::release(ReadBuffer& buffer) {
    buffer.holder = nullptr;
    buffer.taken = false;
}

bool ReadPool::add(ReadBuffer& buffer, const Stretch& stretch) {
    EAGRE_ASSERT(buffer.segment == nullptr || buffer.segment == stretch.segment);
    if (buffer.piece_count == ReadBuffer::kPieceCount) return false;
    const uint64_t capacity = buffer.memory.bytes();
    const uint64_t from = align_down(stretch.offset_bytes, context_.block_bytes);
    uint64_t to = align_up(stretch.end_bytes, context_.block_bytes);
    Piece piece;
    piece.stretch = stretch;
    piece.segment_number = stretch.segment->number();
    piece.nonce = stretch.segment->header.nonce;
    DeviceOp* last = buffer.op_count == 0 ? nullptr : &buffer.ops[buffer.op_count - 1];
    const uint64_t last_end = last == nullptr ? 0 : last->offset_bytes + last->length_bytes;
    if (last != nullptr && from >= last->offset_bytes && from <= last_end + kCoalesceBytes) {
        const uint64_t more = to > last_end ? to - last_end : 0;
        if (buffer.used_bytes + more > capacity) return false;
        last->length_bytes += static_cast<uint32_t>(more);
        buffer.used_bytes += more;
    } else {
        if (buffer.op_count == ReadBuffer::kOpCount) return false;
        if (buffer.used_bytes + (to - from) > capacity) {
            if (buffer.piece_count > 0) return false;
            to = from + capacity;
            piece.partial = true;
            piece.stretch.end_bytes = to;
        }
        last = &buffer.ops[buffer.op_count++];
        last->kind = io::StorageOp::Kind::kRead;
        last->file = stretch.segment->file;
        last->offset_bytes = from;
        last->buffer = buffer.memory.data() + buffer.used_bytes;
        last->length_bytes = static_cast<uint32_t>(to - from);
        buffer.used_bytes += to - from;
    }
    piece.op = buffer.op_count - 1;
    piece.data = last->buffer + (stretch.offset_bytes - last->offset_bytes);
    buffer.segment = stretch.segment;
    buffer.pieces[buffer.piece_count++] = piece;
    return true;
}

void ReadPool::submit(ReadBuffer& buffer) {
    buffer.pending = buffer.op_count;
    for (uint32_t i = 0; i < buffer.op_count; ++i) {
        DeviceOp& op = buffer.ops[i];
        op.tag = static_cast<uint64_t>(&buffer - buffers_.data()) * ReadBuffer::kOpCount + i;
        ++buffer.segment->pins;
        context_.stats.device_read_bytes += op.length_bytes;
        context_.device.submit(op, this);
    }
}

void ReadPool::on_done(DeviceOp& op, uint64_t now_ns) {
    ReadBuffer& buffer = buffers_[op.tag / ReadBuffer::kOpCount];
    const uint32_t index = op.tag % ReadBuffer::kOpCount;
    --buffer.segment->pins;
    --buffer.pending;
    buffer.touched_ns = now_ns;
    if (op.moved_all()) return;
    for (uint32_t i = 0; i < buffer.piece_count; ++i) {
        if (buffer.pieces[i].op == index) buffer.pieces[i].bad = true;
    }
}

}  // namespace eagre::journal
