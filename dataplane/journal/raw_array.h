#pragma once
// Tables sized for the worst case whose memory the kernel gives only as it is used: allocated, not
// initialised.

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>

namespace eagre::journal {

struct RawRelease {
    void operator()(void* memory) const { ::operator delete (memory, std::align_val_t{4096}); }
};
template <class T>
using RawArray = std::unique_ptr<T[], RawRelease>;

/// `count` elements, page-aligned, indeterminate: write before reading.
template <class T>
RawArray<T> make_raw_array(size_t count) {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
    return RawArray<T>(static_cast<T*>(::operator new (sizeof(T) * count, std::align_val_t{4096})));
}

}  // namespace eagre::journal
