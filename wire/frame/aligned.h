#pragma once
// FlatBuffers' verifier looks at the alignment of a vector's length word only, so the 8-byte elements of a hostile buffer may lie
// 4 bytes beside their place (found by fuzzing): undefined to read.

#include <cstdint>

namespace eagre::frame {

/// True when `vector` (of scalars or structs of 8-byte alignment) is absent or empty (where an empty one lies means nothing), or its
/// elements may be read.
template <class Vector>
bool lies_aligned(const Vector* vector) {
    return vector == nullptr || vector->size() == 0 || reinterpret_cast<uintptr_t>(vector->Data()) % 8 == 0;
}

}  // namespace eagre::frame
