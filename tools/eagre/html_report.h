#pragma once
// A load as one HTML file: verdict, conditions, figures, latency plots. Everything is in it, styles
// and drawings; it runs no script and asks for nothing. Light and dark as the reader's system says.

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "tools/eagre/load_report.h"

namespace eagre::cli {

/// Name and value, as shown.
using Conditions = std::vector<std::pair<std::string, std::string>>;

/// What this machine is: kernel, processor, CPUs, memory, time; with the version of Eagre.
Conditions machine_conditions();

/// The page. `conditions`: what was asked for and what it ran on, in order. The element
/// `<script type="application/json" id="eagre-report">` holds report_json with every histogram
/// ("series": name, [[upper end in ns, count], ...]) for programs.
std::string html_report(const LoadReport& report, const std::string& title,
                        const Conditions& conditions);

/// Where the page goes. Opened before a run, so that a run of an hour does not end with "permission
/// denied". Both throw std::runtime_error with a sentence that names the file.
class ReportFile {
  public:
    /// Empty `path`: nothing is written.
    explicit ReportFile(std::string path);
    void write(const std::string& page);
    bool wanted() const { return !path_.empty(); }

  private:
    std::string path_;
    std::ofstream file_;
};

}  // namespace eagre::cli
