#include "dataplane/io/memory.h"

#include <cerrno>
#include <cstring>

#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25  // Linux 6.1; Debian 12's C library does not name it yet.
#endif

namespace eagre::io {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20U;

constexpr uintptr_t round_to(uintptr_t value, size_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

// Shared memory gets huge pages by request only where the system's default is never. The second mapping finds them when it is
// used, which is only where a range meets the wrap. Whoever refuses leaves small pages, which work as well, slower.
void collapse(std::byte* data, size_t bytes) {
    for (size_t at = 0; at < bytes; at += kHugePageBytes) data[at] = std::byte{0};
    (void)::madvise(data, bytes, MADV_COLLAPSE);
}

size_t round_to_page(size_t bytes) {
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    return (bytes + page - 1) / page * page;
}

Error out_of_memory() {
    return os_error(Errc::kIo, errno);
}

}  // namespace

Result<MirroredBuffer> MirroredBuffer::create(size_t bytes) {
    const bool huge = bytes >= kHugePageBytes;
    const size_t size = huge ? round_to(bytes, kHugePageBytes) : round_to_page(bytes);
    const int fd = ::memfd_create("eagre-mirror", MFD_CLOEXEC);
    if (fd < 0) return out_of_memory();
    if (::ftruncate(fd, static_cast<off_t>(size)) != 0) {
        const Error error = out_of_memory();
        ::close(fd);
        return error;
    }
    // Reserve both halves first, with room to begin at a huge page; then put the same pages over each.
    const size_t alignment = huge ? kHugePageBytes : size_t{1};
    void* reserved = ::mmap(nullptr, 2 * size + alignment, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (reserved == MAP_FAILED) {
        const Error error = out_of_memory();
        ::close(fd);
        return error;
    }
    MirroredBuffer buffer;
    buffer.reserved_ = reserved;
    buffer.reserved_bytes_ = 2 * size + alignment;
    buffer.bytes_ = size;
    buffer.data_ = reinterpret_cast<std::byte*>(round_to(reinterpret_cast<uintptr_t>(reserved), alignment));
    for (size_t half = 0; half < 2; ++half) {
        void* want = buffer.data_ + half * size;
        void* got = ::mmap(want, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
        if (got != want) {
            const Error error = out_of_memory();
            ::close(fd);
            return error;
        }
    }
    ::close(fd);
    if (huge) collapse(buffer.data_, size);
    return buffer;
}

MirroredBuffer::~MirroredBuffer() {
    if (reserved_ != nullptr) ::munmap(reserved_, reserved_bytes_);
}

Result<AlignedBuffer> AlignedBuffer::create(size_t bytes) {
    const size_t size = round_to_page(bytes);
    const size_t alignment = size >= kHugePageBytes ? kHugePageBytes : size_t{1};
    void* base = ::mmap(nullptr, size + alignment, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return out_of_memory();
    AlignedBuffer buffer;
    buffer.reserved_ = base;
    buffer.reserved_bytes_ = size + alignment;
    buffer.data_ = reinterpret_cast<std::byte*>(round_to(reinterpret_cast<uintptr_t>(base), alignment));
    buffer.bytes_ = size;
    if (alignment == kHugePageBytes) (void)::madvise(buffer.data_, size, MADV_HUGEPAGE);
    return buffer;
}

AlignedBuffer::~AlignedBuffer() {
    if (reserved_ != nullptr) ::munmap(reserved_, reserved_bytes_);
}

}  // namespace eagre::io
