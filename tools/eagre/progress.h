#pragma once
// A progress bar on standard error: one line that redraws itself on a terminal, a plain line every
// few seconds elsewhere.

#include <cstdint>
#include <string>

namespace eagre::cli {

class Progress {
  public:
    /// `quiet`: shows nothing at all.
    explicit Progress(bool quiet = false);
    ~Progress() { clear(); }

    /// `share` in 0..1, negative: unknown (then no bar). Redraws at most ten times a second.
    void show(const std::string& what, double share, const std::string& figures);
    /// Takes the line away so that other output can be written.
    void clear();
    bool on_terminal() const { return terminal_; }

  private:
    bool quiet_;
    bool terminal_;
    bool drawn_ = false;
    uint64_t last_ns_ = 0;
    std::string last_what_;
};

/// CLOCK_MONOTONIC in ns.
uint64_t monotonic_ns();

}  // namespace eagre::cli
