#pragma once
// Assertions that stay on in release. Assert what we promised; return an Error for what the world did.

#include <concepts>
#include <cstdint>

namespace eagre {

/// Prints the failed condition with its values and place to stderr and aborts. Never returns, never allocates.
[[noreturn]] void assert_failed(const char* condition, const char* file, int line);
[[noreturn]] void assert_failed_compare(const char* condition, const char* file, int line,
                                        unsigned long long left, unsigned long long right);

}  // namespace eagre

#define EAGRE_ASSERT(condition)                                            \
    do {                                                                   \
        if (!(condition)) [[unlikely]]                                     \
            ::eagre::assert_failed(#condition, __FILE__, __LINE__);        \
    } while (false)

#define EAGRE_ASSERT_COMPARE_(left, op, right)                                             \
    do {                                                                                   \
        const auto eagre_left = (left);                                                    \
        const auto eagre_right = (right);                                                  \
        if (!(eagre_left op eagre_right)) [[unlikely]]                                     \
            ::eagre::assert_failed_compare(#left " " #op " " #right, __FILE__, __LINE__,   \
                                           static_cast<unsigned long long>(eagre_left),    \
                                           static_cast<unsigned long long>(eagre_right));  \
    } while (false)

/// These print both values. Operands are integers (strong types: pass `.value`).
#define EAGRE_ASSERT_EQ(a, b) EAGRE_ASSERT_COMPARE_(a, ==, b)
#define EAGRE_ASSERT_NE(a, b) EAGRE_ASSERT_COMPARE_(a, !=, b)
#define EAGRE_ASSERT_LE(a, b) EAGRE_ASSERT_COMPARE_(a, <=, b)
#define EAGRE_ASSERT_LT(a, b) EAGRE_ASSERT_COMPARE_(a, <, b)
#define EAGRE_ASSERT_GE(a, b) EAGRE_ASSERT_COMPARE_(a, >=, b)
#define EAGRE_ASSERT_GT(a, b) EAGRE_ASSERT_COMPARE_(a, >, b)

/// For checks that cost O(n): on in debug, sanitizer and simulator builds only.
#ifdef EAGRE_SLOW_CHECKS
#define EAGRE_VERIFY_SLOW(condition) EAGRE_ASSERT(condition)
#else
#define EAGRE_VERIFY_SLOW(condition) \
    do {                             \
    } while (false)
#endif
