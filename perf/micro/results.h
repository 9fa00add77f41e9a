#pragma once
// What the measured functions answered, folded into one hash: printed at the end and pinned by the
// smoke test, so that no benchmark can go on measuring code that has begun to answer wrongly.

#include <cstdint>
#include <string_view>

namespace eagre::perf {

/// Takes one answer for a fixed input under a name of its own. The same name again must bring the
/// same value (asserted); benchmarks are run several times by the library while it finds out how
/// many iterations to make.
void note_result(std::string_view name, uint64_t value);

/// Over all names and values, whatever order they came in.
uint64_t result_hash();

}  // namespace eagre::perf
