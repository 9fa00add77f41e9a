#include "wire/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace eagre {

void assert_failed(const char* condition, const char* file, int line) {
    std::fprintf(stderr, "eagre: assertion failed: %s at %s:%d\n", condition, file, line);
    std::abort();
}

void assert_failed_compare(const char* condition, const char* file, int line,
                           unsigned long long left, unsigned long long right) {
    std::fprintf(stderr, "eagre: assertion failed: %s (%llu against %llu) at %s:%d\n", condition,
                 left, right, file, line);
    std::abort();
}

}  // namespace eagre
