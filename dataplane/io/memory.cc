#include "dataplane/io/memory.h"

#include <cerrno>
#include <cstring>

#include <sys/mman.h>
#include <unistd.h>

namespace eagre::io {
namespace {

size_t round_to_page(size_t bytes) {
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    return (bytes + page - 1) / page * page;
}

Error out_of_memory() {
    return os_error(Errc::kIo, errno);
}

}  // namespace

Result<MirroredBuffer> MirroredBuffer::create(size_t bytes) {
    const size_t size = round_to_page(bytes);
    const int fd = ::memfd_create("eagre-mirror", MFD_CLOEXEC);
    if (fd < 0) return out_of_memory();
    if (::ftruncate(fd, static_cast<off_t>(size)) != 0) {
        const Error error = out_of_memory();
        ::close(fd);
        return error;
    }
    // Reserve both halves first, then put the same pages over each.
    void* base = ::mmap(nullptr, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) {
        const Error error = out_of_memory();
        ::close(fd);
        return error;
    }
    auto* data = static_cast<std::byte*>(base);
    for (size_t half = 0; half < 2; ++half) {
        void* want = data + half * size;
        void* got = ::mmap(want, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
        if (got != want) {
            const Error error = out_of_memory();
            ::munmap(base, 2 * size);
            ::close(fd);
            return error;
        }
    }
    ::close(fd);
    MirroredBuffer buffer;
    buffer.data_ = data;
    buffer.bytes_ = size;
    return buffer;
}

MirroredBuffer::~MirroredBuffer() {
    if (data_ != nullptr) ::munmap(data_, 2 * bytes_);
}

Result<AlignedBuffer> AlignedBuffer::create(size_t bytes) {
    const size_t size = round_to_page(bytes);
    void* base = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return out_of_memory();
    (void)::madvise(base, size, MADV_HUGEPAGE);
    AlignedBuffer buffer;
    buffer.data_ = static_cast<std::byte*>(base);
    buffer.bytes_ = size;
    return buffer;
}

AlignedBuffer::~AlignedBuffer() {
    if (data_ != nullptr) ::munmap(data_, bytes_);
}

}  // namespace eagre::io
