#include "tools/eagre/paced_output.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>
#include <stdexcept>

#include <fmt/format.h>

namespace eagre::cli {
namespace {

constexpr size_t kFullBytes = 256 * 1024;
// A pipe that poll() calls writable takes so much without waiting.
constexpr size_t kPieceBytes = PIPE_BUF;

uint64_t now_ns() {
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count());
}

}  // namespace

PacedOutput::PacedOutput(RecordFormat format, int fd) : format_(format), fd_(fd) {
    if (format_ != RecordFormat::kCsv) return;
    chunks_.push_back({ShardId{}, SequenceNumber{}, kCsvHeading});
    pending_bytes_ = chunks_.back().text.size();
}

bool PacedOutput::full() const { return pending_bytes_ >= kFullBytes; }

bool PacedOutput::holds(ShardId shard) const {
    return std::any_of(chunks_.begin(), chunks_.end(), [shard](const Chunk& chunk) { return chunk.shard == shard; });
}

void PacedOutput::add(const RecordPlace& place, const frame::RecordView& record) {
    // The first chunk may be on its way: it stays as it is.
    const bool joins = chunks_.size() > 1 && chunks_.back().shard == place.shard && chunks_.back().text.size() < kPieceBytes / 2;
    if (!joins) chunks_.push_back({place.shard, place.sequence, {}});
    Chunk& chunk = chunks_.back();
    const size_t before = chunk.text.size();
    append_record(chunk.text, format_, place, record);
    chunk.last = place.sequence;
    pending_bytes_ += chunk.text.size() - before;
    ++count_;
}

void PacedOutput::write(uint64_t wait_ns) {
    const uint64_t deadline_ns = now_ns() + wait_ns;
    while (!chunks_.empty() && write_chunk(deadline_ns)) {
    }
}

void PacedOutput::give_up(ShardId shard, uint64_t wait_ns) {
    if (begun_bytes_ != 0 && chunks_.front().shard == shard) write_chunk(now_ns() + wait_ns);
    const auto begun = chunks_.begin() + (begun_bytes_ != 0 ? 1 : 0);
    const auto kept = std::remove_if(begun, chunks_.end(), [&](const Chunk& chunk) {
        if (chunk.shard != shard) return false;
        pending_bytes_ -= chunk.text.size();
        return true;
    });
    chunks_.erase(kept, chunks_.end());
}

// True: the first chunk has been written.
bool PacedOutput::write_chunk(uint64_t deadline_ns) {
    const Chunk& chunk = chunks_.front();
    while (begun_bytes_ < chunk.text.size()) {
        if (closed_ || !wait_writable(deadline_ns)) return false;
        const size_t piece_bytes = std::min(kPieceBytes, chunk.text.size() - begun_bytes_);
        const ssize_t put = ::write(fd_, chunk.text.data() + begun_bytes_, piece_bytes);
        if (put < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (put < 0 && errno == EPIPE) {
            closed_ = true;
            return false;
        }
        if (put < 0) throw std::runtime_error(fmt::format("standard output: {}", std::strerror(errno)));
        begun_bytes_ += static_cast<size_t>(put);
        pending_bytes_ -= static_cast<size_t>(put);
    }
    if (chunk.shard.value != 0) written_[chunk.shard] = chunk.last;
    chunks_.pop_front();
    begun_bytes_ = 0;
    return true;
}

// An end of the other side counts as writable: write() says which.
bool PacedOutput::wait_writable(uint64_t deadline_ns) {
    while (true) {
        const uint64_t now = now_ns();
        const uint64_t left_ns = deadline_ns - std::min(now, deadline_ns);
        pollfd waiting{fd_, POLLOUT, 0};
        const int ready = ::poll(&waiting, 1, static_cast<int>(std::min<uint64_t>((left_ns + 999'999) / 1'000'000, INT_MAX)));
        if (ready > 0) return true;
        if (ready < 0 && errno != EINTR) throw std::runtime_error(fmt::format("standard output: {}", std::strerror(errno)));
        if (left_ns == 0) return false;
    }
}

}  // namespace eagre::cli
