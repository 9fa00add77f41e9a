#pragma once
// Result<T>: a value or an Error of 16 bytes. No strings, no allocation; text is made at the edge (errc_advice).

#include <tl/expected.hpp>

#include <cstdint>
#include <utility>

#include "wire/base/errc.h"

namespace eagre {

struct Error {
    Errc code = Errc::kOk;
    int32_t os_errno = 0;  // The errno behind it, 0 if none.
    uint64_t detail = 0;   // What it is depends on `code`; see Errc.
};
static_assert(sizeof(Error) == 16);

template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
  public:
    using tl::expected<T, Error>::expected;
    Result(Error error) : tl::expected<T, Error>(tl::unexpected<Error>(error)) {}
    Result(Errc code) : Result(Error{code, 0, 0}) {}
};

using Status = Result<void>;

inline Error error_of(Errc code, uint64_t detail = 0) { return Error{code, 0, detail}; }
inline Error os_error(Errc code, int os_errno, uint64_t detail = 0) { return Error{code, os_errno, detail}; }

}  // namespace eagre
