#pragma once
// Named places at which a process can be told to kill itself, so that a test can visit every half-done state of an
// operation of several steps: `eagred --list-crash-points`, and EAGRE_CRASH_AT=NAME in the environment (NAME:3 dies at the
// third visit). Whoever adds an operation that must be finished or undone after a kill adds its points in the same file,
// as objects of namespace scope:
//
//     CrashPoint crash_parents_closed("reshard-parents-closed", "the parents are closed, no child is open");
//     ...
//     crash_parents_closed.reach();
//
// Not armed it costs a load and a branch that is never taken. Points of all cores share a count.

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace eagre {

class CrashPoint {
  public:
    /// `name`: OPERATION-STATE, unique in the program. `state`: what is done and what is not, for the list. Both literals.
    CrashPoint(const char* name, const char* state);
    CrashPoint(const CrashPoint&) = delete;
    CrashPoint& operator=(const CrashPoint&) = delete;

    /// Kills the process as kill -9 would, if this point is armed.
    void reach() {
        if (visits_left_.load(std::memory_order_relaxed) != 0) [[unlikely]] visit();
    }

    std::string_view name() const { return name_; }

    /// Of all points linked into this program: a line each, name and state, in order of names.
    static std::string list();
    /// Arms what EAGRE_CRASH_AT asks for; for main(). True: a point of this program is armed. A name of another program
    /// (they share an environment) arms nothing.
    static bool arm_from_environment();
    /// Arms one point for its `visit`th visit. False: no such point.
    static bool arm(std::string_view name, uint32_t visit);

  private:
    void visit();

    const char* name_;
    const char* state_;
    std::atomic<uint32_t> visits_left_{0};
    CrashPoint* next_;
    static CrashPoint* first_;
};

}  // namespace eagre
